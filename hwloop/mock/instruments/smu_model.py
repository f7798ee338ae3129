"""What source meters are and how they are set: ranges with accuracy and noise, envelope, settings, readings."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

VOLTS, AMPS = "VOLT", "CURR"
OTHER = {VOLTS: AMPS, AMPS: VOLTS}
OVERFLOW = 9.9e37
LINE_HERTZ = 50.0


@dataclass(frozen=True)
class Range:
    """One range of a function: full scale, one-year accuracy (gain as a fraction, offset in the unit) of measuring and
    of sourcing, resolution of the source, noise of a reading (rms, 1 PLC), and settling time (to 0.03 %) in seconds."""

    full_scale: float
    measure_gain: float
    measure_offset: float
    source_gain: float
    source_offset: float
    source_resolution: float
    measure_resolution: float
    noise: float
    settle_seconds: float = 1e-4


@dataclass(frozen=True)
class Corner:
    """A corner of the output envelope: up to `volts`, up to `amps`."""

    volts: float
    amps: float


@dataclass(frozen=True)
class SmuModel:
    """What a model can do: ranges in rising order, envelope, and times."""

    volts: tuple[Range, ...]
    amps: tuple[Range, ...]
    envelope: tuple[Corner, ...]
    overhead_seconds: float
    autozero_phases: int
    range_change_seconds: float
    least_delay_seconds: float = 0.0  # of the auto delay, which waits for the settling of the range otherwise
    over_range: float = 1.05
    interlock_volts: float = 42.0

    def ranges(self, quantity: str) -> tuple[Range, ...]:
        """Ranges of VOLTS or AMPS."""
        return self.volts if quantity == VOLTS else self.amps

    def highest(self, quantity: str) -> float:
        """The largest level, in volts or amps."""
        return self.ranges(quantity)[-1].full_scale * self.over_range

    def range_index(self, quantity: str, value: float) -> int:
        """The most sensitive range that takes `value`; the highest where none does."""
        for index, candidate in enumerate(self.ranges(quantity)):
            if abs(value) <= candidate.full_scale * self.over_range * (1 + 1e-9):
                return index
        return len(self.ranges(quantity)) - 1

    def highest_beside(self, quantity: str, other_value: float) -> float:
        """The largest value of `quantity` that the envelope allows beside |other_value| of the other one."""
        allowed = [
            corner.volts if quantity == VOLTS else corner.amps
            for corner in self.envelope
            if abs(other_value) <= (corner.amps if quantity == VOLTS else corner.volts) * (1 + 1e-9)
        ]
        return max(allowed, default=0.0)


@dataclass
class Function:
    """Settings of one function (volts or amps), as source, as limit of the other source, and as measurement."""

    level: float = 0.0
    triggered_level: float = 0.0
    source_range: float = 0.0
    source_auto: bool = True
    limit: float = 0.0
    measure_range: float = 0.0
    measure_auto: bool = True
    lowest_auto_range: float = 0.0
    nplc: float = 1.0
    remote_sense: bool = False
    autozero: bool = True
    filter_on: bool = False
    filter_count: int = 10
    delay_seconds: float = 0.0
    delay_auto: bool = True


@dataclass
class SmuSettings:
    """Settings of a channel; `ovp_volts` is the over-voltage protection."""

    source: str = VOLTS
    functions: dict[str, Function] = field(default_factory=dict)
    measured: tuple[str, ...] = (AMPS,)
    output_on: bool = False
    ovp_volts: float = math.inf


@dataclass(frozen=True)
class Reading:
    """One source-measure operation: values in volts and amps (OVERFLOW beyond the range), programmed level, modelled
    time of its end in seconds, and whether the limit, the measure range as limit, or over-voltage protection acted."""

    source: str
    level: float
    volts: float
    amps: float
    seconds: float
    in_limit: bool
    in_range_limit: bool
    in_protection: bool
    is_overflow: bool

    def value(self, quantity: str) -> float:
        """Volts or amps."""
        return self.volts if quantity == VOLTS else self.amps
