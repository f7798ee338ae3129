"""Masked regressions: each column is the plain regression over its own observed rows."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.anls.masked import solve_masked
from hwloop.anls.nnls import solve_shared


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 16), st.integers(1, 12), st.floats(0.01, 10.0), st.floats(0.0, 1.0),
    st.integers(0, 2**32 - 1),
)
def test_columns_solve_their_observed_rows_only(m, k, n, ridge, l1, seed):
    rng = np.random.default_rng(seed)
    design, targets, seen = rng.random((m, k)), rng.random((m, n)), rng.random((m, n)) < 0.6
    indptr = np.concatenate([[0], np.cumsum(seen.sum(axis=0))])
    ridges = ridge * (1.0 + np.arange(n))
    support = (rng.random((k, n)) < 0.7).astype(float)
    coefficients = solve_masked(design, indptr, np.nonzero(seen.T)[1], targets.T[seen.T], ridges, l1, support)
    for column in range(n):
        rows = design[seen[:, column]]
        gram = rows.T @ rows + ridges[column] * np.eye(k)
        moments = rows.T @ targets[seen[:, column], column] - l1
        np.testing.assert_allclose(coefficients[:, column], solve_shared(gram, moments[:, None])[:, 0], atol=1e-10)


def test_table_of_products_changes_nothing():
    # rows seen by one column only are multiplied out on the spot, rows seen by many are tabulated
    rng = np.random.default_rng(3)
    design, values = rng.random((50, 7)), rng.random(50)
    once = solve_masked(design, [0, 50], np.arange(50), values, [0.1])
    often = solve_masked(design, 50 * np.arange(6), np.tile(np.arange(50), 5), np.tile(values, 5), np.full(5, 0.1))
    np.testing.assert_allclose(often, np.repeat(once, 5, axis=1), rtol=1e-12)


def test_more_columns_than_are_held_at_a_time():
    rng = np.random.default_rng(4)
    n = 5000
    design, rows, values = rng.random((30, 3)), rng.integers(0, 30, n), rng.random(n)
    coefficients = solve_masked(design, np.arange(n + 1), rows, values, np.full(n, 0.5))
    # one observation and a ridge have a closed solution
    expected = design[rows] * (values / (0.5 + np.sum(design[rows] ** 2, axis=1)))[:, None]
    np.testing.assert_allclose(coefficients.T, expected, rtol=1e-10)


def test_columns_without_observations_are_zero():
    assert not solve_masked(np.ones((4, 3)), [0, 0, 0], [], [], [0.0, 1.0]).any()
    assert solve_masked(np.ones((4, 3)), [0], [], [], []).shape == (3, 0)
