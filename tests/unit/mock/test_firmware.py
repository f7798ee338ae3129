"""Firmware as a child process, whatever it does: a stand-in program takes its place here."""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hwloop import config, rig
from hwloop.config import RunSettings
from hwloop.errors import DeviceError, UsageError
from hwloop.link.frames import Frame, FrameReader
from hwloop.link.protocol import Command, ResetCause
from hwloop.mock import firmware
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.firmware import Firmware, find_firmware

STAND_IN = Path(__file__).parent / "stand_in_firmware.py"
END, HANG, SWALLOW, TELL_CAUSE = 101, 102, 103, 104
BOARD = "hwloop-16x4"


@pytest.fixture
def stand_in(tmp_path) -> Firmware:
    """Runs with this Python, which knows its packages."""
    program = tmp_path / "hwloop-board"
    program.write_text(f"#!{sys.executable}\n" + STAND_IN.read_text())
    program.chmod(0o755)
    return Firmware("host", BOARD, str(program))


class Served:
    """The private server of a rig, and hosts at its socket; `children` are the firmware's process numbers."""

    def __init__(self, served_firmware: Firmware, **environment: str):
        here, there = socket.socketpair()
        with there:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hwloop.mock.serve", str(there.fileno()), BenchConfig(BOARD).to_json(),
                 json.dumps(dataclasses.asdict(served_firmware))],
                pass_fds=[there.fileno()], stderr=subprocess.PIPE, text=True, env=os.environ | environment,
            )  # fmt: skip
        self.socket, self.reader = here, FrameReader()
        self.socket.settimeout(60)

    def ask(self, kind: int, payload: bytes = b"", sequence: int = 1) -> Frame:
        self.say(kind, payload, sequence)
        return self.hear()

    def say(self, kind: int, payload: bytes = b"", sequence: int = 1) -> None:
        self.socket.sendall(Frame(kind, 0, 5, sequence, payload).encode())

    def hear(self) -> Frame:
        frames = []
        while not frames:
            data = self.socket.recv(1 << 16)
            assert data, "the server has ended"
            frames = self.reader.feed(data)
        (frame,) = frames
        return frame

    def children(self) -> list[int]:
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(number) for number in listed.split()]

    def end(self) -> int:
        self.socket.close()
        status = self.process.wait(30)
        self.process.stderr.close()
        return status


@pytest.fixture
def served(stand_in):
    running = Served(stand_in)
    yield running
    running.socket.close()
    running.process.kill()
    running.process.wait()
    running.process.stderr.close()


def is_gone(process: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_frames_and_replies_pass(served):
    payload = bytes(range(256))
    reply = served.ask(Command.DESCRIBE, payload, sequence=7)
    assert (reply.kind, reply.session, reply.sequence, reply.payload) == (Command.DESCRIBE | 0x80, 5, 7, payload)
    assert served.ask(TELL_CAUSE).payload == bytes([ResetCause.POWER])


def test_it_ends_with_its_host_and_leaves_no_child(served):
    served.ask(Command.STATUS)
    (child,) = served.children()
    assert served.end() == 0 and is_gone(child)


def test_a_firmware_that_dies_is_started_again_as_by_its_watchdog(served):
    served.ask(Command.STATUS)
    (first,) = served.children()
    served.say(END)
    assert is_gone(first)
    assert served.ask(TELL_CAUSE).payload == bytes([ResetCause.WATCHDOG])
    (second,) = served.children()
    os.kill(second, signal.SIGKILL)
    assert is_gone(second)
    assert served.ask(TELL_CAUSE).payload == bytes([ResetCause.WATCHDOG])


def test_a_firmware_that_hangs_is_ended_with_the_server(served):
    served.ask(Command.STATUS)
    served.say(HANG)
    (child,) = served.children()
    assert served.end() == 0 and is_gone(child)


def test_a_server_that_is_killed_leaves_no_child(served):
    served.ask(Command.STATUS)
    served.say(HANG)
    (child,) = served.children()
    served.process.kill()
    assert is_gone(child)


def test_a_firmware_that_does_not_live_is_given_up_in_one_line(stand_in):
    dead = Served(stand_in, STAND_IN_ENDS_WITH="3")
    assert dead.process.wait(60) == DeviceError.exit_code
    told = dead.process.stderr.read()
    assert "the firmware ended 5 times right after its start, the last time with exit status 3" in told
    assert told.count("\n") == 1
    dead.end()


def test_a_program_that_cannot_be_started(stand_in):
    Path(stand_in.path).chmod(0o644)
    dead = Served(stand_in)
    assert dead.process.wait(60) == DeviceError.exit_code
    assert "cannot be started (Permission denied); run `make firmware`" in dead.process.stderr.read()
    dead.end()


def test_an_endless_frame_does_not_block_the_next_one(served):
    served.socket.sendall(b"\x01" * 100_000 + b"\0")
    assert served.ask(Command.STATUS).kind == Command.STATUS | 0x80


SERVE = """
import sys
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.firmware import Firmware
from hwloop.mock.serve import serve_port
serve_port(BenchConfig("hwloop-16x4"), "tcp:127.0.0.1:0", lambda name, resources: print(name, flush=True),
           Firmware("host", "hwloop-16x4", sys.argv[1]))
"""


@pytest.fixture
def port(stand_in):
    """(host, port) of a stand-in firmware that any number of hosts can reach."""
    process = subprocess.Popen([sys.executable, "-c", SERVE, stand_in.path], stdout=subprocess.PIPE, text=True)
    _, host, number = process.stdout.readline().strip().split(":")
    yield host, int(number)
    process.kill()
    process.wait()
    process.stdout.close()


def heard(connection: socket.socket, count: int, timeout_seconds: float = 20.0) -> list[Frame]:
    reader, frames = FrameReader(), []
    connection.settimeout(timeout_seconds)
    while len(frames) < count:
        data = connection.recv(1 << 16)
        assert data
        frames += reader.feed(data)
    assert reader.damaged == 0
    return frames


def test_each_host_gets_its_own_replies(port):
    """Frames of two hosts, cut anywhere, arrive whole; a host that stops within a frame stops nobody else."""
    with socket.create_connection(port) as first, socket.create_connection(port) as second:
        wanted = {connection: [bytes([number, n]) * 50 for n in range(40)] for number, connection in
                  enumerate((first, second), 1)}  # fmt: skip
        streams = {
            connection: b"".join(
                Frame(Command.READ, 0, 1 + (connection is second), n, payload).encode()
                for n, payload in enumerate(payloads)
            )
            for connection, payloads in wanted.items()
        }
        for start in range(0, max(map(len, streams.values())), 37):
            for connection, stream in streams.items():
                connection.sendall(stream[start : start + 37])
        first.sendall(b"\x09half")
        for connection, payloads in wanted.items():
            assert [frame.payload for frame in heard(connection, 40)] == payloads
        second.sendall(Frame(Command.STATUS, 0, 2, 1, b"").encode())
        assert heard(second, 1)[0].session == 2


def test_what_a_host_said_before_it_left_is_carried_out(port):
    with socket.create_connection(port) as first:
        first.sendall(Frame(TELL_CAUSE, 0, 1, 1, b"").encode() * 200 + Frame(END, 0, 1, 1, b"").encode())
    with socket.create_connection(port) as second:
        for _ in range(100):
            second.sendall(Frame(TELL_CAUSE, 0, 2, 1, b"").encode())
            # What was in the firmware's port when it ended is gone; a host asks again.
            with contextlib.suppress(TimeoutError):
                if heard(second, 1, 0.2)[0].payload == bytes([ResetCause.WATCHDOG]):
                    return
    pytest.fail("the firmware was not told to end")


def test_what_is_not_built_or_does_not_fit(monkeypatch, tmp_path):
    with pytest.raises(UsageError, match="hwloop-4096x16 does not fit into the microcontroller"):
        find_firmware("emulated", "hwloop-4096x16")
    monkeypatch.setattr(firmware, "_HOST_PROGRAM", tmp_path / "none")
    with pytest.raises(DeviceError, match="no firmware for backend host yet; run `make firmware`"):
        find_firmware("host", BOARD)
    with pytest.raises(DeviceError, match=r"no such firmware \(\[board\] firmware\)"):
        find_firmware("host", BOARD, tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="qemu-system-arm is not installed"):
        find_firmware("emulated", BOARD, STAND_IN)


def test_a_rig_chooses_its_firmware(stand_in, tmp_path):
    path = tmp_path / "rig.toml"
    path.write_text(f'[board]\nname = "{BOARD}"\nbackend = "host"\nfirmware = "{stand_in.path}"\n')
    settings = RunSettings(config.load_rig(str(path)))
    assert rig.find_rig_firmware(settings) == stand_in
    assert rig.find_rig_firmware(RunSettings(config.load_rig())) is None
    assert rig.is_forgotten(settings) and rig.holder_key(settings) == (rig.MOCK_KEY, False)


def test_the_seconds_of_a_simulated_board_include_its_firmware(stand_in):
    mock = rig.MockProcess(BenchConfig(BOARD), stand_in)
    mock.transport.send(Frame(Command.STATUS, 0, 1, 1, b"").encode())
    assert mock.transport.receive(60)
    mock.close()
    assert mock.failure() is None and mock.cpu_seconds > 0
