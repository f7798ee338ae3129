"""A board's session layer: exactly once, in order, one host at a time, safe by default; not what commands do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict

from hwloop.link import protocol as wire
from hwloop.link.frames import NOT_TAKEN, Frame
from hwloop.link.protocol import Command, SafeReason, Status
from hwloop.mock.refusal import RefusalError
from hwloop.mock.sections import fixed_part

DEAD_MAN_SECONDS = wire.SESSION_DEAD_MAN_MILLISECONDS * 1e-3


class BoardSession(ABC):
    """`handle` takes a frame and gives the reply, or None where there is none.

    A subclass says what the board is, carries commands out, and adds what has to happen round them.
    """

    def __init__(self, wire_hash: int):
        self.session, self.armed, self.safe_reason = 0, False, SafeReason.RESET
        self._wire_hash = wire_hash
        self._open_tag = self._expected = 0
        self._cache: OrderedDict[int, Frame] = OrderedDict()
        self._heard_seconds: float | None = None

    @property
    @abstractmethod
    def ticks(self) -> int:
        """Bench time."""

    @property
    @abstractmethod
    def boot_counter(self) -> int:
        """How often the board was reset."""

    @abstractmethod
    def identify(self) -> bytes:
        """Payload of the reply to IDENTIFY."""

    @abstractmethod
    def describe_board(self) -> bytes:
        """Payload of the reply to DESCRIBE."""

    @abstractmethod
    def last_command(self) -> tuple[int, int, int, bool]:
        """Reset cause; kind and sequence of the sequenced command begun last, and whether it was completed."""

    @abstractmethod
    def carry_out(self, frame: Frame) -> Frame:
        """Do what a sequenced command asks for; gives the reply."""

    def check_arming(self) -> None:  # noqa: B027 - a board may have nothing against it
        """Raises RefusalError where the board must not be armed now."""

    def begin_session(self) -> None:  # noqa: B027 - a board may have nothing to forget
        """A session was opened anew."""

    def after_command(self, frame: Frame, reply: Frame) -> Frame:
        """A sequenced command has its reply, which is in the cache; gives the one that goes out."""
        return reply

    def after_word(self, frame: Frame, reply: Frame) -> Frame:
        """As `after_command`, for anything that was answered otherwise."""
        return reply

    def handle(self, frame: Frame, now_seconds: float) -> Frame | None:
        """Answer one frame; `now_seconds` is the wall clock, used by the dead-man only."""
        if frame.kind & wire.REPLY_BIT or frame.status != Status.OK:
            return None  # not a request: a line that echoes must not make the board talk to itself
        if frame.session == self.session:
            self._heard_seconds = now_seconds
        if frame.kind == Command.HEARTBEAT:
            return None
        try:
            if frame.kind in wire.SEQUENCED:
                return self._sequenced(frame)
            reply = reply_to(frame, self._unsequenced(frame, now_seconds))
        except RefusalError as error:
            reply = refusal_of(frame, error)
        return self.after_word(frame, reply)

    def check_dead_man(self, now_seconds: float) -> None:
        """Ground every line when the host has been silent for too long. A board that goes on from where it was left
        stands still until its host speaks again."""
        silent_since_seconds = now_seconds if self._heard_seconds is None else self._heard_seconds
        if self.armed and now_seconds - silent_since_seconds > DEAD_MAN_SECONDS:
            self.ground(SafeReason.DEAD_MAN)

    def ground(self, reason: SafeReason) -> None:
        """Every line to ground, every switch open; nothing moves before the next OPEN."""
        self.armed, self.safe_reason = False, reason

    def _sequenced(self, frame: Frame) -> Frame:
        if frame.session != self.session or not self.session:
            raise RefusalError(Status.BUSY if self.armed else Status.NOT_OPEN, value=self.session)
        ahead = (frame.sequence - self._expected) & 0xFFFF
        if ahead >= 0x8000:
            # Also where the board is safe: what it did before, it did.
            if frame.sequence in self._cache:
                return self._cache[frame.sequence]
            raise RefusalError(Status.SEQUENCE_STALE, value=self._expected)
        if not self.armed:
            raise RefusalError(Status.SAFE_LATCHED, value=self.safe_reason)
        if ahead:
            raise RefusalError(Status.SEQUENCE_GAP, value=self._expected)
        reply = self.carry_out(frame)
        if reply.status not in NOT_TAKEN:
            self._expected = (self._expected + 1) & 0xFFFF
            remember(self._cache, reply)
        return self.after_command(frame, reply)

    def _unsequenced(self, frame: Frame, now_seconds: float) -> bytes:
        match frame.kind:
            case Command.IDENTIFY:
                return self.identify()
            case Command.DESCRIBE:
                return self.describe_board()
            case Command.OPEN:
                return self._open(frame, now_seconds)
            case Command.CLOSE:
                if frame.session == self.session:
                    self.ground(SafeReason.COMMAND)
                    self.session = 0
                return wire.CloseReply(self.ticks).pack()
            case Command.SAFE:
                self.ground(SafeReason.COMMAND)
                return wire.SafeReply(self.ticks).pack()
            case Command.STATUS:
                reset_cause, kind, sequence, is_completed = self.last_command()
                return wire.StatusReply(
                    self.armed, self.safe_reason, reset_cause, kind, sequence, is_completed, self.session,
                    self._expected, self.boot_counter, self.ticks,
                ).pack()
        raise RefusalError(Status.UNKNOWN_COMMAND, value=frame.kind)

    def _open(self, frame: Frame, now_seconds: float) -> bytes:
        ours = frame.session == self.session
        if int.from_bytes(frame.payload[:4], "little") != self._wire_hash:
            if ours or not self.armed:
                self.ground(SafeReason.WIRE_MISMATCH)
            raise RefusalError(Status.WIRE_MISMATCH, value=self._wire_hash)
        request = fixed_part(frame.payload, wire.OpenRequest)
        if not frame.session:
            raise RefusalError(Status.OUT_OF_RANGE, 0, 0, 0, 1, 65535)
        if self.armed and not ours:
            raise RefusalError(Status.BUSY, value=self.session)
        if request.resume and not ours:
            raise RefusalError(Status.NOT_OPEN, value=self.session)
        newer = 0 < (frame.sequence - self._open_tag) & 0xFFFF < 0x8000
        if not ours or newer:
            self.check_arming()
            if not request.resume:
                self.session, self._expected = frame.session, 0
                self._cache.clear()
                self.begin_session()
            self.armed, self.safe_reason = True, SafeReason.NONE
            self._open_tag, self._heard_seconds = frame.sequence, now_seconds
        return wire.OpenReply(self._expected, self.ticks, self.boot_counter).pack()


def remember(cache: OrderedDict[int, Frame], reply: Frame) -> None:
    """Into the cache of replies by sequence number; the oldest goes where it is full."""
    cache[reply.sequence] = reply
    if len(cache) > wire.SESSION_REPLY_CACHE:
        cache.popitem(last=False)


def reply_to(request: Frame, payload: bytes, status: int = Status.OK) -> Frame:
    """The reply to a request."""
    return Frame(request.kind | wire.REPLY_BIT, status, request.session, request.sequence, payload)


def refusal_of(request: Frame, error: RefusalError) -> Frame:
    """The reply that refuses a request."""
    return reply_to(request, error.refusal.pack(), error.status)
