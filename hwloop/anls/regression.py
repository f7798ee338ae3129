"""What a half-step solver receives: a batch of independent non-negative regressions, and the protocol of the solver.

Every regression minimises, over coefficients h >= 0,

    1/2 |X h - y|^2 + 1/2 ridge |h|^2 + l1 sum(h)

so the normal equations are (X^T X + ridge I) h = X^T y - l1. Penalties act on the coefficients as they are returned;
a solver that scales columns of X for its own purposes has to carry ridge and l1 along (ridge/s^2, l1/s for X/s).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import scipy.sparse as sp


@dataclass(frozen=True)
class DenseRegression:
    """b independent matrices, each with its own design and n right sides; every entry counts.

    design (b, m, k), targets (b, m, n), float64; initial (b, k, n) or None: coefficients to start from, a hint only.
    A solver returns coefficients (b, k, n).
    """

    design: np.ndarray
    targets: np.ndarray
    ridge: float = 0.0
    l1: float = 0.0
    initial: np.ndarray | None = None

    @cached_property
    def gram(self) -> np.ndarray:
        """X^T X, (b, k, k), without the ridge."""
        return np.matmul(self.design.transpose(0, 2, 1), self.design)

    @cached_property
    def moments(self) -> np.ndarray:
        """X^T Y, (b, k, n), without l1."""
        return np.matmul(self.design.transpose(0, 2, 1), self.targets)


@dataclass(frozen=True)
class SparseRegression:
    """n right sides that share one design; the entries that a sparse target does not store are zeros, and data.

    design (m, k) float64, targets (m, n) scipy.sparse CSC, never densified; initial (k, n) or None, a hint only.
    A solver returns coefficients (k, n).
    """

    design: np.ndarray
    targets: sp.csc_array
    ridge: float = 0.0
    l1: float = 0.0
    initial: np.ndarray | None = None

    @cached_property
    def gram(self) -> np.ndarray:
        """X^T X, (k, k), without the ridge."""
        return self.design.T @ self.design

    @cached_property
    def moments(self) -> np.ndarray:
        """X^T Y, (k, n), without l1."""
        return np.ascontiguousarray((self.targets.T @ self.design).T)


@dataclass(frozen=True)
class MaskedRegression:
    """n right sides that share one design, each seeing only the rows in which its target was observed.

    design (m, k) float64; column j observed values[indptr[j]:indptr[j+1]] in rows indices[indptr[j]:indptr[j+1]];
    ridge (n,), one a column, because it may depend on the number of observations; initial (k, n) or None, a hint only.
    A solver returns coefficients (k, n); a column without observations has coefficients zero.
    """

    design: np.ndarray
    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    ridge: np.ndarray
    l1: float = 0.0
    initial: np.ndarray | None = None


Regression = DenseRegression | SparseRegression | MaskedRegression


class HalfStep(Protocol):
    """Solves all regressions of one half of an ANLS iteration: exactly in float64, or on the analog circuit."""

    def __call__(self, regression: Regression) -> np.ndarray:
        """Coefficients >= 0 in the shape that the regression's docstring states, float64."""
        ...
