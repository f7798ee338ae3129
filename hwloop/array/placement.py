"""Banks: where on a chip m×k matrices go, stepping around cells that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.errors import UsageError


@dataclass(frozen=True)
class Banks:
    """n places for m×k matrices, no two sharing a cell.

    `rows` (n, m): the row of the chip that holds each row of a matrix; `columns` (n, k) ascending neighbours; the same
    in both arrays.
    """

    rows: np.ndarray
    columns: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def cells(self, geometry_rows: int, geometry_columns: int) -> np.ndarray:
        """Flat cell indices (2, n, m, k) of both arrays."""
        cell = self.rows[:, :, None] * geometry_columns + self.columns[:, None, :]
        return np.stack([cell, cell + geometry_rows * geometry_columns])

    def first(self, count: int) -> Banks:
        """The first `count` banks."""
        return Banks(self.rows[:count], self.columns[:count])

    def usable(self, usable: np.ndarray) -> np.ndarray:
        """Bool (n, m): rows whose cells are `usable` (2, R, C) in both arrays."""
        return usable[:, self.rows[:, :, None], self.columns[:, None, :]].all(axis=(0, 3))


def place_banks(usable: np.ndarray, m: int, k: int) -> Banks:
    """As many m×k banks as fit: any rows of k neighbouring columns, as long as every cell of both arrays is usable.

    `usable` (2, R, C) bool. Column groups that start at every possible offset are tried, and the best one is taken.
    Banks come row by row, so that the first few share rows and the rest of the chip stays untouched.
    """
    columns = usable.shape[2]
    best: list[tuple[int, np.ndarray, np.ndarray]] = []
    for offset in range(columns % k + 1 if k <= columns else 0):
        places = []
        for start in range(offset, columns - k + 1, k):
            group = np.arange(start, start + k)
            good = np.flatnonzero(usable[:, :, group].all(axis=(0, 2)))
            for i in range(len(good) // m):
                places.append((int(good[i * m]), good[i * m : (i + 1) * m], group))
        if len(places) > len(best):
            best = places
    best.sort(key=lambda place: (place[0], place[2][0]))
    return Banks(
        np.array([rows for _, rows, _ in best], np.int64).reshape(-1, m),
        np.array([group for _, _, group in best], np.int64).reshape(-1, k),
    )


def banks_of_faultless_chip(rows: int, columns: int, m: int, k: int) -> int:
    """How many m×k banks a chip without bad cells holds."""
    return (rows // m) * (columns // k)


def move_rows(banks: Banks, failed: np.ndarray, usable: np.ndarray) -> tuple[Banks, np.ndarray]:
    """Banks whose `failed` rows (n, m) bool have moved to spare rows of their columns; and which rows did, (n, m) bool.

    A spare row has usable cells there and belongs to no bank of these columns. Where there are none left, a row stays.
    """
    rows, moved = banks.rows.copy(), np.zeros_like(failed)
    for bank in np.flatnonzero(failed.any(axis=1)):
        columns = banks.columns[bank]
        shared = (banks.columns[:, :1] < columns[-1] + 1) & (banks.columns[:, -1:] >= columns[0])
        spare = usable[:, :, columns].all(axis=(0, 2))
        spare[rows[shared[:, 0]]] = False
        spare_rows, places = np.flatnonzero(spare), np.flatnonzero(failed[bank])
        count = min(len(spare_rows), len(places))
        rows[bank, places[:count]] = spare_rows[:count]
        moved[bank, places[:count]] = True
    return Banks(rows, banks.columns), moved


def check_fit(m: int, k: int, rows: int, columns: int) -> None:
    """Refuse an m×k matrix that a board of `rows` × `columns` can solve neither at once nor in row tiles."""
    if not 1 <= k <= columns:
        raise UsageError(f"rank is {k}, allowed 1 to {columns}, the columns of this board; lower the rank")
    if k > rows:
        raise UsageError(f"rank is {k}, allowed 1 to {rows}, the rows of this board; lower the rank")
    if m < 1:
        raise UsageError(f"a matrix with {m} rows cannot be placed; at least 1 is needed")
