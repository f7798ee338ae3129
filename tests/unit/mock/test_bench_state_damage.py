"""Files of a durable bench, cut at every byte and with wrong bits: what comes back is what some command left, or a
refusal; and files of every version that there ever was."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.errors import CalibrationError
from hwloop.link.protocol import Command
from hwloop.mock.bench import Bench
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.bench_snapshot import read_snapshot
from hwloop.mock.bench_state import read_state
from hwloop.mock.packing import pack_columns, unpack_columns
from tests.unit.mock.killing import random_requests
from tests.unit.mock.talking import Host, opened, pulse_section, snapshot

SMALL = "hwloop-16x4"
TAIL_BYTES = 4096
FLIPS = 2000


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """(the files, the board after each command) of a board that was killed after 150 commands."""
    path = tmp_path_factory.mktemp("killed") / "chip"
    host = opened(state=str(path))
    left = [snapshot(host.board)]
    for kind, payload in random_requests(np.random.default_rng(0), 150):
        host.done(kind, payload)
        left.append(snapshot(host.board))
    return path.read_bytes(), path.with_name("chip.log").read_bytes(), left


def put(folder, snapshot_bytes: bytes, log: bytes):
    path = folder / "chip"
    path.write_bytes(snapshot_bytes)
    (folder / "chip.log").write_bytes(log)
    return path


def number_of_records(path) -> int:
    """How many are taken; each of them has to be one that was written, in order."""
    return len(read_state(path).records)


def test_a_log_cut_at_any_byte_holds_what_some_command_left(tmp_path, killed):
    whole, log, left = killed
    assert len(log) > TAIL_BYTES
    counts = []
    for length in range(len(log), len(log) - TAIL_BYTES - 1, -1):
        path = put(tmp_path, whole, log[:length])
        found = number_of_records(path)
        if found not in counts or length % 97 == 0:
            host = Host(state=str(path), continues=True)
            assert snapshot(host.board) == left[found]
            host.board.end()
        counts.append(found)
    assert counts[0] == len(left) - 1 and counts == sorted(counts, reverse=True)
    assert set(counts) == set(range(counts[-1], len(left))), "each of them once, and whole"


def test_a_log_cut_before_its_first_record_is_the_snapshot(tmp_path, killed):
    whole, log, left = killed
    for length in range(60):
        host = Host(state=str(put(tmp_path, whole, log[:length])), continues=True)
        assert snapshot(host.board) == left[0]
        host.board.end()


def test_wrong_bits_in_a_log_end_it_before_them(tmp_path, killed):
    whole, log, left = killed
    path = put(tmp_path, whole, log)
    good = read_state(path).records
    random = np.random.default_rng(1)
    for bit in random.integers(8 * len(log), size=FLIPS).tolist():
        spoiled = bytearray(log)
        spoiled[bit // 8] ^= 1 << bit % 8
        put(tmp_path, whole, bytes(spoiled))
        found = read_state(path).records
        assert len(found) < len(good) and found == good[: len(found)]
        if bit % 40 == 0:
            host = Host(state=str(path), continues=True)
            assert snapshot(host.board) == left[len(found)]
            host.board.end()


def test_wrong_bits_in_a_snapshot_are_refused(tmp_path, killed):
    whole, log, _ = killed
    random = np.random.default_rng(2)
    bits = [*range(8 * 40), *random.integers(8 * len(whole), size=400).tolist()]
    for bit in bits:
        spoiled = bytearray(whole)
        spoiled[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CalibrationError):
            read_state(put(tmp_path, bytes(spoiled), log))
    for length in [*range(100), *random.integers(len(whole), size=100).tolist()]:
        with pytest.raises(CalibrationError):
            read_state(put(tmp_path, whole[:length], log))


def test_a_damaged_snapshot_does_not_cost_the_log(tmp_path, killed):
    whole, log, _ = killed
    path = put(tmp_path, whole[:-1], log)
    with pytest.raises(CalibrationError):
        Bench(BenchConfig(SMALL, state=str(path)))
    assert path.with_name("chip.log").read_bytes() == log


def test_the_log_of_another_snapshot_is_none(tmp_path, killed):
    """A crash between the new snapshot and the new log leaves this; the snapshot holds all of it."""
    _, log, _ = killed
    host = opened(state=str(tmp_path / "other"))
    host.board.end()
    path = put(tmp_path, (tmp_path / "other").read_bytes(), log)
    assert number_of_records(path) == 0


def archive_of(bench: Bench, path, **more) -> None:
    """A state as it was kept before version 1: an .npz archive."""
    np.savez(
        path.open("wb"), array_serial=bench.array_serial, seed=bench.config.seed, ticks=bench.ticks,
        boot_counter=bench.boot_counter, last_command=np.array(bench.last_command), **more, **bench.cells.state(),
    )


@pytest.mark.parametrize("more", [{}, {"last_completed": False}])
def test_states_of_version_0_are_read_and_go_on_in_the_new_format(tmp_path, more):
    path = tmp_path / "chip.npz"
    host = opened()
    for kind, payload in random_requests(np.random.default_rng(0), 30):
        host.done(kind, payload)
    bench = host.board.bench
    archive_of(bench, path, **more)
    again = Host(state=str(path), continues=True)
    assert again.board.bench.boot_counter == 2 and not again.board.armed, "it knows no session"
    assert again.board.bench.last_completed == more.get("last_completed", True)
    assert (again.board.bench.ticks, again.board.bench.last_command) == (bench.ticks, bench.last_command)
    again.open()
    again.done(Command.PULSE, pulse_section(5))
    again.board.end()
    assert read_snapshot(path)[1], "a snapshot with an id"
    host.board.panel.registers.ground()
    host.done(Command.PULSE, pulse_section(5))
    found = Bench(BenchConfig(SMALL, state=str(path))).cells.cell_state
    for name, values in bench.cells.cell_state._asdict().items():
        assert np.array_equal(values, getattr(found, name)), name


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 300), st.just(7))))
def test_columns_come_back(rows):
    columns = [np.array([row[number] for row in rows], np.int64) for number in range(3)]
    packed = pack_columns(columns)
    found, end = unpack_columns(b"before" + packed, 6, 3)
    assert end == 6 + len(packed)
    assert all(np.array_equal(one, other) for one, other in zip(found, columns, strict=True))
