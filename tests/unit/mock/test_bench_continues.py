"""A simulated world that was suspended goes on exactly where the last committed command left it."""

import numpy as np
import pytest

from hwloop.link import protocol as wire
from hwloop.link.frames import Frame
from hwloop.link.link import Link
from hwloop.link.protocol import Command, SafeReason, Status
from hwloop.mock.bench_config import BenchConfig
from tests.unit.mock.killing import ForkedBoard, as_killed, done_some, log_of, random_requests
from tests.unit.mock.talking import Host, opened, pulse_section, snapshot

SMALL = "hwloop-16x4"


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


def test_the_dead_man_counts_from_the_hosts_first_word_and_what_it_grounds_stays_so(tmp_path):
    host = done_some(opened(state=str(tmp_path / "chip")))
    again = as_killed(host, tmp_path / "copy", continues=True)
    again.board.check_dead_man(1e6 - 3600)
    again.board.check_dead_man(1e6 - 1)
    assert again.board.armed
    again.board.handle(Frame(Command.HEARTBEAT, 0, host.session, 0, b""), 1e6)
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


def test_looking_at_a_board_that_was_killed_changes_nothing_either(tmp_path):
    host = done_some(opened(state=str(tmp_path / "chip")))
    looked = as_killed(host, tmp_path / "copy")
    before = log_of(tmp_path / "copy" / "chip")
    looked.ask(Command.STATUS)
    looked.board.end()
    assert log_of(tmp_path / "copy" / "chip") == before
    again = Host(state=str(tmp_path / "copy" / "chip"), continues=True)
    assert snapshot(again.board) == snapshot(host.board) and again.board.armed
