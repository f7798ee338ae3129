"""Stop requests: Ctrl-C, SIGTERM and `board safe` wait for the end of an exchange; a second one does not wait."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from hwloop.errors import StoppedError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class InterruptedRun(KeyboardInterrupt):
    """Ctrl-C, taken at the end of an exchange."""


class TerminatedRun(BaseException):
    """SIGTERM. Not an Exception, so that nothing that handles failures swallows it."""


class StopRequest:
    """The stop request of this process: what was asked for, and whether it was raised already."""

    def __init__(self) -> None:
        self.wanted: BaseException | None = None
        self.raised = False
        self.deferring = 0
        self.shields = 0

    def take(self) -> None:
        """Raise what was asked for, once."""
        wanted, self.wanted = self.wanted, None
        if wanted is not None:
            self.raised = True
            raise wanted

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """The handler of all three signals."""
        first = self.deferring and not self.raised and self.wanted is None
        if first or self.shields:
            self.wanted = self.wanted or _reason_of(number)
        elif not (self.raised and number == signal.SIGUSR1):
            # `board safe` repeats itself, so a run that is on its way to the safe state already ignores it.
            self.wanted = _reason_of(number)
            self.take()


_request = StopRequest()


def check() -> None:
    """To be called between exchanges: raises InterruptedRun, TerminatedRun or StoppedError if a stop was asked for."""
    if not _request.shields:
        _request.take()


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Round a run, its `finally` included: a first signal only asks for a stop, which `check` raises; a second raises.

    Outside the main thread no signal can be taken, so nothing is changed there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.signal(number, _request.on_signal) for number in _SIGNALS}
    _request.deferring += 1
    try:
        yield
        # A request that came after the last check still counts.
        check()
    finally:
        _request.deferring -= 1
        _request.wanted = None
        _request.raised = _request.raised and _request.deferring > 0
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Round what has to be done to the end, such as grounding the board: no signal raises here."""
    _request.shields += 1
    try:
        yield
    finally:
        _request.shields -= 1


def raise_on_termination() -> None:
    """From now on SIGTERM raises TerminatedRun, so that every `finally` runs."""
    signal.signal(signal.SIGTERM, _request.on_signal)


def raise_on_stop() -> None:
    """From now on the request of `board safe` raises StoppedError, unless something takes it already."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL:
        signal.signal(signal.SIGUSR1, _request.on_signal)


def _reason_of(number: int) -> BaseException:
    if number == signal.SIGUSR1:
        return StoppedError("stopped by `hwloop board safe` from another terminal; the board is in its safe state")
    return TerminatedRun() if number == signal.SIGTERM else InterruptedRun()
