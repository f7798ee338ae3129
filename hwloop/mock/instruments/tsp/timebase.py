"""Modelled time and triggers: what the instrument does in the background, event by event.

A task is a generator that yields what it waits for: seconds, or a Detector. Time passes only here, and while it passes
every channel with its output on holds its level at the terminals.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from itertools import count
from typing import Protocol

from hwloop.mock.instruments.tsp.errors import TspError
from hwloop.mock.instruments.tsp.tree import Attribute, Group, Node, choice, number, number_argument

Task = Generator["float | Detector", None, None]
_TIMERS, _BLENDERS, _BLENDER_INPUTS, _GENERATORS = 8, 6, 4, 2


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


class Triggers:
    """`trigger` as scripts see it: the command interface's trigger, timers, blenders and generators."""

    def __init__(self, timebase: Timebase):
        self._timebase = timebase
        self.command_event = timebase.new_event()
        self._command = Detector(timebase)
        self._command.tune(self.command_event)
        self._timers = [_Timer(timebase) for _ in range(_TIMERS)]
        self._blenders = [_Blender(timebase) for _ in range(_BLENDERS)]
        self._generators = [timebase.new_event() for _ in range(_GENERATORS)]

    def command(self) -> None:
        """*TRG, or a trigger message of the interface."""
        self._timebase.post(self.command_event)

    def reset(self) -> None:
        """Everything as at power-on."""
        for part in (*self._timers, *self._blenders):
            part.reset()
        self._command.clear()

    def node(self, objects: Callable[[list[Node]], object]) -> Node:
        """`trigger`; `objects` makes a script's table of numbered nodes."""
        generators = [
            Node(
                "trigger.generator",
                objects={"EVENT_ID": float(event), "assert": lambda *_, event=event: self._timebase.post(event)},
            )
            for event in self._generators
        ]
        return Node(
            "trigger",
            objects={
                "EVENT_ID": float(self.command_event),
                "clear": self._command.clear,
                "wait": self._wait,
                "timer": objects([timer.node() for timer in self._timers]),
                "blender": objects([blender.node() for blender in self._blenders]),
                "generator": objects(generators),
            },
        )

    def _wait(self, *arguments: object) -> bool:
        timeout_seconds = number_argument(arguments, 1)
        self._timebase.catch_up()
        if not self._command.pending:
            self._timebase.spend(timeout_seconds)
            return False
        self._command.clear()
        return True


class _Timer:
    def __init__(self, timebase: Timebase):
        self._timebase = timebase
        self._event = timebase.new_event()
        self._detector = Detector(timebase, self._begin)
        self._task: Task | None = None
        self.settings = Group(
            "trigger.timer",
            count=Attribute(1.0, number(0, 1_048_575)),
            delay=Attribute(10e-6, number(500e-9, 100_000)),
            passthrough=Attribute(False, lambda value: bool(choice(0, 1)(value))),
        )

    def reset(self) -> None:
        self.settings.reset()
        self._detector.tune(0)
        self._stop()

    def node(self) -> Node:
        node = self.settings.node(EVENT_ID=float(self._event), clear=lambda *_: self._stop())
        _add_stimulus(node, self._detector)
        return node

    def _begin(self) -> None:
        self._stop()
        self._task = self._run()
        self._timebase.start(self._task)

    def _run(self) -> Task:
        if self.settings.passthrough:
            self._timebase.post(self._event)
        for _ in range(int(self.settings.count) or 1):
            yield float(self.settings.delay)
            self._timebase.post(self._event)

    def _stop(self) -> None:
        if self._task is not None:
            self._timebase.drop(self._task)
            self._task = None


class _Blender:
    def __init__(self, timebase: Timebase):
        self._timebase = timebase
        self._event = timebase.new_event()
        self._fired: set[int] = set()
        self._inputs = [Detector(timebase, lambda place=place: self._input(place)) for place in range(_BLENDER_INPUTS)]
        self.settings = Group("trigger.blender", orenable=Attribute(False, lambda value: bool(choice(0, 1)(value))))

    def reset(self) -> None:
        self.settings.reset()
        self._fired.clear()
        for detector in self._inputs:
            detector.tune(0)

    def node(self) -> Node:
        stimulus = Node("synchronous_table", get_index=self._stimulus, set_index=self._tune)
        return self.settings.node(EVENT_ID=float(self._event), stimulus=stimulus, clear=lambda *_: self._fired.clear())

    def _input(self, place: int) -> None:
        self._fired.add(place)
        wanted = {place for place, detector in enumerate(self._inputs) if detector.stimulus}
        if self.settings.orenable or self._fired >= wanted:
            self._fired.clear()
            self._timebase.post(self._event)

    def _stimulus(self, place: float) -> float:
        return float(self._at(place).stimulus)

    def _tune(self, place: float, event: object) -> None:
        self._at(place).tune(event)

    def _at(self, place: float) -> Detector:
        if place not in range(1, _BLENDER_INPUTS + 1):
            raise TspError(1401, 1)
        return self._inputs[int(place) - 1]


def _add_stimulus(node: Node, detector: Detector) -> None:
    node.getters["stimulus"] = lambda: float(detector.stimulus)
    node.setters["stimulus"] = detector.tune


def detector_node(luatype: str, detector: Detector, **objects: object) -> Node:
    """A layer of the trigger model: its stimulus, and set() to go on without one."""
    node = Node(luatype, objects={"set": detector.fire, **objects})
    _add_stimulus(node, detector)
    return node
