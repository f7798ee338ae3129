"""Loading: both arrays hold the matrix, rows are compensated to one sum, failing rows of large matrices move."""

import numpy as np
import pytest

from hwloop.array.loading import compensate_rows, load_banks
from hwloop.array.placement import Banks, place_banks
from hwloop.errors import LimitError
from hwloop.mock.devices import CellArray


def _targets(rng, n, m, k):
    return rng.uniform(10e-6, 225e-6, (n, m, k))


def test_both_arrays_hold_their_targets_and_all_rows_one_sum(ideal):
    a, b = _targets(np.random.default_rng(0), 5, 4, 3), _targets(np.random.default_rng(1), 5, 4, 3)
    load = load_banks(ideal.board, ideal.chip, place_banks(ideal.chip.map.usable(), 4, 3).first(5), a, b)
    assert load.written.all()
    np.testing.assert_allclose(load.a_siemens, a, atol=0.15e-6)
    np.testing.assert_allclose(load.b_siemens, b, atol=0.15e-6)
    sums = ideal.chip.row_sums_siemens(np.unique(load.banks.rows)) + ideal.board.scales.input_siemens
    assert load.row_sum_siemens == sums.max()      # no larger than the rows need


def test_a_larger_sum_is_reached_where_it_is_asked_for(ideal):
    load = load_banks(
        ideal.board, ideal.chip, place_banks(ideal.chip.map.usable(), 4, 3).first(1),
        *[_targets(np.random.default_rng(0), 1, 4, 3)] * 2, least_row_sum_siemens=5e-3,
    )
    assert load.row_sum_siemens == 5e-3


def test_a_sum_beyond_the_ladder_is_refused(ideal):
    with pytest.raises(LimitError, match="compensation of a row"):
        compensate_rows(ideal.board, ideal.chip, np.array([127]), 9e-3)


def test_failing_rows_of_a_large_matrix_move_to_good_rows(open_rig):
    rig = open_rig()
    target = _targets(np.random.default_rng(0), 1, 60, 4)
    banks = Banks(np.arange(60)[None], np.arange(4)[None])
    load = load_banks(rig.board, rig.chip, banks, target, target)
    stuck = CellArray(1, 0, 128, 16).faults.stuck.reshape(2, 128, 16)
    bad_rows = stuck[:, :60, :4].any(axis=(0, 2))
    assert bad_rows.any() and load.written.all() and load.rows_moved >= bad_rows.sum()
    kept = load.banks.rows[0] == np.arange(60)
    assert not kept[bad_rows].any() and kept.sum() > 40
    assert not stuck[:, load.banks.rows[0], :4].any()
    np.testing.assert_allclose(load.a_siemens, target, atol=2 * rig.chip.settings.tolerance_siemens)


def test_a_small_matrix_on_a_dead_cell_is_said_not_to_be_written(open_rig):
    rig = open_rig()
    stuck = CellArray(1, 0, 128, 16).faults.stuck.reshape(2, 128, 16).any(axis=0)
    column = 6
    bad, good = np.flatnonzero(stuck[:, column])[0], np.flatnonzero(~stuck[:, column])[0]
    banks = Banks(np.array([[bad], [good]]), np.array([[column], [column]]))
    target = np.full((2, 1, 1), 120e-6)
    assert load_banks(rig.board, rig.chip, banks, target, target).written.tolist() == [False, True]
