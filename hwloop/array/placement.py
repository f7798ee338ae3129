"""Banks: where on a chip m×k matrices go, stepping around cells that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.errors import UsageError


@dataclass(frozen=True)
class Banks:
    """n places for m×k matrices, no two sharing a cell.

    `rows` (n, m) ascending in each bank, `columns` (n, k) ascending; the same in both arrays.
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


def check_fit(m: int, k: int, rows: int, columns: int) -> None:
    """Refuse a rank that no bank of this board can hold."""
    if not 1 <= k <= columns:
        raise UsageError(f"rank is {k}, allowed 1 to {columns}, the columns of this board; lower the rank")
    if m < 1:
        raise UsageError(f"a matrix with {m} rows cannot be placed; at least 1 is needed")
