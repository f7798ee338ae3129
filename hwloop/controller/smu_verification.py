"""Programmed cells looked at by the source-measure unit: how far from their targets, and whether the board agrees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwloop.array.program.common import ProgramResult
from hwloop.controller.cell_meter import CellMeter, CellReadings
from hwloop.controller.instrument_readings import Readings
from hwloop.controller.session import Session
from hwloop.controller.uncertainty import CELL_NOISE, COVERAGE, BoardUncertainty

# Samples of a reading by the board that the SMU is compared with.
_SAMPLES = 12


@dataclass(frozen=True)
class SmuVerification:
    """Of n programmed cells, each (n,): what the SMU reads; what the board reads (the mean of once before and once
    after it); targets; whether each is accepted; and what both together may differ by, 95 %, NaN where that is not
    known."""

    COLUMNS: ClassVar = (
        "smu_siemens", "smu_uncertainty_95_siemens", "smu_error_siemens", "smu_less_board_siemens",
        "allowed_difference_siemens", "agrees",
    )  # fmt: skip

    smu: CellReadings
    board_siemens: np.ndarray
    target_siemens: np.ndarray
    accepted: np.ndarray
    allowed_siemens: np.ndarray

    @property
    def error_siemens(self) -> np.ndarray:
        """SMU minus target."""
        return self.smu.siemens - self.target_siemens

    @property
    def difference_siemens(self) -> np.ndarray:
        """SMU minus board."""
        return self.smu.siemens - self.board_siemens

    @property
    def comparable(self) -> np.ndarray:
        """Cells (n,) that are within the range of both, where the uncertainty of both is known."""
        return np.isfinite(self.allowed_siemens) & ~self.smu.in_limit

    @property
    def agrees(self) -> np.ndarray:
        """Whether both agree (n,) within what they may differ by; False where that is not known."""
        return self.comparable & (np.abs(self.difference_siemens) <= self.allowed_siemens)

    def table_lines(self) -> Iterator[str]:
        """What the table of cells has of each, by COLUMNS."""
        for siemens, uncertainty, error, difference, allowed, agrees, comparable in zip(
            self.smu.siemens, self.smu.uncertainty_95_siemens, self.error_siemens, self.difference_siemens,
            self.allowed_siemens, self.agrees, self.comparable, strict=True,
        ):
            said = ("yes" if agrees else "no") if comparable else "unknown"
            yield f"{siemens:.6e},{uncertainty:.2e},{error:.6e},{difference:.6e},{allowed:.2e},{said}"

    def document(self) -> dict[str, Any]:
        """Its part of the JSON document; None for what no cell tells."""
        known = self.comparable
        return {
            "accepted": int(self.accepted.sum()), "in_limit": int(self.smu.in_limit.sum()),
            "siemens": self.smu.siemens, "error_siemens": self.error_siemens,
            "uncertainty_95_siemens": _extent(self.smu.uncertainty_95_siemens),
            "less_board_siemens": self.difference_siemens, "compared": int(known.sum()),
            "agreeing": int(self.agrees.sum()) if known.any() else None,
            "allowed_difference_siemens": _extent(self.allowed_siemens[known]),
        }

    def lines(self) -> list[str]:
        """Its part of what people read."""
        total, difference = len(self.accepted), self.difference_siemens
        if not total:
            return []
        uncertainty, error = np.median(self.smu.uncertainty_95_siemens), self.error_siemens[self.accepted]
        lines = [
            f"by SMU     {int(self.accepted.sum()):,} of {total:,} cells within it; it reads to "
            f"+-{uncertainty * 1e6:.2g} uS (95 %, median)"
        ]
        if len(error):
            lines.append(f"           error of these {error.mean() * 1e6:+.2f} +- {error.std() * 1e6:.2f} uS")
        if self.smu.in_limit.any():
            lines.append(f"           {int(self.smu.in_limit.sum()):,} cells are in its limit: more than it can read")
        known = self.comparable
        if not known.any():
            return [*lines, "agreement  not known: the board's readings are not calibrated"]
        said = f"SMU less board {difference[known].mean() * 1e6:+.3f} +- {difference[known].std() * 1e6:.3f} uS"
        return [*lines, f"agreement  {said}; {int(self.agrees.sum()):,} of {int(known.sum()):,} within what both "
                        "state, and the cells' noise (95 %)"]


def verify_by_smu(
    session: Session, result: ProgramResult, before_siemens: np.ndarray, tolerance: float
) -> SmuVerification:
    """Measure every programmed cell, and read it by the board again; `before_siemens` (n,) it read just before.

    A cell is accepted that is within `tolerance`, a fraction of the range, of its target by the SMU; one at the low end
    of the range that is below what counts as HRS. Raises as CellMeter.
    """
    board, chip, cells = session.board, session.chip, result.cells
    if not len(cells):
        nothing = np.zeros(0)
        return SmuVerification(CellReadings(nothing, nothing, nothing > 0), nothing, nothing, nothing > 0, nothing)
    readings = Readings(session.run)
    meter = CellMeter(board, session.instruments.smu, readings, session.report.step)
    smu = meter.read(cells)
    after = chip.read(cells, _SAMPLES)
    board_siemens = (before_siemens + after.conductance_siemens) / 2
    moved_siemens = np.abs(after.conductance_siemens - before_siemens) / 2
    columns = cells % chip.columns
    board_95 = BoardUncertainty(board.scales, session.calibrations).siemens_95(board_siemens, columns, _SAMPLES)
    noise_95 = COVERAGE * np.sqrt(2.0) * CELL_NOISE * board_siemens
    allowed = np.sqrt(smu.uncertainty_95_siemens**2 + board_95**2 + noise_95**2 + moved_siemens**2)
    verify = chip.settings.verify()
    near = np.abs(smu.siemens - result.target_siemens) <= tolerance * chip.settings.range.span_siemens
    low = (result.target_siemens <= verify.hrs_target_siemens) & (smu.siemens <= verify.hrs_accept_siemens)
    return SmuVerification(
        smu, board_siemens, result.target_siemens, (near | low) & ~smu.in_limit,
        np.where(after.saturated, np.nan, allowed),
    )


def _extent(values: np.ndarray) -> dict[str, float | None]:
    if not len(values):
        return {"max": None, "median": None}
    return {"max": float(values.max()), "median": float(np.median(values))}
