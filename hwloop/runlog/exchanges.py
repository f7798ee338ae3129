"""Exchanges put together from the records of a journal: what was asked, and what came back, as far as it did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hwloop.link.protocol import SEQUENCED, Status
from hwloop.runlog.bodies import Replies, ReplyFrame, Requests

# Refusals that end an exchange and the run with it, but not for good: once the board is well again, the run goes on
# with what was refused.
PASSING = frozenset({Status.NOT_OPEN, Status.BUSY, Status.SAFE_LATCHED, Status.FAULT})


@dataclass
class Exchange:
    """`frames` (command, payload) and their replies by index; times in Unix ns, `ticks` the bench time afterwards."""

    number: int
    recovery: bool
    frames: list[tuple[int, bytes]]
    begun_ns: int
    ended_ns: int
    replies: dict[int, ReplyFrame] = field(default_factory=dict)
    bytes_sent: int = 0
    bytes_received: int = 0
    ticks: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether nothing more can come: every frame has its reply, or one was refused, which ends an exchange."""
        if len(self.replies) >= len(self.frames):
            return True
        return any(reply.status != Status.OK for reply in self.replies.values()) and (
            sorted(self.replies) == list(range(len(self.replies)))
        )

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

    def requests(self, asked: Requests, time_ns: int) -> Iterator[Exchange]:
        """Take requests in; gives the exchange before, where it never got all of its replies."""
        is_batch = not asked.recovery and asked.frames[0][0] in SEQUENCED
        before = self._open.get(is_batch)
        if before is not None and before.number == asked.exchange:
            # What is left of it is sent again, and what was refused.
            before.replies = {index: reply for index, reply in before.replies.items() if index < asked.first}
            return
        if before is not None:
            yield before
        self._open[is_batch] = Exchange(asked.exchange, asked.recovery, list(asked.frames), time_ns, time_ns)

    def replies(self, came: Replies, time_ns: int) -> Iterator[Exchange]:
        """Take replies in; gives the exchange that they complete."""
        found = [is_batch for is_batch, exchange in self._open.items() if exchange.number == came.exchange]
        if not found:
            return
        exchange = self._open[found[0]]
        exchange.replies.update({frame.index: frame for frame in came.frames if frame.index < len(exchange.frames)})
        exchange.bytes_sent += came.bytes_sent
        exchange.bytes_received += came.bytes_received
        exchange.ticks, exchange.ended_ns = came.ticks or exchange.ticks, time_ns
        if exchange.is_complete and not any(reply.status in PASSING for reply in exchange.replies.values()):
            del self._open[found[0]]
            yield exchange

    def rest(self) -> Iterator[Exchange]:
        """What is still open at the end."""
        yield from self._open.values()
        self._open = {}
