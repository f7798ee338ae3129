"""The link: requests out, replies back, each sequenced command carried out exactly once, in order, or reported as ambiguous."""

from __future__ import annotations

import os
import struct
import threading
import time
from dataclasses import dataclass, field

from hwloop.errors import AmbiguousError, BoardError, DeviceError, LimitError, LinkError, SafetyError
from hwloop.link.frames import Frame, FrameReader
from hwloop.link.protocol import REPLY_BIT, SEQUENCED, Command, Field, Refusal, SafeReason, Status
from hwloop.link.transport import Transport

Request = tuple[Command, bytes]


@dataclass
class LinkCounters:
    """What crossed the link since it was opened."""

    frames_sent: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    resent: int = 0
    damaged: int = 0


@dataclass
class _Pending:
    """A request without its reply."""

    kind: Command
    wire: bytes
    sequence: int


@dataclass
class _Window:
    """One batch of sequenced requests on its way."""

    requests: list[_Pending]
    first_sequence: int
    replies: dict[int, bytes] = field(default_factory=dict)
    base: int = 0
    sent: int = 0
    gap_at: int | None = None

    def unanswered(self) -> list[_Pending]:
        return [self.requests[i] for i in range(self.base, self.sent) if i not in self.replies]


class Link:
    """One host's conversation with one board.

    Sequenced requests are pipelined, `max_in_flight` at a time. The board carries them out in order and answers a
    repeated one from its cache, so sending again is always safe; what is still unanswered after `retries` silent
    time-outs raises AmbiguousError if it could have moved a line, LinkError otherwise.
    """

    def __init__(self, transport: Transport, timeout_seconds: float = 1.0, retries: int = 6, session: int | None = None):
        self.transport = transport
        self.timeout_seconds = timeout_seconds
        self.retries = retries
        self.session = session or (int.from_bytes(os.urandom(2), "little") % 65535 + 1)
        self.max_in_flight = 1
        self.max_frame_bytes = 256
        self.counters = LinkCounters()
        self.sequence = 0
        self._tag = 0
        self._reader = FrameReader()
        self._lock = threading.Lock()
        self.last_sent = time.monotonic()

    def request(self, kind: Command, payload: bytes = b"") -> bytes:
        """The reply's payload to one unsequenced request (IDENTIFY, OPEN, SAFE, …), which may be repeated at will.

        Raises LinkError where nothing comes back, and the board's refusal as its error.
        """
        self._tag = (self._tag + 1) & 0xFFFF
        frame = Frame(kind, 0, self.session, self._tag, payload)
        for attempt in range(self.retries + 1):
            # A zero first: ends whatever an interrupted sender left half-written.
            self._send(b"\0" + frame.encode(), again=attempt > 0)
            deadline = time.monotonic() + self.timeout_seconds
            while (left := deadline - time.monotonic()) > 0:
                for reply in self._receive(left):
                    if reply.kind == kind | REPLY_BIT and reply.sequence == self._tag and reply.session == self.session:
                        if reply.status != Status.OK:
                            raise refusal_error(kind, reply)
                        return reply.payload
        raise LinkError(
            f"{self.transport.name}: no answer to {kind.name} in {self.retries + 1} tries of {self.timeout_seconds:g} s; "
            "check that it is a hwloop board, and its cable, power and baud rate"
        )

    def run(self, requests: list[Request], expected_seconds: float = 0.0) -> list[bytes]:
        """Replies' payloads to sequenced requests, pipelined, in the order given.

        `expected_seconds` is what the board may take for one of them, beyond the usual. Raises the board's refusal
        of the first that it refused; AmbiguousError or LinkError as in the class's description.
        """
        window = self._prepare(requests)
        timeout_seconds = self.timeout_seconds + expected_seconds
        silent, quiet_since = 0, time.monotonic()
        try:
            while window.base < len(window.requests):
                self._fill(window)
                frames = self._receive(max(quiet_since + timeout_seconds - time.monotonic(), 0.0))
                progress = [self._accept(window, frame) for frame in frames]
                if any(progress):
                    silent, quiet_since = 0, time.monotonic()
                elif time.monotonic() - quiet_since >= timeout_seconds:
                    silent, quiet_since = silent + 1, time.monotonic()
                    if silent > self.retries:
                        raise LinkError(f"{self.transport.name}: no reply in {silent} tries of {timeout_seconds:g} s")
                    window.gap_at = None
                    self._resend(window.unanswered())
        except LinkError as error:
            pending = tuple(f"{p.kind.name} {p.sequence}" for p in window.unanswered() if p.kind is Command.PULSE)
            if pending and not isinstance(error, (AmbiguousError, BoardError)):
                raise AmbiguousError(pending, str(error)) from error
            raise
        return [window.replies[i] for i in range(len(window.requests))]

    def heartbeat(self) -> None:
        """Feed the board's dead-man; nothing comes back. Safe to call from another thread."""
        self._send(Frame(Command.HEARTBEAT, 0, self.session, 0, b"").encode(), again=False)

    def close(self) -> None:
        """Give the port back."""
        self.transport.close()

    def _prepare(self, requests: list[Request]) -> _Window:
        pending = []
        for offset, (kind, payload) in enumerate(requests):
            assert kind in SEQUENCED, f"{kind.name} is not a sequenced command"
            sequence = (self.sequence + offset) & 0xFFFF
            pending.append(_Pending(kind, Frame(kind, 0, self.session, sequence, payload).encode(), sequence))
        window = _Window(pending, self.sequence)
        self.sequence = (self.sequence + len(pending)) & 0xFFFF
        return window

    def _fill(self, window: _Window) -> None:
        stop = min(len(window.requests), window.base + self.max_in_flight)
        if window.sent < stop:
            first, window.sent = window.sent, stop
            self._send(b"".join(p.wire for p in window.requests[first:stop]), frames=stop - first)

    def _accept(self, window: _Window, frame: Frame) -> bool:
        """Take one frame in; True where it brought the window forward."""
        index = (frame.sequence - window.first_sequence) & 0xFFFF
        if frame.session != self.session or not window.base <= index < window.sent or index in window.replies:
            return False
        pending = window.requests[index]
        if frame.kind != pending.kind | REPLY_BIT:
            return False
        if frame.status == Status.SEQUENCE_GAP:
            expected = (Refusal.unpack(frame.payload).value - window.first_sequence) & 0xFFFF
            if expected != window.gap_at:
                window.gap_at = expected
                self._resend([p for p in window.requests[window.base : window.sent] if self._index(window, p) >= expected])
            return False
        if frame.status != Status.OK:
            self._rewind(window, index, frame.status)
            raise refusal_error(pending.kind, frame)
        window.replies[index] = frame.payload
        if index > window.base and window.gap_at is None:
            # Replies come in order, so the ones before this got lost: ask for them again, once.
            window.gap_at = window.base
            self._resend([p for p in window.requests[window.base : index] if self._index(window, p) not in window.replies])
        while window.base in window.replies:
            window.base += 1
            window.gap_at = None
        return True

    def _rewind(self, window: _Window, refused: int, status: int) -> None:
        """After a refusal the board has used up the sequence number of everything that it received."""
        later = window.sent - refused - 1
        if later and status not in (Status.NOT_OPEN, Status.BUSY, Status.SAFE_LATCHED):
            deadline = time.monotonic() + self.timeout_seconds
            seen = set()
            while len(seen) < later and time.monotonic() < deadline:
                for frame in self._receive(0.05):
                    index = (frame.sequence - window.first_sequence) & 0xFFFF
                    if refused < index < window.sent and frame.session == self.session:
                        seen.add(index)
        self.sequence = (window.first_sequence + window.sent) & 0xFFFF

    @staticmethod
    def _index(window: _Window, pending: _Pending) -> int:
        return (pending.sequence - window.first_sequence) & 0xFFFF

    def _resend(self, pending: list[_Pending]) -> None:
        if pending:
            self._send(b"\0" + b"".join(p.wire for p in pending), again=True, frames=len(pending))

    def _send(self, data: bytes, again: bool = False, frames: int = 1) -> None:
        with self._lock:
            self.transport.send(data)
        self.last_sent = time.monotonic()
        self.counters.bytes_sent += len(data)
        self.counters.frames_sent += frames
        self.counters.resent += frames if again else 0

    def _receive(self, timeout_seconds: float) -> list[Frame]:
        data = self.transport.receive(timeout_seconds)
        self.counters.bytes_received += len(data)
        frames = self._reader.feed(data)
        self.counters.damaged = self._reader.damaged
        return frames


def refusal_error(kind: Command, reply: Frame) -> Exception:
    """The error that a refusing reply stands for."""
    try:
        status = Status(reply.status)
        refusal = Refusal.unpack(reply.payload)
    except (ValueError, struct.error) as error:
        return BoardError(f"{kind.name} was refused in a way that the wire table does not know (status {reply.status}): {error}")
    about = Field(refusal.field).name if refusal.field in Field._value2member_map_ else f"field {refusal.field}"
    if status is Status.OUT_OF_RANGE:
        return LimitError(
            f"{kind.name} {about} at entry {refusal.position}", refusal.value, f"{refusal.low} to {refusal.high}", "(board code)",
            "the board refused the whole command and moved no line",
        )
    if status is Status.BUSY:
        return DeviceError(f"another host has session {refusal.value} open on this board; end it, or wait until its dead-man has run out")
    if status is Status.SAFE_LATCHED:
        reason = SafeReason(refusal.value).name.lower().replace("_", "-")
        return SafetyError(f"{kind.name} was refused: the board is in its safe state (reason: {reason}); open a new session to go on")
    if status is Status.NOT_OPEN:
        return SafetyError(f"{kind.name} was refused: no session is open on the board (was it reset?)")
    return BoardError(f"{kind.name} was refused: {status.name} ({about}, value {refusal.value})")
