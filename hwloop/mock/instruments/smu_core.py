"""The channel that all simulated source meters share: it drives the terminals as long as a reading takes, and reads.

A channel has hidden errors by its serial number: gain and offset of each function and range, normal with a sigma of
half the data sheet's one-year figures and truncated at them.
"""

from __future__ import annotations

import math

import numpy as np

from hwloop.mock.instruments.faults import Faults
from hwloop.mock.instruments.smu_model import (
    AMPS,
    LINE_HERTZ,
    OTHER,
    OVERFLOW,
    VOLTS,
    Function,
    Range,
    Reading,
    SmuModel,
    SmuSettings,
)
from hwloop.mock.instruments.terminals import Operating, Terminals
from hwloop.mock.randomness import derive_many, normal_many, stream, uniform_many

_DOMAIN = 0x534D55
_HIDDEN, _NOISE, _DRIFT = range(3)
# Autozero off: the zero wanders by up to this part of the range's offset accuracy, with these periods.
DRIFT_FRACTION, DRIFT_PERIODS_SECONDS = 0.1, (700.0, 1900.0, 5300.0)
# Below one power line cycle hum is no longer averaged away: noise grows by this factor at once.
HUM_FACTOR = 3.0
TOUCH_SECONDS = 1e-3
SETTLE_CONSTANTS = 8.0  # time constants within a range's settling time: down to 0.03 %


class SmuCore:
    """One channel. `measure` gives what the instrument reads; `hidden_error` tells the truth."""

    def __init__(self, model: SmuModel, terminals: Terminals, faults: Faults, serial_number: int, seed: int):
        self.model, self.terminals, self.faults = model, terminals, faults
        self.settings = SmuSettings()
        self.clock_seconds = 0.0
        self._hidden = stream(_DOMAIN, serial_number, _HIDDEN)
        self._drift = stream(_DOMAIN, serial_number, _DRIFT)
        self._noise = stream(_DOMAIN, serial_number, seed, _NOISE)
        self._errors: dict[tuple[str, str, int], tuple[float, float]] = {}
        self._readings = 0
        self._zeroed_seconds = 0.0
        self._last_indices: dict[str, int] = {}
        self._settled_amps, self._last_level = 0.0, math.nan
        self.last_limited = False
        self.last_protected = False

    def function(self, quantity: str) -> Function:
        """Settings of VOLTS or AMPS."""
        return self.settings.functions[quantity]

    def hidden_error(self, role: str, quantity: str, index: int) -> tuple[float, float]:
        """(gain fraction, offset) of `role` "measure" or "source" in a range: the truth that calibration looks for."""
        place = (role, quantity, index)
        if place not in self._errors:
            part = self.model.ranges(quantity)[index]
            key = _derived(self._hidden, (quantity == VOLTS) * 1000 + (role == "source") * 500 + index)
            gain, offset = getattr(part, f"{role}_gain"), getattr(part, f"{role}_offset")
            self._errors[place] = gain * _truncated(_derived(key, 0)), offset * _truncated(_derived(key, 1))
        return self._errors[place]

    # Ranges.
    def source_index(self, quantity: str, level: float) -> int:
        """The source range for `level`."""
        function = self.function(quantity)
        return self.model.range_index(quantity, level if function.source_auto else function.source_range)

    def limit_amps_or_volts(self) -> tuple[float, bool]:
        """The limit in force, and whether it is the fixed measure range rather than the programmed limit."""
        quantity = OTHER[self.settings.source]
        function = self.function(quantity)
        bound = function.measure_range * self.model.over_range
        by_range = quantity in self.settings.measured and not function.measure_auto and bound < function.limit
        return (bound if by_range else function.limit), by_range

    # Output.
    def set_output(self, on: bool) -> None:
        """Switch the output; off releases the terminals."""
        self.settings.output_on = on
        if not on:
            self._last_level = math.nan
            self.last_limited = self.last_protected = False
            self.terminals.release()

    def touch(self) -> None:
        """A level, limit or output was changed while nothing measures: the terminals see it at once."""
        if self.settings.output_on:
            level = self.function(self.settings.source).level
            rest, _, self.last_protected = self._drive(level, TOUCH_SECONDS)
            self.last_limited = rest.limited
            self._lagging_amps(level, rest.amps, TOUCH_SECONDS, self.present_measure_index(AMPS))
            self.wait(TOUCH_SECONDS)

    def present_measure_index(self, quantity: str) -> int:
        """The measure range in use: the last one that autorange chose."""
        chosen = self._last_indices.get(quantity)
        if chosen is None:
            return self.model.range_index(quantity, self.function(quantity).limit)
        return chosen

    def zero(self) -> None:
        """Refresh the internal zero and reference once."""
        self._zeroed_seconds = self.clock_seconds
        self.wait(2 / LINE_HERTZ)

    def wait(self, seconds: float) -> None:
        """Modelled time that passes with the output as it is."""
        self.clock_seconds += seconds

    def aperture_seconds(self) -> float:
        """Integration time of one reading; a filter repeats it."""
        functions = [self.function(quantity) for quantity in self.settings.measured]
        repeats = functions[0].filter_count if functions[0].filter_on else 1
        return repeats * max(function.nplc for function in functions) / LINE_HERTZ

    def measure(self, level: float | None = None) -> Reading:
        """Source (the set level, or `level`), wait, integrate. Raises PowerLossError by `faults`."""
        self.faults.count_reading()
        settings = self.settings
        source = self.function(settings.source)
        level = source.level if level is None else level
        autozero = self.function(settings.measured[0]).autozero
        integration = self.aperture_seconds() * (self.model.autozero_phases if autozero else 1)
        settle = source.delay_seconds if not source.delay_auto else self._settle_seconds(level)
        wait = self.model.overhead_seconds + settle
        rest, by_range, protected = self._drive(level, wait + integration)
        indices = {quantity: self._measure_index(quantity, rest) for quantity in (VOLTS, AMPS)}
        changes = sum(indices[quantity] != self._last_indices.get(quantity, indices[quantity]) for quantity in indices)
        if changes and settings.output_on:
            extra = changes * (self.model.range_change_seconds + integration)
            rest, by_range, protected = self._drive(level, extra)
            wait += extra
        self._last_indices = indices
        self.clock_seconds += wait + integration
        if autozero:
            self._zeroed_seconds = self.clock_seconds
        amps_seen = self._lagging_amps(level, rest.amps, wait, indices[AMPS])
        self._readings += 1
        volts, volts_over = self._read(VOLTS, rest.volts, indices[VOLTS])
        amps, amps_over = self._read(AMPS, amps_seen, indices[AMPS])
        self.last_limited, self.last_protected = rest.limited, protected
        over = (VOLTS in settings.measured and volts_over) or (AMPS in settings.measured and amps_over)
        limited = rest.limited and not protected
        return Reading(
            settings.source, level, volts, amps, self.clock_seconds,
            limited and not by_range, limited and by_range, protected, over,
        )  # fmt: skip

    def _settle_seconds(self, level: float) -> float:
        """Auto delay: the settling time of the current range that is in use."""
        sources_amps = self.settings.source == AMPS
        index = self.source_index(AMPS, level) if sources_amps else self.present_measure_index(AMPS)
        return max(self.model.amps[index].settle_seconds, self.model.least_delay_seconds)

    def _drive(self, level: float, seconds: float) -> tuple[Operating, bool, bool]:
        """(operating point, whether the measure range limits, whether over-voltage protection acts)."""
        settings = self.settings
        if not settings.output_on:
            return Operating(0.0, 0.0, False), False, False
        limit, by_range = self.limit_amps_or_volts()
        true_level = self._sourced(settings.source, level, self.source_index(settings.source, level))
        quantity = OTHER[settings.source]
        true_limit = max(self._sourced(quantity, limit, self.model.range_index(quantity, limit)), 0.01 * limit)
        remote = self.function(settings.measured[0]).remote_sense
        if settings.source == VOLTS:
            protected = abs(true_level) > settings.ovp_volts
            volts = math.copysign(settings.ovp_volts, true_level) if protected else true_level
            return self.terminals.drive_volts(volts, true_limit, seconds, remote), by_range, protected
        protected_limit = min(true_limit, settings.ovp_volts)
        rest = self.terminals.drive_amps(true_level, protected_limit, seconds, remote)
        return rest, by_range, rest.limited and protected_limit < true_limit

    def _sourced(self, quantity: str, level: float, index: int) -> float:
        """What truly comes out for a programmed level."""
        step = self.model.ranges(quantity)[index].source_resolution
        gain, offset = self.hidden_error("source", quantity, index)
        return round(level / step) * step * (1 + gain) + offset

    def _measure_index(self, quantity: str, rest: Operating) -> int:
        settings, function = self.settings, self.function(quantity)
        if quantity not in settings.measured and quantity == settings.source:
            return self.source_index(quantity, function.level)
        if quantity in settings.measured and quantity == settings.source and not function.source_auto:
            return self.model.range_index(quantity, function.source_range)
        if not function.measure_auto:
            return self.model.range_index(quantity, function.measure_range)
        true = rest.volts if quantity == VOLTS else rest.amps
        lowest = self.model.range_index(quantity, function.lowest_auto_range)
        return max(self.model.range_index(quantity, true), lowest)

    def _lagging_amps(self, level: float, amps: float, wait_seconds: float, index: int) -> float:
        """The mean current over the integration, which begins `wait_seconds` after the step from the last level."""
        seen = amps
        if level != self._last_level and self.settings.source == VOLTS and self.settings.output_on:
            constant_seconds = self.model.amps[index].settle_seconds / SETTLE_CONSTANTS
            spans = np.array([wait_seconds, wait_seconds + self.aperture_seconds()]) / constant_seconds
            left = -np.diff(np.exp(-spans))[0] / (spans[1] - spans[0])
            seen += float(left) * (self._settled_amps - amps)
        self._last_level, self._settled_amps = level, amps
        return seen

    def _read(self, quantity: str, true: float, index: int) -> tuple[float, bool]:
        part = self.model.ranges(quantity)[index]
        if abs(true) > part.full_scale * self.model.over_range * (1 + part.measure_gain):
            return math.copysign(OVERFLOW, true), True
        gain, offset = self.hidden_error("measure", quantity, index)
        nplc = self.aperture_seconds() * LINE_HERTZ
        noise = part.noise / math.sqrt(nplc) * (1.0 if nplc >= 1 else HUM_FACTOR)
        draw = normal_many(_derived(_derived(self._noise, self._readings), (quantity == VOLTS) * 100 + index))
        value = true * (1 + gain) + offset + self._zero_drift(part, quantity) + noise * draw
        step = part.measure_resolution
        return float(round(value / step) * step), False

    def _zero_drift(self, part: Range, quantity: str) -> float:
        """How far the zero has wandered since it was last refreshed."""
        if self._zeroed_seconds == self.clock_seconds:
            return 0.0
        key = _derived(self._drift, int(quantity == VOLTS))
        phases = 2 * math.pi * uniform_many(derive_many(key, np.arange(len(DRIFT_PERIODS_SECONDS), dtype=np.uint64)))
        turns = 2 * math.pi / np.array(DRIFT_PERIODS_SECONDS)
        now, then = (np.sin(turns * at + phases).sum() for at in (self.clock_seconds, self._zeroed_seconds))
        return float(DRIFT_FRACTION * part.measure_offset * (now - then) / (2 * len(phases)))


def _derived(key: np.uint64, counter: int) -> np.uint64:
    return derive_many(key, np.uint64(counter))


def _truncated(key: np.uint64) -> float:
    """Normal of sigma 1/2, drawn again while beyond ±1."""
    for attempt in range(100):
        value = 0.5 * float(normal_many(_derived(key, attempt)))
        if abs(value) <= 1.0:
            return value
    return 0.0
