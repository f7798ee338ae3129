"""smua and smub as scripts see them: the channel's attributes, measure functions, buffers and trigger model."""

from __future__ import annotations

from typing import Any

from hwloop.mock.instruments.tsp import status as bits
from hwloop.mock.instruments.tsp.buffers import NV_CAPACITY, Entry, ReadingBuffer
from hwloop.mock.instruments.tsp.channel import Channel
from hwloop.mock.instruments.tsp.errors import TspError
from hwloop.mock.instruments.tsp.meter import OVERFLOW, STATUS_RELATIVE, Reading
from hwloop.mock.instruments.tsp.status import StatusModel
from hwloop.mock.instruments.tsp.sweep import TriggerModel
from hwloop.mock.instruments.tsp.timebase import Task, Timebase
from hwloop.mock.instruments.tsp.tree import Node, choice, number_argument

_CONSTANTS = {
    "OUTPUT_DCAMPS": 0.0,
    "OUTPUT_DCVOLTS": 1.0,
    "OUTPUT_OFF": 0.0,
    "OUTPUT_ON": 1.0,
    "OUTPUT_HIGH_Z": 2.0,
    "OUTPUT_NORMAL": 0.0,
    "OUTPUT_ZERO": 1.0,
    "SENSE_LOCAL": 0.0,
    "SENSE_REMOTE": 1.0,
    "SENSE_CALA": 3.0,
    "AUTORANGE_OFF": 0.0,
    "AUTORANGE_ON": 1.0,
    "AUTORANGE_FOLLOW_LIMIT": 2.0,
    "AUTOZERO_OFF": 0.0,
    "AUTOZERO_ONCE": 1.0,
    "AUTOZERO_AUTO": 2.0,
    "DISABLE": 0.0,
    "ENABLE": 1.0,
    "ASYNC": 2.0,
    "DELAY_OFF": 0.0,
    "DELAY_AUTO": -1.0,
    "FILTER_MOVING_AVG": 0.0,
    "FILTER_REPEAT_AVG": 1.0,
    "FILTER_MEDIAN": 2.0,
    "SETTLE_SMOOTH": 0.0,
    "SETTLE_FAST_RANGE": 1.0,
    "SETTLE_FAST_POLARITY": 2.0,
    "SETTLE_DIRECT_IRANGE": 3.0,
    "SETTLE_SMOOTH_100NA": 128.0,
    "SETTLE_FAST_100NA": 128.0,
    "SOURCE_IDLE": 0.0,
    "SOURCE_HOLD": 1.0,
    "LIMIT_AUTO": 0.0,
    "OE_NONE": 0.0,
    "OE_OUTPUT_OFF": 1.0,
    "FILL_ONCE": 0.0,
    "FILL_WINDOW": 1.0,
}
_NAMES = {"v": ("Voltage", "Volts"), "i": ("Current", "Amps"), "r": ("Resistance", "Ohms"), "p": ("Power", "Watts")}
_KINDS = ("v", "i", "r", "p", "iv")


class Smu:
    """One channel with its buffers and trigger model; `taken()` is called for every reading, before it is kept."""

    def __init__(self, name: str, channel: Channel, timebase: Timebase, status: StatusModel, taken):
        self.name = name
        self.channel = channel
        self._timebase = timebase
        self._status = status
        self._taken = taken
        self.buffers = [ReadingBuffer(NV_CAPACITY, timebase.catch_up) for _ in range(2)]
        for buffer in self.buffers:
            buffer.changed = self._show_buffers
        self._overlapped: list[Task] = []
        self.trigger = TriggerModel(channel, timebase, self._store, lambda sweeping: status.busy(name, sweeping))

    def reset(self, *_: object) -> None:
        """smuX.reset(): output off, defaults, buffers empty."""
        self.abort()
        self.trigger.reset()
        self.channel.reset()
        for buffer in self.buffers:
            buffer.settings.reset()
            buffer.clear()

    def abort(self, *_: object) -> None:
        """smuX.abort(): overlapped measurements and the sweep end."""
        for task in self._overlapped:
            self._timebase.drop(task)
        self._overlapped.clear()
        self.trigger.abort()

    def node(self) -> Node:
        """smuX as scripts see it."""
        channel = self.channel
        node = Node(
            "smu",
            getters={"sense": lambda: channel.sense},
            setters={"sense": self._set_sense},
            objects={
                **_CONSTANTS,
                "source": self._source_node(),
                "measure": self._measure_node(),
                "trigger": self.trigger.node(),
                "nvbuffer1": self.buffers[0].node(),
                "nvbuffer2": self.buffers[1].node(),
                "makebuffer": self._make_buffer,
                "savebuffer": lambda *arguments: self._buffer(arguments, 1) and None,
                "reset": self.reset,
                "abort": self.abort,
            },
        )
        for kinds in _KINDS:
            node.objects[f"measure{kinds}andstep"] = lambda *arguments, kinds=kinds: self._measure_and_step(
                kinds, arguments
            )
        return node

    # -- nodes ----------------------------------------------------------------------------------------------------
    def _source_node(self) -> Node:
        channel = self.channel
        node = channel.source.node()
        for quantity in "vi":
            node.getters["range" + quantity] = lambda quantity=quantity: channel.source_range(quantity).full_scale
        node.getters["compliance"] = self._compliance
        return node

    def _measure_node(self) -> Node:
        meter = self.channel.meter
        node = meter.settings.node(filter=meter.filter.node(), rel=meter.relative.node())
        for quantity in "vi":
            node.getters["range" + quantity] = lambda quantity=quantity: meter.range(quantity).full_scale
        for kinds in _KINDS:
            node.objects[kinds] = lambda *arguments, kinds=kinds: self._measure(kinds, arguments)
            node.objects["overlapped" + kinds] = lambda *arguments, kinds=kinds: self._overlap(kinds, arguments)
        return node

    # -- what scripts call ----------------------------------------------------------------------------------------
    def _measure(self, kinds: str, arguments: tuple) -> Any:
        buffers = self._buffers(kinds, arguments)
        for buffer in buffers:
            buffer.begin()
        readings: list[Reading] = []
        self._timebase.now(self._readings(kinds, buffers, readings.append))
        values = tuple(self._shown(readings[-1], kind) for kind in kinds)
        return values if len(values) > 1 else values[0]

    def _overlap(self, kinds: str, arguments: tuple) -> None:
        buffers = self._buffers(kinds, arguments)
        if len(buffers) < len(kinds):
            raise TspError(1400, len(kinds))
        for buffer in buffers:
            buffer.begin()
        task = self._readings(kinds, buffers, lambda _: None)
        self._overlapped.append(task)
        self._timebase.start(task)

    def _measure_and_step(self, kinds: str, arguments: tuple) -> Any:
        level = number_argument(arguments, 1)
        values = self._measure(kinds, ())
        self.channel.source.write("level" + self.channel.source_quantity, level)
        return values

    def _make_buffer(self, *arguments: object) -> Node:
        capacity = number_argument(arguments, 1)
        if not 1 <= capacity <= 200_000:
            raise TspError(1102 if capacity < 1 else 1101)
        return ReadingBuffer(int(capacity), self._timebase.catch_up).node()

    def _compliance(self) -> bool:
        self._timebase.now(self.channel.looking())
        self._show_limit(self.channel.operating.limited)
        return self.channel.operating.limited

    def _set_sense(self, value: object) -> None:
        sense = choice(0, 1, 3)(value)
        if sense == 3 and self.channel.is_on:
            raise TspError(5008)
        self.channel.sense = sense

    # -- inside ---------------------------------------------------------------------------------------------------
    def _readings(self, kinds: str, buffers: list[ReadingBuffer], seen) -> Task:
        def store(reading: Reading) -> None:
            seen(reading)
            self._store(reading, list(zip(kinds, buffers, strict=False)))

        measure = self.channel.meter.settings
        spent_seconds = float(measure.interval)
        for _ in range(int(measure.count)):
            if measure.interval > spent_seconds:
                yield float(measure.interval - spent_seconds)
            begun_seconds = self._timebase.seconds
            yield from self.channel.meter.measuring(store)
            spent_seconds = self._timebase.seconds - begun_seconds

    def _store(self, reading: Reading, targets: list[tuple[str, ReadingBuffer]]) -> None:
        """The trigger model's readings."""
        self._look_at(reading)
        for kind, buffer in targets:
            self._keep(reading, kind, buffer)

    def _look_at(self, reading: Reading) -> None:
        self._taken()
        self._show_limit(reading.limited)
        self._status.measured(self.name, bits.READING_OVERFLOW, reading.overflows)

    def _show_limit(self, limited: bool) -> None:
        sources_volts = self.channel.source_quantity == "v"
        self._status.measured(self.name, bits.CURRENT_LIMIT, limited and sources_volts)
        self._status.measured(self.name, bits.VOLTAGE_LIMIT, limited and not sources_volts)

    def _keep(self, reading: Reading, kind: str, buffer: ReadingBuffer) -> None:
        function, unit = _NAMES[kind]
        relative = STATUS_RELATIVE * bool(getattr(self.channel.meter.relative, "enable" + kind))
        buffer.store(
            Entry(
                self._shown(reading, kind),
                reading.seconds,
                reading.source_level,
                reading.volts_range if kind == "v" else reading.amps_range,
                function,
                reading.source_range,
                "Voltage" if reading.source_volts else "Current",
                "On" if reading.output_on else "Off",
                float(reading.status + relative),
                unit,
            )
        )

    def _show_buffers(self) -> None:
        self._status.measured(self.name, bits.BUFFER_AVAILABLE, any(buffer.entries for buffer in self.buffers))

    def _shown(self, reading: Reading, kind: str) -> float:
        value = reading.value(kind)
        relative = self.channel.meter.relative
        if getattr(relative, "enable" + kind) and abs(value) != OVERFLOW:
            value -= getattr(relative, "level" + kind)
        return value

    def _buffers(self, kinds: str, arguments: tuple) -> list[ReadingBuffer]:
        given = [argument for argument in arguments if argument is not None]
        return [self._buffer(given, position + 1) for position in range(min(len(given), len(kinds)))]

    @staticmethod
    def _buffer(arguments: tuple | list, position: int) -> ReadingBuffer:
        if len(arguments) < position:
            raise TspError(1400, position)
        if not isinstance(arguments[position - 1], ReadingBuffer):
            raise TspError(1401, position)
        return arguments[position - 1]
