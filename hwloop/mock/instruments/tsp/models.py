"""What differs between the models of the family: ranges with their accuracy, limits, defaults and power envelope.

Source: data sheets SPEC-2602B, SPEC-2612B and SPEC-2636B (one year, 23 °C ± 5 °C); the settling figures are typical
ones of those sheets, rounded. A range measures and sources up to 101 % of its name, reads up to 102 %.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwloop.mock.instruments.tolerance import Accuracy
from hwloop.mock.instruments.tsp.errors import TspError

OVERRANGE = 1.01  # of a range's name can be sourced


@dataclass(frozen=True)
class Range:
    """One range of volts or amps. `source` is None where the range only measures; `settle_seconds` to 0.1 %."""

    full_scale: float
    measure: Accuracy
    source: Accuracy | None
    settle_seconds: float = 1e-4


@dataclass(frozen=True)
class Model:
    """One model. `envelope`: pairs (volts, amps); up to those volts the source range allows those amps."""

    name: str
    volts_ranges: tuple[Range, ...]
    amps_ranges: tuple[Range, ...]
    least_limit_volts: float
    least_limit_amps: float
    default_limit_volts: float
    default_limit_amps: float
    envelope: tuple[tuple[float, float], ...]
    interlock_above_volts: float | None  # source ranges and limits above need the interlock closed
    has_output_enable: bool
    delay_auto_by_default: bool

    def ranges(self, quantity: str) -> tuple[Range, ...]:
        """The ranges of "v" or "i", small ones first."""
        return self.volts_ranges if quantity == "v" else self.amps_ranges

    def source_ranges(self, quantity: str) -> tuple[Range, ...]:
        """The ranges of "v" or "i" that the source has, small ones first."""
        return tuple(found for found in self.ranges(quantity) if found.source is not None)

    def largest(self, quantity: str) -> float:
        """The largest level or limit, in volts or amps."""
        return self.ranges(quantity)[-1].full_scale * OVERRANGE

    def range_for(self, quantity: str, value: float, sourcing: bool = False) -> Range:
        """The smallest range that holds `value` (volts or amps); the largest where none does."""
        fitting = self.source_ranges(quantity) if sourcing else self.ranges(quantity)
        return next((found for found in fitting if abs(value) <= found.full_scale * OVERRANGE), fitting[-1])

    def asked_range(self, quantity: str, value: float, sourcing: bool = False) -> Range:
        """The range that a program asks for by naming a `value`; error 1101 where none holds it."""
        if abs(value) > self.largest(quantity):
            raise TspError(1101)
        return self.range_for(quantity, value, sourcing)

    def permits(self, volts: float, amps: float) -> bool:
        """Whether a source of `volts` with `amps` stays inside the power envelope."""
        return any(volts <= bound * OVERRANGE and amps <= most * OVERRANGE for bound, most in self.envelope)


def _percent(gain_percent: float, offset: float) -> Accuracy:
    return Accuracy(gain_percent / 100.0, offset)


def _ranges(rows: tuple[tuple, ...]) -> tuple[Range, ...]:
    return tuple(
        Range(full_scale, _percent(*measure), None if source is None else _percent(*source), settle)
        for full_scale, measure, source, settle in rows
    )


_VOLTS_40 = _ranges(
    (
        (0.1, (0.015, 150e-6), (0.02, 250e-6), 5e-5),
        (1.0, (0.015, 200e-6), (0.02, 400e-6), 5e-5),
        (6.0, (0.015, 1e-3), (0.02, 1.8e-3), 1e-4),
        (40.0, (0.015, 8e-3), (0.02, 12e-3), 1.5e-4),
    )
)
_VOLTS_200 = _ranges(
    (
        (0.2, (0.015, 225e-6), (0.02, 375e-6), 5e-5),
        (2.0, (0.02, 350e-6), (0.02, 600e-6), 5e-5),
        (20.0, (0.015, 5e-3), (0.02, 5e-3), 1.1e-4),
        (200.0, (0.015, 50e-3), (0.02, 50e-3), 7e-4),
    )
)
_AMPS_MIDDLE = (
    (10e-6, (0.025, 1.5e-9), (0.03, 5e-9), 5e-4),
    (100e-6, (0.02, 25e-9), (0.03, 60e-9), 1.5e-4),
    (1e-3, (0.02, 200e-9), (0.03, 300e-9), 1e-4),
    (10e-3, (0.02, 2.5e-6), (0.03, 6e-6), 1e-4),
    (100e-3, (0.02, 20e-6), (0.03, 30e-6), 1e-4),
    (1.0, (0.03, 1.5e-3), (0.05, 1.8e-3), 1.2e-4),
)
_AMPS_LOW = (
    (100e-9, (0.05, 100e-12), (0.06, 100e-12), 2e-2),
    (1e-6, (0.025, 500e-12), (0.03, 800e-12), 2.5e-3),
)
_AMPS_LOWEST = (
    (100e-12, (0.15, 120e-15), None, 1.5e-1),
    (1e-9, (0.15, 240e-15), (0.15, 2e-12), 1.5e-1),
    (10e-9, (0.15, 3e-12), (0.15, 5e-12), 5e-2),
    (100e-9, (0.06, 40e-12), (0.06, 50e-12), 1.5e-2),
    (1e-6, (0.025, 400e-12), (0.03, 700e-12), 2.5e-3),
)
_AMPS_3 = _ranges((*_AMPS_LOW, *_AMPS_MIDDLE, (3.0, (0.05, 3.5e-3), (0.06, 4e-3), 1.2e-4)))
_AMPS_1_5 = (1.5, (0.05, 3.5e-3), (0.06, 4e-3), 1.2e-4)

MODELS = {
    model.name: model
    for model in (
        Model("2602B", _VOLTS_40, _AMPS_3, 10e-3, 10e-9, 40.0, 1.0, ((6.0, 3.0), (40.0, 1.0)), None, True, False),
        Model(
            "2612B",
            _VOLTS_200,
            _ranges((*_AMPS_LOW, *_AMPS_MIDDLE, _AMPS_1_5)),
            20e-3,
            10e-9,
            20.0,
            0.1,
            ((20.0, 1.5), (200.0, 0.1)),
            20.2,
            False,
            False,
        ),
        Model(
            "2636B",
            _VOLTS_200,
            _ranges((*_AMPS_LOWEST, *_AMPS_MIDDLE, _AMPS_1_5)),
            20e-3,
            100e-12,
            20.0,
            0.1,
            ((20.0, 1.5), (200.0, 0.1)),
            20.2,
            False,
            True,
        ),
    )
}
