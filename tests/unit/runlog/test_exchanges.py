"""Exchanges of a journal put together again, also those that a kill or a resumption cut in pieces."""

import numpy as np

from hwloop.link.protocol import Command, Status
from hwloop.runlog.bodies import Replies, ReplyFrame, Requests
from hwloop.runlog.exchanges import Assembler

READ, STATUS, SAFE = (int(kind) for kind in (Command.READ, Command.STATUS, Command.SAFE))
TICKS = np.uint32(7).tobytes()


class Feed:
    """Feeds an assembler and keeps what it gives."""

    def __init__(self):
        self.assembler, self.given, self.time_ns = Assembler(), [], 0

    def asks(self, exchange, kinds, first=0, recovery=False):
        self.time_ns += 1
        asked = Requests(exchange, 1, 0, [(kind, b"") for kind in kinds], first, recovery)
        self.given += self.assembler.take(asked, self.time_ns)

    def gets(self, exchange, frames, recovery=False):
        self.time_ns += 1
        listed = [ReplyFrame(index, status, TICKS) for index, status in frames]
        self.given += self.assembler.take(Replies(exchange, 1, 2, 5, listed, recovery), self.time_ns)

    def ends(self):
        self.given += self.assembler.rest()
        return self.given


def test_replies_that_come_piecemeal():
    feed = Feed()
    feed.asks(0, [READ] * 3)
    feed.gets(0, [(0, Status.OK), (1, Status.OK)])
    assert feed.given == []
    feed.gets(0, [(2, Status.OK)])
    exchange = feed.given[0]
    assert (exchange.number, exchange.elapsed_ticks(), exchange.bytes_sent, exchange.bytes_received) == (0, 21, 2, 4)
    assert (exchange.begun_ns, exchange.ended_ns) == (1, 3)
    assert len(list(exchange.answered)) == 3


def test_a_batch_waits_over_the_way_to_the_safe_state_and_a_resumption():
    feed = Feed()
    feed.asks(4, [READ] * 3)
    feed.gets(4, [(0, Status.OK)])
    feed.asks(5, [SAFE])                            # the process stops
    feed.gets(5, [(0, Status.OK)])
    feed.asks(6, [STATUS], recovery=True)           # another one goes on
    feed.gets(6, [(0, Status.OK)], recovery=True)
    feed.gets(4, [(1, Status.OK)])                  # from the board's cache
    feed.asks(4, [READ], first=2)                   # what had not been sent
    feed.gets(4, [(2, Status.OK)])
    assert [exchange.number for exchange in feed.given] == [5, 6, 4]
    assert [exchange.recovery for exchange in feed.given] == [False, True, False]
    assert [reply for _, _, reply in feed.given[-1].answered] == [TICKS] * 3


def test_what_never_got_its_replies_is_given_as_it_is():
    feed = Feed()
    feed.asks(0, [READ] * 2)
    feed.gets(0, [(0, Status.OK)])
    feed.asks(1, [READ])
    first, second = feed.ends()
    assert [reply for _, _, reply in first.answered] == [TICKS, None]
    assert [reply for _, _, reply in second.answered] == [None]


def test_a_refusal_ends_an_exchange():
    feed = Feed()
    feed.asks(0, [READ] * 4)
    feed.gets(0, [(0, Status.OK), (1, Status.OUT_OF_RANGE)])
    exchange = feed.given[0]
    assert [reply for _, _, reply in exchange.answered] == [TICKS]
    assert exchange.elapsed_ticks() == 7


def test_replies_to_nothing_are_passed_over():
    feed = Feed()
    feed.gets(3, [(0, Status.OK)])
    assert feed.ends() == []
