"""The exchanges of a recording for a board that answers from it, and what to say where it cannot."""

from __future__ import annotations

from collections.abc import Iterator

from hwloop.link.link import Request
from hwloop.runlog.differing import requests_differ
from hwloop.runlog.exchanges import Exchange
from hwloop.runlog.journal import Journal
from hwloop.runlog.recorded import Recording
from hwloop.runlog.spoken import request_lines

Reply = tuple[int, bytes]


class RecordedExchanges:
    """What the controller of a run asked for, as (requests, replies, seconds), from the beginning each time it is gone
    through; replies are (status, payload), None where there is none. Nothing of it is kept in memory."""

    def __init__(self, journal: Journal):
        self._journal = journal
        self._recording = Recording(journal)
        self._number = 0

    def __iter__(self) -> Iterator[tuple[list[Request], list[Reply | None], float]]:
        recording = self._recording = Recording(self._journal)
        while (exchange := recording.next()) is not None:
            self._number = exchange.number
            replies = [_reply(exchange, index) for index in range(len(exchange.frames))]
            yield exchange.frames, replies, exchange.seconds

    def unanswered(self, expected: Request | None, came: Request) -> str:
        """One line on a request that the recording does not answer, `expected` (None: nothing) is what it has there."""
        recording = self._recording
        if expected is None:
            return f"the recording has ended, and {request_lines(*came, recording.scales)[0]} came; it gets no reply"
        where = f"exchange {self._number} ({recording.place})"
        found = requests_differ([expected], [came], recording.scales)
        if found is None:
            return f"{where}: {request_lines(*came, recording.scales)[0]} came, to which no reply was recorded"
        then, now = found.line()
        return f"{where}: recorded is {then}; what came is {now}; it gets no reply"


def _reply(exchange: Exchange, index: int) -> Reply | None:
    reply = exchange.replies.get(index)
    return None if reply is None or reply.unknown else (reply.status, reply.payload)
