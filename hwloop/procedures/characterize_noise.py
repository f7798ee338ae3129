"""Characterization "noise": how much the reading of a cell fluctuates, and which cells jump between two levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwloop.procedures.array_cells import exchange_seconds_of
from hwloop.procedures.characterize_study import LIMITS_TEXT, MICROSIEMENS, Study, cells_field, spread_text
from hwloop.procedures.tools import Plan, Tools
from hwloop.runlog.record import Field, Quantity

# The best cut in two halves leaves 36 % of the variance of normal noise, and next to nothing of two levels.
TWO_LEVEL_SHARE = 0.25
TWO_LEVEL_SEPARATION = 0.008        # of the conductance; less is not told from the 1/f floor
_PULSES_A_CELL = 3


@dataclass(frozen=True)
class NoiseStudy:
    """Cells are programmed to `target_siemens` (0: left as they stand) and read `reads` times, one after the other."""

    reads: int = 256
    averages: int = 4
    target_siemens: float = 100e-6

    name: ClassVar[str] = "noise"
    cycles: ClassVar[int] = 3

    def plan(self, cells: int, columns: int) -> Plan:
        """Programming, then readings."""
        pulses = cells * _PULSES_A_CELL if self.target_siemens else 0
        first = f"program {cells:,} cells to {self.target_siemens * MICROSIEMENS:g} uS and read" if pulses else "read"
        whom = "them" if pulses else f"{cells:,} cells"
        seconds = self.reads * exchange_seconds_of(cells, columns, self.averages)
        return Plan((f"{first} {whom} {self.reads:,} times", LIMITS_TEXT), ("chip",), seconds, pulses)

    def run(self, tools: Tools, cells: np.ndarray) -> Study:
        """Readings over time, their relative deviation, and which cells have two levels."""
        chip, board = tools.need_chip(), tools.board
        if self.target_siemens:
            chip.program(cells, np.full(len(cells), self.target_siemens))
        siemens, seconds = np.empty((self.reads, len(cells))), np.empty(self.reads)
        begun = board.counters.hardware_seconds.total
        for read in range(self.reads):
            seconds[read] = board.counters.hardware_seconds.total - begun
            siemens[read] = chip.read(cells, self.averages).conductance_siemens
            if read % 8 == 7 or read == self.reads - 1:
                tools.on_step("readings", read + 1, self.reads)
        # Cells beyond the range read the same each time, which is no noise at all.
        sigma = np.where(siemens.std(axis=0) > 0.0, siemens.std(axis=0) / siemens.mean(axis=0), np.nan)
        is_two_level = two_levels(siemens)
        return Study(
            (
                cells_field(cells), Field("seconds", seconds, "s", "bench time of each reading"),
                Field("siemens", siemens, "S", "conductance (readings, cells)"),
                Field("relative_sigma", sigma, "1", "deviation of a cell's readings over their mean; nan: beyond"),
                Field("two_levels", is_two_level.astype(np.uint8), "1", "1: jumps between two levels"),
            ),
            (
                Quantity("median_relative_sigma", float(np.nanmedian(sigma))),
                Quantity("two_level_cells", int(is_two_level.sum())),
            ),
            (
                f"noise      {spread_text(sigma, '%', 100.0)} of the conductance",
                f"two levels {int(is_two_level.sum()):,} of {len(cells):,} cells jump between two levels",
            ),
        )


def two_levels(siemens: np.ndarray) -> np.ndarray:
    """Bool (n,): whether readings (readings, n) of a cell lie at two levels.

    For the best cut of the ordered readings in two groups: what variance is left within the groups, and how far apart
    their means are.
    """
    ordered = np.sort(siemens, axis=0)
    count = len(ordered)
    below = np.arange(1, count)[:, None]
    sums = np.cumsum(ordered, axis=0)[:-1]
    low, high = sums / below, (ordered.sum(axis=0) - sums) / (count - below)
    between = below * (count - below) / count**2 * (high - low) ** 2
    best = between.argmax(axis=0)
    columns = np.arange(siemens.shape[1])
    variance = np.maximum(siemens.var(axis=0), np.finfo(float).tiny)
    left = 1.0 - between[best, columns] / variance
    apart = (high - low)[best, columns] / np.maximum(np.abs(siemens.mean(axis=0)), np.finfo(float).tiny)
    return (left < TWO_LEVEL_SHARE) & (apart > TWO_LEVEL_SEPARATION)
