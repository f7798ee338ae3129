"""Sweep and list settings of source meters that spell them the same way: MODE, STARt, STOP, SWEep:POINts, LIST…

Source: Keithley 2400S-900-01 section 18 and Agilent B2910-90030 chapter 4, SOURce subsystem.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.mock.instruments.scpi import Command
from hwloop.mock.instruments.scpi_kinds import Integer, Many, Number, ScpiError, Word
from hwloop.mock.instruments.smu_instrument import NAMES, UNITS, SmuInstrument
from hwloop.mock.instruments.sweeps import linear_levels, log_levels


@dataclass
class Ramp:
    """Ends of the sweep, list and mode of one quantity, in volts or amps."""

    mode: str = "FIX"
    start: float = 0.0
    stop: float = 0.0
    listed: tuple[float, ...] = (0.0,)


class SweepSettings:
    """Sweeps of one instrument. `log_best_is_auto`: a logarithmic sweep with the best range has one a level."""

    def __init__(self, smu: SmuInstrument, most_points: int, default_points: int, longest_message: int,
                 log_best_is_auto: bool = False):  # fmt: skip
        self._smu, self._most, self._default, self._longest = smu, most_points, default_points, longest_message
        self._log_best_is_auto = log_best_is_auto
        self.ramps = {quantity: Ramp() for quantity in NAMES}
        self.reset()

    def reset(self) -> None:
        """As after *RST."""
        for ramp in self.ramps.values():
            vars(ramp).update(vars(Ramp()))
        self.points, self.spacing, self.direction, self.ranging, self.stair = self._default, "LIN", "UP", "BEST", "SING"

    def levels(self, source: str) -> np.ndarray | None:
        """Levels (n,) of the sweep or list; None at a fixed level. Sets the source range that the sweep wants."""
        ramp = self.ramps[source]
        if ramp.mode == "FIX":
            return None
        if ramp.mode == "LIST":
            return np.array(ramp.listed)
        first, last = (ramp.start, ramp.stop) if self.direction == "UP" else (ramp.stop, ramp.start)
        try:
            levels = (linear_levels if self.spacing == "LIN" else log_levels)(first, last, self.points)
        except ValueError:
            raise ScpiError(-221) from None
        function, model = self._smu.core.function(source), self._smu.model
        if self.ranging == "AUTO" or (self.ranging == "BEST" and self.spacing == "LOG" and self._log_best_is_auto):
            function.source_auto = True
        elif self.ranging == "BEST":
            index = model.range_index(source, float(np.abs(levels).max()))
            function.source_range, function.source_auto = model.ranges(source)[index].full_scale, False
        return np.concatenate([levels, levels[::-1]]) if self.stair == "DOUB" else levels

    def commands(self) -> list[Command]:
        """The SOURce:SWEep, SOURce:LIST and SOURce:<function>:STARt… commands."""
        smu, head = self._smu, "[:SOURce#1]"
        commands = [
            smu.setting(f"{head}:SWEep:POINts", Integer(1, self._most, self._default), self, "points"),
            smu.setting(f"{head}:SWEep:SPACing", Word("LINear", "LOGarithmic"), self, "spacing"),
            smu.setting(f"{head}:SWEep:DIRection", Word("UP", "DOWN"), self, "direction"),
            smu.setting(f"{head}:SWEep:RANGing", Word("BEST", "AUTO", "FIXed"), self, "ranging"),
        ]
        for quantity in NAMES:
            commands += [*self._ramp_commands(quantity), *self._list_commands(quantity)]
        return commands

    def _ramp_commands(self, quantity: str) -> list[Command]:
        smu, ramp, own = self._smu, self.ramps[quantity], f"[:SOURce#1]:{NAMES[quantity]}"
        most, number = smu.model.highest(quantity), smu.style.number
        level = Number(-most, most, 0.0, UNITS[quantity])
        wide = Number(-2 * most, 2 * most, 0.0, UNITS[quantity])

        def centre() -> float:
            return (ramp.start + ramp.stop) / 2

        def span() -> float:
            return ramp.stop - ramp.start

        def put(middle: float, width: float) -> None:
            ramp.start, ramp.stop = middle - width / 2, middle + width / 2

        def put_step(step: float) -> None:
            points = 1 if step == 0 else int(abs(span() / step) * (1 + 1e-12)) + 1
            if points > self._most:
                raise ScpiError(-222)
            self.points = points

        return [
            smu.setting(f"{own}:MODE", Word("FIXed", "LIST", "SWEep"), ramp, "mode"),
            smu.setting(f"{own}:STARt", level, ramp, "start"),
            smu.setting(f"{own}:STOP", level, ramp, "stop"),
            Command(f"{own}:STEP", (wide,), put_step, lambda: number(span() / max(1, self.points - 1))),
            Command(f"{own}:CENTer", (level,), lambda value: put(value, span()), lambda: number(centre())),
            Command(f"{own}:SPAN", (wide,), lambda value: put(centre(), value), lambda: number(span())),
        ]

    def _list_commands(self, quantity: str) -> list[Command]:
        smu, ramp, listed = self._smu, self.ramps[quantity], f"[:SOURce#1]:LIST:{NAMES[quantity]}"
        most = smu.model.highest(quantity)
        levels = (Many(Number(-most, most, 0.0, UNITS[quantity]), 1, self._longest),)

        def put(values: list[float]) -> None:
            ramp.listed = tuple(values)

        def append(values: list[float]) -> None:
            if len(ramp.listed) + len(values) > self._most:
                raise ScpiError(-223)
            ramp.listed += tuple(values)

        return [
            Command(listed, levels, put, lambda: ",".join(map(smu.style.number, ramp.listed))),
            Command(f"{listed}:APPend", levels, append),
            Command(f"{listed}:POINts", ask=lambda: str(len(ramp.listed))),
        ]
