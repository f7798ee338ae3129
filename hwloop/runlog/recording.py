"""From a link to a journal: what is sent is written before, what comes back as it arrives."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from hwloop.errors import JournalError
from hwloop.link.frames import Frame
from hwloop.link.link import LinkCounters, Request
from hwloop.link.protocol import (
    SEQUENCED,
    SESSION_REPLY_CACHE,
    CloseReply,
    Command,
    OpenReply,
    SafeReply,
    Status,
    StatusReply,
)
from hwloop.runlog.bodies import Replies, ReplyFrame, Requests
from hwloop.runlog.exchanges import WAY_OUT
from hwloop.runlog.journal import JournalWriter

# Replies are written this many at a time, or when the exchange is over: a board keeps at least twice what may be in
# flight, so what was not written yet can be asked for again.
_TOGETHER = SESSION_REPLY_CACHE // 2
_TOLD_TICKS = {
    Command.OPEN: OpenReply, Command.SAFE: SafeReply, Command.CLOSE: CloseReply, Command.STATUS: StatusReply,
}


class JournalRecorder:
    """The recorder of a link: `current` is the exchange under way, `ticks` the bench time after it; `has_pulsed` once
    a PULSE was about to be sent, and `before_first_pulse` is called."""

    def __init__(self, journal: JournalWriter, before_first_pulse: Callable[[], None] = lambda: None):
        self._journal, self._before_first_pulse = journal, before_first_pulse
        self.current, self.ticks = 0, 0
        self.has_pulsed = False
        self._next = 0
        self._first, self._recovery, self._goes_on = 0, False, False
        self._kinds: list[Command] = []
        self._sent = self._received = 0
        self._waiting: list[ReplyFrame] = []
        self._counted = LinkCounters()

    def begin(self, exchange: int, ticks: int, counters: LinkCounters) -> None:
        """Go on with a journal: the number of the next exchange, the bench time, and what was counted before."""
        self._next, self.ticks = exchange, ticks
        self._sent, self._received = counters.bytes_sent, counters.bytes_received

    @contextlib.contextmanager
    def recovering(self) -> Iterator[None]:
        """Round exchanges that find out where the board stands."""
        self._recovery = True
        try:
            yield
        finally:
            self._recovery = False

    def attend(self, exchange: int, kinds: list[Command], first: int) -> None:
        """Replies belong to `exchange`, numbered from its frame `first` on."""
        self.current, self._kinds, self._first = exchange, kinds, first

    def go_on_with(self, exchange: int, kinds: list[Command], first: int) -> None:
        """The next requests are those of `exchange` from frame `first` on."""
        self.attend(exchange, kinds, first)
        self._goes_on = True

    def skip(self, index: int) -> None:
        """Nobody knows what became of frame `index` of the exchange that is attended to."""
        self._journal.replies(Replies(self.current, 0, 0, self.ticks, [ReplyFrame(index, 0, b"", unknown=True)]))

    def sending(self, session: int, sequence: int, requests: list[Request]) -> None:
        """See Recorder. No pulse is sent before everything up to the step before is on disk."""
        self.flush()
        kinds = [kind for kind, _ in requests]
        if self._goes_on and not self._recovery:
            self._goes_on = False
        else:
            self.current, self._first, self._kinds = self._next, 0, kinds
            self._next += 1
        told = Requests(self.current, session, sequence, requests, self._first, self._recovery)
        with _suppressed(kinds[0] in WAY_OUT):
            self._journal.requests(told)
            if Command.PULSE in kinds:
                # The step before this one is on disk when this returns, and this one while the board carries it out.
                self._journal.sync_beside()
                if not self.has_pulsed:
                    self._before_first_pulse()
                self.has_pulsed = True

    def received(self, replies: list[tuple[int, Frame]], counters: LinkCounters) -> None:
        """See Recorder."""
        for index, frame in replies:
            self._note_ticks(self._kinds[index + self._first], frame)
        self._waiting += [ReplyFrame(index + self._first, frame.status, frame.payload) for index, frame in replies]
        self._counted = counters
        is_over = self._waiting[-1].index == len(self._kinds) - 1
        if is_over or len(self._waiting) >= _TOGETHER or any(frame.status != Status.OK for frame in self._waiting):
            self.flush()

    def flush(self) -> None:
        """Write what has arrived."""
        if not self._waiting:
            return
        counters, frames, self._waiting = self._counted, self._waiting, []
        sent, received = counters.bytes_sent - self._sent, counters.bytes_received - self._received
        self._sent, self._received = counters.bytes_sent, counters.bytes_received
        with _suppressed(self._kinds[0] in WAY_OUT):
            self._journal.replies(Replies(self.current, sent, received, self.ticks, frames, self._recovery))

    def _note_ticks(self, kind: Command, frame: Frame) -> None:
        if frame.status != Status.OK:
            return
        if kind in SEQUENCED:
            self.ticks += int.from_bytes(frame.payload[:4], "little")
        elif kind in _TOLD_TICKS:
            self.ticks = _TOLD_TICKS[kind].unpack(frame.payload).ticks


def _suppressed(is_suppressed: bool) -> contextlib.AbstractContextManager:
    # The way out has to reach the board even where the journal cannot be written any more.
    return contextlib.suppress(JournalError) if is_suppressed else contextlib.nullcontext()
