"""Calls into a library that may never come back: each in a thread of its own, waited for in bounded time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

# What a library may take beyond the time that it was given; after that it is taken to be stuck.
LATE_SECONDS = 1.0


class StuckError(Exception):
    """A call that does not come back; it goes on in its thread, so nothing else may be called meanwhile."""


class BoundedCalls:
    """One caller's calls, one after the other. A call that a signal left behind has to end before the next begins."""

    def __init__(self) -> None:
        self._running: threading.Thread | None = None

    def call(self, function: Callable[[], Any], seconds: float) -> Any:
        """What `function` returns or raises; StuckError where it takes longer than `seconds` and a bit."""
        if self._running is not None:
            self._running.join(seconds + LATE_SECONDS)
            if self._running.is_alive():
                raise StuckError
        outcome: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

        def run() -> None:
            try:
                outcome.put((function(), None))
            except BaseException as error:
                outcome.put((None, error))

        self._running = threading.Thread(target=run, daemon=True)
        self._running.start()
        try:
            value, error = outcome.get(timeout=seconds + LATE_SECONDS)
        except queue.Empty:
            raise StuckError from None
        self._running = None
        if error is not None:
            raise error
        return value
