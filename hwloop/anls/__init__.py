"""Non-negative matrix factorization by alternating non-negative least squares: arrays in, arrays out, no hardware."""

from hwloop.anls.exact import exact_half_step
from hwloop.anls.loop import Factorization, Progress, factorize
from hwloop.anls.problem import Masked
from hwloop.anls.regression import DenseRegression, HalfStep, MaskedRegression, Regression, SparseRegression
from hwloop.anls.start import Start

__all__ = [
    "DenseRegression", "Factorization", "HalfStep", "Masked", "MaskedRegression", "Progress", "Regression",
    "SparseRegression", "Start", "exact_half_step", "factorize",
]
