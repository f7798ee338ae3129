"""The state of a durable bench: whole and up to date after kill -9, refused where it is not one or of another chip."""

import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from hwloop.errors import CalibrationError, HwloopError, LinkError
from hwloop.link import protocol as wire
from hwloop.link.link import Link
from hwloop.link.protocol import Command, Polarity
from hwloop.link.transport import SocketTransport
from hwloop.mock.bench import Bench
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.bench_state import load_state, save_state
from tests.unit.mock.talking import Host, opened, pulse_section

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


def test_what_was_answered_survives_kill_9(tmp_path):
    path = tmp_path / "chip.npz"
    config = BenchConfig(SMALL, state=str(path))
    with Process(config) as first:
        assert not path.exists()
        for cell in range(5):
            first.link.run([(Command.PULSE, pulse_section(cell, polarity=Polarity.SET))])
        before = first.status()
        os.kill(first.process.pid, signal.SIGKILL)
    reference = opened()
    for cell in range(5):
        reference.done(Command.PULSE, pulse_section(cell, polarity=Polarity.SET))
    restored = Bench(config)
    for name, values in reference.board.bench.cells.state().items():
        assert np.array_equal(values, restored.cells.state()[name]), name
    with Process(config) as second:
        after = second.status()
        assert after.ticks == before.ticks and after.boot_counter == before.boot_counter + 1
        assert (after.last_begun_kind, after.last_begun_sequence, after.last_completed) == (Command.PULSE, 4, 1)
        # It goes on where the first one stopped: the same pulse, the same landing.
        second.link.run([(Command.PULSE, pulse_section(7))])
    reference.board.panel.registers.ground()
    reference.done(Command.PULSE, pulse_section(7))
    assert np.array_equal(
        Bench(config).cells.cell_state.conductance_siemens, reference.board.bench.cells.cell_state.conductance_siemens
    )


@pytest.mark.parametrize("frames_before_the_kill", [1, 2, 3, 5])
def test_kill_9_in_the_middle_of_a_pipeline_leaves_a_whole_state(tmp_path, frames_before_the_kill):
    """The file holds the state after some whole command, and says which one."""
    path = tmp_path / "chip.npz"
    config = BenchConfig(SMALL, state=str(path))
    with Process(config) as board:
        board.link.timeout_seconds, received = 5, []
        original = board.link.transport.receive

        def killing(timeout_seconds):
            data = original(timeout_seconds)
            received.append(data)
            if sum(piece.count(0) for piece in received) >= frames_before_the_kill:
                os.kill(board.process.pid, signal.SIGKILL)
            return data

        board.link.transport.receive = killing
        with pytest.raises(LinkError):
            board.link.run([(Command.PULSE, pulse_section(cell, polarity=Polarity.SET)) for cell in range(64)])
    bench = Bench(config)
    given = bench.cells.cell_state.pulse_count - Bench(BenchConfig(SMALL)).cells.cell_state.pulse_count
    done = bench.last_command[1] + 1
    assert done >= frames_before_the_kill
    assert given[:64].tolist() == [1] * done + [0] * (64 - done)


def test_bench_time_survives_a_clean_end_and_looking_changes_nothing(tmp_path):
    path = tmp_path / "chip.npz"
    config = BenchConfig(SMALL, state=str(path))
    with Process(config) as board:
        board.status()
    assert not path.exists()
    with Process(config) as board:
        board.link.run([(Command.WAIT, wire.WaitRequest(12345).pack())])
    assert Bench(config).ticks == 12345
    written = path.stat().st_mtime_ns
    with Process(config) as board:
        board.status()
    assert path.stat().st_mtime_ns == written


def test_the_temperature_of_the_rig_counts_and_not_the_stored_one(tmp_path):
    config = {"state": str(tmp_path / "chip.npz")}
    host = opened(**config)
    host.done(Command.PULSE, pulse_section(0))
    assert Bench(BenchConfig(SMALL, temperature_celsius=60.0, **config)).temperature_raw() == 60 * 128


def test_whether_the_last_command_was_completed_is_kept(tmp_path):
    path = tmp_path / "chip.npz"
    host = opened(state=str(path))
    host.done(Command.PULSE, pulse_section(0))
    assert Bench(host.board.bench.config).last_completed
    host.board.bench.last_completed = False
    host.board.bench.ticks += 1
    host.board.bench.save_clock()
    assert not Bench(host.board.bench.config).last_completed
    state = load_state(path, 1, 128)
    del state["last_completed"]
    save_state(path, state)
    assert Bench(host.board.bench.config).last_completed, "a state from before there was a record"


def test_a_failed_write_leaves_the_old_state_and_is_a_fault(tmp_path):
    path = tmp_path / "chip.npz"
    host = opened(state=str(path))
    host.done(Command.PULSE, pulse_section(0))
    stored = path.read_bytes()
    (tmp_path / "chip.npz.new").mkdir()
    reply = host.command(Command.PULSE, pulse_section(0))
    assert reply.status == wire.Status.FAULT and not host.board.armed and not host.board.bench.last_completed
    assert path.read_bytes() == stored


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.write_bytes(b""), "not the state of a simulated board"),
        (lambda path: path.write_text("hello"), "not the state of a simulated board"),
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), "not the state of a simulated board"),
        (lambda path: np.savez(path, something=1), "not the state of a simulated board"),
        (lambda path: np.save(path.open("wb"), np.arange(3)), "not the state of a simulated board"),
        (lambda path: path.unlink() or path.mkdir(), "not the state of a simulated board"),
    ],
)
def test_a_file_that_is_no_state_is_refused(tmp_path, spoil, says):
    path = tmp_path / "chip.npz"
    host = opened(state=str(path))
    host.done(Command.PULSE, pulse_section(0))
    spoil(path)
    with pytest.raises(CalibrationError, match=says) as caught:
        Host(state=str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("other", "says"),
    [({"array_serial": 2}, "state of array 1 .* this is array 2"), ({"board_name": "hwloop-128x16"}, "4096")],
)
def test_the_state_of_another_chip_is_refused(tmp_path, other, says):
    path = tmp_path / "chip.npz"
    opened(state=str(path)).done(Command.PULSE, pulse_section(0))
    with pytest.raises(CalibrationError, match=says):
        Bench(BenchConfig(**({"board_name": SMALL, "state": str(path)} | other)))
    assert load_state(path, 1, 128) is not None


def test_a_state_in_no_folder_is_refused_before_anything_is_pulsed(tmp_path):
    with pytest.raises(CalibrationError, match="folder does not exist"):
        Bench(BenchConfig(SMALL, state=str(tmp_path / "nowhere" / "chip.npz")))


def test_a_board_process_that_cannot_start_says_why_in_one_line(tmp_path):
    path = tmp_path / "chip.npz"
    path.write_text("hello")
    board = Process(BenchConfig(SMALL, state=str(path)))
    with pytest.raises(HwloopError):
        board.link.request(Command.IDENTIFY)
    board.link.close()
    _, said = board.process.communicate(timeout=30)
    assert said.startswith("simulated board: ") and said.count("\n") == 1
    assert board.process.returncode == CalibrationError.exit_code
