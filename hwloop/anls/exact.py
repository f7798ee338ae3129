"""The float64 half-step: exact solution of every regression, the reference that the analog circuit is compared with."""

from __future__ import annotations

import numpy as np

from hwloop.anls.masked import solve_masked
from hwloop.anls.nnls import solve_batch, solve_shared
from hwloop.anls.regression import DenseRegression, MaskedRegression, Regression, SparseRegression


def exact_half_step(regression: Regression) -> np.ndarray:
    """Coefficients >= 0 that satisfy the optimality conditions to rounding; shapes as in `regression`."""
    match regression:
        case DenseRegression():
            return solve_batch(*_penalised(regression), regression.initial)
        case SparseRegression():
            return solve_shared(*_penalised(regression), regression.initial)
        case MaskedRegression():
            return solve_masked(
                regression.design, regression.indptr, regression.indices, regression.values,
                regression.ridge, regression.l1, regression.initial,
            )
    raise TypeError(f"not a regression: {type(regression).__name__}")


def _penalised(regression: DenseRegression | SparseRegression) -> tuple[np.ndarray, np.ndarray]:
    gram, moments = regression.gram, regression.moments
    if regression.ridge:
        gram = gram + regression.ridge * np.eye(gram.shape[-1])
    if regression.l1:
        moments = moments - regression.l1
    return gram, moments
