"""The exact half-step: three kinds of regression that agree where they mean the same, and what ridge and l1 mean."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.anls import DenseRegression, MaskedRegression, SparseRegression, exact_half_step

sizes = st.tuples(st.integers(1, 30), st.integers(1, 8), st.integers(1, 12), st.integers(0, 2**32 - 1))


def masked(design, matrix, seen, ridge=0.0, l1=0.0):
    """The regression that sees `matrix` where `seen` is True."""
    indptr = np.concatenate([[0], np.cumsum(seen.sum(axis=0))])
    n = matrix.shape[1]
    return MaskedRegression(design, indptr, np.nonzero(seen.T)[1], matrix.T[seen.T], np.full(n, ridge), l1)


@settings(max_examples=40, deadline=None)
@given(sizes, st.floats(0.01, 5.0), st.floats(0.0, 1.0))
def test_dense_sparse_and_fully_observed_masked_agree(size, ridge, l1):
    m, k, n, seed = size
    rng = np.random.default_rng(seed)
    design, matrix = rng.random((m, k)), rng.random((m, n)) * (rng.random((m, n)) < 0.5)
    dense = exact_half_step(DenseRegression(design[None], matrix[None], ridge, l1))[0]
    sparse = exact_half_step(SparseRegression(design, sp.csc_array(matrix), ridge, l1))
    observed = exact_half_step(masked(design, matrix, np.ones((m, n), bool), ridge, l1))
    np.testing.assert_allclose(sparse, dense, atol=1e-10)
    np.testing.assert_allclose(observed, dense, atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(sizes)
def test_unobserved_values_never_matter(size):
    m, k, n, seed = size
    rng = np.random.default_rng(seed)
    design, matrix, seen = rng.random((m, k)), rng.random((m, n)), rng.random((m, n)) < 0.5
    other = np.where(seen, matrix, 1e6 * rng.random((m, n)))
    assert np.array_equal(
        exact_half_step(masked(design, matrix, seen, 0.1)), exact_half_step(masked(design, other, seen, 0.1))
    )


def test_ridge_is_extra_rows_and_l1_lowers_the_right_side():
    rng = np.random.default_rng(1)
    design, matrix, ridge, l1 = rng.random((20, 4)), rng.random((20, 5)), 0.7, 0.3
    taller = np.concatenate([design, np.sqrt(ridge) * np.eye(4)])
    longer = np.concatenate([matrix, np.zeros((4, 5))])
    np.testing.assert_allclose(
        exact_half_step(DenseRegression(design[None], matrix[None], ridge)),
        exact_half_step(DenseRegression(taller[None], longer[None])), atol=1e-12,
    )
    coefficients = exact_half_step(DenseRegression(design[None], matrix[None], ridge, l1))[0]
    gradient = design.T @ (design @ coefficients - matrix) + ridge * coefficients + l1
    assert gradient.min() >= -1e-12
    assert np.abs(gradient * coefficients).max() <= 1e-12


def test_initial_is_only_a_hint():
    rng = np.random.default_rng(2)
    design, matrix = rng.random((20, 6)), rng.random((20, 9))
    cold = exact_half_step(DenseRegression(design[None], matrix[None]))
    warm = exact_half_step(DenseRegression(design[None], matrix[None], initial=np.zeros((1, 6, 9))))
    np.testing.assert_allclose(warm, cold, atol=1e-12)


def test_something_else_is_refused():
    with pytest.raises(TypeError, match="not a regression: int"):
        exact_half_step(3)
