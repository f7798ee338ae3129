"""Dense and sparse regressions on simulated boards, against exact non-negative least squares."""

import numpy as np
import pytest
import scipy.sparse as sp

from hwloop.anls.exact import exact_half_step
from hwloop.anls.regression import DenseRegression, SparseRegression
from hwloop.array import ranging
from hwloop.errors import UsageError
from hwloop.link.protocol import Constraint


def _problem(b, m, k, n, seed=0, noise=0.1):
    rng = np.random.default_rng(seed)
    design = rng.random((b, m, k))
    return design, design @ rng.random((b, k, n)) + noise * rng.random((b, m, n))


def _deviation(found, exact):
    return np.linalg.norm(found - exact) / np.linalg.norm(exact)


def _exact(design, targets, ridge=0.0, l1=0.0):
    return exact_half_step(DenseRegression(design, targets, ridge, l1))


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (5, 1, 3), (8, 2, 8), (40, 4, 6), (30, 16, 2), (128, 16, 1)])
@pytest.mark.parametrize(("board", "limit"), [("ideal", 1e-3), ("default", 0.05)])
def test_any_size_that_the_board_has_columns_for(request, board, limit, m, k, n):
    design, targets = _problem(3, m, k, n)
    found = request.getfixturevalue(board).solver(constraint=Constraint.RECTIFIER).solve_dense(design, targets)
    assert found.shape == (3, k, n)
    assert _deviation(found, _exact(design, targets)) < limit


@pytest.mark.parametrize(("constraint", "limit"), [(Constraint.RECTIFIER, 2e-3), (Constraint.RAIL, 1e-2)])
def test_blocked_coefficients_are_zero_and_leak_little(ideal, constraint, limit):
    """Half of the coefficients are blocked; with the rail they leave their virtual ground and leak into the rows."""
    rng = np.random.default_rng(1)
    design, targets = rng.random((20, 8, 3)), rng.random((20, 8, 5)) - 0.3
    exact, found = _exact(design, targets), ideal.solver(constraint=constraint).solve_dense(design, targets)
    assert 0.2 < (exact == 0).mean() < 0.9
    assert (found >= 0).all() and found[exact == 0].max() < 0.01
    assert _deviation(found, exact) < limit


@pytest.mark.parametrize(("ridge", "l1"), [(1e-3, 0.0), (0.5, 0.0), (50.0, 0.0), (0.0, 0.3), (0.1, 0.2)])
@pytest.mark.parametrize(("board", "limit"), [("ideal", 5e-3), ("default", 0.05)])
def test_penalties_act_on_the_coefficients_themselves(request, board, limit, ridge, l1):
    design, targets = _problem(6, 8, 3, 5, seed=2)
    design[0] *= 10.0
    solver = request.getfixturevalue(board).solver(constraint=Constraint.RECTIFIER)
    found = solver.solve_dense(design, targets, ridge, l1)
    assert _deviation(found, _exact(design, targets, ridge, l1)) < limit


def test_the_penalty_shrinks_with_the_inputs_of_a_repeated_solve(ideal, monkeypatch):
    """Aiming at twice w_max, which the bound on cells would not allow, makes most solves saturate at first."""
    monkeypatch.setattr(ranging, "DISTURB_VOLTS", np.inf)
    design, targets = _problem(4, 8, 2, 5)
    solver = ideal.solver(constraint=Constraint.RECTIFIER, output_fraction=2.0)
    found = solver.solve_dense(design, targets, l1=0.3)
    assert solver.totals.repeated_saturated > 5
    assert _deviation(found, _exact(design, targets, l1=0.3)) < 5e-3


def test_an_overwhelming_l1_gives_zero(ideal):
    design, targets = _problem(1, 8, 2, 3)
    assert not ideal.solver().solve_dense(design, targets, l1=1e3).any()


def test_zero_columns_patches_and_targets_have_zero_coefficients(default):
    design, targets = _problem(4, 8, 3, 5)
    design[0, :, 1], design[1], targets[2], targets[3, :, 0] = 0.0, 0.0, 0.0, 0.0
    found = default.solver().solve_dense(design, targets)
    assert not found[0, 1].any() and not found[1].any() and not found[2].any() and not found[3, :, 0].any()
    assert _deviation(found, _exact(design, targets)) < 0.03


@pytest.mark.parametrize("board", ["ideal", "default"])
@pytest.mark.parametrize(("m", "k"), [(8, 16), (2, 4), (8, 3)])
def test_rank_deficient_designs_fit_nearly_as_well_as_the_best(request, board, m, k):
    """More columns than rows, or identical columns: coefficients are not unique, the fit is."""
    design, targets = _problem(3, m, k, 4, noise=0.0)
    if m > k:
        design[:, :, 1] = design[:, :, 0]
        targets = design @ np.ones((3, k, 4))
    found = request.getfixturevalue(board).solver().solve_dense(design, targets)
    assert np.linalg.norm(design @ found - targets) / np.linalg.norm(targets) < 0.03


def test_more_matrices_than_places_take_rounds_and_failing_ones_are_placed_again(open_rig):
    rig = open_rig(array_serial=5)
    design, targets = _problem(300, 8, 2, 2)
    solver, progress = rig.solver(), []
    solver.on_round = lambda done, total: progress.append((done, total))
    found = solver.solve_dense(design, targets)
    totals = solver.totals
    assert _deviation(found, _exact(design, targets)) < 0.03
    assert totals.banks_without_faults == 128 and 110 <= totals.banks_available < 128
    # Every good cell of both arrays is in a place or left over; the last round may have found another bad one.
    in_use_or_left = totals.banks_available * 32 + totals.unused_cells
    assert 0 <= in_use_or_left - int(rig.chip.map.usable().sum()) <= 2
    assert totals.matrices_placed_again > 0 and totals.rounds == len(progress) >= 3
    assert progress[-1] == (300, 300)


@pytest.mark.parametrize("serial", [1, 2, 3])
def test_a_single_matrix_finds_a_place_on_a_chip_with_many_faults(open_rig, serial):
    """One cell in twenty is stuck, and none is known: most places of the first tries fail."""
    solver = open_rig(preset="low-yield", array_serial=serial).solver()
    for m, k in ((8, 2), (4, 4), (16, 8), (16, 16)):
        design, targets = _problem(1, m, k, 2)
        found = solver.solve_dense(design, targets)
        assert np.linalg.norm(design @ found - targets) / np.linalg.norm(targets) < 0.1


def test_scale_of_a_column_does_not_matter(default):
    """Columns a million times smaller use the whole conductance range as well."""
    design, targets = _problem(2, 20, 3, 4)
    scale = np.array([1.0, 1e-6, 1e3])
    found = default.solver().solve_dense(design * scale, targets) * scale[:, None]
    assert _deviation(found, _exact(design, targets)) < 0.03


@pytest.mark.parametrize(("board", "limit"), [("ideal", 3e-3), ("default", 0.06)])
def test_sparse_targets_are_solved_with_their_zeros(request, board, limit):
    rng = np.random.default_rng(3)
    design = rng.random((30, 3))
    targets = sp.random_array((30, 200), density=0.3, rng=rng, format="csc")
    targets = sp.csc_array(targets.multiply(np.arange(200) != 7))
    rig = request.getfixturevalue(board)
    written, solver = rig.chip.totals.cells_written, rig.solver(constraint=Constraint.RECTIFIER)
    found = solver.solve_sparse(design, targets)
    assert found.shape == (3, 200) and not found[:, 7].any()
    assert _deviation(found, exact_half_step(SparseRegression(design, targets))) < limit
    assert solver.totals.rounds == 1 and rig.chip.totals.cells_written - written <= 2 * 40 * 3


def test_sparse_targets_are_densified_a_few_columns_at_a_time(ideal, monkeypatch):
    monkeypatch.setattr("hwloop.array.ginv.CHUNK_ENTRIES", 60)
    rng = np.random.default_rng(3)
    design, targets = rng.random((30, 2)), sp.random_array((30, 9), density=0.5, rng=rng, format="csc")
    exchanges = ideal.board.counters.exchanges
    found = ideal.solver(constraint=Constraint.RECTIFIER).solve_sparse(design, targets)
    assert _deviation(found, exact_half_step(SparseRegression(design, targets))) < 3e-3
    assert ideal.board.counters.exchanges - exchanges >= 5


def test_a_rank_above_the_columns_is_refused(ideal):
    with pytest.raises(UsageError, match="rank is 17, allowed 1 to 16"):
        ideal.solver().solve_dense(np.ones((1, 20, 17)), np.ones((1, 20, 1)))


def test_a_chip_without_a_usable_row_is_refused_with_what_to_do(open_rig):
    rig = open_rig(preset="ideal")
    rig.chip.map.mark(np.arange(0, rig.chip.size, 2), "masked")
    with pytest.raises(UsageError, match="no row of 2 usable neighbouring cells.*another chip"):
        rig.solver().solve_dense(*_problem(1, 8, 2, 1))
