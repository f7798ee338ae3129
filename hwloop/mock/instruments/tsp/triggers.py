"""`trigger` as scripts see it: the command interface's trigger, timers, event blenders and generators."""

from __future__ import annotations

from collections.abc import Callable

from hwloop.mock.instruments.tsp.errors import TspError
from hwloop.mock.instruments.tsp.timebase import Detector, Task, Timebase
from hwloop.mock.instruments.tsp.tree import Attribute, Group, Node, number, number_argument, switch

_TIMERS, _BLENDERS, _BLENDER_INPUTS, _GENERATORS = 8, 6, 4, 2


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
            passthrough=Attribute(False, switch),
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
        self.settings = Group("trigger.blender", orenable=Attribute(False, switch))

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
