"""The state of a durable bench: what was answered survives kill -9, what is no state is refused, one process has it."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from hwloop.errors import CalibrationError, DeviceError, HwloopError, LinkError
from hwloop.link import protocol as wire
from hwloop.link.link import Link
from hwloop.link.protocol import Command, Polarity, SafeReason, Status
from hwloop.link.transport import SocketTransport
from hwloop.mock import bench_state
from hwloop.mock.bench import Bench
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.bench_state import read_state
from tests.unit.mock.killing import ForkedBoard, as_killed, done_some, log_of
from tests.unit.mock.talking import Host, opened, pulse_section, snapshot, solve_section

SMALL = "hwloop-16x4"


class Process:
    """A durable board in a process of its own."""

    def __init__(self, config: BenchConfig):
        here, there = socket.socketpair()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hwloop.mock.serve", str(there.fileno()), config.to_json()],
            pass_fds=[there.fileno()], stderr=subprocess.PIPE, text=True,
        )
        there.close()
        self.link = Link(SocketTransport(here, "process"), timeout_seconds=60)

    def __enter__(self):
        self.link.open()
        self.link.max_in_flight = 4
        return self

    def __exit__(self, *_):
        self.link.close()
        self.process.communicate(timeout=30)

    def status(self) -> wire.StatusReply:
        return wire.StatusReply.unpack(self.link.request(Command.STATUS))


def as_found(config: BenchConfig) -> Bench:
    """The bench that another process would find; it keeps nobody else out."""
    bench = Bench(config)
    bench.end()
    return bench


def test_what_was_answered_survives_kill_9(tmp_path):
    path = tmp_path / "chip"
    config = BenchConfig(SMALL, state=str(path))
    with Process(config) as first:
        for cell in range(5):
            first.link.run([(Command.PULSE, pulse_section(cell, polarity=Polarity.SET))])
        before = first.status()
        os.kill(first.process.pid, signal.SIGKILL)
    reference = opened()
    for cell in range(5):
        reference.done(Command.PULSE, pulse_section(cell, polarity=Polarity.SET))
    restored = as_found(config)
    for name, values in reference.board.bench.cells.state().items():
        assert np.array_equal(values, restored.cells.state()[name]), name
    with Process(config) as second:
        after = second.status()
        assert after.ticks == before.ticks and after.boot_counter == before.boot_counter + 1
        assert (after.last_begun_kind, after.last_begun_sequence, after.last_completed) == (Command.PULSE, 4, 1)
        # It goes on where the first one stopped: the same pulse, the same landing.
        second.link.run([(Command.PULSE, pulse_section(7))])
    assert [entry.name for entry in tmp_path.iterdir()] == ["chip"]
    reference.board.panel.registers.ground()
    reference.done(Command.PULSE, pulse_section(7))
    found, expected = as_found(config).cells.cell_state, reference.board.bench.cells.cell_state
    assert np.array_equal(found.conductance_siemens, expected.conductance_siemens)


@pytest.mark.parametrize("frames_before_the_kill", [1, 2, 3, 5])
def test_kill_9_in_the_middle_of_a_pipeline_leaves_a_whole_state(tmp_path, frames_before_the_kill):
    """The file holds the state after some whole command, and says which one."""
    config = BenchConfig(SMALL, state=str(tmp_path / "chip"))
    board = ForkedBoard(config)
    link, received = Link(board.transport, timeout_seconds=5), []
    link.open()
    link.max_in_flight, original = 4, link.transport.receive

    def killing(timeout_seconds):
        data = original(timeout_seconds)
        received.append(data)
        if sum(piece.count(0) for piece in received) >= frames_before_the_kill:
            board.kill()
        return data

    link.transport.receive = killing
    with pytest.raises(LinkError):
        link.run([(Command.PULSE, pulse_section(cell, polarity=Polarity.SET)) for cell in range(64)])
    assert board.wait() == -signal.SIGKILL
    bench = as_found(config)
    given = bench.cells.cell_state.pulse_count - Bench(BenchConfig(SMALL)).cells.cell_state.pulse_count
    done = bench.last_command[1] + 1
    assert done >= frames_before_the_kill
    assert given[:64].tolist() == [1] * done + [0] * (64 - done)


def test_bench_time_survives_and_looking_changes_nothing(tmp_path):
    path = tmp_path / "chip"
    config = BenchConfig(SMALL, state=str(path))
    looked = Host(state=str(path))
    looked.ask(Command.STATUS)
    looked.board.end()
    assert not list(tmp_path.iterdir())
    host = opened(state=str(path))
    host.done(Command.WAIT, wire.WaitRequest(12345).pack())
    host.board.end()
    assert as_found(config).ticks == 12345
    written = path.stat().st_mtime_ns
    looked = Host(state=str(path))
    looked.ask(Command.STATUS)
    looked.board.end()
    assert path.stat().st_mtime_ns == written and [entry.name for entry in tmp_path.iterdir()] == ["chip"]


def test_the_temperature_of_the_rig_counts_and_not_the_stored_one(tmp_path):
    config = {"state": str(tmp_path / "chip")}
    host = opened(**config)
    host.done(Command.PULSE, pulse_section(0))
    host.board.end()
    assert as_found(BenchConfig(SMALL, temperature_celsius=60.0, **config)).temperature_raw() == 60 * 128


def test_pulses_in_the_log_land_as_they_did_whatever_the_next_rig_says(tmp_path):
    """Another seed, other devices: they count for what is pulsed from now on."""
    host = done_some(opened(state=str(tmp_path / "chip"), seed=1, off=("slow",)))
    again = as_killed(host, tmp_path / "copy", seed=2, preset="low-yield")
    for name, values in host.board.bench.cells.cell_state._asdict().items():
        assert np.array_equal(values, getattr(again.board.bench.cells.cell_state, name)), name


def test_records_are_little_more_than_what_they_tell(tmp_path):
    path = tmp_path / "chip"
    host = opened(state=str(path))
    rows, inputs = list(range(16)), [1000] * 16 * 40
    payload = solve_section(*rows, *inputs, columns=0b1111, row_count=16, solves=40)
    host.done(Command.SOLVE, payload)
    before = len(log_of(path))
    reply = host.done(Command.SOLVE, payload)
    assert len(log_of(path)) - before < len(reply) + 100
    before = len(log_of(path))
    host.done(Command.PULSE, pulse_section(*range(64)))
    assert len(log_of(path)) - before < 64 * 6 + 250


def test_the_log_begins_anew_when_it_has_grown(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_state, "LOG_BYTES", 2000)
    path = tmp_path / "chip"
    host, snapshots = opened(state=str(path)), set()
    for seed in range(8):
        done_some(host, 10, seed)
        snapshots.add(path.stat().st_ino)
        assert len(log_of(path)) < 2000 + 2000
        assert snapshot(as_killed(host, tmp_path / f"copy{seed}", continues=True).board) == snapshot(host.board)
    assert len(snapshots) > 3


def test_a_full_disk_is_a_fault_and_the_state_before_is_whole(tmp_path):
    path = tmp_path / "chip"
    host = done_some(opened(state=str(path)), 10)
    before, size = snapshot(host.board), len(log_of(path))
    assert size < path.stat().st_size, "a new snapshot does not fit either"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, hard))
    try:
        reply = host.command(Command.PULSE, pulse_section(0))
        still = host.open()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert reply.status == Status.FAULT and still.status == Status.FAULT
    assert not host.board.armed and not host.board.bench.last_completed
    assert len(log_of(path)) == size + 40, "half a record"
    assert snapshot(as_killed(host, tmp_path / "copy", continues=True).board) == before
    # With room again the board opens, and all that happened to its cells is kept.
    assert host.open().status == Status.OK
    host.done(Command.PULSE, pulse_section(1))
    assert snapshot(as_killed(host, tmp_path / "copy", continues=True).board) == snapshot(host.board)


def test_a_folder_that_has_gone_is_a_fault(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    host = done_some(opened(state=str(folder / "chip")))
    shutil.rmtree(folder)
    assert host.command(Command.PULSE, pulse_section(0)).status == Status.FAULT
    assert not host.board.armed and host.board.safe_reason == SafeReason.FAULT
    # What makes it safe is never refused.
    assert host.ask(Command.SAFE).status == Status.OK
    with pytest.raises(DeviceError, match="cannot be kept there"):
        host.board.end()


def test_a_folder_that_has_gone_unnoticed_is_told_at_the_end(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    host = done_some(opened(state=str(folder / "chip")))
    shutil.rmtree(folder)
    with pytest.raises(DeviceError, match="cannot be kept there"):
        host.board.end()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.write_bytes(b""), "not the state of a simulated board"),
        (lambda path: path.write_text("hello"), "not the state of a simulated board"),
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), "not the state of a simulated board"),
        (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "not the state of a simulated board"),
        (lambda path: path.write_bytes(path.read_bytes()[:10]), "not the state of a simulated board"),
        (lambda path: path.write_bytes(b"HWLSTATE" + bytes(100)), "not the state of a simulated board"),
        (lambda path: np.savez(path.open("wb"), something=1), "not the state of a simulated board"),
        (lambda path: np.save(path.open("wb"), np.arange(3)), "not the state of a simulated board"),
        (lambda path: path.unlink() or path.mkdir(), "not the state of a simulated board"),
    ],
)
def test_a_file_that_is_no_state_is_refused(tmp_path, spoil, says):
    path = tmp_path / "chip"
    host = opened(state=str(path))
    host.done(Command.PULSE, pulse_section(0))
    host.board.end()
    spoil(path)
    with pytest.raises(CalibrationError, match=says) as caught:
        Host(state=str(path))
    assert "\n" not in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["chip"]


@pytest.mark.parametrize(
    ("other", "says"),
    [({"array_serial": 2}, "state of array 1 .* this is array 2"), ({"board_name": "hwloop-128x16"}, "4096")],
)
def test_the_state_of_another_chip_is_refused(tmp_path, other, says):
    path = tmp_path / "chip"
    host = done_some(opened(state=str(path)))
    host.board.end()
    with pytest.raises(CalibrationError, match=says):
        Bench(BenchConfig(**({"board_name": SMALL, "state": str(path)} | other)))
    assert read_state(path).snapshot.array_serial == 1


def test_a_state_in_no_folder_is_refused_before_anything_is_pulsed(tmp_path):
    with pytest.raises(CalibrationError, match="folder does not exist"):
        Bench(BenchConfig(SMALL, state=str(tmp_path / "nowhere" / "chip")))


def test_one_process_has_it(tmp_path):
    path = tmp_path / "chip"
    config = BenchConfig(SMALL, state=str(path))
    first = ForkedBoard(config)
    link = Link(first.transport, timeout_seconds=60)
    link.open()
    link.run([(Command.PULSE, pulse_section(0))])
    with pytest.raises(DeviceError, match="another process holds") as caught:
        Bench(config)
    assert "\n" not in str(caught.value)
    first.kill()
    first.wait()
    assert as_found(config).last_command == (Command.PULSE, 0), "a dead process leaves no lock"
    link.close()


def test_a_board_process_that_cannot_start_says_why_in_one_line(tmp_path):
    path = tmp_path / "chip"
    path.write_text("hello")
    board = Process(BenchConfig(SMALL, state=str(path)))
    with pytest.raises(HwloopError):
        board.link.request(Command.IDENTIFY)
    board.link.close()
    _, said = board.process.communicate(timeout=30)
    assert said.startswith("simulated board: ") and said.count("\n") == 1
    assert board.process.returncode == CalibrationError.exit_code
