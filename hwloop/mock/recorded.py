"""A recording as a board: a host that asks what was recorded, in order, gets the recorded replies; anything else none.

The session is the board's own: the host chooses session and sequence numbers, may repeat, pipeline and fall silent.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from hwloop.errors import DataError
from hwloop.link import protocol as wire
from hwloop.link.frames import NOT_TAKEN, Frame, FrameReader
from hwloop.link.protocol import Command, SafeReason, Status
from hwloop.mock.hosts import Host, HostServer
from hwloop.mock.refusal import RefusalError
from hwloop.mock.session import BoardSession, refusal_of, reply_to

Request = tuple[int, bytes]
Answer = tuple[int, bytes]          # status and payload
# One exchange: requests, to each its reply or None, and the seconds that it took.
Recorded = tuple[Sequence[Request], Sequence[Answer | None], float]
_GROUNDED = frozenset({*NOT_TAKEN, Status.FAULT})

# Told what had been recorded (None: nothing any more) and what came, when the two differ.
Refused = Callable[[Request | None, Request], None]


class RecordedBoard(BoardSession):
    """The board of a recording. Every session that is opened anew gets `exchanges` from their beginning. `seconds` is
    how long the command took then that `handle` was given last (0: at once).

    Raises DataError where they do not begin with what the board is.
    """

    def __init__(self, exchanges: Iterable[Recorded], refused: Refused):
        self._exchanges, self._refused = exchanges, refused
        self._answers = self._beginning()
        super().__init__(wire.IdentifyReply.unpack(self._answers[Command.IDENTIFY]).wire_hash)
        self.describe = wire.DescribeReply.unpack(self._answers[Command.DESCRIBE])
        told = self._answers.get(Command.OPEN)
        self._opened = wire.OpenReply.unpack(told) if told else wire.OpenReply(0, 0, self.describe.boot_counter)
        self.seconds = 0.0
        self.begin_session()

    @property
    def ticks(self) -> int:
        """See BoardSession."""
        return self._ticks

    @property
    def boot_counter(self) -> int:
        """See BoardSession."""
        return self._opened.boot_counter

    def identify(self) -> bytes:
        """See BoardSession."""
        return self._answers[Command.IDENTIFY]

    def describe_board(self) -> bytes:
        """See BoardSession."""
        return self._answers[Command.DESCRIBE]

    def last_command(self) -> tuple[int, int, int, bool]:
        """See BoardSession."""
        return self.describe.reset_cause, *self._begun, self._is_completed

    def begin_session(self) -> None:
        """See BoardSession."""
        self._script = _Script(iter(self._exchanges))
        self._ticks = self._opened.ticks
        self._begun, self._is_completed = (0, 0), False

    def handle(self, frame: Frame, now_seconds: float) -> Frame | None:
        """See BoardSession."""
        self.seconds = 0.0
        return super().handle(frame, now_seconds)

    def carry_out(self, frame: Frame) -> Frame:
        """See BoardSession."""
        came = frame.kind, frame.payload
        self._begun = (frame.kind, frame.sequence)
        expected, answer, self.seconds = self._script.take(came)
        self._is_completed = answer is not None
        if answer is None:
            self._refused(expected, came)
            self.ground(SafeReason.FAULT)
            return refusal_of(frame, RefusalError(Status.FAULT))
        status, payload = answer
        if status == Status.OK:
            self._ticks += int.from_bytes(payload[:4], "little")
        elif status in _GROUNDED:
            self.ground(SafeReason.FAULT if status == Status.FAULT else SafeReason.COMMAND)
        return reply_to(frame, payload, status)

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
        if len(found[Command.DESCRIBE]) != wire.DescribeReply.STRUCT.size:
            raise DataError("the board of this recording has another wire table; serve it with the hwloop that made it")
        return found


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
        reply = self.board.handle(frame, now_seconds)
        if reply is None:
            return
        if not self._at_recorded_speed or frame.kind not in wire.SEQUENCED:
            self.tell(host, reply.encode())
            return
        # A board does one thing after the other: also what it has answered before waits for what it is doing.
        free_seconds = self._due[-1][0] if self._due else now_seconds
        self._due.append((free_seconds + self.board.seconds, host, reply.encode()))


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
