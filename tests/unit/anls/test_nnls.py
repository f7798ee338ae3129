"""NNLS kernels: the optimality conditions, against scipy, and the corners (dependent, zero, tied, single columns)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from hwloop.anls.nnls import solve_batch, solve_shared

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
    lengths, columns = np.linalg.norm(targets, axis=0), np.linalg.norm(design, axis=0)[:, None]
    lengths, columns = np.where(lengths > 0.0, lengths, 1.0), np.where(columns > 0.0, columns, 1.0)
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


def test_all_zero_gram_gives_zero_and_no_columns_give_none():
    assert not solve_shared(np.zeros((3, 3)), np.zeros((3, 2))).any()
    assert solve_shared(np.eye(3), np.zeros((3, 0))).shape == (3, 0)


def test_equal_columns_share_a_target_without_blowing_up():
    design = np.array([[1.0, 1.0], [2.0, 2.0]])
    coefficients = solve_shared(design.T @ design, design.T @ np.array([[3.0], [6.0]]))
    assert coefficients.sum() == pytest.approx(3.0)
    assert coefficients.max() <= 3.0 + 1e-12


def test_arguments_are_left_as_they_were():
    gram, moments, support = np.eye(2), np.array([[1.0], [-1.0]]), np.array([[0.0], [1.0]])
    solve_shared(gram, moments, support)
    assert np.array_equal(gram, np.eye(2))
    assert moments.tolist() == [[1.0], [-1.0]] and support.tolist() == [[0.0], [1.0]]
