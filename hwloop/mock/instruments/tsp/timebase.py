"""Modelled time and events: what the instrument does in the background, one after the other.

A task is a generator that yields what it waits for: seconds, or a Detector. Time passes only here, and while it passes
every channel with its output on holds its level at the terminals.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from itertools import count
from typing import Protocol

from hwloop.mock.instruments.tsp.tree import number

Task = Generator["float | Detector", None, None]


class Holding(Protocol):
    """Something that is held while time passes."""

    def hold(self, seconds: float) -> None:
        """Time passes at the terminals."""


class Detector:
    """Remembers that the event it is tuned to happened, until a task or its callback takes it."""

    def __init__(self, timebase: Timebase, callback: Callable[[], None] | None = None):
        self._timebase = timebase
        self._callback = callback
        self.stimulus = 0
        self.pending = False
        self.overrun = False
        self.waiting: Task | None = None
        timebase.detectors.append(self)

    def fire(self, *_: object) -> None:
        """The event happened (or a script says so with .set())."""
        if self._callback is not None:
            self._callback()
        elif self.waiting is not None:
            task, self.waiting = self.waiting, None
            self._timebase.start(task)
        else:
            self.overrun = self.overrun or self.pending
            self.pending = True

    def clear(self, *_: object) -> None:
        """Forgets the event."""
        self.pending = self.overrun = False

    def tune(self, event: object) -> None:
        """Listens to event number `event`; 0: to nothing, and nothing waits for it."""
        self.stimulus = int(number(0, 1000)(event))


class Timebase:
    """The instrument's clock, its tasks and its events. `held` are the channels.

    Tasks run when somebody waits for them, reads what they store, or changes a setting; and after a message that looked
    at the status (`is_watched`), so that a program which polls it sees the instrument busy once, and then done.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.held: list[Holding] = []
        self.detectors: list[Detector] = []
        self.is_watched = False
        self._order = count()
        self._events = count(1)
        self._tasks: list[tuple[float, int, Task]] = []

    def watch(self) -> None:
        """Somebody looks at the status."""
        self.is_watched = True

    def new_event(self) -> int:
        """A number for one more kind of event."""
        return next(self._events)

    def post(self, event: int) -> None:
        """An event happens now."""
        for detector in list(self.detectors):
            if detector.stimulus == event:
                detector.fire()

    def spend(self, seconds: float) -> None:
        """Time passes, at the terminals too."""
        self.seconds += seconds
        for channel in self.held:
            channel.hold(seconds)

    def start(self, task: Task) -> None:
        """A task begins, or goes on, at this instant; it runs when the instrument catches up."""
        heapq.heappush(self._tasks, (self.seconds, next(self._order), task))

    def drop(self, task: Task) -> None:
        """A task ends where it is."""
        self._tasks = [entry for entry in self._tasks if entry[2] is not task]
        heapq.heapify(self._tasks)
        for detector in self.detectors:
            if detector.waiting is task:
                detector.waiting = None

    @property
    def is_busy(self) -> bool:
        """Whether a task could go on without further events."""
        return bool(self._tasks)

    def now(self, task: Task) -> None:
        """Carries a task out at once, as a command that returns when it is done."""
        self.catch_up()
        for wanted in task:
            if isinstance(wanted, float):
                self.spend(wanted)

    def catch_up(self) -> None:
        """Runs the tasks, in order of time, until each has ended or waits for an event."""
        self.is_watched = False
        while self._tasks:
            due, _, task = heapq.heappop(self._tasks)
            if due > self.seconds:
                self.spend(due - self.seconds)
            self._resume(task)

    def _resume(self, task: Task) -> None:
        for wanted in task:
            if isinstance(wanted, Detector):
                if wanted.stimulus and not wanted.pending:
                    wanted.waiting = task
                    return
                wanted.pending = False
            elif wanted > 0.0:
                heapq.heappush(self._tasks, (self.seconds + wanted, next(self._order), task))
                return
