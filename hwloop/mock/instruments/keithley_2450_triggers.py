"""Sweeps and the trigger model of the Keithley 2450: what INITiate runs.

Source: Keithley, Model 2450 Reference Manual 2450-901-01, SOURce:SWEep and TRIGger:LOAD. A sweep template turns the
output on, runs its levels, and turns it off. Block-by-block trigger models (TRIGger:BLOCk) are not simulated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from hwloop.mock.instruments.scpi import Command
from hwloop.mock.instruments.scpi_kinds import Integer, Many, Number, Optional, ScpiError, Switch, Text, Word
from hwloop.mock.instruments.smu_instrument import NAMES, UNITS
from hwloop.mock.instruments.smu_model import AMPS, VOLTS
from hwloop.mock.instruments.sweeps import linear_levels, log_levels

if TYPE_CHECKING:
    from hwloop.mock.instruments.keithley_2450 import Keithley2450

MOST_POINTS, LONGEST_LIST, LONGEST_MESSAGE = 1_000_000, 2500, 100
AUTO_DELAY = -1.0
ENDLESS_CAP = 100_000  # an endless sweep ends when its buffer would have been full


class TriggerModel:
    """The trigger model that was loaded last; empty after *RST."""

    def __init__(self, smu: Keithley2450):
        self._smu = smu
        self.reset()

    def reset(self) -> None:
        """As after *RST."""
        self._lists: dict[str, list[float]] = {VOLTS: [], AMPS: []}
        self._run: Callable[[], None] | None = None
        self.blocks = 0

    def commands(self) -> list[Command]:
        """The sweep and trigger commands."""
        commands = [
            Command(":INITiate[:IMMediate]", do=self._initiate),
            Command(":ABORt", do=lambda: None),
            Command(":TRIGger:STATe", ask=lambda: f"{'IDLE' if self.blocks else 'EMPTY'};IDLE;{self.blocks}"),
            Command(":TRIGger:LOAD", (Text(), Many(_Any(), 0, 3)), self._load),
        ]
        for quantity, name in NAMES.items():
            most = self._smu.model.highest(quantity)
            level = Number(-most, most, 0.0, UNITS[quantity])
            step = Number(0.0, 2 * most, None, UNITS[quantity])
            tail = (
                Optional(_Delay(), AUTO_DELAY), Optional(Integer(0, 268_435_455), 1),
                Optional(Word("AUTO", "BEST", "FIXed"), "BEST"), Optional(Switch(), True),
                Optional(Switch(), False), Optional(Text(), "defbuffer1"),
            )  # fmt: skip
            asymptote = Optional(Number(-most, most, 0.0, UNITS[quantity]), 0.0)
            head, listed = f"[:SOURce#1]:SWEep:{name}", f"[:SOURce#1]:LIST:{name}"
            points = Integer(2, MOST_POINTS)
            commands += [
                Command(f"{head}:LINear", (level, level, points, *tail), self._bound(quantity, linear_levels)),
                Command(f"{head}:LINear:STEP", (level, level, step, *tail), self._bound(quantity, _stepped)),
                Command(f"{head}:LOG", (level, level, points, *tail, asymptote), self._bound(quantity, log_levels)),
                Command(f"{head}:LIST", (Integer(1, LONGEST_LIST), tail[0], tail[1], tail[3], tail[5]),
                        lambda *values, quantity=quantity: self._sweep_list(quantity, *values)),
                Command(listed, (Many(level, 1, LONGEST_MESSAGE),),
                        lambda levels, quantity=quantity: self._lists.__setitem__(quantity, levels),
                        lambda quantity=quantity: ",".join(map(self._smu.style.number, self._lists[quantity]))),
                Command(f"{listed}:APPend", (Many(level, 1, LONGEST_MESSAGE),),
                        lambda levels, quantity=quantity: self._append(quantity, levels)),
                Command(f"{listed}:POINts", ask=lambda quantity=quantity: str(len(self._lists[quantity]))),
            ]  # fmt: skip
        return commands

    def _bound(self, quantity: str, make: Callable[..., np.ndarray]) -> Callable[..., None]:
        def load(start, stop, points, delay, count, ranging, fails, dual, name, *asymptote) -> None:
            try:
                levels = make(start, stop, points, *asymptote)
            except ValueError:
                raise ScpiError(-221) from None
            if dual:
                levels = np.concatenate([levels, levels[::-1]])
            self._put(quantity, levels, delay, count, ranging, fails, name)

        return load

    def _append(self, quantity: str, levels: list[float]) -> None:
        if len(self._lists[quantity]) + len(levels) > LONGEST_LIST:
            raise ScpiError(-223)
        self._lists[quantity] += levels

    def _sweep_list(self, quantity: str, first: int, delay: float, count: int, fails: bool, name: str) -> None:
        if first > len(self._lists[quantity]):
            raise ScpiError(-222)
        levels = np.array(self._lists[quantity][first - 1 :])
        self._put(quantity, levels, delay, count, "BEST", fails, name)

    def _put(
        self, quantity: str, levels: np.ndarray, delay: float, count: int, ranging: str, fails: bool, name: str
    ) -> None:
        self._smu.readings.buffer(name)
        self.blocks = 7
        self._run = lambda: self._sweep(quantity, levels, delay, count, ranging, fails, name)

    def _sweep(
        self, quantity: str, levels: np.ndarray, delay: float, count: int, ranging: str, fails: bool, name: str
    ) -> None:
        smu, core = self._smu, self._smu.core
        core.settings.source = quantity
        function = core.function(quantity)
        if ranging == "BEST":
            index = smu.model.range_index(quantity, float(np.abs(levels).max()))
            function.source_range, function.source_auto = smu.model.ranges(quantity)[index].full_scale, False
        elif ranging == "AUTO":
            function.source_auto = True
        smu.readings.buffer(name).clear()
        runs = count or -(-ENDLESS_CAP // len(levels))
        function.level = float(levels[0])
        smu.put_output(True)
        for level in np.tile(levels, runs):
            function.level = float(level)
            core.wait(max(delay, 0.0))
            smu.readings.take(name)
            if fails and core.last_limited:
                break
        core.set_output(False)

    def _load(self, template: str, values: list[str]) -> None:
        """"Empty", or "SimpleLoop", count[, delay[, buffer]]."""
        if template.upper() == "EMPTY":
            self._run, self.blocks = None, 0
        elif template.upper() == "SIMPLELOOP" and values:
            count = Integer(1, 268_435_455).parse(values[0])
            delay = Number(0.0, 10e3, 0.0, "S").parse(values[1]) if len(values) > 1 else 0.0
            name = Text().parse(values[2]) if len(values) > 2 else "defbuffer1"
            self._smu.readings.buffer(name)
            self._run, self.blocks = lambda: self._loop(count, delay, name), 5
        else:
            raise ScpiError(-224)

    def _loop(self, count: int, delay: float, name: str) -> None:
        self._smu.readings.buffer(name).clear()
        for _ in range(count):
            self._smu.core.wait(delay)
            self._smu.readings.take(name)

    def _initiate(self) -> None:
        if self._run is None:
            raise ScpiError(-200)
        self._run()


class _Delay:
    """Seconds between points; -1 for the instrument's own delay."""

    def parse(self, text: str) -> float:
        """See Kind."""
        value = Number(AUTO_DELAY, 10e3, AUTO_DELAY, "S").parse(text)
        if value < 0 and value != AUTO_DELAY or 0 < value < 50e-6:
            raise ScpiError(-222)
        return value

    def render(self, value: float, style: object) -> str:
        """See Kind."""
        return f"{value:g}"


class _Any:
    """A parameter whose kind depends on the first one."""

    def parse(self, text: str) -> str:
        """See Kind."""
        return text

    def render(self, value: str, style: object) -> str:
        """See Kind."""
        return value


def _stepped(start: float, stop: float, step: float) -> np.ndarray:
    """Levels from `start` towards `stop`, `step` > 0 apart. Raises ValueError."""
    if step <= 0:
        raise ValueError("a step of zero")
    points = int(np.floor(abs(stop - start) / step * (1 + 1e-12))) + 1
    if points > MOST_POINTS:
        raise ValueError("too many points")
    return start + np.sign(stop - start) * step * np.arange(points)
