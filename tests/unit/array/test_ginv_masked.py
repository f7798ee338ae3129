"""Masked regressions on simulated boards, against exact non-negative least squares."""

import numpy as np
import pytest
import scipy.sparse as sp

from hwloop.anls.exact import exact_half_step
from hwloop.anls.regression import MaskedRegression
from hwloop.array import ranging
from hwloop.link.protocol import Constraint


def problem(m, k, n, density=0.2, seed=0, ridge=0.1):
    """Ratings-like data: a design, observed entries of n columns, and a ridge an observation."""
    rng = np.random.default_rng(seed)
    design = rng.random((m, k))
    seen = sp.csc_array(sp.random_array((m, n), density=density, rng=rng, format="csc"))
    model = design @ rng.random((k, n))
    column = np.repeat(np.arange(n), np.diff(seen.indptr))
    values = model[seen.indices, column] + 0.1 * rng.random(seen.nnz)
    return design, seen.indptr, seen.indices, values, ridge * np.diff(seen.indptr)


def deviations(found, exact):
    """Relative distance of each regression (n,)."""
    return np.linalg.norm(found - exact, axis=0) / np.maximum(np.linalg.norm(exact, axis=0), 1e-12)


@pytest.mark.parametrize(("board", "median", "largest"), [("ideal", 1e-3, 3e-3), ("default", 0.025, 0.1)])
@pytest.mark.parametrize("ridge", [0.1, 0.0, 3.0])
def test_every_regression_sees_its_own_rows_and_ridge(request, board, median, largest, ridge):
    regression = problem(70, 4, 40, ridge=ridge)
    found = request.getfixturevalue(board).solver(constraint=Constraint.RECTIFIER).solve_masked(*regression)
    deviation = deviations(found, exact_half_step(MaskedRegression(*regression)))
    assert np.median(deviation) < median and deviation.max() < largest


def test_columns_without_observations_are_zero(default):
    design, indptr, indices, values, ridge = problem(40, 3, 10)
    indptr, ridge = np.concatenate([[0], indptr, indptr[-1:]]), np.concatenate([[0.0], ridge, [0.0]])
    found = default.solver().solve_masked(design, indptr, indices, values, ridge)
    assert found.shape == (3, 12) and not found[:, [0, 11]].any() and found[:, 1:11].any(axis=0).all()


def test_unordered_rows_are_solved_all_the_same(ideal):
    design, indptr, indices, values, ridge = problem(40, 3, 10)
    order = np.concatenate([np.arange(first, last)[::-1] for first, last in zip(indptr[:-1], indptr[1:], strict=True)])
    solver = ideal.solver(constraint=Constraint.RECTIFIER)
    found = solver.solve_masked(design, indptr, indices[order], values[order], ridge)
    np.testing.assert_allclose(found, solver.solve_masked(design, indptr, indices, values, ridge), atol=1e-3)


def test_fewer_observations_than_columns_without_ridge_still_fit(default):
    rng = np.random.default_rng(0)
    design = rng.random((30, 6))
    indptr, indices = np.array([0, 2, 5]), np.array([3, 8, 1, 9, 20])
    values = design[indices] @ np.ones(6)
    found = default.solver().solve_masked(design, indptr, indices, values, np.zeros(2))
    residual = design[indices] @ found
    np.testing.assert_allclose(residual[:2, 0], values[:2], rtol=0.05)
    np.testing.assert_allclose(residual[2:, 1], values[2:], rtol=0.05)


def test_l1_is_part_of_every_regression(ideal):
    regression = problem(40, 3, 10, ridge=0.05)
    found = ideal.solver(constraint=Constraint.RECTIFIER).solve_masked(*regression, l1=0.4)
    assert deviations(found, exact_half_step(MaskedRegression(*regression, l1=0.4))).max() < 5e-3


def test_the_penalty_shrinks_with_the_inputs_of_a_repeated_solve(ideal, monkeypatch):
    """Aiming at four times w_max, which the bound on cells would not allow, makes some solves saturate at first."""
    monkeypatch.setattr(ranging, "DISTURB_VOLTS", np.inf)
    regression = problem(40, 3, 10, ridge=0.05)
    solver = ideal.solver(constraint=Constraint.RECTIFIER, output_fraction=4.0)
    found = solver.solve_masked(*regression, l1=0.4)
    assert solver.totals.repeated_saturated > 3
    assert deviations(found, exact_half_step(MaskedRegression(*regression, l1=0.4))).max() < 5e-3


def test_two_factors_keep_their_places_so_that_only_changed_cells_are_written(open_rig):
    rig = open_rig()
    solver, tall, wide = rig.solver(), problem(50, 4, 30), problem(30, 4, 50)
    for regression in (tall, wide):
        solver.solve_masked(*regression)
    written, moved = rig.chip.totals.cells_written, solver.totals.rows_moved
    for regression in (tall, wide):
        solver.solve_masked(*regression)
    assert moved > 0
    assert rig.chip.totals.cells_written - written < 0.25 * 2 * (50 + 30) * 4


def test_nothing_observed_is_not_solved(ideal):
    solves = ideal.board.counters.solves
    found = ideal.solver().solve_masked(np.ones((5, 2)), np.zeros(4, int), np.zeros(0, int), np.zeros(0), np.zeros(3))
    assert not found.any() and ideal.board.counters.solves == solves
