"""Iterative refinement: what digital gradients make of solutions that are a few per cent off."""

import numpy as np
import pytest

from hwloop.anls.exact import exact_half_step
from hwloop.anls.regression import DenseRegression, MaskedRegression
from hwloop.array.refine import refine


def _refine_with_wrong_matrix(design, targets, start, passes, tolerance=1e-9, error=0.05):
    """`refine` on a host-made stand-in for the circuit: corrections solve with a matrix that is `error` off."""
    gram, moments = design.T @ design, targets @ design
    wrong = gram * (1 + error * np.random.default_rng(0).uniform(-1, 1, gram.shape))

    def gradient(which, solution):
        return moments[which] - solution @ gram

    def corrections(which, slope, free):
        steps = np.zeros_like(slope)
        for position, on in enumerate(free):
            steps[position, on] = np.linalg.solve(wrong[np.ix_(on, on)], slope[position, on])
        return steps

    sizes = np.linalg.norm(design, axis=0) * np.linalg.norm(targets, axis=1)[:, None]
    return refine(start, np.ones(start.shape, bool), sizes, gradient, corrections, passes, tolerance)


@pytest.fixture
def problem():
    rng = np.random.default_rng(1)
    design, targets = rng.random((20, 4)), rng.random((30, 20)) - 0.2
    return design, targets, exact_half_step(DenseRegression(design[None], targets.T[None]))[0].T


def test_blocked_columns_come_free_and_free_ones_are_dropped(problem):
    """From the wrong active set everywhere: what should be zero is not, and the other way round."""
    design, targets, exact = problem
    start = np.where(exact > 0, 0.0, 0.1)
    refined, _ = _refine_with_wrong_matrix(design, targets, start, passes=20)
    np.testing.assert_allclose(refined, exact, atol=1e-7)


def test_a_solution_that_satisfies_the_conditions_needs_no_correction(problem):
    design, targets, exact = problem
    refined, solves = _refine_with_wrong_matrix(design, targets, exact, passes=5, tolerance=1e-6)
    assert solves == 0 and (refined == exact).all()


def test_every_correction_takes_most_of_the_error_away(problem):
    design, targets, exact = problem
    refined = [_refine_with_wrong_matrix(design, targets, 1.05 * exact, passes, error=0.02)[0] for passes in range(4)]
    errors = [np.abs(solution - exact).max() for solution in refined]
    assert all(later < 0.3 * first for first, later in zip(errors, errors[1:], strict=False))


def test_the_best_solution_is_kept_where_corrections_only_harm(problem):
    design, targets, exact = problem
    start, gram = 1.01 * exact, design.T @ design
    refined, solves = refine(
        start, np.ones(start.shape, bool), np.ones(start.shape),
        lambda which, solution: targets[which] @ design - solution @ gram,
        lambda which, slope, free: -10.0 * slope * free, 3, 1e-9,
    )
    assert solves > 0 and (refined == start).all()


def test_columns_that_may_not_be_used_stay_zero(problem):
    design, targets, exact = problem
    allowed = np.ones(exact.shape, bool)
    allowed[:, 0] = False
    refined, _ = refine(
        exact, allowed, np.ones(exact.shape), lambda which, solution: np.ones_like(solution),
        lambda which, slope, free: 0.1 * slope, 2, 1e-9,
    )
    assert not refined[:, 0].any()


def test_dense_solutions_reach_one_in_a_million_in_eight_solves(open_rig):
    """Programming errors of 0.7 % rms, cond(X) about 5: measured median 5e-8, largest 1e-6, 3.4 corrections each."""
    rng = np.random.default_rng(1)
    design, targets = rng.random((20, 8, 3)), rng.random((20, 8, 4))
    solver = open_rig().solver(refinement_passes=7)
    found, exact = solver.solve_dense(design, targets), exact_half_step(DenseRegression(design, targets))
    deviation = np.linalg.norm(found - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert np.median(deviation) < 1e-6 and deviation.max() < 2e-5
    assert solver.totals.refinement_solves < 5 * 80


def test_masked_solutions_with_ridge_and_l1_reach_one_in_a_million(open_rig):
    rng = np.random.default_rng(2)
    design = rng.random((60, 4))
    indptr = np.arange(0, 41 * 15, 15)
    indices = np.concatenate([np.sort(rng.choice(60, 15, replace=False)) for _ in range(40)])
    regression = (design, indptr, indices, rng.random(600), np.full(40, 1.5), 0.2)
    found = open_rig().solver(refinement_passes=7).solve_masked(*regression)
    exact = exact_half_step(MaskedRegression(*regression))
    deviation = np.linalg.norm(found - exact, axis=0) / np.maximum(np.linalg.norm(exact, axis=0), 1e-9)
    assert np.median(deviation) < 1e-6 and np.quantile(deviation, 0.9) < 1e-5
