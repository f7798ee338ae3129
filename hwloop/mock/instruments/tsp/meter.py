"""The measuring half of a channel: ranges, integration, hidden errors, noise, settling and a drifting zero.

Noise: the data sheet's derating below 1 NPLC, taken as three standard deviations, and 3 ppm of range at 1 NPLC,
falling with the root of the integration time above. Settling is exponential and reaches 0.1 % in the sheet's time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwloop.mock.instruments.tolerance import Keys, drift, linear_error, noise
from hwloop.mock.instruments.tsp.models import Range
from hwloop.mock.instruments.tsp.timebase import Task, Timebase
from hwloop.mock.instruments.tsp.tree import Attribute, Group, choice, number

if TYPE_CHECKING:
    from hwloop.mock.instruments.tsp.channel import Channel

OVERFLOW = 9.91e37
OVERRANGE = 1.02  # of a range's name can be read
AUTOZERO_OFF, AUTOZERO_ONCE, AUTOZERO_AUTO = 0, 1, 2
DELAY_AUTO = -1
STATUS_AUTORANGE_MEASURE, STATUS_AUTORANGE_SOURCE, STATUS_FOUR_WIRE = 4, 8, 16
STATUS_RELATIVE, STATUS_COMPLIANCE, STATUS_FILTERED = 32, 64, 128
_NOISE_NPLC = (0.001, 0.01, 0.1, 1.0)
_NOISE_FRACTIONS = (2e-3, 2.5e-4, 3.3e-5, 3e-6)  # of range, one standard deviation
_DRIFT_FRACTION = 0.3  # of the offset accuracy, one standard deviation, without autozero
_OVERHEAD_SECONDS = 150e-6  # a reading beside its integration
_SETTLED_NEPERS = math.log(1e3)


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
    def overflows(self) -> bool:
        """Whether a quantity was beyond its range."""
        return OVERFLOW in (abs(self.volts), abs(self.amps))

    def value(self, kind: str) -> float:
        """The reading of "v" (volts), "i" (amps), "r" (ohms) or "p" (watts); an overflow stays one."""
        if kind in "vi":
            return self.volts if kind == "v" else self.amps
        if self.overflows or (kind == "r" and self.amps == 0.0):
            return OVERFLOW
        return self.volts / self.amps if kind == "r" else self.volts * self.amps


class Meter:
    """Measures what `channel` drives. `keys`: its hidden errors and noise."""

    def __init__(self, channel: Channel, keys: Keys, timebase: Timebase, line_hertz: float):
        self._channel = channel
        self._model = channel.model
        self._timebase = timebase
        self._line_hertz = line_hertz
        self._noise_key = keys.part("noise").drawn
        self._drift_keys = {quantity: keys.part("drift", quantity).drawn for quantity in "vi"}
        self._draws = 0
        self.errors = {
            (quantity, found.full_scale): linear_error(keys.part("measure", quantity, place), found.measure)
            for quantity in "vi"
            for place, found in enumerate(self._model.ranges(quantity))
        }
        self.settings = self._declare()
        self.filter = Group(
            "filter",
            enable=Attribute(0.0, choice(0, 1)),
            count=Attribute(1.0, number(1, 100)),
            type=Attribute(1.0, choice(0, 1, 2)),
        )
        self.relative = Group(
            "rel",
            **{"enable" + kind: Attribute(0.0, choice(0, 1)) for kind in "virp"},
            **{"level" + kind: Attribute(0.0, number()) for kind in "virp"},
        )
        for group in (self.settings, self.filter, self.relative):
            group.before_write = timebase.catch_up  # a running sweep ends with the settings it began with
        self._forget()

    def reset(self) -> None:
        """Every setting at its default."""
        for group in (self.settings, self.filter, self.relative):
            group.reset()
        self._forget()

    def measuring(self, store: Callable[[Reading], None]) -> Task:
        """Takes one reading as a task of the time base; `store` receives it."""
        delay_seconds = self._delay_seconds()
        if delay_seconds:
            yield delay_seconds
        ranges = {quantity: self.range(quantity) for quantity in "vi"}
        if self._autoranges and self._ranges_before != ranges:
            yield max(ranges[quantity].settle_seconds for quantity in "vi")
        begun_seconds = self._timebase.seconds
        integration_seconds = self.settings.nplc / self._line_hertz
        cycles = (3.0 if self.settings.autozero == AUTOZERO_AUTO else 1.0) * self._averaged
        yield float(cycles * integration_seconds + self._averaged * _OVERHEAD_SECONDS)
        self._ranges_before = {quantity: self.range(quantity) for quantity in "vi"}
        store(self._reading(dict(self._ranges_before), begun_seconds, integration_seconds))

    def range(self, quantity: str) -> Range:
        """The measure range of "v" or "i" in use; that of the sourced quantity is its source range."""
        if quantity == self._channel.source_quantity:
            return self._channel.source_range(quantity)
        if not getattr(self.settings, "autorange" + quantity):
            return self._model.range_for(quantity, getattr(self.settings, "range" + quantity))
        operating = self._channel.operating
        value = abs(operating.volts if quantity == "v" else operating.amps)
        return self._model.range_for(quantity, max(value, getattr(self.settings, "lowrange" + quantity)))

    def bound(self, quantity: str) -> float:
        """The largest volts or amps that a fixed measure range lets through; infinite with autorange."""
        if getattr(self.settings, "autorange" + quantity):
            return math.inf
        return OVERRANGE * getattr(self.settings, "range" + quantity)

    # -- settings -------------------------------------------------------------------------------------------------
    def _declare(self) -> Group:
        volts, amps = self._model.volts_ranges, self._model.amps_ranges
        return Group(
            "measure",
            nplc=Attribute(1.0, number(0.001, 25)),
            autozero=Attribute(float(AUTOZERO_AUTO), self._zero),
            autorangev=Attribute(1.0, lambda value: self._set_autorange("v", choice(0, 1)(value))),
            autorangei=Attribute(1.0, lambda value: self._set_autorange("i", choice(0, 1, 2)(value))),
            rangev=Attribute(volts[0].full_scale, lambda value: self._set_range("v", value)),
            rangei=Attribute(amps[0].full_scale, lambda value: self._set_range("i", value)),
            lowrangev=Attribute(volts[0].full_scale, number(0, volts[-1].full_scale)),
            lowrangei=Attribute(amps[0].full_scale, number(0, amps[-1].full_scale)),
            count=Attribute(1.0, number(1, 100_000)),
            interval=Attribute(0.0, number(0, 1.0)),
            delay=Attribute(float(DELAY_AUTO if self._model.delay_auto_by_default else 0.0), number(-1)),
            delayfactor=Attribute(1.0, number(0)),
            highcrangedelayfactor=Attribute(10.0, number(1, 99)),
            analogfilter=Attribute(1.0, choice(0, 1)),
        )

    def _zero(self, value: float) -> float:
        value = choice(AUTOZERO_OFF, AUTOZERO_ONCE, AUTOZERO_AUTO)(value)
        self._zeroed_seconds = self._timebase.seconds
        return value

    def _set_range(self, quantity: str, value: float) -> float:
        full_scale = self._model.asked_range(quantity, number()(value)).full_scale
        setattr(self.settings, "autorange" + quantity, 0.0)
        return full_scale

    def _set_autorange(self, quantity: str, value: float) -> float:
        """Without autorange the range stays at what it is at that moment."""
        if not value and getattr(self.settings, "autorange" + quantity):
            setattr(self.settings, "range" + quantity, self.range(quantity).full_scale)
        return value

    # -- physics --------------------------------------------------------------------------------------------------
    def _forget(self) -> None:
        self._zeroed_seconds = self._timebase.seconds
        self._ranges_before: dict[str, Range] = {}

    @property
    def _autoranges(self) -> bool:
        return bool(getattr(self.settings, "autorange" + self._channel.limited_quantity))

    @property
    def _averaged(self) -> float:
        return float(self.filter.count) if self.filter.enable else 1.0

    def _delay_seconds(self) -> float:
        if self.settings.delay != DELAY_AUTO:
            return float(self.settings.delay)
        return self.range(self._channel.limited_quantity).settle_seconds * float(self.settings.delayfactor)

    def _reading(self, ranges: dict[str, Range], begun_seconds: float, integration_seconds: float) -> Reading:
        channel, operating = self._channel, self._channel.operating
        shown = {}
        for quantity, value in (("v", operating.volts), ("i", operating.amps)):
            value += self._unsettled(quantity, value, ranges[quantity], begun_seconds, integration_seconds)
            if quantity == channel.limited_quantity and self._autoranges:
                ranges[quantity] = self._model.range_for(quantity, max(abs(value), ranges[quantity].full_scale))
            shown[quantity] = self._shown(quantity, value, ranges[quantity])
        sourced = channel.source_quantity
        return Reading(
            shown["v"],
            shown["i"],
            ranges["v"].full_scale,
            ranges["i"].full_scale,
            sourced == "v",
            channel.level(sourced),
            channel.source_range(sourced).full_scale,
            channel.is_on,
            operating.limited,
            self._status(),
            begun_seconds,
        )

    def _shown(self, quantity: str, value: float, found: Range) -> float:
        value = self.errors[quantity, found.full_scale].of(value)
        value += self._noise(found.full_scale) / math.sqrt(self._averaged)
        if self.settings.autozero != AUTOZERO_AUTO:
            wandered = drift(self._drift_keys[quantity], self._zeroed_seconds, self._timebase.seconds)
            value += _DRIFT_FRACTION * found.measure.offset * wandered
        return value if abs(value) <= found.full_scale * OVERRANGE else math.copysign(OVERFLOW, value)

    def _unsettled(
        self, quantity: str, value: float, found: Range, begun_seconds: float, integration_seconds: float
    ) -> float:
        """What the last step still adds to a reading: an exponential, averaged over the integration."""
        if not self._channel.is_on:
            return 0.0
        tau = found.settle_seconds / _SETTLED_NEPERS
        remaining = math.exp(-(begun_seconds - self._channel.stepped_seconds) / tau)
        remaining *= tau / integration_seconds * -math.expm1(-integration_seconds / tau)
        before = self._channel.before_step
        return ((before.volts if quantity == "v" else before.amps) - value) * remaining

    def _status(self) -> int:
        channel = self._channel
        return (
            STATUS_AUTORANGE_MEASURE * self._autoranges
            + STATUS_AUTORANGE_SOURCE * bool(getattr(channel.source, "autorange" + channel.source_quantity))
            + STATUS_FOUR_WIRE * channel.senses_remotely
            + STATUS_COMPLIANCE * channel.operating.limited
            + STATUS_FILTERED * bool(self.filter.enable)
        )

    def _noise(self, full_scale: float) -> float:
        nplc = self.settings.nplc
        if nplc >= 1.0:
            fraction = _NOISE_FRACTIONS[-1] / math.sqrt(nplc)
        else:
            fraction = math.exp(np.interp(math.log(nplc), np.log(_NOISE_NPLC), np.log(_NOISE_FRACTIONS)))
        self._draws += 1
        return fraction * full_scale * noise(self._noise_key, self._draws)
