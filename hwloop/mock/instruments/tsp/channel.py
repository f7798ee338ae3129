"""One channel: source, limits, source ranges, output and its safety circuits; it drives the terminals. No language."""

from __future__ import annotations

import math
from collections.abc import Callable

from hwloop.mock.instruments.terminals import Operating, Terminals
from hwloop.mock.instruments.tolerance import Keys, LinearError, linear_error
from hwloop.mock.instruments.tsp.errors import TspError
from hwloop.mock.instruments.tsp.meter import Meter
from hwloop.mock.instruments.tsp.models import OVERRANGE, Model, Range
from hwloop.mock.instruments.tsp.timebase import Task, Timebase
from hwloop.mock.instruments.tsp.tree import Attribute, Group, choice, number

AMPS, VOLTS = 0, 1  # source.func
OFF, ON, OPEN = 0, 1, 2  # source.output
_SENSE_REMOTE = 1
_STEP_SECONDS = 60e-6  # a level command until the output has changed
_LOOK_SECONDS = 150e-6  # source.compliance
_REST = Operating(0.0, 0.0, False)


class Channel:
    """A source-measure unit. `keys`: its hidden errors; `interlock()` tells whether the safety circuit is closed."""

    def __init__(
        self,
        model: Model,
        keys: Keys,
        terminals: Terminals,
        timebase: Timebase,
        line_hertz: float,
        interlock: Callable[[], bool],
    ):
        self.model = model
        self.terminals = terminals
        self.sense = 0.0
        self._timebase = timebase
        self._interlock = interlock
        self.errors = {
            (quantity, found.full_scale): linear_error(keys.part("source", quantity, place), found.source)
            for quantity in "vi"
            for place, found in enumerate(model.ranges(quantity))
            if found.source is not None
        }
        self.source = self._declare()
        self.source.before_write = timebase.catch_up  # a running sweep ends with the settings it began with
        self.meter = Meter(self, keys, timebase, line_hertz)
        self._rest()

    def reset(self) -> None:
        """Output off, every setting at its default."""
        self.switch(OFF)
        self.source.reset()
        self.meter.reset()
        self.sense = 0.0
        self._rest()

    # -- state ----------------------------------------------------------------------------------------------------
    @property
    def source_quantity(self) -> str:
        """ "v" or "i": what is sourced."""
        return "v" if self.source.func == VOLTS else "i"

    @property
    def limited_quantity(self) -> str:
        """ "i" or "v": what is limited, and ranges of its own when measured."""
        return "i" if self.source.func == VOLTS else "v"

    @property
    def is_on(self) -> bool:
        """Whether the output drives its level."""
        return self.source.output == ON

    @property
    def senses_remotely(self) -> bool:
        """Whether the sense terminals are used (four wires)."""
        return self.sense == _SENSE_REMOTE

    def level(self, quantity: str) -> float:
        """The programmed level, or the sweep's while one drives this channel, in volts or amps."""
        if self.sweep_level is not None and quantity == self.source_quantity:
            return self.sweep_level
        return getattr(self.source, "level" + quantity)

    def source_range(self, quantity: str) -> Range:
        """The source range in use: the programmed one, or what fits the level."""
        value = getattr(self.source, "range" + quantity)
        if getattr(self.source, "autorange" + quantity):
            value = max(abs(self.level(quantity)), getattr(self.source, "lowrange" + quantity))
        return self.model.range_for(quantity, value, sourcing=True)

    # -- what scripts set; each returns the value kept ------------------------------------------------------------
    def set_level(self, quantity: str, value: float) -> float:
        """source.levelv or source.leveli; errors 1101, 1102, 5005 (beyond the fixed range) and 5007 (envelope)."""
        largest = self.model.largest(quantity)
        return self._try("level" + quantity, number(-largest, largest)(value), self._check_level)

    def set_limit(self, quantity: str, value: float) -> float:
        """source.limitv or source.limiti, in volts or amps."""
        least = self.model.least_limit_volts if quantity == "v" else self.model.least_limit_amps
        value = number(least, self.model.largest(quantity))(value)
        return self._try("limit" + quantity, value, self._check_envelope)

    def set_source_range(self, quantity: str, value: float) -> float:
        """source.rangev or source.rangei: the smallest range that holds `value`; ends autorange."""
        full_scale = self.model.asked_range(quantity, number()(value), sourcing=True).full_scale
        auto = "autorange" + quantity
        before = getattr(self.source, auto)
        setattr(self.source, auto, 0.0)
        try:
            return self._try("range" + quantity, full_scale, self._check_level)
        except TspError:
            setattr(self.source, auto, before)
            raise

    def set_autorange(self, quantity: str, value: float) -> float:
        """source.autorangev or source.autorangei; without it the range stays at what it is at that moment."""
        value = choice(0, 1)(value)
        if not value and getattr(self.source, "autorange" + quantity):
            setattr(self.source, "range" + quantity, self.source_range(quantity).full_scale)
        return value

    def set_function(self, value: float) -> float:
        """source.func: 0 amps, 1 volts."""
        self.sweep_level = None
        return self._try("func", choice(AMPS, VOLTS)(value), self._check_level)

    def switch(self, value: float) -> float:
        """source.output: 0 off, 1 on, 2 high impedance; error 802 or 5041 where a safety circuit forbids it."""
        value = choice(OFF, ON, OPEN)(value)
        if value == ON:
            if self._needs_interlock() and not self._interlock():
                raise TspError(802)
            if self.source.outputenableaction and not self._interlock():
                raise TspError(5041)
            self.source.output = value
            self._step()
            return value
        self.source.output = value
        self._rest()
        self.terminals.release()
        return value

    # -- sweeps and safety ----------------------------------------------------------------------------------------
    def check_sweep(self, quantity: str, level: float) -> None:
        """Whether a sweep may reach `level`: error -221 for the quantity not sourced, else as for a set level."""
        if quantity != self.source_quantity:
            raise TspError(-221)
        before, self.sweep_level = self.sweep_level, level
        try:
            self._check_level()
        finally:
            self.sweep_level = before

    def drive_sweep(self, level: float | None, limit: float = 0.0) -> None:
        """A sweep takes the level, and the limit unless 0; a level of None gives both back to the programmed ones."""
        self.sweep_level, self.sweep_limit = level, limit
        self._step()

    def interlock_opened(self) -> None:
        """The safety circuit opens: what needs it goes off."""
        if self.is_on and (self._needs_interlock() or self.source.outputenableaction):
            self.switch(OFF)

    # -- physics --------------------------------------------------------------------------------------------------
    def hold(self, seconds: float) -> None:
        """Time passes at the terminals; what they do is `operating` afterwards."""
        if not self.is_on:
            return
        sourced = self.source_quantity
        true_level = self._error(sourced, self.source_range(sourced)).of(self.level(sourced))
        drive = self.terminals.drive_volts if sourced == "v" else self.terminals.drive_amps
        self.operating = drive(true_level, self._true_limit(), seconds, self.senses_remotely)

    def looking(self) -> Task:
        """The moment that source.compliance takes."""
        yield _LOOK_SECONDS

    def _rest(self) -> None:
        self.sweep_level: float | None = None
        self.sweep_limit = 0.0
        self.operating = self.before_step = _REST
        self.stepped_seconds = -math.inf

    def _step(self) -> None:
        """A level, limit or range changed: the output moves, and readings settle from where they were."""
        if self.is_on:
            self.before_step = self.operating
            self.stepped_seconds = self._timebase.seconds
            self._timebase.spend(_STEP_SECONDS)

    def _true_limit(self) -> float:
        """What the limit really is: with its own error, the power limit, and a fixed measure range below it."""
        limited = self.limited_quantity
        limit = self.sweep_limit or getattr(self.source, "limit" + limited)
        level = abs(self.level(self.source_quantity))
        if self.source.limitp and level:
            limit = min(limit, self.source.limitp / level)
        error = self._error(limited, self.model.range_for(limited, limit, sourcing=True))
        return min(max(error.of(limit), 0.5 * limit), self.meter.bound(limited))

    def _error(self, quantity: str, found: Range) -> LinearError:
        return self.errors[quantity, found.full_scale]

    # -- checks ---------------------------------------------------------------------------------------------------
    def _try(self, name: str, value: float, check: Callable[[], None]) -> float:
        before = getattr(self.source, name)
        setattr(self.source, name, value)
        try:
            check()
        except TspError:
            setattr(self.source, name, before)
            raise
        self._step()
        return value

    def _check_level(self) -> None:
        for quantity in "vi":
            if abs(self.level(quantity)) > self.source_range(quantity).full_scale * OVERRANGE:
                raise TspError(5005)
        self._check_envelope()

    def _check_envelope(self) -> None:
        scale = self.source_range(self.source_quantity).full_scale
        sources_volts = self.source_quantity == "v"
        volts, amps = (scale, self.source.limiti) if sources_volts else (self.source.limitv, scale)
        if not self.model.permits(volts, amps):
            raise TspError(5007)
        if self.is_on and self._needs_interlock() and not self._interlock():
            raise TspError(802)

    def _needs_interlock(self) -> bool:
        volts = self.source_range("v").full_scale if self.source_quantity == "v" else self.source.limitv
        return self.model.interlock_above_volts is not None and volts > self.model.interlock_above_volts

    def _declare(self) -> Group:
        model, flag = self.model, choice(0, 1)
        volts, amps = (model.source_ranges(quantity) for quantity in "vi")
        most_volts, most_amps = volts[-1].full_scale, amps[-1].full_scale
        return Group(
            "source",
            func=Attribute(float(VOLTS), self.set_function),
            output=Attribute(float(OFF), self.switch),
            levelv=Attribute(0.0, lambda value: self.set_level("v", value)),
            leveli=Attribute(0.0, lambda value: self.set_level("i", value)),
            limitv=Attribute(model.default_limit_volts, lambda value: self.set_limit("v", value)),
            limiti=Attribute(model.default_limit_amps, lambda value: self.set_limit("i", value)),
            limitp=Attribute(0.0, number(0, most_volts * most_amps)),
            rangev=Attribute(volts[0].full_scale, lambda value: self.set_source_range("v", value)),
            rangei=Attribute(amps[0].full_scale, lambda value: self.set_source_range("i", value)),
            autorangev=Attribute(1.0, lambda value: self.set_autorange("v", value)),
            autorangei=Attribute(1.0, lambda value: self.set_autorange("i", value)),
            lowrangev=Attribute(volts[0].full_scale, number(0, most_volts)),
            lowrangei=Attribute(amps[0].full_scale, number(0, most_amps)),
            delay=Attribute(0.0, number(-1)),
            settling=Attribute(0.0, choice(0, 1, 2, 3, 128)),
            sink=Attribute(0.0, flag),
            highc=Attribute(0.0, flag),
            offmode=Attribute(0.0, choice(0, 1, 2)),
            offfunc=Attribute(float(VOLTS), flag),
            offlimiti=Attribute(1e-3, number(model.least_limit_amps, most_amps)),
            offlimitv=Attribute(model.default_limit_volts, number(model.least_limit_volts, most_volts)),
            outputenableaction=Attribute(0.0, choice(0, 1) if model.has_output_enable else choice(0)),
        )
