"""The box LCP: always a solution, whatever the matrix; the definition of the problem is the whole test."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.mock.lcp import AT_LOWER, AT_UPPER, FREE, _lemke, solve_box_lcp


def solve(matrix, vector, lower, upper, solver=solve_box_lcp):
    state = np.zeros(vector.size, dtype=np.int64)
    w = np.zeros(vector.size)
    return solver(matrix, vector, lower, upper, state, w), state, w


def lemke_alone(matrix, vector, lower, upper, state, w):
    """The fallback by itself, as `solve_box_lcp` calls it."""
    return any(_lemke(matrix, vector, lower, upper, attempt, state, w) for attempt in range(6))


def worst_violation(matrix, vector, lower, upper, state, w):
    """Largest breach of the definition, relative to the terms that make up each force."""
    force = matrix @ w + vector
    size = np.abs(matrix) @ np.maximum(np.abs(w), upper - lower) + np.abs(vector)
    breach = np.where(state == FREE, np.abs(force), np.where(state == AT_LOWER, -force, force))
    assert np.all(w >= lower) and np.all(w <= upper)
    assert np.all(w[state == AT_LOWER] == lower) and np.all(w[state == AT_UPPER] == upper)
    return np.max(breach / np.where(size > 0, size, 1.0))


@pytest.mark.parametrize("solver", [solve_box_lcp, lemke_alone])
@pytest.mark.parametrize("kind", ["general", "definite", "rank-deficient", "negative", "zero", "ties"])
def test_every_matrix_has_a_solution_in_a_box(kind, solver):
    rng = np.random.default_rng(7)
    for trial in range(200):
        k = int(rng.integers(1, 17))
        matrix, vector = rng.standard_normal((k, k)), rng.standard_normal(k)
        half = matrix[:, : max(1, k // 2)]
        matrix = {
            "general": matrix, "definite": matrix @ matrix.T, "rank-deficient": half @ half.T,
            "negative": -matrix @ matrix.T, "zero": 0.0 * matrix, "ties": np.round(matrix),
        }[kind]  # fmt: skip
        vector = np.round(vector) if kind == "ties" else vector
        lower, upper = (0.0, 0.7) if trial % 2 else (-1.0, 1.0)
        solved, state, w = solve(matrix, vector, lower, upper, solver)
        assert solved
        assert worst_violation(matrix, vector, lower, upper, state, w) < 1e-10


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 6).flatmap(lambda k: st.lists(st.integers(-2, 2), min_size=k * k + k, max_size=k * k + k)))
def test_degenerate_integer_problems_never_go_round(entries):
    k = int((np.sqrt(1 + 4 * len(entries)) - 1) / 2)
    matrix = np.array(entries[: k * k], dtype=float).reshape(k, k)
    vector = np.array(entries[k * k :], dtype=float)
    solved, state, w = solve(matrix, vector, 0.0, 1.0)
    assert solved
    assert worst_violation(matrix, vector, 0.0, 1.0, state, w) < 1e-10


def test_both_methods_agree_where_the_solution_is_unique():
    rng = np.random.default_rng(3)
    for _ in range(100):
        k = int(rng.integers(1, 9))
        half = rng.standard_normal((k + 4, k))
        matrix, vector = half.T @ half, rng.standard_normal(k)
        _, _, pivoted = solve(matrix, vector, 0.0, 2.0)
        _, _, followed = solve(matrix, vector, 0.0, 2.0, lemke_alone)
        np.testing.assert_allclose(pivoted, followed, atol=1e-10)
