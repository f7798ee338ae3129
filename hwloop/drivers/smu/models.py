"""What data sheets say of source-measure units: ranges with their one-year accuracy, and bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hwloop.drivers.instrument import Accuracy
from hwloop.drivers.smu.settings import UNITS, Quantity
from hwloop.errors import LimitError

Role = Literal["source", "measure"]
# A row of a data sheet: full scale, then for source and for measure the percent of the value and the offset.
Row = tuple[float, tuple[float, float] | None, tuple[float, float] | None]
# Full scales are compared with values that were parsed or computed.
_ROUNDING = 1 + 1e-9


@dataclass(frozen=True)
class SmuRange:
    """One range: its full scale in volts or amps, and its accuracy as a source and as a meter; None where it is not."""

    full_scale: float
    source: Accuracy | None
    measure: Accuracy | None


@dataclass(frozen=True)
class SmuModel:
    """One model. `over_range` is how far beyond its full scale a range goes, as a factor; `nplc` (least, most);
    `sweep_points` fit into one sweep."""

    name: str
    channels: int
    volts: tuple[SmuRange, ...]
    amps: tuple[SmuRange, ...]
    nplc: tuple[float, float]
    over_range: float
    sweep_points: int

    def range_for(self, quantity: Quantity, role: Role, value: float, what: str) -> SmuRange:
        """The smallest range that holds ±`value`. Raises LimitError where there is none."""
        able = [one for one in self._ranges(quantity) if getattr(one, role) is not None]
        for one in able:
            if abs(value) <= one.full_scale * _ROUNDING:
                return one
        top = able[-1].full_scale * self.over_range
        if abs(value) <= top * _ROUNDING:
            return able[-1]
        raise LimitError(
            f"{what} of the {self.name}", value, f"up to ±{top:g}", UNITS[quantity],
            "choose a smaller value, or another instrument",
        )  # fmt: skip

    def accuracy(self, quantity: Quantity, role: Role, range_value: float) -> Accuracy:
        """The data sheet's accuracy in the smallest range that holds ±`range_value`. Raises LimitError."""
        return getattr(self.range_for(quantity, role, range_value, f"{quantity} range to {role}"), role)

    def _ranges(self, quantity: Quantity) -> tuple[SmuRange, ...]:
        return self.volts if quantity == "volts" else self.amps


def ranges(*rows: Row) -> tuple[SmuRange, ...]:
    """A data sheet's table, smallest range first."""
    return tuple(SmuRange(full_scale, _accuracy(source), _accuracy(measure)) for full_scale, source, measure in rows)


def _accuracy(figures: tuple[float, float] | None) -> Accuracy | None:
    return None if figures is None else Accuracy(figures[0] / 100, figures[1])
