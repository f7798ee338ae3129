"""Which cells a command means: names of arrays, rows, places of matrices; and how a set of conductances reads."""

from __future__ import annotations

import numpy as np

from hwloop.array.chip import Chip
from hwloop.config import RunSettings
from hwloop.errors import UsageError
from hwloop.link.protocol import BOARDS, BoardGeometry

MICROSIEMENS = 1e6


def array_names(arrays: str) -> str:
    """"A", "B" or "AB" for the option's A, B or both."""
    return arrays.replace("both", "AB")


def check_rows(settings: RunSettings, rows: range | None, columns: range | None = None) -> None:
    """Refuse rows and columns that a simulated board does not have, before it is started."""
    if settings.rig.board.is_simulated:
        geometry = BOARDS[settings.rig.board.name]
        _check("row", rows, geometry.rows)
        _check("column", columns, geometry.columns)


def cells_of(
    chip: Chip | BoardGeometry, arrays: str, rows: range | None, columns: range | None = None
) -> np.ndarray:
    """Flat cell indices (n,) of `rows` and `columns` (None: all) of the arrays. Raises UsageError beyond the chip."""
    _check("row", rows, chip.rows)
    _check("column", columns, chip.columns)
    chosen_rows = np.array(range(chip.rows) if rows is None else rows)
    chosen_columns = np.array(range(chip.columns) if columns is None else columns)
    first = [("AB".index(name) * chip.rows + chosen_rows) * chip.columns for name in array_names(arrays)]
    return (np.concatenate(first)[:, None] + chosen_columns).ravel()


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


def _check(what: str, chosen: range | None, available: int) -> None:
    if chosen is not None and chosen[-1] >= available:
        raise UsageError(f"{what} is {chosen[-1]}, allowed 0 to {available - 1} on this chip; choose other {what}s")
