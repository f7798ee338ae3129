"""NNLS kernels: the optimality conditions, against scipy, and the corners (dependent, zero, tied, single columns)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from hwloop.anls.nnls import solve_batch, solve_masked, solve_shared

KINDS = ("positive", "signed", "small integers", "rank three", "equal and zero columns")
problems = st.tuples(
    st.sampled_from(KINDS), st.integers(1, 40), st.integers(1, 16), st.integers(1, 6), st.integers(0, 2**32 - 1)
)


def regression(kind, m, k, n, seed):
    """Design (m, k), targets (m, n) and a random starting support (k, n)."""
    rng = np.random.default_rng(seed)
    design = rng.random((m, k))
    if kind == "signed":
        design = rng.standard_normal((m, k))
    elif kind == "small integers":
        design = rng.integers(0, 3, (m, k)).astype(float)
    elif kind == "rank three":
        design = rng.random((m, 3)) @ rng.random((3, k))
    elif kind == "equal and zero columns":
        design[:, rng.random(k) < 0.3] = 0.0
        design[:, -1] = design[:, 0]
    targets = rng.random((m, n)) if seed % 2 else design @ np.maximum(rng.random((k, n)) - 0.5, 0.0)
    return design, targets, (rng.random((k, n)) < 0.5).astype(float)


def kkt_violation(design, targets, coefficients):
    """Largest violation of h >= 0, gradient >= 0 and complementarity, relative to the sizes of column and target."""
    gradient = design.T @ (design @ coefficients - targets)
    lengths = np.linalg.norm(targets, axis=0) + 1e-300
    columns = np.linalg.norm(design, axis=0)[:, None] + 1e-300
    return max(
        float(np.max(-coefficients)), float(np.max(-gradient / (columns * lengths))),
        float(np.max(np.abs(gradient * coefficients) / lengths**2)),
    )


@settings(max_examples=150, deadline=None)
@given(problems, st.booleans())
def test_optimality_conditions_hold_from_any_support(problem, warm):
    design, targets, support = regression(*problem)
    coefficients = solve_shared(design.T @ design, design.T @ targets, support if warm else None)
    assert kkt_violation(design, targets, coefficients) <= 1e-9


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_agrees_with_scipy_where_the_solution_is_unique(k, seed):
    design, targets, _ = regression("positive", k + 30, k, 4, seed)
    coefficients = solve_shared(design.T @ design, design.T @ targets)
    reference = np.array([nnls(design, target)[0] for target in targets.T]).T
    assert np.abs(coefficients - reference).max() <= 1e-9


@settings(max_examples=40, deadline=None)
@given(problems, st.floats(0.01, 10.0), st.floats(0.0, 1.0))
def test_masked_columns_solve_their_observed_rows_only(problem, ridge, l1):
    design, targets, support = regression(*problem)
    m, k = design.shape
    n = targets.shape[1]
    seen = np.random.default_rng(problem[-1]).random((m, n)) < 0.6
    indptr = np.concatenate([[0], np.cumsum(seen.sum(axis=0))])
    indices = np.nonzero(seen.T)[1]
    ridges = ridge * (1.0 + np.arange(n))
    coefficients = solve_masked(design, indptr, indices, targets.T[seen.T], ridges, l1, support)
    for column in range(n):
        rows = design[seen[:, column]]
        gram = rows.T @ rows + ridges[column] * np.eye(k)
        moments = rows.T @ targets[seen[:, column], column] - l1
        np.testing.assert_allclose(coefficients[:, column], solve_shared(gram, moments[:, None])[:, 0], atol=1e-10)


def test_masked_sums_agree_with_and_without_the_table_of_products():
    # the table is used where rows are seen often: one design, seen by few columns and by many
    rng = np.random.default_rng(3)
    design, values = rng.random((50, 7)), rng.random(50)
    rows = np.arange(50)
    once = solve_masked(design, [0, 50], rows, values, [0.1])
    often = solve_masked(design, 50 * np.arange(6), np.tile(rows, 5), np.tile(values, 5), np.full(5, 0.1))
    np.testing.assert_allclose(often, np.repeat(once, 5, axis=1), rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), problems)
def test_batch_is_bytewise_a_loop(batch, problem):
    grams, moments = [], []
    for index in range(batch):
        design, targets, _ = regression(*problem[:-1], problem[-1] + index)
        grams.append(design.T @ design)
        moments.append(design.T @ targets)
    together = solve_batch(np.array(grams), np.array(moments))
    for index in range(batch):
        assert np.array_equal(together[index], solve_shared(grams[index], moments[index]))


def test_single_variable():
    assert solve_shared(np.array([[4.0]]), np.array([[8.0, -2.0, 0.0]])).tolist() == [[2.0, 0.0, 0.0]]


def test_all_zero_gram_and_no_observations_give_zero():
    assert not solve_shared(np.zeros((3, 3)), np.zeros((3, 2))).any()
    assert not solve_masked(np.ones((4, 3)), [0, 0, 0], [], [], [0.0, 1.0]).any()


def test_equal_columns_share_a_target_without_blowing_up():
    design = np.array([[1.0, 1.0], [2.0, 2.0]])
    coefficients = solve_shared(design.T @ design, design.T @ np.array([[3.0], [6.0]]))
    assert coefficients.sum() == pytest.approx(3.0)
    assert coefficients.max() <= 3.0 + 1e-12


def test_arguments_are_left_as_they_were():
    gram, moments, support = np.eye(2), np.array([[1.0], [-1.0]]), np.array([[0.0], [1.0]])
    solve_shared(gram, moments, support)
    assert np.array_equal(gram, np.eye(2)) and moments.tolist() == [[1.0], [-1.0]] and support.tolist() == [[0.0], [1.0]]
