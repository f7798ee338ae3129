"""Rows of different lengths in one flat array, handled all at once: what the groups of a frame are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ragged:
    """n rows laid end to end: `values`, flat, and how many of them are in each row, `counts` (n,)."""

    values: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray | list[np.ndarray]) -> Ragged:
        """Rows of one length (n, m), one row (m,), or a list of n rows of any length."""
        if isinstance(rows, list):
            return cls(np.concatenate(rows), np.array([len(row) for row in rows]))
        rows = np.atleast_2d(rows)
        return cls(rows.ravel(), np.full(len(rows), rows.shape[1]))

    @property
    def starts(self) -> np.ndarray:
        """Where each row begins, (n,)."""
        return np.cumsum(self.counts) - self.counts

    @property
    def owner(self) -> np.ndarray:
        """Which row each value is in."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def take(self, rows: np.ndarray) -> Ragged:
        """The rows listed (p,), each as often as it occurs."""
        counts = self.counts[rows]
        return Ragged(self.values[ranges(self.starts[rows], counts)], counts)


def interleave(*fields: Ragged) -> Ragged:
    """Row after row, what each of the fields has for it, one field after the other."""
    counts = np.sum([field.counts for field in fields], axis=0)
    values, at = np.empty(int(counts.sum()), fields[0].values.dtype), np.cumsum(counts) - counts
    for field in fields:
        values[ranges(at, field.counts)] = field.values
        at = at + field.counts
    return Ragged(values, counts)


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Indices start, start + 1, … of `counts` (n,) neighbours from each of `starts` (n,)."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)
