"""A recording in place of a link: the same requests get the replies that they got then, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hwloop.drivers.board.scales import Scales
from hwloop.errors import DivergenceError, ReplayEndError
from hwloop.link.link import LinkCounters, Request
from hwloop.link.protocol import (
    SEQUENCED,
    WIRE_HASH,
    CloseReply,
    Command,
    DescribeReply,
    OpenReply,
    OpenRequest,
    SafeReply,
    Status,
)
from hwloop.runlog.bodies import Event, Replies, Requests, told_by
from hwloop.runlog.differing import exchange_text, requests_differ
from hwloop.runlog.exchanges import WAY_OUT, Exchange
from hwloop.runlog.framing import Record
from hwloop.runlog.journal import Journal
from hwloop.runlog.place import Place
from hwloop.runlog.standing import Standing

# The way out is not part of what a controller asks for: where a run ended is not where its replay ends.
_GOES = {Command.SAFE: SafeReply(0).pack(), Command.CLOSE: CloseReply(0).pack()}


@dataclass
class Tail:
    """How a recording ends: session (0: none), last tag, next sequence number, next exchange, bench time, last record's
    time (Unix ns), and what was left set on the board."""

    session: int = 0
    tag: int = 0
    sequence: int = 0
    exchange: int = 0
    ticks: int = 0
    time_ns: int = 0
    standing: Standing = field(default_factory=Standing)


class Recording:
    """The exchanges that the controller of a run asked for, in order, read as they are wanted.

    `resumed` tells where the run was gone on with; `is_at_end`: nothing follows; `place` is where the last exchange
    stands in the run, and `scales` what the board said of its converters.
    """

    def __init__(self, journal: Journal):
        self.name, self.tail = journal.name, Tail()
        self.place, self.scales = Place(), None
        self.records = 0
        self._records: Iterator[Record] = journal.records()
        self._ahead: Requests | None = None
        self.is_at_end = False
        self._resumed: list[Event] = []

    def resumed(self) -> list[Event]:
        """The "resumed" events before the next exchange, each given once."""
        if self._ahead is None:
            self._ahead = self._next_requests(None)
        found, self._resumed = self._resumed, []
        return found

    def next(self) -> Exchange | None:
        """The next exchange, which is incomplete only where the recording ends in it; None at the end."""
        asked = self._ahead or self._next_requests(None)
        self._ahead = None
        if asked is None:
            return None
        exchange = Exchange.of(asked, self.tail.time_ns)
        if not exchange.is_complete:
            self._ahead = self._next_requests(exchange)
        if exchange.is_complete:
            self._note(exchange)
        return exchange

    def _next_requests(self, current: Exchange | None) -> Requests | None:
        """Read on, filling in `current`, up to its last reply or to the next exchange's requests, which are given."""
        for record in self._records:
            passed_ns = record.time_ns - self.tail.time_ns
            self.records, self.tail.time_ns = record.sequence + 1, record.time_ns
            match told_by(record, with_arrays=False):
                case Event() as event:
                    self.place = self.place.after(event)
                    if event.name == "resumed":
                        self._resumed.append(event)
                        if current is not None:
                            current.begun_ns += passed_ns   # it does not count that the run was cut off
                case Requests() as asked:
                    self._note_requests(asked)
                    if asked.recovery or asked.frames[0][0] in WAY_OUT:
                        continue
                    if current is None or asked.exchange != current.number:
                        return asked
                    current.go_on(asked)
                case Replies() as came:
                    self.tail.ticks = came.ticks
                    if current is not None and came.exchange == current.number:
                        if current.take(came, record.time_ns):
                            return None
        self.is_at_end = True
        return None

    def _note_requests(self, asked: Requests) -> None:
        self.tail.exchange = max(self.tail.exchange, asked.exchange + 1)
        kind = asked.frames[0][0]
        if kind not in SEQUENCED:
            self.tail.tag = asked.sequence
        if kind == Command.OPEN:
            self.tail.session = asked.session
            if not OpenRequest.unpack(asked.frames[0][1]).resume:
                self.tail.sequence = 0

    def _note(self, exchange: Exchange) -> None:
        if exchange.frames[0][0] in SEQUENCED:
            self.tail.sequence = exchange.next_sequence
            self.tail.standing.note([
                request for index, request in enumerate(exchange.frames)
                if index in exchange.replies and exchange.replies[index].status == Status.OK
            ])
        elif exchange.frames[0][0] == Command.DESCRIBE:
            payload = exchange.replies[0].payload
            if len(payload) == DescribeReply.STRUCT.size:
                self.scales = Scales.nominal(DescribeReply.unpack(payload))


class RecordedTransport:
    """Where a recording stands for a port: only its name."""

    def __init__(self, name: str):
        self.name = name

    def close(self) -> None:
        """See Transport."""


class RecordedLink:
    """Looks like a link, answers from a recording. Strict: the first request that differs raises DivergenceError, and
    where the recording has no more, ReplayEndError."""

    def __init__(self, recording: Recording, port: str):
        self.recording = recording
        self.transport = RecordedTransport(port)
        self.counters = LinkCounters()
        self.max_in_flight, self.timeout_seconds, self.last_sent_seconds = 1, 0.0, 0.0
        self.on_resumed: Callable[[], None] = lambda: None
        self._exchanges = 0

    def request(self, kind: Command, payload: bytes = b"", tries: int | None = None) -> bytes:
        """See Link."""
        if kind in _GOES:
            return _GOES[kind]
        return self.run([(kind, payload)])[0]

    def open(self) -> OpenReply:
        """See Link."""
        return OpenReply.unpack(self.request(Command.OPEN, OpenRequest(WIRE_HASH, 0).pack()))

    def run(self, requests: list[Request], expected_seconds: float = 0.0) -> list[bytes | None]:
        """See Link; None for a request of which nobody knows whether it was carried out."""
        if not requests:
            return []
        exchange = self.take(requests)
        if exchange is None or not exchange.is_complete:
            raise ReplayEndError(
                f"{self.recording.name}: the recording ends after {self._exchanges:,} exchanges, the run was not "
                "finished; `hwloop logs resume` finishes it", self.recording.tail.exchange, requests,
            )
        return exchange.payloads()

    def take(self, requests: list[Request]) -> Exchange | None:
        """The recorded exchange of these requests; incomplete where the recording ends in it, None where it has."""
        if any(event.fields.get("restore") for event in self.recording.resumed()):
            self.on_resumed()
        exchange = self.recording.next()
        if exchange is None:
            return None
        if exchange.frames != requests:
            raise self._diverged(exchange, requests)
        self.counters.bytes_sent += exchange.bytes_sent
        self.counters.bytes_received += exchange.bytes_received
        self._exchanges += 1
        return exchange

    def heartbeat(self) -> None:
        """See Link."""

    def close(self) -> None:
        """See Link."""

    def _diverged(self, exchange: Exchange, requests: list[Request]) -> DivergenceError:
        recording = self.recording
        error = DivergenceError(exchange.number, exchange.frames, requests)
        error.place = f" ({recording.place})"
        found = requests_differ(exchange.frames, requests, recording.scales)
        titles = [f"{who}: {exchange_text(frames)}" for who, frames in (
            ("recorded", exchange.frames), ("asked now", requests),
        )]
        error.shown = "\n".join([
            f"exchange {exchange.number}, request {found.frame}; {recording.place}", *found.lines(*titles)
        ])
        return error
