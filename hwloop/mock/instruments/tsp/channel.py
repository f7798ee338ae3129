"""One channel: source, limits, ranges, measurement with its hidden errors, noise and settling. Physics, no language.

Volts and amps go to the world through `Terminals`. Noise: data sheet, derating below 1 NPLC (taken as three standard
deviations) and 3 ppm of range at 1 NPLC, falling with the root of the integration time above.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hwloop.mock.instruments.terminals import Operating, Terminals
from hwloop.mock.instruments.tolerance import LinearError, drift, linear_error, noise, subkey
from hwloop.mock.instruments.tsp.errors import TspError
from hwloop.mock.instruments.tsp.models import Model, Range
from hwloop.mock.instruments.tsp.timebase import Task, Timebase
from hwloop.mock.instruments.tsp.tree import Attribute, Group, choice, number

OVERFLOW = 9.91e37
AMPS, VOLTS = 0, 1  # source.func
OFF, ON, OPEN = 0, 1, 2  # source.output
AUTOZERO_OFF, AUTOZERO_ONCE, AUTOZERO_AUTO = 0, 1, 2
DELAY_AUTO = -1
SENSE_REMOTE = 1
STATUS_AUTORANGE_MEASURE, STATUS_AUTORANGE_SOURCE, STATUS_FOUR_WIRE = 4, 8, 16
STATUS_RELATIVE, STATUS_COMPLIANCE, STATUS_FILTERED = 32, 64, 128
_OVERRANGE_SOURCE, _OVERRANGE_MEASURE = 1.01, 1.02
_NOISE_NPLC = (0.001, 0.01, 0.1, 1.0)
_NOISE_FRACTIONS = (2e-3, 2.5e-4, 3.3e-5, 3e-6)  # of range, one standard deviation
_DRIFT_FRACTION = 0.3  # of the offset accuracy, one standard deviation, without autozero
_STEP_SECONDS = 60e-6  # a level command until the output has changed
_OVERHEAD_SECONDS = 150e-6  # a reading beside its integration
_SETTLED_NEPERS = math.log(1e3)  # settling times of the data sheet are to 0.1 %


@dataclass(frozen=True)
class Reading:
    """One measurement of both quantities: shown values, ranges used, status bits and the modelled time it began."""

    volts: float
    amps: float
    volts_range: float
    amps_range: float
    source_volts: bool
    source_level: float
    source_range: float
    output_on: bool
    limited: bool
    status: int
    seconds: float

    @property
    def ohms(self) -> float:
        """Resistance; an overflow stays one."""
        if OVERFLOW in (abs(self.volts), abs(self.amps)) or self.amps == 0.0:
            return OVERFLOW
        return self.volts / self.amps

    @property
    def watts(self) -> float:
        """Power; an overflow stays one."""
        return OVERFLOW if OVERFLOW in (abs(self.volts), abs(self.amps)) else self.volts * self.amps

    def value(self, kind: str) -> float:
        """The reading of "v", "i", "r" or "p"."""
        return {"v": self.volts, "i": self.amps, "r": self.ohms, "p": self.watts}[kind]


class Channel:
    """A source-measure unit. `key`: its hidden errors; `interlock()` tells whether the safety circuit is closed."""

    def __init__(
        self, model: Model, key: np.uint64, terminals: Terminals, timebase: Timebase, line_hertz: float, interlock
    ):
        self.model = model
        self.terminals = terminals
        self._timebase = timebase
        self._line_hertz = line_hertz
        self._interlock = interlock
        self._noise_key = subkey(key, "noise")
        self._drift_keys = {quantity: subkey(key, "drift", quantity) for quantity in "vi"}
        self._draws = 0
        self._errors = {
            (role, quantity, found.full_scale): linear_error(subkey(key, role, quantity, place), accuracy)
            for quantity in "vi"
            for place, found in enumerate(model.ranges(quantity))
            for role, accuracy in (("measure", found.measure), ("source", found.source))
            if accuracy is not None
        }
        self._declare()
        for group in (self.source, self.measure, self.relative, self.filter):
            group.before_write = timebase.catch_up  # a running sweep ends with the settings it began with
        self._forget()

    def reset(self) -> None:
        """Output off, every setting at its default."""
        self.switch(OFF)
        for group in (self.source, self.measure, self.relative, self.filter):
            group.reset()
        self.sense = 0.0
        self._forget()

    # -- source ---------------------------------------------------------------------------------------------------
    @property
    def source_quantity(self) -> str:
        """ "v" or "i": what is sourced."""
        return "v" if self.source.func == VOLTS else "i"

    @property
    def is_on(self) -> bool:
        """Whether the output drives its level."""
        return self.source.output == ON

    def level(self, quantity: str) -> float:
        """The programmed level, or the sweep's while one drives this channel, in volts or amps."""
        if self.sweep_level is not None and quantity == self.source_quantity:
            return self.sweep_level
        return self.source.levelv if quantity == "v" else self.source.leveli

    def source_range(self, quantity: str) -> Range:
        """The source range in use: the programmed one, or what fits the level."""
        if getattr(self.source, "autorange" + quantity):
            least = getattr(self.source, "lowrange" + quantity)
            return self._range_for(quantity, max(abs(self.level(quantity)), least), _OVERRANGE_SOURCE, sourcing=True)
        return self._range_for(quantity, getattr(self.source, "range" + quantity), 1.0, sourcing=True)

    def set_level(self, quantity: str, value: float) -> float:
        """source.levelv or source.leveli; errors 1101, 1102, 5005 (beyond the fixed range) and 5007 (envelope)."""
        largest = self.model.ranges(quantity)[-1].full_scale * _OVERRANGE_SOURCE
        value = number(-largest, largest)(value)
        self._try(self.source, "level" + quantity, value, self._check_level)
        self._step()
        return value

    def set_limit(self, quantity: str, value: float) -> float:
        """source.limitv or source.limiti, in volts or amps."""
        least = self.model.least_limit_volts if quantity == "v" else self.model.least_limit_amps
        value = number(least, self.model.ranges(quantity)[-1].full_scale * _OVERRANGE_SOURCE)(value)
        self._try(self.source, "limit" + quantity, value, self._check_envelope)
        self._step()
        return value

    def set_source_range(self, quantity: str, value: float) -> float:
        """source.rangev or source.rangei: the smallest range that holds `value`; ends autorange."""
        found = self._asked_range(quantity, value, sourcing=True)
        if abs(self.level(quantity)) > found.full_scale * _OVERRANGE_SOURCE:
            raise TspError(5005)
        before = (getattr(self.source, "range" + quantity), getattr(self.source, "autorange" + quantity))
        setattr(self.source, "range" + quantity, found.full_scale)
        setattr(self.source, "autorange" + quantity, 0.0)
        try:
            self._check_envelope()
        except TspError:
            setattr(self.source, "range" + quantity, before[0])
            setattr(self.source, "autorange" + quantity, before[1])
            raise
        self._step()
        return found.full_scale

    def set_function(self, value: float) -> float:
        """source.func: 0 amps, 1 volts."""
        value = choice(AMPS, VOLTS)(value)
        self._try(self.source, "func", value, self._check_envelope)
        self.sweep_level = None
        self._step()
        return value

    def switch(self, value: float) -> float:
        """source.output: 0 off, 1 on, 2 high impedance; error 802 or 5041 where a safety circuit forbids it."""
        value = choice(OFF, ON, OPEN)(value)
        if value == ON:
            if self._needs_interlock() and not self._interlock():
                raise TspError(802)
            if self.source.outputenableaction and not self._interlock():
                raise TspError(5041)
        self.source.output = value
        if value == ON:
            self._step()
        else:
            self.sweep_level = None
            self.operating = Operating(0.0, 0.0, False)
            self.terminals.release()
        return value

    def interlock_opened(self) -> None:
        """The safety circuit opens: what needs it goes off."""
        if self.is_on and (self._needs_interlock() or self.source.outputenableaction):
            self.switch(OFF)

    def check_sweep(self, quantity: str, level: float) -> None:
        """Whether a sweep may reach `level`; errors 5005, 5007 and 802 as for a programmed level."""
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

    def hold(self, seconds: float) -> None:
        """Time passes at the terminals; what they do is `operating` afterwards."""
        if not self.is_on:
            return
        sourced = self.source_quantity
        fixed = self.source_range(sourced)
        true_level = self._error("source", sourced, fixed).of(self.level(sourced))
        limit = self._true_limit()
        drive = self.terminals.drive_volts if sourced == "v" else self.terminals.drive_amps
        self.operating = drive(true_level, limit, seconds, self.sense == SENSE_REMOTE)

    def compliance(self) -> bool:
        """Whether the limit acts at this moment."""
        self._timebase.now(_waiting(_OVERHEAD_SECONDS))
        return self.operating.limited

    # -- measure --------------------------------------------------------------------------------------------------
    def measuring(self, store) -> Task:
        """Takes one reading as a task of the time base; `store(reading)` receives it."""
        delay_seconds = self._delay_seconds()
        if delay_seconds:
            yield delay_seconds
        ranges = {quantity: self._measure_range(quantity) for quantity in "vi"}
        if self._autoranges() and self._ranges_before != ranges:
            yield max(ranges[quantity].settle_seconds for quantity in "vi")
        begun_seconds = self._timebase.seconds
        integration_seconds = self.measure.nplc / self._line_hertz
        cycles = (3.0 if self.measure.autozero == AUTOZERO_AUTO else 1.0) * self._averaged()
        yield float(cycles * integration_seconds + self._averaged() * _OVERHEAD_SECONDS)
        ranges = {quantity: self._measure_range(quantity) for quantity in "vi"}
        self._ranges_before = ranges
        store(self._reading(ranges, begun_seconds, integration_seconds))

    def set_measure_range(self, quantity: str, value: float) -> float:
        """measure.rangev or measure.rangei: the smallest range that holds `value`; ends autorange."""
        full_scale = self._asked_range(quantity, value, sourcing=False).full_scale
        setattr(self.measure, "autorange" + quantity, 0.0)
        return full_scale

    def shown_measure_range(self, quantity: str) -> float:
        """measure.rangev or measure.rangei as it reads back."""
        return self._measure_range(quantity).full_scale

    def zero(self, value: float) -> float:
        """measure.autozero: 0 off, 1 once (zeroes now), 2 auto."""
        value = choice(AUTOZERO_OFF, AUTOZERO_ONCE, AUTOZERO_AUTO)(value)
        self._zeroed_seconds = self._timebase.seconds
        return value

    # -- inside ---------------------------------------------------------------------------------------------------
    def _declare(self) -> None:
        model, off_volts = self.model, self.model.default_limit_volts
        source_volts = tuple(found for found in model.volts_ranges if found.source)
        source_amps = tuple(found for found in model.amps_ranges if found.source)
        most_volts, most_amps = source_volts[-1].full_scale, source_amps[-1].full_scale
        flag = choice(0, 1)
        self.sense = 0.0
        self.source = Group(
            "source",
            func=Attribute(float(VOLTS), self.set_function),
            output=Attribute(float(OFF), self.switch),
            levelv=Attribute(0.0, lambda value: self.set_level("v", value)),
            leveli=Attribute(0.0, lambda value: self.set_level("i", value)),
            limitv=Attribute(model.default_limit_volts, lambda value: self.set_limit("v", value)),
            limiti=Attribute(model.default_limit_amps, lambda value: self.set_limit("i", value)),
            limitp=Attribute(0.0, number(0, most_volts * most_amps)),
            rangev=Attribute(source_volts[0].full_scale, lambda value: self.set_source_range("v", value)),
            rangei=Attribute(source_amps[0].full_scale, lambda value: self.set_source_range("i", value)),
            autorangev=Attribute(1.0, lambda value: self._set_autorange(self.source, "v", flag(value))),
            autorangei=Attribute(1.0, lambda value: self._set_autorange(self.source, "i", flag(value))),
            lowrangev=Attribute(source_volts[0].full_scale, number(0, most_volts)),
            lowrangei=Attribute(source_amps[0].full_scale, number(0, most_amps)),
            delay=Attribute(0.0, number(-1, math.inf)),
            settling=Attribute(0.0, choice(0, 1, 2, 3, 128)),
            sink=Attribute(0.0, flag),
            highc=Attribute(0.0, flag),
            offmode=Attribute(0.0, choice(0, 1, 2)),
            offfunc=Attribute(float(VOLTS), flag),
            offlimiti=Attribute(1e-3, number(model.least_limit_amps, most_amps)),
            offlimitv=Attribute(off_volts, number(model.least_limit_volts, most_volts)),
            outputenableaction=Attribute(0.0, choice(0, 1) if model.has_output_enable else choice(0)),
        )
        self.measure = Group(
            "measure",
            nplc=Attribute(1.0, number(0.001, 25)),
            autozero=Attribute(float(AUTOZERO_AUTO), self.zero),
            autorangev=Attribute(1.0, lambda value: self._set_autorange(self.measure, "v", flag(value))),
            autorangei=Attribute(1.0, lambda value: self._set_autorange(self.measure, "i", choice(0, 1, 2)(value))),
            rangev=Attribute(source_volts[0].full_scale, lambda value: self.set_measure_range("v", value)),
            rangei=Attribute(model.amps_ranges[0].full_scale, lambda value: self.set_measure_range("i", value)),
            lowrangev=Attribute(source_volts[0].full_scale, number(0, most_volts)),
            lowrangei=Attribute(model.amps_ranges[0].full_scale, number(0, most_amps)),
            count=Attribute(1.0, number(1, 100_000)),
            interval=Attribute(0.0, number(0, 1.0)),
            delay=Attribute(float(DELAY_AUTO if model.delay_auto_by_default else 0.0), number(-1, math.inf)),
            delayfactor=Attribute(1.0, number(0, math.inf)),
            highcrangedelayfactor=Attribute(10.0, number(1, 99)),
            analogfilter=Attribute(1.0, flag),
        )
        quantities = "virp"
        self.relative = Group(
            "rel",
            **{"enable" + quantity: Attribute(0.0, flag) for quantity in quantities},
            **{"level" + quantity: Attribute(0.0, number()) for quantity in quantities},
        )
        self.filter = Group(
            "filter",
            enable=Attribute(0.0, flag),
            count=Attribute(1.0, number(1, 100)),
            type=Attribute(1.0, choice(0, 1, 2)),
        )

    def _forget(self) -> None:
        self.sweep_level: float | None = None
        self.sweep_limit = 0.0
        self.operating = Operating(0.0, 0.0, False)
        self._zeroed_seconds = self._timebase.seconds
        self._ranges_before: dict[str, Range] = {}
        self._stepped_seconds = -math.inf
        self._before_step = {"v": 0.0, "i": 0.0}

    def _step(self) -> None:
        """A level, limit or range changed: the output moves, and readings settle from where they were."""
        if self.is_on:
            self._before_step = {"v": self.operating.volts, "i": self.operating.amps}
            self._stepped_seconds = self._timebase.seconds
            self._timebase.spend(_STEP_SECONDS)

    def _set_autorange(self, group: Group, quantity: str, value: float) -> float:
        """Without autorange the range stays at what it is at that moment."""
        if not value and getattr(group, "autorange" + quantity):
            found = self.source_range(quantity) if group is self.source else self._measure_range(quantity)
            setattr(group, "range" + quantity, found.full_scale)
        return value

    def _try(self, group: Group, name: str, value: float, check) -> None:
        before = getattr(group, name)
        setattr(group, name, value)
        try:
            check()
        except TspError:
            setattr(group, name, before)
            raise

    def _check_level(self) -> None:
        for quantity in "vi":
            if abs(self.level(quantity)) > self.source_range(quantity).full_scale * _OVERRANGE_SOURCE:
                raise TspError(5005)
        self._check_envelope()

    def _check_envelope(self) -> None:
        sourced = self.source_quantity
        scale = self.source_range(sourced).full_scale
        volts, amps = (scale, self.source.limiti) if sourced == "v" else (self.source.limitv, scale)
        if not self.model.permits(volts, amps):
            raise TspError(5007)
        if self.is_on and self._needs_interlock() and not self._interlock():
            raise TspError(802)

    def _needs_interlock(self) -> bool:
        bound = self.model.interlock_volts
        volts = self.source_range("v").full_scale if self.source_quantity == "v" else self.source.limitv
        below = self.model.volts_ranges[-2].full_scale * _OVERRANGE_SOURCE
        return bound is not None and volts > below

    def _asked_range(self, quantity: str, value: float, sourcing: bool) -> Range:
        value = abs(number()(value))
        if value > self.model.ranges(quantity)[-1].full_scale * _OVERRANGE_MEASURE:
            raise TspError(1101)
        return self._range_for(quantity, value, _OVERRANGE_SOURCE, sourcing)

    def _range_for(self, quantity: str, value: float, overrange: float, sourcing: bool) -> Range:
        fitting = [found for found in self.model.ranges(quantity) if found.source or not sourcing]
        return next((found for found in fitting if abs(value) <= found.full_scale * overrange), fitting[-1])

    def _error(self, role: str, quantity: str, found: Range) -> LinearError:
        return self._errors[role, quantity, found.full_scale]

    def _true_limit(self) -> float:
        limited = "i" if self.source_quantity == "v" else "v"
        limit = self.sweep_limit or (self.source.limiti if limited == "i" else self.source.limitv)
        level = abs(self.level(self.source_quantity))
        if self.source.limitp and level:
            limit = min(limit, self.source.limitp / level)
        found = self._range_for(limited, limit, _OVERRANGE_SOURCE, sourcing=True)
        error = self._error("source", limited, found)
        true_limit = max(limit * (1.0 + error.gain) + error.offset, 0.5 * limit)
        if getattr(self.measure, "autorange" + limited):
            return true_limit
        return min(true_limit, _OVERRANGE_MEASURE * getattr(self.measure, "range" + limited))

    def _autoranges(self) -> bool:
        measured = "i" if self.source_quantity == "v" else "v"
        return bool(getattr(self.measure, "autorange" + measured))

    def _measure_range(self, quantity: str) -> Range:
        if quantity == self.source_quantity:
            return self.source_range(quantity)  # one and the same amplifier
        if not getattr(self.measure, "autorange" + quantity):
            return self._range_for(quantity, getattr(self.measure, "range" + quantity), 1.0, sourcing=False)
        value = abs(self.operating.volts if quantity == "v" else self.operating.amps)
        least = getattr(self.measure, "lowrange" + quantity)
        return self._range_for(quantity, max(value, least), _OVERRANGE_SOURCE, sourcing=False)

    def _delay_seconds(self) -> float:
        if self.measure.delay != DELAY_AUTO:
            return float(self.measure.delay)
        measured = "i" if self.source_quantity == "v" else "v"
        return self._measure_range(measured).settle_seconds * float(self.measure.delayfactor)

    def _averaged(self) -> float:
        return float(self.filter.count) if self.filter.enable else 1.0

    def _reading(self, ranges: dict[str, Range], begun_seconds: float, integration_seconds: float) -> Reading:
        shown = {}
        for quantity, true_value in (("v", self.operating.volts), ("i", self.operating.amps)):
            true_value += self._unsettled(quantity, true_value, ranges[quantity], begun_seconds, integration_seconds)
            if quantity != self.source_quantity and self._autoranges():
                ranges[quantity] = self._range_for(
                    quantity, max(abs(true_value), ranges[quantity].full_scale), _OVERRANGE_SOURCE, sourcing=False
                )
            found = ranges[quantity]
            value = self._error("measure", quantity, found).of(true_value)
            value += self._noise(found.full_scale) / math.sqrt(self._averaged())
            if self.measure.autozero != AUTOZERO_AUTO:
                wandered = drift(self._drift_keys[quantity], self._zeroed_seconds, self._timebase.seconds)
                value += _DRIFT_FRACTION * found.measure.offset * wandered
            if abs(value) > found.full_scale * _OVERRANGE_MEASURE:
                value = math.copysign(OVERFLOW, value)
            shown[quantity] = value
        sourced = self.source_quantity
        return Reading(
            shown["v"],
            shown["i"],
            ranges["v"].full_scale,
            ranges["i"].full_scale,
            sourced == "v",
            self.level(sourced),
            self.source_range(sourced).full_scale,
            self.is_on,
            self.operating.limited,
            self._status(),
            begun_seconds,
        )

    def _unsettled(
        self, quantity: str, true_value: float, found: Range, begun_seconds: float, integration_seconds: float
    ) -> float:
        """What the last step still adds to a reading: an exponential, averaged over the integration."""
        if not self.is_on:
            return 0.0
        tau = found.settle_seconds / _SETTLED_NEPERS
        remaining = math.exp(-(begun_seconds - self._stepped_seconds) / tau)
        remaining *= tau / integration_seconds * -math.expm1(-integration_seconds / tau)
        return (self._before_step[quantity] - true_value) * remaining

    def _status(self) -> int:
        return (
            STATUS_AUTORANGE_MEASURE * self._autoranges()
            + STATUS_AUTORANGE_SOURCE * bool(getattr(self.source, "autorange" + self.source_quantity))
            + STATUS_FOUR_WIRE * (self.sense == SENSE_REMOTE)
            + STATUS_COMPLIANCE * self.operating.limited
            + STATUS_FILTERED * bool(self.filter.enable)
        )

    def _noise(self, full_scale: float) -> float:
        nplc = self.measure.nplc
        if nplc >= 1.0:
            fraction = _NOISE_FRACTIONS[-1] / math.sqrt(nplc)
        else:
            fraction = math.exp(np.interp(math.log(nplc), np.log(_NOISE_NPLC), np.log(_NOISE_FRACTIONS)))
        self._draws += 1
        return fraction * full_scale * noise(self._noise_key, self._draws)


def _waiting(seconds: float) -> Task:
    yield seconds
