"""Which cells a command means: names of arrays, rows, places of matrices; and how a set of conductances reads."""

from __future__ import annotations

import numpy as np

from hwloop.array.chip import Chip
from hwloop.config import RunSettings
from hwloop.errors import UsageError
from hwloop.link.protocol import BOARDS

MICROSIEMENS = 1e6


def array_names(arrays: str) -> str:
    """"A", "B" or "AB" for the option's A, B or both."""
    return arrays.replace("both", "AB")


def check_rows(settings: RunSettings, rows: range | None) -> None:
    """Refuse rows that a simulated board does not have, before it is started."""
    if settings.rig.board.is_simulated:
        _check_rows(rows, BOARDS[settings.rig.board.name].rows)


def cells_of(chip: Chip, arrays: str, rows: range | None) -> np.ndarray:
    """Flat cell indices (n,) of `rows` (None: all) of the arrays. Raises UsageError beyond the chip."""
    _check_rows(rows, chip.rows)
    chosen = np.arange(chip.rows) if rows is None else np.array(rows)
    first = [("AB".index(name) * chip.rows + chosen) * chip.columns for name in array_names(arrays)]
    return (np.concatenate(first)[:, None] + np.arange(chip.columns)).ravel()


def check_place(shape: tuple[int, int], row: int, column: int, rows: int, columns: int) -> None:
    """Raises UsageError where a matrix of `shape` at (row, column) goes beyond a chip of rows x columns."""
    if row + shape[0] > rows or column + shape[1] > columns:
        raise UsageError(
            f"a {shape[0]}x{shape[1]} matrix at row {row}, column {column} does not fit: the chip has {rows} rows and "
            f"{columns} columns; move it, or cut the matrix"
        )


def spread_text(siemens: np.ndarray) -> str:
    """Percentiles of conductances, for people."""
    low, median, high = np.percentile(siemens, [5, 50, 95]) * MICROSIEMENS
    return f"median {median:.2f} uS, 5 to 95 %: {low:.2f} to {high:.2f} uS"


def _check_rows(rows: range | None, available: int) -> None:
    if rows is not None and rows[-1] >= available:
        raise UsageError(f"row is {rows[-1]}, allowed 0 to {available - 1} on this chip; choose other rows")
