"""Frames of any length and content, floods, half frames, repeated frames, two hosts: a board answers or drops, goes on,
and no clock tick passes that no command asked for."""

from __future__ import annotations

import time

import numpy as np
import pytest

from hwloop.link import protocol as wire
from hwloop.link.frames import OVERHEAD_BYTES, Frame, FrameReader
from hwloop.link.protocol import REPLY_BIT, Command, Layout, Polarity, SafeReason, Status, Target

OTHER_SESSION = 0x0777
ANSWER_SECONDS = 10.0
PULSE = wire.PulseSection(0, Polarity.SET, Layout.CELLS, Target.COMMON, 10, 15_000, 20_000, 2).pack() + b"\1\0\2\0"
PULSE_TICKS = 3 * wire.TICKS_PULSE_CHANGED_WORD + wire.TICKS_PULSE_DAC_SETTLE + 10 + wire.TICKS_PULSE_RECOVERY


class Port:
    """The bytes of a board's port, past the driver."""

    def __init__(self, board):
        self.transport, self.session = board.link.transport, board.link.session
        self.max_frame_bytes = board.describe.max_frame_bytes
        self._reader, self._tag = FrameReader(), 0x4000

    def say(self, data: bytes) -> None:
        self.transport.send(data)

    def hear(self, count: int, seconds: float = ANSWER_SECONDS) -> list[Frame]:
        """The next `count` replies, or those that came in time."""
        frames, deadline = [], time.monotonic() + seconds
        while len(frames) < count and (left := deadline - time.monotonic()) > 0:
            frames += self._reader.feed(self.transport.receive(left))
        return frames

    def frame(self, kind: int, payload: bytes = b"", sequence: int = 0, session: int | None = None) -> bytes:
        return Frame(kind, 0, self.session if session is None else session, sequence, payload).encode()

    def ask(self, kind: int, payload: bytes = b"", sequence: int = 0, session: int | None = None) -> Frame:
        """The reply to one frame; nothing else is on its way."""
        self.say(b"\0" + self.frame(kind, payload, sequence, session))
        (reply,) = self.hear(1)
        return reply

    def status(self) -> wire.StatusReply:
        """What the board says of itself, after everything that was said before: older replies are thrown away."""
        self._tag += 1
        self.say(b"\0" + self.frame(Command.STATUS, b"", self._tag))
        for _ in range(100_000):
            for reply in self.hear(1):
                if (reply.kind, reply.sequence) == (Command.STATUS | REPLY_BIT, self._tag):
                    return wire.StatusReply.unpack(reply.payload)
        raise AssertionError("the board does not answer any more")


@pytest.fixture
def port(board) -> Port:
    """The port of an open board; its heartbeat goes on beside."""
    return Port(board)


def test_noise_of_any_length_is_dropped(port):
    before, rng = port.status(), np.random.default_rng(0)
    for length in [*range(1, 40), 253, 254, 255, 256, port.max_frame_bytes, port.max_frame_bytes + 1]:
        port.say(rng.bytes(length))
    assert port.status() == before


def test_bytes_without_an_end_are_dropped(port):
    before = port.status()
    port.say(b"\x55" * (3 * port.max_frame_bytes))
    assert port.status() == before


def test_a_frame_may_come_in_pieces_and_a_half_one_is_dropped(port):
    coded = port.frame(Command.STATUS, b"", 9)
    for cut in range(1, len(coded)):
        port.say(coded[:cut])
        port.say(coded[cut:])
    assert [reply.sequence for reply in port.hear(len(coded) - 1)] == [9] * (len(coded) - 1)
    for cut in range(1, len(coded) - 1):
        port.say(coded[:cut] + b"\0")
    assert port.hear(1, 0.2) == []
    assert port.status().armed


def test_one_wrong_bit_anywhere_and_the_frame_is_dropped(port):
    before = port.status()
    coded = port.frame(Command.SAFE, b"", 3)
    for at in range(len(coded) - 1):
        damaged = coded[at] ^ 1 << at % 8
        if damaged:
            port.say(coded[:at] + bytes([damaged]) + coded[at + 1 :])
    assert port.status() == before


def test_the_longest_frame_is_taken_and_one_byte_more_is_not(port):
    longest = bytes(port.max_frame_bytes - OVERHEAD_BYTES)
    assert port.ask(Command.WAIT, longest, 0).status == Status.BAD_LENGTH
    port.say(port.frame(Command.WAIT, longest + b"\0", 1))
    assert port.hear(1, 0.2) == []
    assert port.status().expected_sequence == 1


def test_what_is_no_request_is_not_answered(port):
    before = port.status()
    port.say(Frame(Command.SAFE | REPLY_BIT, 0, port.session, 1, b"").encode())
    port.say(Frame(Command.SAFE, Status.FAULT, port.session, 1, b"").encode())
    assert port.hear(1, 0.2) == []
    assert port.status() == before


def test_commands_that_do_not_exist_are_refused(port):
    before = port.status()
    for kind in [0, *range(max(Command) + 1, REPLY_BIT, 7)]:
        reply = port.ask(kind, b"abc", 5)
        assert (reply.kind, reply.status) == (kind | REPLY_BIT, Status.UNKNOWN_COMMAND)
    assert port.status() == before


def test_a_payload_of_any_length_is_answered_or_refused_whole(port):
    """Random payloads that begin with a value beyond every enum: none is carried out."""
    rng, sequence = np.random.default_rng(1), 0
    start = port.status()
    for kind in (
        Command.PULSE, Command.READ, Command.SOLVE, Command.MVM, Command.COMPENSATE, Command.ROUTE, Command.HOLD,
        Command.SAMPLE,
    ):  # fmt: skip
        for length in (2, 3, 5, 7, 9, 13, 14, 15, 17, 60):
            reply = port.ask(kind, b"\xff" + rng.bytes(length), sequence)
            assert reply.status in (Status.BAD_LENGTH, Status.OUT_OF_RANGE)
            assert len(reply.payload) == wire.Refusal.STRUCT.size
            sequence += 1
    end = port.status()
    assert (end.ticks, end.armed, end.expected_sequence) == (start.ticks, 1, sequence)


def test_a_flood_is_survived(port):
    """Replies may be lost where nobody takes them; nothing is carried out that was not asked for."""
    before = port.status()
    port.say(b"".join(port.frame(Command.STATUS, b"", n) for n in range(300)))
    port.say(b"\0" * 1000)
    assert port.status() == before


def test_a_second_host_is_refused_and_the_first_goes_on(port):
    for kind, payload in ((Command.OPEN, wire.OpenRequest(wire.WIRE_HASH, 0).pack()), (Command.PULSE, PULSE)):
        reply = port.ask(kind, payload, 0, OTHER_SESSION)
        assert (reply.status, wire.Refusal.unpack(reply.payload).value) == (Status.BUSY, port.session)
    assert port.ask(Command.CLOSE, b"", 0, OTHER_SESSION).status == Status.OK
    assert port.status().armed
    assert port.ask(Command.PULSE, PULSE, 0).status == Status.OK


def test_a_second_host_may_ground_the_lines_but_not_take_the_board(port):
    """SAFE is for everyone who sees smoke."""
    assert port.ask(Command.SAFE, b"", 0, OTHER_SESSION).status == Status.OK
    status = port.status()
    assert (status.armed, status.safe_reason, status.open_session) == (0, SafeReason.COMMAND, port.session)
    assert port.ask(Command.PULSE, PULSE, 0).status == Status.SAFE_LATCHED


def test_a_retry_while_the_first_is_running_is_carried_out_once(port):
    before = port.status()
    port.say(port.frame(Command.PULSE, PULSE, 0) * 4)
    first, *others = port.hear(4)
    assert first.status == Status.OK and others == [first] * 3
    after = port.status()
    assert after.expected_sequence == 1
    assert after.ticks - before.ticks == PULSE_TICKS


def test_a_retry_with_another_payload_is_the_same_answer(port):
    first = port.ask(Command.PULSE, PULSE, 0)
    assert port.ask(Command.WAIT, b"\1\0\0\0", 0) == first
    assert port.status().expected_sequence == 1


def test_after_the_cache_has_wrapped_a_retry_is_refused_and_not_repeated(port):
    replies = [port.ask(Command.PULSE, PULSE, n) for n in range(wire.SESSION_REPLY_CACHE + 1)]
    before = port.status()
    stale = port.ask(Command.PULSE, PULSE, 0)
    assert stale.status == Status.SEQUENCE_STALE
    assert wire.Refusal.unpack(stale.payload).value == len(replies)
    for n in range(1, len(replies)):
        assert port.ask(Command.PULSE, PULSE, n) == replies[n]
    assert port.status() == before


def test_what_was_refused_is_cached_as_well(port):
    refused = port.ask(Command.PULSE, PULSE[:-1], 0)
    assert refused.status == Status.BAD_LENGTH
    assert port.ask(Command.PULSE, PULSE, 0) == refused


def test_a_missing_command_is_a_gap_and_takes_nothing(port):
    gap = port.ask(Command.PULSE, PULSE, 3)
    assert (gap.status, wire.Refusal.unpack(gap.payload).value) == (Status.SEQUENCE_GAP, 0)
    assert port.ask(Command.PULSE, PULSE, 0).status == Status.OK
