"""Matrices into banks: programmed in both arrays, checked, and every row brought to the same sum by compensation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.array.chip import Chip
from hwloop.array.placement import Banks, move_rows
from hwloop.drivers.board import Board
from hwloop.errors import LimitError

# A matrix with more cells than this seldom finds a place without any fault: its failing rows move to spare rows.
# A smaller one is written elsewhere in the next round, which costs no extra programming round.
LARGE_CELLS = 64
MOST_MOVES = 12


@dataclass(frozen=True)
class Load:
    """n matrices on the chip.

    `banks` where; `written` (n,) bool, those whose cells all stand near their targets; `a_siemens`, `b_siemens`
    (n, m, k) as last read; `row_sum_siemens` S, the same for every row of every bank; `rows_moved` to spare rows.
    """

    banks: Banks
    written: np.ndarray
    a_siemens: np.ndarray
    b_siemens: np.ndarray
    row_sum_siemens: float
    rows_moved: int = 0


def load_banks(
    board: Board, chip: Chip, banks: Banks, target_a_siemens: np.ndarray, target_b_siemens: np.ndarray,
    least_row_sum_siemens: float = 0.0,
) -> Load:
    """Program targets (n, m, k) of arrays A and B into `banks` and compensate their rows to the smallest common S that
    is at least `least_row_sum_siemens`. Raises LimitError where the compensation ladder cannot reach it."""
    targets = np.stack([target_a_siemens, target_b_siemens])
    near = chip.program_near(banks.cells(chip.rows, chip.columns), targets).all(axis=0)
    rows_moved = 0
    if targets[0, 0].size * 2 > LARGE_CELLS:
        for _ in range(MOST_MOVES):
            if near.all():
                break
            banks, moved = move_rows(banks, ~near, chip.map.usable())
            if not moved.any():
                break
            rows_moved += int(moved.sum())
            cells = banks.cells(chip.rows, chip.columns)
            near[moved] = chip.program_near(cells[:, moved], targets[:, moved]).all(axis=0)
    row_sum_siemens = compensate_rows(board, chip, np.unique(banks.rows), least_row_sum_siemens)
    a_siemens, b_siemens = chip.conductance_siemens[banks.cells(chip.rows, chip.columns)]
    return Load(banks, near.all(axis=1), a_siemens, b_siemens, row_sum_siemens, rows_moved)


def compensate_rows(board: Board, chip: Chip, rows: np.ndarray, least_row_sum_siemens: float) -> float:
    """Bring `rows` (n,) to the smallest common S that is at least `least_row_sum_siemens`, and return it."""
    chip.read_unknown(rows)
    sums_siemens = chip.row_sums_siemens(rows) + board.scales.input_siemens_of(rows)
    row_sum_siemens = max(float(sums_siemens.max()), least_row_sum_siemens)
    missing_siemens = row_sum_siemens - sums_siemens
    if missing_siemens.max() > board.scales.compensation_max_siemens:
        raise LimitError(
            "compensation of a row", float(missing_siemens.max()),
            f"up to {board.scales.compensation_max_siemens:.4g}", "S",
            "use fewer columns, or a smaller conductance range",
        )
    board.compensate(rows, missing_siemens)
    return row_sum_siemens
