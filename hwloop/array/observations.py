"""Which rows each masked regression sees, and sums over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Observations:
    """n right sides on a design of m rows: regression j observed values[indptr[j]:indptr[j+1]] in the rows
    indices[indptr[j]:indptr[j+1]], and has the ridge `ridge`[j]."""

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    ridge: np.ndarray

    @property
    def count(self) -> int:
        """How many regressions."""
        return len(self.indptr) - 1

    @property
    def observed(self) -> np.ndarray:
        """Entries of each regression, (n,)."""
        return np.diff(self.indptr)

    @property
    def live(self) -> np.ndarray:
        """Regressions with any entry, bool (n,)."""
        return self.observed > 0

    @property
    def regression(self) -> np.ndarray:
        """Which regression each entry belongs to, (entries,)."""
        return np.repeat(np.arange(self.count), self.observed)

    def entries(self, regression: int) -> slice:
        """Where the entries of one regression are."""
        return slice(self.indptr[regression], self.indptr[regression + 1])

    def sorted_by(self, place: np.ndarray) -> Observations:
        """The same observations, entries of each regression in the order of `place` (m,), where a row stands."""
        order = np.lexsort((place[self.indices], self.regression))
        return Observations(self.indptr, self.indices[order], self.values[order], self.ridge)

    def sum_entries(self, of_entry: np.ndarray) -> np.ndarray:
        """Sums (n, k) over the entries of each regression of `of_entry` (entries, k)."""
        sums, filled = np.zeros((self.count, of_entry.shape[1])), np.flatnonzero(self.live)
        if len(filled):
            sums[filled] = np.add.reduceat(of_entry, self.indptr[:-1][filled])
        return sums

    def sum_rows(self, of_row: np.ndarray) -> np.ndarray:
        """Sums (n, k) over the observed rows of each regression of `of_row` (m, k)."""
        return self.sum_entries(of_row[self.indices])

    def largest(self) -> np.ndarray:
        """Largest absolute value of each regression, (n,)."""
        largest, filled = np.zeros(self.count), np.flatnonzero(self.live)
        if len(filled):
            largest[filled] = np.maximum.reduceat(np.abs(self.values), self.indptr[:-1][filled])
        return largest
