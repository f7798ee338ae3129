"""The state of a durable bench: what was answered survives kill -9, a world that was suspended goes on, what is no
state is refused, and only one process has it."""

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
from tests.unit.mock.killing import ForkedBoard, random_requests
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


def as_killed(host: Host, folder, **config) -> Host:
    """The board that comes up from the files as they are now, as if the one of `host` had just been killed."""
    folder.mkdir(exist_ok=True)
    path = host.board.bench.config.state
    for suffix in ("", ".log"):
        if os.path.exists(path + suffix):
            shutil.copy(path + suffix, folder / ("chip" + suffix))
    again = Host(state=str(folder / "chip"), **config)
    again.sequence, again.tag = host.sequence, host.tag
    return again


def log_of(path) -> bytes:
    return path.with_name(path.name + ".log").read_bytes()


def done_some(host: Host, count: int = 40, seed: int = 0) -> Host:
    for kind, payload in random_requests(np.random.default_rng(seed), count):
        host.done(kind, payload)
    return host


# --- a board that was reset ---

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


def test_looking_at_a_board_that_was_killed_changes_nothing_either(tmp_path):
    host = done_some(opened(state=str(tmp_path / "chip")))
    looked = as_killed(host, tmp_path / "copy")
    before = log_of(tmp_path / "copy" / "chip")
    looked.ask(Command.STATUS)
    looked.board.end()
    assert log_of(tmp_path / "copy" / "chip") == before
    again = Host(state=str(tmp_path / "copy" / "chip"), continues=True)
    assert snapshot(again.board) == snapshot(host.board) and again.board.armed


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


# --- a world that was suspended ---

def test_a_board_that_continues_stands_as_it_stood(tmp_path):
    host = done_some(opened(state=str(tmp_path / "chip")))
    host.done(Command.TIGHTEN, wire.TightenRequest(wire.LimitKind.WIDTH_TICKS, 5000).pack())
    status = host.ask(Command.STATUS).payload
    again = as_killed(host, tmp_path / "copy", continues=True)
    assert snapshot(again.board) == snapshot(host.board)
    again.tag -= 1
    assert again.ask(Command.STATUS).payload == status
    # Replies from the cache, as many as a board has to keep, and not one more.
    for back in range(1, wire.SESSION_REPLY_CACHE + 1):
        sequence = host.sequence - back
        assert again.command(Command.WAIT, b"", sequence) == host.command(Command.WAIT, b"", sequence)
        assert again.command(Command.WAIT, b"", sequence).status == Status.OK
    older = again.command(Command.WAIT, b"", host.sequence - wire.SESSION_REPLY_CACHE - 1)
    assert older.status == Status.SEQUENCE_STALE
    for kind, payload in random_requests(np.random.default_rng(5), 20):
        if kind != Command.PULSE:
            assert again.command(kind, payload) == host.command(kind, payload)
    assert again.command(Command.PULSE, pulse_section(3)) == host.command(Command.PULSE, pulse_section(3))
    assert snapshot(again.board) == snapshot(host.board)


def test_a_refused_command_is_in_the_cache_too(tmp_path):
    host = opened(state=str(tmp_path / "chip"))
    refused = host.command(Command.PULSE, pulse_section(200))
    again = as_killed(host, tmp_path / "copy", continues=True)
    assert refused.status == Status.OUT_OF_RANGE and again.command(Command.PULSE, b"", 0) == refused


def test_the_socket_of_the_host_closes_and_the_board_continues_armed(tmp_path):
    """The controller is killed: its board process sees the end of the file, not a command."""
    config = BenchConfig(SMALL, state=str(tmp_path / "chip"), continues=True)
    board = ForkedBoard(config)
    link = Link(board.transport, timeout_seconds=60)
    link.open()
    reference = opened()
    requests = random_requests(np.random.default_rng(3), 30)
    expected = [reference.done(*request) for request in requests]
    assert link.run(requests[:20]) == expected[:20]
    link.transport.close()
    assert board.wait() == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["chip"]
    board = ForkedBoard(config)
    assert not link.resume(board.transport).grounded
    assert link.run(requests[20:]) == expected[20:]
    link.close()
    assert board.wait() == 0
    # The same file for a board that was switched off meanwhile: another boot, and nothing is armed.
    reset = Host(state=str(tmp_path / "chip"))
    status = wire.StatusReply.unpack(reset.ask(Command.STATUS).payload)
    assert (status.armed, status.safe_reason, status.open_session) == (0, SafeReason.RESET, 0)
    assert status.boot_counter == 2


@pytest.mark.parametrize("kind", [Command.CLOSE, Command.SAFE])
def test_what_the_host_has_grounded_stays_grounded(tmp_path, kind):
    host = done_some(opened(state=str(tmp_path / "chip")))
    host.ask(kind)
    again = as_killed(host, tmp_path / "copy", continues=True)
    assert not again.board.armed and again.board.safe_reason == SafeReason.COMMAND
    assert again.board.session == host.board.session and not again.board.panel.registers.dac_words.any()
    assert snapshot(again.board) == snapshot(host.board)


def test_the_dead_man_counts_from_the_restart_and_what_it_grounds_stays_so(tmp_path):
    host = done_some(opened(state=str(tmp_path / "chip")))
    again = as_killed(host, tmp_path / "copy", continues=True)
    again.board.check_dead_man(1e6)
    again.board.check_dead_man(1e6 + 1.9)
    assert again.board.armed
    again.board.check_dead_man(1e6 + 2.1)
    assert not again.board.armed
    once_more = as_killed(again, tmp_path / "copy of the copy", continues=True)
    assert once_more.board.safe_reason == SafeReason.DEAD_MAN and once_more.board.session == host.session


def test_continuing_from_nothing_is_a_fresh_board(tmp_path):
    host = Host(state=str(tmp_path / "chip"), continues=True)
    status = wire.StatusReply.unpack(host.ask(Command.STATUS).payload)
    assert (status.boot_counter, status.armed, status.safe_reason) == (1, 0, SafeReason.RESET)


def test_a_log_whose_snapshot_was_removed_counts_for_nothing(tmp_path):
    host = done_some(opened(state=str(tmp_path / "chip")))
    (tmp_path / "chip").unlink()
    again = as_killed(host, tmp_path / "copy", continues=True)
    assert again.board.bench.ticks == 0 and again.board.bench.boot_counter == 1


def test_another_board_under_the_same_chip_does_not_continue_its_session(tmp_path):
    host = done_some(opened(state=str(tmp_path / "chip")))
    again = as_killed(host, tmp_path / "copy", continues=True, board_serial=2)
    assert again.board.session == 0 and again.board.bench.ticks == host.board.bench.ticks
    assert again.board.bench.boot_counter == 2


# --- size, and renewal of the snapshot ---

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


def test_a_command_that_is_interrupted_has_not_happened(tmp_path, monkeypatch):
    """Ctrl-C at a served board, in the middle of a command whose pulses are given already."""
    path = tmp_path / "chip"
    host = done_some(opened(state=str(path)))
    before, pulse = snapshot(host.board), host.board.bench.pulse

    def interrupted(*arguments):
        pulse(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(host.board.bench, "pulse", interrupted)
    with pytest.raises(KeyboardInterrupt):
        host.command(Command.PULSE, pulse_section(0))
    host.board.end()
    again = Host(state=str(path), continues=True)
    assert snapshot(again.board) == before and again.board.bench.last_completed
    again.board.end()


# --- what cannot be kept ---

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
