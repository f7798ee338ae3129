"""A recording as a board: what was asked then is answered, in order; its session is its own; nothing is made up."""


import pytest

from hwloop.errors import DataError
from hwloop.link import protocol as wire
from hwloop.link.frames import Frame
from hwloop.link.protocol import Command, SafeReason, Status
from hwloop.mock.commands import describe
from hwloop.mock.hosts import Host as Connection
from hwloop.mock.recorded import RecordedBoard, RecordedServer
from hwloop.mock.session import DEAD_MAN_SECONDS
from tests.unit.mock.talking import Host, opened, pulse_section, read_request

OK = Status.OK
PULSE = (Command.PULSE, pulse_section(3))
READS = [(Command.READ, read_request(cell)) for cell in range(3)]
WAIT = (Command.WAIT, wire.WaitRequest(100).pack())
PULSED, WAITED = wire.PulseReply(270, 1).pack(), wire.WaitReply(100).pack()
BEGAN_TICKS, BOOTS = 5000, 3


def beginning():
    """What a board says before its first command."""
    board = opened().board
    identity = wire.IdentifyReply(wire.WIRE_HASH, 1 << 16, 7, 9, 1, b"hwloop-16x4").pack()
    opening = wire.OpenRequest(wire.WIRE_HASH, 0).pack()
    return [
        ([(Command.IDENTIFY, b"")], [(OK, identity)], 0.01),
        ([(Command.DESCRIBE, b"")], [(OK, describe(board.panel))], 0.01),
        ([(Command.OPEN, opening)], [(OK, wire.OpenReply(0, BEGAN_TICKS, BOOTS).pack())], 0.01),
    ]


def reading(cell):
    return wire.ReadReply(360).pack() + bytes([cell, 1, 1, 0])


READINGS = [(OK, reading(cell)) for cell in range(3)]
COMMANDS = [([PULSE, *READS], [(OK, PULSED), *READINGS], 0.4), ([WAIT], [(OK, WAITED)], 0.1)]


def recorded(*exchanges):
    """A host of the board of these exchanges; `host.refused` is what was told of requests without a reply."""
    refused = []
    board = RecordedBoard([*beginning(), *exchanges], lambda *what: refused.append(what))
    host = Host(board, session=0x0C0C)
    host.real, host.refused = board, refused
    return host


@pytest.fixture
def host():
    found = recorded(*COMMANDS)
    assert found.open().status == OK
    return found


def status_of(host):
    return wire.StatusReply.unpack(host.ask(Command.STATUS).payload)


def test_it_is_the_board_that_was_recorded():
    host = recorded(*COMMANDS)
    identity = wire.IdentifyReply.unpack(host.ask(Command.IDENTIFY).payload)
    assert (identity.board_serial, identity.array_serial) == (7, 9)
    assert wire.DescribeReply.unpack(host.ask(Command.DESCRIBE).payload).rows == 16
    assert host.command(*PULSE).status == Status.NOT_OPEN
    assert wire.OpenReply.unpack(host.open().payload) == wire.OpenReply(0, BEGAN_TICKS, BOOTS)


def test_the_same_requests_get_the_recorded_replies_and_its_clock_goes_on(host):
    told = [host.done(*request) for request in (PULSE, *READS, WAIT)]
    assert told == [PULSED, *(reading(cell) for cell in range(3)), WAITED]
    status = status_of(host)
    assert (status.armed, status.expected_sequence, status.open_session) == (1, 5, 0x0C0C)
    assert status.ticks == BEGAN_TICKS + 270 + 3 * 360 + 100
    assert (status.last_begun_kind, status.last_begun_sequence, status.last_completed) == (Command.WAIT, 4, 1)
    assert not host.refused


def test_another_request_gets_no_reply_but_a_fault_and_grounds_the_board(host):
    host.done(*PULSE)
    assert host.command(*READS[1]).status == Status.FAULT
    assert host.refused == [(READS[0], READS[1])]
    assert host.command(*READS[2]).status == Status.SAFE_LATCHED
    assert status_of(host).safe_reason == SafeReason.FAULT
    # A retry gets the same, from the cache; what was recorded is still there for who asks for it.
    assert host.command(*READS[1], sequence=1).status == Status.FAULT
    assert host.open(resume=1).status == OK
    assert host.done(*READS[0]) == reading(0) and len(host.refused) == 1


def test_behind_the_end_of_the_recording_there_is_nothing(host):
    for request in (PULSE, *READS, WAIT):
        host.done(*request)
    assert host.command(*WAIT).status == Status.FAULT and host.refused == [(None, WAIT)]


def test_a_reply_that_was_never_recorded_is_not_made_up():
    host = recorded(([PULSE, READS[0]], [None, (OK, reading(0))], 0.1))
    host.open()
    assert host.command(*PULSE).status == Status.FAULT and host.refused == [(PULSE, PULSE)]


def test_a_session_that_is_opened_anew_begins_anew_and_one_that_goes_on_goes_on(host):
    host.done(*PULSE)
    host.ask(Command.SAFE)
    assert host.command(*READS[0]).status == Status.SAFE_LATCHED
    assert wire.OpenReply.unpack(host.open(resume=1).payload).expected_sequence == 1
    assert host.done(*READS[0]) == reading(0)
    host.ask(Command.CLOSE)
    assert host.command(*READS[1]).status == Status.NOT_OPEN
    host.open()
    assert host.done(*PULSE) == PULSED and status_of(host).ticks == BEGAN_TICKS + 270


def test_retries_gaps_and_stale_numbers_are_those_of_a_board(host):
    first = host.command(*PULSE)
    assert host.command(*PULSE, sequence=0) == first, "from the cache"
    gap = host.command(*READS[2], sequence=3)
    assert gap.status == Status.SEQUENCE_GAP and wire.Refusal.unpack(gap.payload).value == 1
    many = recorded(*[([WAIT], [(OK, WAITED)], 0.0)] * 40)
    many.open()
    for _ in range(20):
        many.done(*WAIT)
    assert many.command(*WAIT, sequence=0).status == Status.SEQUENCE_STALE
    assert many.command(*WAIT, sequence=19).payload == WAITED


def test_one_host_at_a_time_until_it_is_silent_for_too_long(host):
    other = Host(host.board, session=5)
    assert other.open().status == Status.BUSY
    host.now += DEAD_MAN_SECONDS * 0.9
    host.ask(Command.HEARTBEAT)
    host.real.check_dead_man(host.now + DEAD_MAN_SECONDS * 0.9)
    assert host.real.armed
    host.real.check_dead_man(host.now + DEAD_MAN_SECONDS * 1.1)
    assert status_of(host).safe_reason == SafeReason.DEAD_MAN
    assert other.open().status == OK and other.done(*PULSE) == PULSED


def test_a_host_with_another_wire_table_and_frames_that_are_no_request(host):
    reply = host.ask(Command.OPEN, wire.OpenRequest(1, 0).pack())
    assert reply.status == Status.WIRE_MISMATCH
    assert host.board.handle(Frame(Command.STATUS | wire.REPLY_BIT, 0, 1, 1, b""), 0.0) is None
    assert host.ask(Command(Command.OPEN), b"").status == Status.WIRE_MISMATCH
    assert host.board.handle(Frame(77, 0, 1, 1, b""), 0.0).status == Status.UNKNOWN_COMMAND


def test_a_recorded_refusal_is_given_again_and_frames_behind_it_may_be_fewer():
    refusal = (Status.OUT_OF_RANGE, wire.Refusal(3, 0, 1, 2, 3).pack())
    host = recorded(([PULSE, *READS], [refusal, READINGS[0], READINGS[1], None], 0.1), COMMANDS[1])
    host.open()
    assert host.command(*PULSE).status == Status.OUT_OF_RANGE
    assert host.done(*READS[0]) == reading(0)
    assert host.done(*WAIT) == WAITED and not host.refused


def test_a_recorded_grounding_grounds_and_takes_no_number():
    latched = (Status.SAFE_LATCHED, wire.Refusal(0, 0, SafeReason.COMMAND, 0, 0).pack())
    host = recorded(([WAIT], [latched], 0.1), COMMANDS[1])
    host.open()
    assert host.command(*WAIT).status == Status.SAFE_LATCHED
    assert not status_of(host).armed and status_of(host).expected_sequence == 0
    host.open(resume=1)
    assert host.command(*WAIT, sequence=0).payload == WAITED


def test_what_ends_before_the_board_said_what_it_is_is_no_board():
    with pytest.raises(DataError, match="before the board said what it is"):
        RecordedBoard(beginning()[:1], lambda *what: None)


@pytest.mark.parametrize("at_recorded_speed", [False, True])
def test_replies_come_at_once_or_after_the_time_that_they_took_then(at_recorded_speed, monkeypatch):
    """0.4 s for the four commands of the first exchange; what needs no board comes at once."""
    board = RecordedBoard([*beginning(), *COMMANDS], lambda *what: None)
    server, told = RecordedServer(board, at_recorded_speed), []
    connection = server.hosts[-1] = Connection(-1)
    monkeypatch.setattr(server, "tell", lambda host, data: told.append(data))

    def come(*requests, now_seconds=0.0):
        for kind, sequence, payload in requests:
            connection.says(Frame(kind, 0, 3, sequence, payload).encode(), 1000)
        server.take(now_seconds)
        return len(told)

    opening = wire.OpenRequest(wire.WIRE_HASH, 0).pack()
    assert come((Command.OPEN, 1, opening)) == 1
    asked = [(kind, number, payload) for number, (kind, payload) in enumerate((PULSE, *READS))]
    assert come(*asked) == (1 if at_recorded_speed else 5)
    if at_recorded_speed:
        assert come(now_seconds=0.11) == 2
        assert come((Command.STATUS, 2, b""), now_seconds=0.12) == 3
        assert come(now_seconds=0.41) == 6
