"""The trigger model of one channel: arm, source, measure, end of pulse, as often as counted, without the host."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwloop.mock.instruments.tsp.buffers import ReadingBuffer
from hwloop.mock.instruments.tsp.channel import Channel
from hwloop.mock.instruments.tsp.errors import TspError
from hwloop.mock.instruments.tsp.lua import list_of_numbers
from hwloop.mock.instruments.tsp.meter import Reading
from hwloop.mock.instruments.tsp.timebase import Detector, Task, Timebase
from hwloop.mock.instruments.tsp.tree import Attribute, Group, Node, argument, choice, number, number_argument
from hwloop.mock.instruments.tsp.triggers import detector_node

_EVENTS = ("SWEEPING", "ARMED", "SOURCE_COMPLETE", "MEASURE_COMPLETE", "PULSE_COMPLETE", "SWEEP_COMPLETE", "IDLE")
_LAYERS = ("arm", "source", "measure", "endpulse")
_HOLD = 1
_LAYER_SECONDS = 10e-6  # of each pass, data sheet: trigger in to source change
Store = Callable[[Reading, list[tuple[str, ReadingBuffer]]], None]


class TriggerModel:
    """smuX.trigger. `store(reading, [(kind, buffer)])` keeps them; `busy(is_sweeping)` tells the status model."""

    def __init__(self, channel: Channel, timebase: Timebase, store: Store, busy: Callable[[bool], None]):
        self._channel = channel
        self._timebase = timebase
        self._store = store
        self._busy = busy
        self._events = {name: timebase.new_event() for name in _EVENTS}
        self._detectors = {layer: Detector(timebase) for layer in _LAYERS}
        self._task: Task | None = None
        action = choice(0, 1, 2)
        self._model = Group("trigger", count=Attribute(1.0, number(0)), autoclear=Attribute(0.0, choice(0, 1)))
        self._arm = Group("arm", count=Attribute(1.0, number(0)))
        self._source = Group(
            "source",
            action=Attribute(0.0, choice(0, 1)),
            limitv=Attribute(0.0, number(0)),
            limiti=Attribute(0.0, number(0)),
        )
        self._measure = Group("measure", action=Attribute(0.0, action))
        self._endpulse = Group("endpulse", action=Attribute(float(_HOLD), choice(0, 1)))
        self._endsweep = Group("endsweep", action=Attribute(0.0, choice(0, 1)))
        self._levels: np.ndarray | None = None
        self._quantity = "v"
        self._targets: list[tuple[str, ReadingBuffer]] = []

    def reset(self) -> None:
        """Idle, and everything at its default."""
        self.abort()
        for group in (self._model, self._arm, self._source, self._measure, self._endpulse, self._endsweep):
            group.reset()
        for detector in self._detectors.values():
            detector.tune(0)
            detector.clear()
        self._levels = None
        self._targets = []

    @property
    def is_running(self) -> bool:
        """Whether the model has left idle."""
        return self._task is not None

    def abort(self) -> None:
        """Back to idle at once; the programmed level returns."""
        if self._task is not None:
            self._timebase.drop(self._task)
            self._finish()

    def initiate(self, *_: object) -> None:
        """Leaves idle; errors 5059, 5060 where an action lacks its configuration, 5042 where it runs already."""
        if self._task is not None:
            raise TspError(5042)
        if self._source.action and self._levels is None:
            raise TspError(5059)
        if self._measure.action and not self._targets:
            raise TspError(5060)
        if self._source.action:
            self._channel.check_sweep(self._quantity, self._levels[np.abs(self._levels).argmax()])
        for detector in self._detectors.values():
            detector.clear()
        for _, buffer in self._targets:
            buffer.begin()
        self._busy(True)
        self._task = self._run()
        self._timebase.start(self._task)

    def node(self) -> Node:
        """smuX.trigger as scripts see it."""
        detectors = self._detectors
        objects = {f"{name}_EVENT_ID": float(event) for name, event in self._events.items()}
        source = self._layer(self._source, detectors["source"])
        for kind in "vi":
            source.objects["linear" + kind] = lambda *arguments, kind=kind: self._linear(kind, arguments)
            source.objects["log" + kind] = lambda *arguments, kind=kind: self._log(kind, arguments)
            source.objects["list" + kind] = lambda *arguments, kind=kind: self._list(kind, arguments)
        measure = self._layer(self._measure, detectors["measure"])
        for kinds in ("v", "i", "r", "p", "iv"):
            measure.objects[kinds] = lambda *arguments, kinds=kinds: self._aim(kinds, arguments)
        return self._model.node(
            initiate=self.initiate,
            arm=self._layer(self._arm, detectors["arm"]),
            source=source,
            measure=measure,
            endpulse=self._layer(self._endpulse, detectors["endpulse"]),
            endsweep=self._endsweep.node(),
            **objects,
        )

    def _run(self) -> Task:
        post, detectors, channel = self._timebase.post, self._detectors, self._channel
        limit = float(self._source.limiti if self._quantity == "v" else self._source.limitv)
        post(self._events["SWEEPING"])
        for _ in range(int(self._arm.count) or 1):
            yield detectors["arm"]
            post(self._events["ARMED"])
            for point in range(self._points()):
                yield _LAYER_SECONDS
                yield detectors["source"]
                if self._source.action:
                    channel.drive_sweep(float(self._levels[point % len(self._levels)]), limit)
                    if channel.source.delay > 0:
                        yield float(channel.source.delay)
                post(self._events["SOURCE_COMPLETE"])
                yield detectors["measure"]
                if self._measure.action:
                    yield from channel.meter.measuring(lambda reading: self._store(reading, self._targets))
                post(self._events["MEASURE_COMPLETE"])
                yield detectors["endpulse"]
                if self._source.action and self._endpulse.action != _HOLD:
                    channel.drive_sweep(None)
                post(self._events["PULSE_COMPLETE"])
            post(self._events["SWEEP_COMPLETE"])
        self._finish()

    def _finish(self) -> None:
        self._task = None
        if self._endsweep.action != _HOLD:
            self._channel.drive_sweep(None)
        self._busy(False)
        self._timebase.post(self._events["IDLE"])

    def _points(self) -> int:
        """A count of 0 means for ever on the instrument; here until the buffers are full, or one pass without any."""
        count = int(self._model.count)
        if count:
            return count
        free = [buffer.capacity - len(buffer.entries) for _, buffer in self._targets if self._measure.action]
        return max(free, default=1)

    def _linear(self, kind: str, arguments: tuple) -> None:
        start, stop, points = (number_argument(arguments, position) for position in (1, 2, 3))
        self._set_levels(kind, np.linspace(start, stop, self._count(points)))

    def _log(self, kind: str, arguments: tuple) -> None:
        start, stop, points = (number_argument(arguments, position) for position in (1, 2, 3))
        asymptote = number_argument(arguments, 4, 0.0)
        if (start - asymptote) * (stop - asymptote) <= 0:
            raise TspError(1401, 4)
        sign = np.sign(start - asymptote)
        levels = np.geomspace(abs(start - asymptote), abs(stop - asymptote), self._count(points))
        self._set_levels(kind, asymptote + sign * levels)

    def _list(self, kind: str, arguments: tuple) -> None:
        levels = np.array(list_of_numbers(argument(arguments, 1)))
        if not levels.size:
            raise TspError(1401, 1)
        self._set_levels(kind, levels)

    def _set_levels(self, kind: str, levels: np.ndarray) -> None:
        if np.abs(levels).max() > self._channel.model.largest(kind):
            raise TspError(1101)
        self._levels, self._quantity = levels, kind

    @staticmethod
    def _count(points: float) -> int:
        if points < 1:
            raise TspError(1102)
        return int(points)

    def _aim(self, kinds: str, arguments: tuple) -> None:
        buffers = [argument(arguments, position + 1) for position in range(len(kinds))]
        for position, buffer in enumerate(buffers, 1):
            if not isinstance(buffer, ReadingBuffer):
                raise TspError(1401, position)
        if len(set(map(id, buffers))) < len(buffers):
            raise TspError(5040)
        self._targets = list(zip(kinds, buffers, strict=True))

    def _layer(self, group: Group, detector: Detector) -> Node:
        node = group.node()
        layer = detector_node(node.luatype, detector)
        node.getters.update(layer.getters)
        node.setters.update(layer.setters)
        node.objects.update(layer.objects)
        return node
