"""A recording as a board: a host that asks what was recorded, in order, gets the recorded replies; anything else none.

The session is the board's own: the host chooses session and sequence numbers, may repeat, pipeline and fall silent.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from hwloop.errors import DataError
from hwloop.link import protocol as wire
from hwloop.link.frames import Frame, FrameReader
from hwloop.link.protocol import Command, SafeReason, Status
from hwloop.mock.board import DEAD_MAN_SECONDS
from hwloop.mock.board_record import remember
from hwloop.mock.hosts import Host, HostServer
from hwloop.mock.refusal import RefusalError
from hwloop.mock.sections import fixed_part

Request = tuple[int, bytes]
Answer = tuple[int, bytes]          # status and payload
# One exchange: requests, to each its reply or None, and the seconds that it took.
Recorded = tuple[Sequence[Request], Sequence[Answer | None], float]
# Statuses of a command that was not taken: its sequence number is still free.
_NOT_TAKEN = frozenset({Status.NOT_OPEN, Status.BUSY, Status.SAFE_LATCHED})
_GROUNDED = frozenset({*_NOT_TAKEN, Status.FAULT})


# Told what had been recorded (None: nothing any more) and what came, when the two differ.
Refused = Callable[[Request | None, Request], None]


class RecordedBoard:
    """The board of a recording. Every session that is opened anew gets `exchanges` from their beginning.

    Raises DataError where they do not begin with what the board is.
    """

    def __init__(self, exchanges: Iterable[Recorded], refused: Refused):
        self._exchanges, self._refused = exchanges, refused
        self._answers = self._beginning()
        self.describe = wire.DescribeReply.unpack(self._answers[Command.DESCRIBE])
        identity = wire.IdentifyReply.unpack(self._answers[Command.IDENTIFY])
        self._wire_hash = identity.wire_hash
        told = self._answers.get(Command.OPEN)
        self._opened = wire.OpenReply.unpack(told) if told else wire.OpenReply(0, 0, self.describe.boot_counter)
        self._heard_seconds: float | None = None
        self.session, self.armed, self.safe_reason = 0, False, SafeReason.RESET
        self._open_tag = 0
        self._start_over()

    def handle(self, frame: Frame, now_seconds: float) -> tuple[Frame | None, float]:
        """The reply to one frame, None where there is none, and how long it took then (0: at once)."""
        if frame.kind & wire.REPLY_BIT or frame.status != Status.OK:
            return None, 0.0
        if frame.session == self.session:
            self._heard_seconds = now_seconds
        if frame.kind == Command.HEARTBEAT:
            return None, 0.0
        try:
            if frame.kind in wire.SEQUENCED:
                return self._sequenced(frame)
            return _reply(frame, Status.OK, self._unsequenced(frame, now_seconds)), 0.0
        except RefusalError as error:
            return _refuse(frame, error), 0.0

    def check_dead_man(self, now_seconds: float) -> None:
        """Ground every line when the host has been silent for too long."""
        if self.armed and now_seconds - self._heard_seconds > DEAD_MAN_SECONDS:
            self.ground(SafeReason.DEAD_MAN)

    def ground(self, reason: SafeReason) -> None:
        """Nothing moves before the next OPEN."""
        self.armed, self.safe_reason = False, reason

    def _beginning(self) -> dict[int, bytes]:
        """What the board said of itself before its first command."""
        found: dict[int, bytes] = {}
        for requests, replies, _ in self._exchanges:
            kind, answer = requests[0][0], replies[0]
            if kind in wire.SEQUENCED:
                break
            if answer is not None and answer[0] == Status.OK:
                found.setdefault(kind, answer[1])
        if not {Command.IDENTIFY, Command.DESCRIBE} <= found.keys():
            raise DataError("the recording ends before the board said what it is; serve another")
        return found

    def _start_over(self) -> None:
        self._script = _Script(iter(self._exchanges))
        self._expected, self._ticks = 0, self._opened.ticks
        self._cache: OrderedDict[int, Frame] = OrderedDict()
        self._begun, self._is_completed = (0, 0), False

    def _sequenced(self, frame: Frame) -> tuple[Frame, float]:
        if frame.session != self.session or not self.session:
            raise RefusalError(Status.BUSY if self.armed else Status.NOT_OPEN, value=self.session)
        ahead = (frame.sequence - self._expected) & 0xFFFF
        if ahead >= 0x8000:
            if frame.sequence in self._cache:
                return self._cache[frame.sequence], 0.0
            raise RefusalError(Status.SEQUENCE_STALE, value=self._expected)
        if not self.armed:
            raise RefusalError(Status.SAFE_LATCHED, value=self.safe_reason)
        if ahead:
            raise RefusalError(Status.SEQUENCE_GAP, value=self._expected)
        reply, seconds = self._carry_out(frame)
        if reply.status not in _NOT_TAKEN:
            self._expected = (self._expected + 1) & 0xFFFF
            remember(self._cache, reply)
        return reply, seconds

    def _carry_out(self, frame: Frame) -> tuple[Frame, float]:
        came = frame.kind, frame.payload
        self._begun = (frame.kind, frame.sequence)
        expected, answer, seconds = self._script.take(came)
        self._is_completed = answer is not None
        if answer is None:
            self._refused(expected, came)
            self.ground(SafeReason.FAULT)
            return _refuse(frame, RefusalError(Status.FAULT)), 0.0
        status, payload = answer
        if status == Status.OK:
            self._ticks += int.from_bytes(payload[:4], "little")
        elif status in _GROUNDED:
            self.ground(SafeReason.FAULT if status == Status.FAULT else SafeReason.COMMAND)
        return _reply(frame, status, payload), seconds

    def _unsequenced(self, frame: Frame, now_seconds: float) -> bytes:
        match frame.kind:
            case Command.IDENTIFY | Command.DESCRIBE:
                return self._answers[frame.kind]
            case Command.OPEN:
                return self._open(frame, now_seconds)
            case Command.CLOSE:
                if frame.session == self.session:
                    self.ground(SafeReason.COMMAND)
                    self.session = 0
                return wire.CloseReply(self._ticks).pack()
            case Command.SAFE:
                self.ground(SafeReason.COMMAND)
                return wire.SafeReply(self._ticks).pack()
            case Command.STATUS:
                return wire.StatusReply(
                    self.armed, self.safe_reason, self.describe.reset_cause, *self._begun, self._is_completed,
                    self.session, self._expected, self._opened.boot_counter, self._ticks,
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
            if not request.resume:
                self.session = frame.session
                self._start_over()
            self.armed, self.safe_reason = True, SafeReason.NONE
            self._open_tag, self._heard_seconds = frame.sequence, now_seconds
        return wire.OpenReply(self._expected, self._ticks, self._opened.boot_counter).pack()


class RecordedServer(HostServer):
    """Answers hosts as a recorded board does; `at_recorded_speed`, each reply after the time that it took then."""

    def __init__(self, board: RecordedBoard, at_recorded_speed: bool):
        super().__init__(board.describe.max_frame_bytes)
        self.board, self._at_recorded_speed = board, at_recorded_speed
        self._reader = FrameReader(board.describe.max_frame_bytes)
        self._due: deque[tuple[float, Host, bytes]] = deque()

    def end(self) -> None:
        """See HostServer."""
        self.board.ground(SafeReason.COMMAND)

    def wait_seconds(self) -> float:
        """See HostServer."""
        longest = super().wait_seconds()
        return min(max(self._due[0][0] - time.monotonic(), 0.0), longest) if self._due else longest

    def take(self, now_seconds: float) -> None:
        """See HostServer."""
        for host in list(self.hosts.values()):
            while host.frames:
                for frame in self._reader.feed(host.frames.popleft() + b"\0"):
                    self._answer(host, frame, now_seconds)
        while self._due and self._due[0][0] <= now_seconds:
            _, host, data = self._due.popleft()
            if self.hosts.get(host.descriptor) is host:
                self.tell(host, data)
        self.board.check_dead_man(now_seconds)

    def _answer(self, host: Host, frame: Frame, now_seconds: float) -> None:
        reply, seconds = self.board.handle(frame, now_seconds)
        if reply is None:
            return
        if not self._at_recorded_speed or frame.kind not in wire.SEQUENCED:
            self.tell(host, reply.encode())
            return
        # A board does one thing after the other: also what it has answered before waits for what it is doing.
        free_seconds = self._due[-1][0] if self._due else now_seconds
        self._due.append((free_seconds + seconds, host, reply.encode()))


class _Script:
    """Recorded commands in order, without the requests that began and ended the session."""

    def __init__(self, exchanges: Iterator[Recorded]):
        self._exchanges = exchanges
        self._waiting: deque[tuple[Request, Answer | None]] = deque()
        self._seconds, self._was_refused = 0.0, False

    def take(self, came: Request) -> tuple[Request | None, Answer | None, float]:
        """What was recorded next, the reply where that is what came, and how long it took."""
        if not self._waiting:
            self._fill()
        if self._was_refused and self._waiting and self._waiting[0][0] != came:
            # How much was on its way behind a refused command is up to the host.
            self._fill()
        if not self._waiting:
            return None, None, 0.0
        expected, answer = self._waiting[0]
        if expected != came or answer is None:
            return expected, None, 0.0
        self._waiting.popleft()
        self._was_refused |= answer[0] != Status.OK
        return expected, answer, self._seconds

    def _fill(self) -> None:
        self._waiting.clear()
        self._was_refused = False
        for requests, replies, seconds in self._exchanges:
            if requests[0][0] not in wire.SEQUENCED:
                continue
            pairs = list(zip(requests, replies, strict=True))
            if any(answer is not None and answer[0] != Status.OK for answer in replies):
                pairs = [pair for pair in pairs if pair[1] is not None]     # the rest was not sent
            self._waiting.extend(pairs)
            self._seconds = seconds / len(pairs)
            return


def _reply(request: Frame, status: int, payload: bytes) -> Frame:
    return Frame(request.kind | wire.REPLY_BIT, status, request.session, request.sequence, payload)


def _refuse(request: Frame, error: RefusalError) -> Frame:
    return _reply(request, error.status, error.refusal.pack())
