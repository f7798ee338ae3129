"""Exchanges put together from the records of a journal: what was asked, and what came back, as far as it did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hwloop.link.frames import NOT_TAKEN, Frame
from hwloop.link.protocol import REPLY_BIT, SEQUENCED, Command, Status
from hwloop.link.refusals import refusal_error
from hwloop.runlog.bodies import Replies, ReplyFrame, Requests

# Refusals that end an exchange and the run with it, but not for good: once the board is well again, the run goes on
# with what was refused.
PASSING = frozenset({*NOT_TAKEN, Status.FAULT})
# The way out of a session, whatever the run was about.
WAY_OUT = frozenset({Command.SAFE, Command.CLOSE})


def command_name(kind: int) -> str:
    """ "PULSE"; a number where there is no such command."""
    return Command(kind).name if kind in Command._value2member_map_ else f"command {kind}"


@dataclass
class Exchange:
    """`frames` (command, payload) and their replies by index, those not recorded missing.

    Frame 0 has the number `sequence` of `session` (a tag where it is not sequenced); times in Unix ns, `ticks` the
    bench time afterwards. `recovery`: a resuming process asked, not the controller.
    """

    number: int
    recovery: bool
    session: int
    sequence: int
    frames: list[tuple[int, bytes]]
    begun_ns: int
    ended_ns: int
    replies: dict[int, ReplyFrame] = field(default_factory=dict)
    bytes_sent: int = 0
    bytes_received: int = 0
    ticks: int = 0

    @classmethod
    def of(cls, asked: Requests, time_ns: int) -> Exchange:
        """One that was asked for, without replies yet."""
        frames = list(asked.frames)
        return cls(asked.exchange, asked.recovery, asked.session, asked.sequence, frames, time_ns, time_ns)

    def go_on(self, asked: Requests) -> None:
        """What is left of it is sent again: from there on it has no reply yet, whatever was refused before."""
        self.session, self.sequence = asked.session, (asked.sequence - asked.first) & 0xFFFF
        self.replies = {index: reply for index, reply in self.replies.items() if index < asked.first}

    def take(self, came: Replies, time_ns: int) -> bool:
        """Replies that have come; whether nothing more can."""
        self.replies.update({frame.index: frame for frame in came.frames if frame.index < len(self.frames)})
        self.bytes_sent += came.bytes_sent
        self.bytes_received += came.bytes_received
        self.ticks, self.ended_ns = came.ticks or self.ticks, time_ns
        return self.is_complete and not self.is_refused

    @property
    def seconds(self) -> float:
        """What it took then."""
        return max(self.ended_ns - self.begun_ns, 0) * 1e-9

    @property
    def is_complete(self) -> bool:
        """Whether every frame has its reply, or is known to have none, or one was refused, which ends an exchange."""
        if len(self.replies) >= len(self.frames):
            return True
        # After a refusal nothing more is sent; what was on its way is answered.
        return any(reply.status != Status.OK for reply in self.replies.values()) and (
            sorted(self.replies) == list(range(len(self.replies)))
        )

    @property
    def is_refused(self) -> bool:
        """Whether it ended with a refusal after which a run can be gone on with."""
        return any(reply.status in PASSING for reply in self.replies.values())

    def forget_refused(self) -> None:
        """What was refused, or followed that, has no reply yet."""
        first = min(index for index, reply in self.replies.items() if reply.status in PASSING)
        self.replies = {index: reply for index, reply in self.replies.items() if index < first}

    @property
    def next_sequence(self) -> int:
        """The sequence number that follows, once it is complete."""
        taken = [reply for reply in self.replies.values() if reply.status not in NOT_TAKEN]
        return (self.sequence + len(taken)) & 0xFFFF

    def reply_frame(self, index: int) -> Frame:
        """A recorded reply as it was on the wire."""
        reply, kind = self.replies[index], self.frames[index][0]
        return Frame(kind | REPLY_BIT, reply.status, self.session, (self.sequence + index) & 0xFFFF, reply.payload)

    def payloads(self) -> list[bytes | None]:
        """Payloads of the replies, None where a frame has none and never will. Raises the recorded refusal."""
        for index in sorted(self.replies):
            if self.replies[index].status != Status.OK:
                raise refusal_error(Command(self.frames[index][0]), self.reply_frame(index))
        ordered = [self.replies[index] for index in range(len(self.frames))]
        return [None if reply.unknown else reply.payload for reply in ordered]

    @property
    def answered(self) -> Iterator[tuple[int, bytes, bytes | None]]:
        """(command, payload, reply) of every frame that may have been carried out: all but the refused ones and those
        behind them. The reply is None where none came, or nobody knows."""
        is_refused = any(reply.status != Status.OK for reply in self.replies.values())
        for index, (kind, payload) in enumerate(self.frames):
            reply = self.replies.get(index)
            if reply is None:
                if not is_refused:
                    yield kind, payload, None
            elif reply.status == Status.OK:
                yield kind, payload, None if reply.unknown else reply.payload

    def elapsed_ticks(self) -> int:
        """Bench time that the board says it took."""
        return sum(
            int.from_bytes(reply.payload[:4], "little") for index, reply in self.replies.items()
            if reply.status == Status.OK and self.frames[index][0] in SEQUENCED
        )


class Assembler:
    """Takes requests and replies in the order of the journal and gives exchanges once they can be given.

    A batch of sequenced commands waits for its replies over everything that comes in between (the way to the safe
    state, a resumption and what it asks the board) until the next batch that the controller asked for.
    """

    def __init__(self):
        self._open: dict[bool, Exchange] = {}   # a batch of the controller's (True), anything else (False)

    def take(self, told: Requests | Replies | None, time_ns: int) -> Iterator[Exchange]:
        """Take in what a record says; gives the exchanges that can be given now."""
        if isinstance(told, Requests):
            yield from self._asked(told, time_ns)
        elif isinstance(told, Replies):
            yield from self._came(told, time_ns)

    def _asked(self, asked: Requests, time_ns: int) -> Iterator[Exchange]:
        """Gives the exchange before, where it never got all of its replies."""
        is_batch = not asked.recovery and asked.frames[0][0] in SEQUENCED
        before = self._open.get(is_batch)
        if before is not None and before.number == asked.exchange:
            before.go_on(asked)
            return
        if before is not None:
            yield before
        self._open[is_batch] = Exchange.of(asked, time_ns)

    def _came(self, came: Replies, time_ns: int) -> Iterator[Exchange]:
        """Gives the exchange that these replies complete."""
        found = [is_batch for is_batch, exchange in self._open.items() if exchange.number == came.exchange]
        if not found:
            return
        exchange = self._open[found[0]]
        if exchange.take(came, time_ns):
            del self._open[found[0]]
            yield exchange

    def rest(self) -> Iterator[Exchange]:
        """What is still open at the end."""
        yield from self._open.values()
        self._open = {}
