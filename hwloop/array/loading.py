"""Matrices into banks: programmed in both arrays, checked, and every row brought to the same sum by compensation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.array.chip import Chip
from hwloop.array.placement import Banks
from hwloop.drivers.board import Board
from hwloop.errors import LimitError

# A cell that was given up but stands within this many tolerances of its target costs less than a bank that is left out.
GIVEN_UP_TOLERANCES = 2.0


@dataclass(frozen=True)
class Load:
    """n matrices on the chip.

    `banks` where; `written` (n,) bool, those whose cells all stand near their targets; `a_siemens`, `b_siemens`
    (n, m, k) as last read; `row_sum_siemens` S, the same for every row of every bank.
    """

    banks: Banks
    written: np.ndarray
    a_siemens: np.ndarray
    b_siemens: np.ndarray
    row_sum_siemens: float


def load_banks(
    board: Board, chip: Chip, banks: Banks, target_a_siemens: np.ndarray, target_b_siemens: np.ndarray,
    least_row_sum_siemens: float = 0.0,
) -> Load:
    """Program targets (n, m, k) of arrays A and B into `banks` and compensate their rows to the smallest common S that
    is at least `least_row_sum_siemens`. Raises LimitError where the compensation ladder cannot reach it."""
    cells = banks.cells(chip.rows, chip.columns)
    targets = np.stack([target_a_siemens, target_b_siemens])
    result = chip.program(cells.ravel(), targets.ravel())
    near = np.abs(result.error_siemens) <= GIVEN_UP_TOLERANCES * chip.settings.tolerance * chip.settings.range.span_siemens
    written = (result.accepted | near).reshape(cells.shape).all(axis=(0, 2, 3))
    rows = np.unique(banks.rows)
    chip.read_unknown(rows)
    sums_siemens = chip.row_sums_siemens(rows) + board.scales.input_siemens
    row_sum_siemens = max(float(sums_siemens.max()), least_row_sum_siemens)
    missing_siemens = row_sum_siemens - sums_siemens
    if missing_siemens.max() > board.scales.compensation_max_siemens:
        raise LimitError(
            "compensation of a row", float(missing_siemens.max()), f"up to {board.scales.compensation_max_siemens:.4g}", "S",
            "use fewer columns, or a smaller conductance range",
        )
    board.compensate(rows, missing_siemens)
    a_siemens, b_siemens = chip.conductance_siemens[cells]
    return Load(banks, written, a_siemens, b_siemens, row_sum_siemens)
