"""A recording in place of a link: the same requests get the replies that they got then, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hwloop.drivers.board.scales import Scales
from hwloop.errors import DivergenceError, ReplayEndError
from hwloop.link.frames import Frame
from hwloop.link.link import LinkCounters, Request
from hwloop.link.protocol import (
    REPLY_BIT,
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
from hwloop.link.refusals import refusal_error
from hwloop.runlog.bodies import Event, Replies, ReplyFrame, Requests
from hwloop.runlog.differing import exchange_text, requests_differ
from hwloop.runlog.exchanges import PASSING
from hwloop.runlog.framing import Kind, Record
from hwloop.runlog.journal import Journal
from hwloop.runlog.place import Place
from hwloop.runlog.standing import Standing

# The way out of a session is not part of what a controller asks for: where a run ended is not where its replay ends.
_WAY_OUT = {Command.SAFE: SafeReply(0).pack(), Command.CLOSE: CloseReply(0).pack()}
# These take no sequence number on the board.
_NOT_TAKEN = frozenset({Status.NOT_OPEN, Status.BUSY, Status.SAFE_LATCHED})


@dataclass
class RecordedExchange:
    """One exchange as recorded: its requests and the replies by frame, those not recorded missing.

    `session`, and `sequence` of frame 0 (a tag where unsequenced).
    """

    number: int
    session: int
    sequence: int
    requests: list[Request]
    replies: dict[int, ReplyFrame] = field(default_factory=dict)
    bytes_sent: int = 0
    bytes_received: int = 0
    begun_ns: int = 0
    ended_ns: int = 0

    @property
    def seconds(self) -> float:
        """What it took then, without the time that the run was cut off."""
        return max(self.ended_ns - self.begun_ns, 0) * 1e-9

    @property
    def is_complete(self) -> bool:
        """Whether every frame has its reply, or is known to have none, or follows a refusal that ended the exchange."""
        if len(self.replies) == len(self.requests):
            return True
        # After a refusal nothing more is sent; what was on its way is answered.
        refused = [index for index, reply in self.replies.items() if reply.status != Status.OK]
        return bool(refused) and sorted(self.replies) == list(range(len(self.replies)))

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
        taken = [reply for reply in self.replies.values() if reply.status not in _NOT_TAKEN]
        return (self.sequence + len(taken)) & 0xFFFF

    def frame(self, index: int) -> Frame:
        """A recorded reply as it was on the wire."""
        reply, kind = self.replies[index], self.requests[index][0]
        return Frame(kind | REPLY_BIT, reply.status, self.session, (self.sequence + index) & 0xFFFF, reply.payload)

    def payloads(self) -> list[bytes | None]:
        """Payloads of the replies, None where a frame has none and never will. Raises the recorded refusal."""
        for index in sorted(self.replies):
            if self.replies[index].status != Status.OK:
                raise refusal_error(self.requests[index][0], self.frame(index))
        ordered = [self.replies[index] for index in range(len(self.requests))]
        return [None if reply.unknown else reply.payload for reply in ordered]


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

    def next(self) -> RecordedExchange | None:
        """The next exchange, which is incomplete only where the recording ends in it; None at the end."""
        asked = self._ahead or self._next_requests(None)
        self._ahead = None
        if asked is None:
            return None
        exchange = RecordedExchange(
            asked.exchange, asked.session, asked.sequence, _commands(asked), begun_ns=self.tail.time_ns
        )
        if not exchange.is_complete:
            self._ahead = self._next_requests(exchange)
        if exchange.is_complete:
            self._note(exchange)
        return exchange

    def _next_requests(self, current: RecordedExchange | None) -> Requests | None:
        """Read on, filling in `current`, up to its last reply or to the next exchange's requests, which are given."""
        for record in self._records:
            passed_ns = record.time_ns - self.tail.time_ns
            self.records, self.tail.time_ns = record.sequence + 1, record.time_ns
            if record.kind is Kind.EVENT:
                event = Event.decode(record.body)
                self.place = self.place.after(event)
                if event.name == "resumed":
                    self._resumed.append(event)
                    if current is not None:
                        current.begun_ns += passed_ns
            elif record.kind is Kind.REQUEST:
                asked = Requests.decode(record.body)
                self._note_requests(asked)
                if asked.recovery or asked.frames[0][0] in _WAY_OUT:
                    continue
                if current is not None and asked.exchange == current.number:
                    current.session = asked.session
                    current.sequence = (asked.sequence - asked.first) & 0xFFFF
                    if current.is_refused:
                        current.forget_refused()
                    continue
                return asked
            elif record.kind is Kind.REPLY:
                came = Replies.decode(record.body)
                self.tail.ticks = came.ticks
                if current is not None and came.exchange == current.number:
                    current.replies.update({frame.index: frame for frame in came.frames})
                    current.bytes_sent += came.bytes_sent
                    current.bytes_received += came.bytes_received
                    current.ended_ns = record.time_ns
                    if current.is_complete and not current.is_refused:
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

    def _note(self, exchange: RecordedExchange) -> None:
        if exchange.requests[0][0] in SEQUENCED:
            self.tail.sequence = exchange.next_sequence
            self.tail.standing.note([
                request for index, request in enumerate(exchange.requests)
                if index in exchange.replies and exchange.replies[index].status == Status.OK
            ])
        elif exchange.requests[0][0] == Command.DESCRIBE:
            payload = exchange.replies[0].payload
            if len(payload) == DescribeReply.STRUCT.size:
                self.scales = Scales(DescribeReply.unpack(payload))


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
        if kind in _WAY_OUT:
            return _WAY_OUT[kind]
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

    def take(self, requests: list[Request]) -> RecordedExchange | None:
        """The recorded exchange of these requests; incomplete where the recording ends in it, None where it has."""
        if any(event.fields.get("restore") for event in self.recording.resumed()):
            self.on_resumed()
        exchange = self.recording.next()
        if exchange is None:
            return None
        if exchange.requests != requests:
            raise self._diverged(exchange, requests)
        self.counters.bytes_sent += exchange.bytes_sent
        self.counters.bytes_received += exchange.bytes_received
        self._exchanges += 1
        return exchange

    def heartbeat(self) -> None:
        """See Link."""

    def close(self) -> None:
        """See Link."""

    def _diverged(self, exchange: RecordedExchange, requests: list[Request]) -> DivergenceError:
        recording = self.recording
        error = DivergenceError(exchange.number, exchange.requests, requests)
        error.place = f" ({recording.place})"
        found = requests_differ(exchange.requests, requests, recording.scales)
        titles = [f"{who}: {exchange_text(frames)}" for who, frames in (
            ("recorded", exchange.requests), ("asked now", requests),
        )]
        error.shown = "\n".join([
            f"exchange {exchange.number}, request {found.frame}; {recording.place}", *found.lines(*titles)
        ])
        return error


def _commands(asked: Requests) -> list[Request]:
    return [(Command(kind), payload) for kind, payload in asked.frames]
