"""What every characterization of cells has: what it will do to them, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hwloop.procedures.tools import Plan, Tools
from hwloop.runlog.record import Field, Quantity

MICROSIEMENS = 1e6
LIMITS_TEXT = "limits     SET and RESET up to 2.5 V, FORM up to 3.3 V, gate up to 3 V; counts in the chip's passport"


@dataclass(frozen=True)
class Study:
    """What was found. `fields` are arrays whose last axis is the cells, or axes of those; `lines` are for people."""

    fields: tuple[Field, ...]
    metrics: tuple[Quantity, ...]
    lines: tuple[str, ...]

    def values(self, name: str) -> np.ndarray:
        """The array of one field."""
        return next(np.asarray(field.values) for field in self.fields if field.name == name)


class Characterization(Protocol):
    """One kind of it. `cycles` a cell goes through, SET and RESET, for the chip's passport."""

    name: str

    @property
    def cycles(self) -> int: ...

    def plan(self, cells: int, columns: int) -> Plan:
        """What it does to so many cells on a board with `columns`, at most; moves nothing."""

    def run(self, tools: Tools, cells: np.ndarray) -> Study:
        """Do it to `cells` (n,), flat indices."""


def cells_field(cells: np.ndarray) -> Field:
    """Which cells the last axis of the other fields stands for."""
    return Field("cells", cells, "1", "flat cell index (array x rows + row) x columns + column of the last axis")


def logarithmic_counts(last: int, a_decade: int = 5) -> np.ndarray:
    """Whole numbers from 1 to `last`, about evenly spread on a logarithmic axis."""
    return np.unique(np.rint(np.geomspace(1, last, 1 + round(a_decade * np.log10(max(last, 10))))).astype(np.int64))


def spread_text(values: np.ndarray, unit: str = "uS", scale: float = MICROSIEMENS) -> str:
    """ "median 97.1, 5 to 95 %: 91.0 to 104.2 uS" of the finite ones of `values`."""
    finite = values[np.isfinite(values)] * scale
    if not finite.size:
        return "no values"
    low, median, high = np.percentile(finite, [5, 50, 95])
    return f"median {median:.4g}, 5 to 95 %: {low:.4g} to {high:.4g} {unit}"
