"""The three kinds of data that ANLS factorizes, behind one face: how to pose a half-step, and the residual.

Factors are kept with the component last: factors[ROWS] is W (…, m, k), factors[COLUMNS] is the transpose of H
(…, n, k). "Solve side s" means: the other side's factor is the design, and every row of side s is a regression.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numba import njit

from hwloop.anls.regression import DenseRegression, MaskedRegression, Regression, SparseRegression
from hwloop.errors import DataError

ROWS, COLUMNS = 0, 1
Factors = tuple[np.ndarray, np.ndarray]

# below this share of the squared norm the expanded form of the residual has lost its digits
_CANCELLATION = 1e-8


@dataclass(frozen=True)
class Penalty:
    """1/2 (ridge + ridge_per_observation * observed entries) |h|^2 + l1 sum(h) for each regression h."""

    ridge: float = 0.0
    ridge_per_observation: float = 0.0
    l1: float = 0.0


@dataclass(frozen=True)
class Masked:
    """Observed entries only: what `entries` (m, n) stores, stored zeros included, is data; the rest is unknown."""

    entries: sp.csr_array


@dataclass(frozen=True)
class DenseProblem:
    """A batch of b independent matrices (b, m, n)."""

    matrices: np.ndarray

    @property
    def factor_shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of the two factors without the component axis: (b, m) and (b, n)."""
        batch, m, n = self.matrices.shape
        return (batch, m), (batch, n)

    @cached_property
    def square(self) -> float:
        """Sum of the squared entries."""
        return float(np.vdot(self.matrices, self.matrices))

    @cached_property
    def empty(self) -> np.ndarray:
        """(b,) bool: matrices that are zero throughout."""
        return ~self.matrices.any(axis=(1, 2))

    def regression(self, side: int, design: np.ndarray, penalty: Penalty, initial: np.ndarray | None) -> Regression:
        """The half-step that solves `side`; `initial` is that side's factor, or None."""
        targets = self.matrices if side == COLUMNS else self.matrices.transpose(0, 2, 1)
        ridge = penalty.ridge + penalty.ridge_per_observation * targets.shape[1]
        return DenseRegression(design, targets, ridge, penalty.l1, None if initial is None else _swap(initial))

    def residual_square(self, factors: Factors, regression: DenseRegression, side: int) -> float:
        """|R - W H|^2 over the batch, where `regression` solves `side` and its design is the other factor."""
        expanded = _expanded_square(self.square, regression, factors[side])
        if expanded > _CANCELLATION * self.square:
            return expanded
        difference = self.matrices - factors[ROWS] @ _swap(factors[COLUMNS])
        return float(np.vdot(difference, difference))


@dataclass(frozen=True)
class SparseProblem:
    """One sparse matrix (m, n) whose unstored entries are zeros, and data."""

    columns: sp.csc_array

    @cached_property
    def rows(self) -> sp.csc_array:
        """The transpose, (n, m), by its own columns."""
        return self.columns.T.tocsc()

    @property
    def factor_shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of the two factors without the component axis: (m,) and (n,)."""
        m, n = self.columns.shape
        return (m,), (n,)

    @cached_property
    def square(self) -> float:
        """Sum of the squared entries."""
        return float(np.vdot(self.columns.data, self.columns.data))

    @property
    def empty(self) -> np.ndarray:
        """() bool: True for a matrix that is zero throughout."""
        return np.asarray(self.square == 0.0)

    def regression(self, side: int, design: np.ndarray, penalty: Penalty, initial: np.ndarray | None) -> Regression:
        """The half-step that solves `side`; `initial` is that side's factor, or None."""
        targets = self.columns if side == COLUMNS else self.rows
        ridge = penalty.ridge + penalty.ridge_per_observation * targets.shape[0]
        return SparseRegression(design, targets, ridge, penalty.l1, None if initial is None else _swap(initial))

    def residual_square(self, factors: Factors, regression: SparseRegression, side: int) -> float:
        """|R - W H|^2 over all entries; below about 1e-14 of |R|^2 it is rounding, since nothing is densified."""
        return max(0.0, _expanded_square(self.square, regression, factors[side]))


@dataclass(frozen=True)
class MaskedProblem:
    """One matrix (m, n) known at its observed entries only; by rows and by columns."""

    rows: sp.csr_array

    @cached_property
    def columns(self) -> sp.csc_array:
        """The same entries by columns."""
        return self.rows.tocsc()

    @property
    def factor_shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of the two factors without the component axis: (m,) and (n,)."""
        m, n = self.rows.shape
        return (m,), (n,)

    @cached_property
    def square(self) -> float:
        """Sum of the squared observed entries."""
        return float(np.vdot(self.rows.data, self.rows.data))

    @property
    def empty(self) -> np.ndarray:
        """() bool: True where every observed entry is zero."""
        return np.asarray(self.square == 0.0)

    def regression(self, side: int, design: np.ndarray, penalty: Penalty, initial: np.ndarray | None) -> Regression:
        """The half-step that solves `side`; `initial` is that side's factor, or None."""
        entries = self.columns if side == COLUMNS else self.rows
        return MaskedRegression(
            design, entries.indptr, entries.indices, entries.data,
            penalty.ridge + penalty.ridge_per_observation * np.diff(entries.indptr).astype(np.float64),
            penalty.l1, None if initial is None else _swap(initial),
        )

    def residual_square(self, factors: Factors, regression: MaskedRegression, side: int) -> float:
        """|R - W H|^2 over the observed entries."""
        return _masked_square(
            np.ascontiguousarray(factors[ROWS]), np.ascontiguousarray(factors[COLUMNS]),
            self.rows.indptr, self.rows.indices, self.rows.data,
        )


Problem = DenseProblem | SparseProblem | MaskedProblem


def pose(data: np.ndarray | sp.spmatrix | sp.sparray | Masked) -> Problem:
    """The problem that `data` states: (m, n) or (b, m, n) array, scipy.sparse (zeros are data) or Masked.

    Raises DataError naming the first entry that is negative or not finite, or the shape that does not fit.
    """
    if isinstance(data, Masked):
        rows = sp.csr_array(data.entries, dtype=np.float64)
        _check_sparse(rows.tocoo())
        if not rows.has_canonical_format:
            merged = rows.copy()
            merged.sum_duplicates()
            if merged.nnz != rows.nnz:
                raise DataError(f"{rows.nnz - merged.nnz} entries are observed twice; keep one value an entry")
            rows = merged
        return MaskedProblem(rows)
    if sp.issparse(data):
        columns = sp.csc_array(data, dtype=np.float64)
        if not columns.has_canonical_format:
            columns = columns.copy()
            columns.sum_duplicates()
        _check_sparse(columns.tocoo())
        return SparseProblem(columns)
    if np.iscomplexobj(data):
        raise DataError("data is complex; give an array of real numbers >= 0")
    try:
        matrices = np.ascontiguousarray(data, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"data is not numeric ({error}); give an array of numbers") from None
    if matrices.ndim not in (2, 3) or 0 in matrices.shape:
        raise DataError(f"data has shape {matrices.shape}; give (m, n) or (batch, m, n), no axis empty")
    bad = ~((matrices >= 0.0) & np.isfinite(matrices))
    if bad.any():
        where = tuple(int(index) for index in np.unravel_index(np.argmax(bad), bad.shape))
        raise _bad_entry(where, matrices[where])
    return DenseProblem(matrices if matrices.ndim == 3 else matrices[None])


def relative_residual(
    data: np.ndarray | sp.spmatrix | sp.sparray | Masked, W: np.ndarray, H: np.ndarray
) -> float:
    """|R - W H| / |R| of `data` as `pose` takes it, over observed entries and whole batch; 0 for R = 0."""
    problem = pose(data)
    if problem.square == 0.0:
        return 0.0
    rows, columns = W, _swap(H)
    if isinstance(problem, DenseProblem) and rows.ndim == 2:
        rows, columns = rows[None], columns[None]
    regression = problem.regression(COLUMNS, rows, Penalty(), columns)
    return math.sqrt(max(problem.residual_square((rows, columns), regression, COLUMNS), 0.0) / problem.square)


def _check_sparse(entries: sp.coo_array) -> None:
    if 0 in entries.shape:
        raise DataError(f"data has shape {entries.shape}; no axis may be empty")
    bad = ~((entries.data >= 0.0) & np.isfinite(entries.data))
    if bad.any():
        first = int(np.argmax(bad))
        raise _bad_entry((int(entries.row[first]), int(entries.col[first])), entries.data[first])


def _bad_entry(where: tuple[int, ...], value: float) -> DataError:
    return DataError(f"entry {where} is {value:.6g}; allowed are finite numbers >= 0; correct or mask it")


def _expanded_square(square: float, regression: DenseRegression | SparseRegression, solved: np.ndarray) -> float:
    products = np.vdot(_swap(regression.moments), solved)
    return float(square - 2.0 * products + np.vdot(regression.gram, _swap(solved) @ solved))


def _swap(factor: np.ndarray) -> np.ndarray:
    return np.swapaxes(factor, -1, -2)


@njit(cache=True, nogil=True)
def _masked_square(row_factor, column_factor, indptr, indices, values):
    total = 0.0
    for row in range(indptr.size - 1):
        for entry in range(indptr[row], indptr[row + 1]):
            difference = values[entry]
            for i in range(row_factor.shape[1]):
                difference -= row_factor[row, i] * column_factor[indices[entry], i]
            total += difference * difference
    return total
