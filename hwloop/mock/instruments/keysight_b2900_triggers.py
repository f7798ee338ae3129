"""Trigger system, sweeps, result data and trace buffer of the Keysight B2900.

Source: Agilent B2900 Series SCPI Command Reference B2910-90030, chapters 1 (formats), 2 (reset settings) and 4. A run that
INITiate starts is over, in modelled time, before the next command is read. CALCulate, pulses, digital I/O and LXI events
are not simulated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwloop.mock.instruments.data_format import ASCII, REAL_32, REAL_64, DataFormat
from hwloop.mock.instruments.scpi import Answer, Command
from hwloop.mock.instruments.scpi_kinds import ChannelList, Integer, Many, Number, Optional, ScpiError, Style, Word
from hwloop.mock.instruments.smu_instrument import NAMES, UNITS
from hwloop.mock.instruments.smu_model import AMPS, Reading
from hwloop.mock.instruments.sweeps import linear_levels, log_levels

if TYPE_CHECKING:
    from hwloop.mock.instruments.keysight_b2900 import KeysightB2901A

NOT_A_NUMBER = 9.91e37
MOST_COUNTS, MOST_STEPS, BUFFER_SIZE = 100_000, 2500, 100_000
ELEMENTS = ("VOLT", "CURR", "RES", "TIME", "STAT", "SOUR")
ELEMENT_NAMES = {
    "VOLT": "VOLTage", "CURR": "CURRent", "RES": "RESistance", "TIME": "TIME", "STAT": "STATus", "SOUR": "SOURce",
}  # fmt: skip
# Status element of a reading.
CURRENT_SOURCE, IN_COMPLIANCE, OVERFLOWS = 1, 2, 8192
# Measurement status register.
READING_AVAILABLE, READING_OVERFLOW, BUFFER_AVAILABLE, BUFFER_FULL = 2, 4, 8, 16
STATISTICS = {"MEAN": np.mean, "SDEV": np.std, "MAX": np.max, "MIN": np.min, "PKPK": np.ptp}
SOURCES = Word(
    "AINTernal", "BUS", "TIMer", "INTernal1", "INTernal2", "LAN", *(f"EXTernal{n}" for n in range(1, 15))
)  # fmt: skip
ACTIONS = ("ACQ", "TRAN")


@dataclass
class Ramp:
    """Ends of the sweep of one quantity."""

    start: float = 0.0
    stop: float = 0.0


@dataclass
class Layer:
    """ARM or TRIGger settings of one action."""

    source: str = "AINT"
    count: float = 1
    delay_seconds: float = 0.0
    timer_seconds: float = 2e-5


class Triggers:
    """Trigger system and data of one channel."""

    def __init__(self, smu: KeysightB2901A):
        self._smu = smu
        self.layers = {(layer, action): Layer() for layer in ("ARM", "TRIG") for action in ACTIONS}
        self.format = DataFormat()
        self._zero_seconds = 0.0
        self.reset()

    def reset(self) -> None:
        """*RST."""
        for layer in self.layers.values():
            vars(layer).update(vars(Layer()))
        for ramp in self._smu.ramps.values():
            ramp.start = ramp.stop = 0.0
        self.modes = {quantity: "FIX" for quantity in NAMES}
        self.lists = {quantity: [0.0] for quantity in NAMES}
        self.points, self.spacing, self.direction, self.ranging, self.double = 1, "LIN", "UP", "BEST", "SING"
        self.samples: list[tuple[float, ...]] = []
        self.buffer: list[tuple[float, ...]] = []
        self.buffer_points, self.stores, self.statistic, self.deltas = BUFFER_SIZE, False, "MEAN", False
        self.elements = set(ELEMENTS)
        self.format.data, self.format.swapped = ASCII, False
        self._armed: tuple[bool, bool] | None = None

    def seconds(self) -> float:
        """The time stamp counter."""
        return self._smu.clock_seconds - self._zero_seconds

    def reset_time(self) -> None:
        """SYSTem:TIME:TIMer:COUNt:RESet."""
        self._zero_seconds = self._smu.clock_seconds

    # Running.
    def initiate(self, channels: list[int] | None, sources: bool = True, acquires: bool = True) -> None:
        """INITiate of the transient (source) and acquire (measure) actions: run, or wait for *TRG."""
        _own(channels)
        if not self._smu.core.settings.output_on:
            if not self._smu.output_auto:
                raise ScpiError(-221)
            self._smu.put_output(True)
        self._armed = (sources, acquires)
        wanted = [action for action, on in zip(ACTIONS, (acquires, sources), strict=True) if on]
        if any(self.layers[layer, action].source not in ("AINT", "TIM") for layer, action in self.layers
               if action in wanted):  # fmt: skip
            return
        self._run()

    def bus(self) -> None:
        """*TRG."""
        if self._armed is None or not any(layer.source == "BUS" for layer in self.layers.values()):
            raise ScpiError(-211)
        self._run()

    def abort(self, channels: list[int] | None) -> None:
        """ABORt."""
        _own(channels)
        self._armed = None

    def _run(self) -> None:
        smu, core = self._smu, self._smu.core
        (sources, acquires), self._armed = self._armed, None
        source = core.settings.source
        function = core.function(source)
        levels = self._levels(source) if sources else None
        steps = self._total("TRAN") if sources else 0
        readings = self._total("ACQ") if acquires else 0
        acquire = self.layers["TRIG", "ACQ"]
        started = smu.clock_seconds
        self.samples = []
        for number in range(max(steps, readings)):
            if acquire.source == "TIM":
                core.wait(max(0.0, started + number * acquire.timer_seconds - smu.clock_seconds))
            if levels is not None and number < steps:
                function.level = float(levels[number % len(levels)])
            elif levels is None and sources and number == 0 and function.triggered_level:
                function.level = function.triggered_level
            core.wait(acquire.delay_seconds)
            if number < readings:
                self._keep(core.measure())
            else:
                core.touch()
            if smu.trips and core.last_limited:
                smu.trip()
                break
        smu.registers["MEASurement"].put(READING_AVAILABLE, bool(self.samples))

    def _total(self, action: str) -> int:
        arms, triggers = self.layers["ARM", action].count, self.layers["TRIG", action].count
        return int(min(arms * triggers, MOST_COUNTS))

    def _levels(self, source: str) -> np.ndarray | None:
        """Levels of a sweep or list, None at a fixed level. Sets the range that a sweep wants."""
        smu, mode, ramp = self._smu, self.modes[source], self._smu.ramps[source]
        if mode == "FIX":
            return None
        if mode == "LIST":
            return np.array(self.lists[source])
        first, last = (ramp.start, ramp.stop) if self.direction == "UP" else (ramp.stop, ramp.start)
        try:
            levels = (linear_levels if self.spacing == "LIN" else log_levels)(first, last, self.points)
        except ValueError:
            raise ScpiError(-221) from None
        if self.double == "DOUB":
            levels = np.concatenate([levels, levels[::-1]])
        function = smu.core.function(source)
        if self.ranging == "AUTO" or (self.ranging == "BEST" and self.spacing == "LOG"):
            function.source_auto = True
        elif self.ranging == "BEST":
            index = smu.model.range_index(source, float(np.abs(levels).max()))
            function.source_range, function.source_auto = smu.model.ranges(source)[index].full_scale, False
        return levels

    def _keep(self, reading: Reading) -> None:
        smu, events = self._smu, self._smu.registers["MEASurement"]
        sensed = smu.sensed
        ohms = reading.volts / reading.amps if reading.amps and not reading.is_overflow else NOT_A_NUMBER
        values = {"VOLT": reading.volts, "CURR": reading.amps, "RES": ohms}
        status = CURRENT_SOURCE * (reading.source == AMPS) | OVERFLOWS * reading.is_overflow
        status |= IN_COMPLIANCE * (reading.in_limit or reading.in_range_limit)
        sample = (
            *(value if name in sensed else NOT_A_NUMBER for name, value in values.items()),
            reading.seconds - self._zero_seconds, float(status), reading.level,
        )  # fmt: skip
        self.samples.append(sample)
        events.put(READING_OVERFLOW, reading.is_overflow)
        if self.stores:
            self.buffer.append(sample)
            events.put(BUFFER_AVAILABLE, True)
            if len(self.buffer) >= self.buffer_points:
                self.stores = False
                events.put(BUFFER_FULL, True)

    # Data.
    def written(self, samples: list[tuple[float, ...]], elements: set[str]) -> Answer:
        """Readings with the elements, in their fixed order."""
        places = [place for place, element in enumerate(ELEMENTS) if element in elements]
        values = np.array(samples or [(NOT_A_NUMBER,) * len(ELEMENTS)])[:, places].ravel()
        if self.format.data == ASCII:
            return ",".join(f"{value:+.6E}" for value in values)
        return self.format.block(np.where(values == NOT_A_NUMBER, math.nan, values), definite=True)

    def _fetch(self, channels: list[int] | None, whole: bool, elements: set[str] | None) -> Answer:
        _own(channels)
        return self.written(self.samples if whole else self.samples[-1:], elements or self.elements)

    def _read(self, channels: list[int] | None, whole: bool, elements: set[str] | None) -> Answer:
        if any(layer.source not in ("AINT", "TIM") for layer in self.layers.values()):
            raise ScpiError(-214)
        self.initiate(channels)
        return self._fetch(channels, whole, elements)

    def _measure(self, channels: list[int] | None, elements: set[str] | None) -> Answer:
        """One spot measurement of what is asked for, whatever SENSe:FUNCtion says."""
        _own(channels)
        smu = self._smu
        if not smu.core.settings.output_on:
            smu.put_output(True)
        sensed, smu.sensed = smu.sensed, smu.sensed | ({"VOLT", "CURR", "RES"} & (elements or self.elements))
        self.samples = []
        self._keep(smu.core.measure())
        smu.sensed = sensed
        smu.trip()
        return self.written(self.samples, elements or self.elements)

    def _clear_data(self) -> None:
        self.samples = []

    def _traced(self, offset: object, size: int | None) -> Answer:
        first = 0 if offset == "STAR" else len(self.buffer) - 1 if offset == "CURR" else int(offset)
        samples = self.buffer[first : None if size is None else first + size]
        if not samples:
            raise ScpiError(-230)
        if self.deltas:
            times = np.diff([sample[3] for sample in samples], prepend=samples[0][3])
            samples = [(*s[:3], float(time), *s[4:]) for s, time in zip(samples, times, strict=True)]
        return self.written(samples, self.elements)

    def _store(self, word: str) -> None:
        self.stores = word == "NEXT"

    def _clear(self) -> None:
        if self.stores:
            raise ScpiError(-221)
        self.buffer = []
        self._smu.registers["MEASurement"].put(BUFFER_FULL | BUFFER_AVAILABLE, False)

    def _statistics(self) -> Answer:
        if not self.buffer:
            raise ScpiError(-230)
        columns = np.array(self.buffer)
        results = STATISTICS[self.statistic](columns, axis=0)
        return self.written([tuple(results)], self.elements & {"VOLT", "CURR", "RES", "SOUR"})

    # The tree.
    def commands(self) -> list[Command]:
        """Commands of these subsystems."""
        return [*self._trigger_commands(), *self._data_commands(), *self._trace_commands(), *self._sweep_commands()]

    def _trigger_commands(self) -> list[Command]:
        listed = (Optional(ChannelList()),)
        commands = []
        for spelling, sources, acquires in (("[:ALL]", True, True), (":TRANsient", True, False),
                                            (":ACQuire", False, True)):  # fmt: skip
            actions = [action for action, on in zip(ACTIONS, (acquires, sources), strict=True) if on]
            commands += [
                Command(f":INITiate[:IMMediate]{spelling}", listed,
                        lambda channels, s=sources, a=acquires: self.initiate(channels, s, a)),
                Command(f":ABORt{spelling}", listed, self.abort),
            ]  # fmt: skip
            for layer, name in (("ARM", "ARM"), ("TRIG", "TRIGger")):
                head, layers = f":{name}#1{spelling}", [self.layers[layer, action] for action in actions]
                commands += [
                    self._of_all(f"{head}:COUNt", Integer(1, MOST_COUNTS, 1, infinite=True), layers, "count"),
                    self._of_all(f"{head}:DELay", Number(0.0, 100e3, 0.0, "S"), layers, "delay_seconds"),
                    self._of_all(f"{head}:TIMer", Number(2e-5, 100e3, 2e-5, "S"), layers, "timer_seconds"),
                    self._of_all(f"{head}:SOURce[:SIGNal]", SOURCES, layers, "source"),
                ]
        return commands

    def _of_all(self, pattern: str, kind: object, layers: list[Layer], name: str) -> Command:
        """A setting of several layers at once; the query asks for the first of them."""
        one = self._smu.setting(pattern, kind, layers[0], name)

        def put(value: object) -> None:
            for layer in layers:
                setattr(layer, name, value)

        return Command(one.pattern, one.kinds, put, one.ask, one.ask_kinds)

    def _data_commands(self) -> list[Command]:
        listed = (Optional(ChannelList()),)
        choices = [("", None), *((f":{ELEMENT_NAMES[element]}", {element}) for element in ELEMENTS)]
        commands = []
        for tail, elements in choices:
            tail = f"{tail}[:DC]" if tail in (":VOLTage", ":CURRent") else tail
            commands.append(Command(f":MEASure{tail}", ask=lambda c, e=elements: self._measure(c, e), ask_kinds=listed))
            for shape, whole in (("[:SCALar]", False), (":ARRay", True)):
                for name, take in (("FETCh", self._fetch), ("READ", self._read)):
                    commands.append(Command(f":{name}{shape}{tail}", ask_kinds=listed,
                                            ask=lambda c, take=take, w=whole, e=elements: take(c, w, e)))  # fmt: skip
        return [
            *commands,
            Command("[:SENSe#1]:DATA:LATest", ask=lambda: self._fetch(None, False, None)),
            Command("[:SENSe#1]:DATA", ask=lambda: self._fetch(None, True, None)),
            Command("[:SENSe#1]:DATA:CLEar", do=self._clear_data),
            Command(":FORMat[:DATA]", (Word("ASCii", "REAL"), Optional(Integer(32, 64), 32)), self._put_format,
                    lambda: self.format.data),
            Command(":FORMat:BORDer", (Word("NORMal", "SWAPped"),),
                    lambda word: setattr(self.format, "swapped", word == "SWAP"),
                    lambda: "SWAP" if self.format.swapped else "NORM"),
            Command(":FORMat:ELEMents:SENSe", (Many(Word(*ELEMENT_NAMES.values()), 1, 6),),
                    lambda names: setattr(self, "elements", set(names)),
                    lambda: ",".join(name for name in ELEMENTS if name in self.elements)),
        ]  # fmt: skip

    def _put_format(self, word: str, bits: int) -> None:
        if bits not in (32, 64):
            raise ScpiError(-224)
        self.format.data = ASCII if word == "ASC" else {32: REAL_32, 64: REAL_64}[bits]

    def _trace_commands(self) -> list[Command]:
        smu = self._smu
        return [
            Command(":TRACe#1:DATA", ask=self._traced,
                    ask_kinds=(Optional(_Offset(), "STAR"), Optional(Integer(1, BUFFER_SIZE)))),
            Command(":TRACe#1:CLEar", do=self._clear),
            Command(":TRACe#1:FREE", ask=lambda: f"{self.buffer_points - len(self.buffer)},{self.buffer_points}"),
            smu.setting(":TRACe#1:POINts", Integer(1, BUFFER_SIZE, BUFFER_SIZE), self, "buffer_points"),
            Command(":TRACe#1:POINts:ACTual", ask=lambda: str(len(self.buffer))),
            smu.inert(":TRACe#1:FEED", Word("SENSe", "MATH", "LIMit"), "SENS"),
            Command(":TRACe#1:FEED:CONTrol", (Word("NEXT", "NEVer"),), self._store,
                    lambda: "NEXT" if self.stores else "NEV"),
            smu.setting(":TRACe#1:STATistic:FORMat", Word("MEAN", "SDEViation", "MAXimum", "MINimum", "PKPK"),
                        self, "statistic"),
            Command(":TRACe#1:STATistic:DATA", ask=self._statistics),
            Command(":TRACe#1:TSTamp:FORMat", (Word("ABSolute", "DELTa"),),
                    lambda word: setattr(self, "deltas", word == "DELT"), lambda: "DELT" if self.deltas else "ABS"),
        ]  # fmt: skip

    def _sweep_commands(self) -> list[Command]:
        smu, head = self._smu, "[:SOURce#1]"
        steps = Integer(1, MOST_STEPS, 1)
        commands = [
            smu.setting(f"{head}:SWEep:POINts", steps, self, "points"),
            smu.setting(f"{head}:SWEep:SPACing", Word("LINear", "LOGarithmic"), self, "spacing"),
            smu.setting(f"{head}:SWEep:DIRection", Word("UP", "DOWN"), self, "direction"),
            smu.setting(f"{head}:SWEep:RANGing", Word("BEST", "AUTO", "FIXed"), self, "ranging"),
            smu.setting(f"{head}:SWEep:STAir", Word("SINGle", "DOUBle"), self, "double"),
        ]
        for quantity, name in NAMES.items():
            most, ramp = smu.model.highest(quantity), smu.ramps[quantity]
            level = Number(-most, most, 0.0, UNITS[quantity])
            span = Number(-2 * most, 2 * most, 0.0, UNITS[quantity])
            own, listed = f"{head}:{name}", f"{head}:LIST:{name}"
            commands += [
                Command(f"{own}:MODE", (Word("FIXed", "LIST", "SWEep"),),
                        lambda word, q=quantity: self.modes.__setitem__(q, word), lambda q=quantity: self.modes[q]),
                smu.setting(f"{own}:STARt", level, ramp, "start"),
                smu.setting(f"{own}:STOP", level, ramp, "stop"),
                smu.setting(f"{own}:POINts", steps, self, "points"),
                Command(f"{own}:STEP", (span,), lambda value, r=ramp: self._put_step(r, value),
                        lambda r=ramp: smu.style.number((r.stop - r.start) / max(1, self.points - 1))),
                Command(f"{own}:CENTer", (level,), lambda value, r=ramp: _put_ends(r, value, r.stop - r.start),
                        lambda r=ramp: smu.style.number((r.start + r.stop) / 2)),
                Command(f"{own}:SPAN", (span,), lambda value, r=ramp: _put_ends(r, (r.start + r.stop) / 2, value),
                        lambda r=ramp: smu.style.number(r.stop - r.start)),
                Command(listed, (Many(level, 1, MOST_STEPS),),
                        lambda levels, q=quantity: self.lists.__setitem__(q, levels),
                        lambda q=quantity: ",".join(map(smu.style.number, self.lists[q]))),
                Command(f"{listed}:APPend", (Many(level, 1, MOST_STEPS),),
                        lambda levels, q=quantity: self._append(q, levels)),
                Command(f"{listed}:POINts", ask=lambda q=quantity: str(len(self.lists[q]))),
            ]  # fmt: skip
        return commands

    def _put_step(self, ramp: Ramp, step: float) -> None:
        points = 1 if step == 0 else int(abs((ramp.stop - ramp.start) / step) * (1 + 1e-12)) + 1
        if points > MOST_STEPS:
            raise ScpiError(-222)
        self.points = points

    def _append(self, quantity: str, levels: list[float]) -> None:
        if len(self.lists[quantity]) + len(levels) > MOST_STEPS:
            raise ScpiError(-223)
        self.lists[quantity] = [*self.lists[quantity], *levels]


class _Offset:
    """Where TRACe:DATA? begins: a number, STARt, or CURRent."""

    def parse(self, text: str) -> object:
        """See Kind."""
        return int(Integer(0, BUFFER_SIZE).parse(text)) if text[:1].isdigit() else Word("STARt", "CURRent").parse(text)

    def render(self, value: object, style: Style) -> str:
        """See Kind."""
        return str(value)


def _own(channels: list[int] | None) -> None:
    """A channel list of a one-channel instrument. Raises ScpiError."""
    if channels not in (None, [1]):
        raise ScpiError(-222)


def _put_ends(ramp: Ramp, centre: float, span: float) -> None:
    ramp.start, ramp.stop = centre - span / 2, centre + span / 2
