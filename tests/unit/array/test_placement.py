"""Banks: they share no cell, use no bad one, and faults cost few of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.array.placement import banks_of_faultless_chip, check_fit, move_rows, place_banks
from hwloop.errors import UsageError
from hwloop.mock.devices import CellArray

ROWS, COLUMNS = 12, 6


@st.composite
def chips(draw):
    """Usable cells of a small chip, from none to all."""
    bad = draw(st.lists(st.integers(0, 2 * ROWS * COLUMNS - 1), max_size=40))
    usable = np.ones(2 * ROWS * COLUMNS, bool)
    usable[bad] = False
    return usable.reshape(2, ROWS, COLUMNS)


@given(chips(), st.integers(1, ROWS + 1), st.integers(1, COLUMNS + 1))
def test_banks_have_their_size_share_no_cell_and_use_no_bad_one(usable, m, k):
    banks = place_banks(usable, m, k)
    assert banks.rows.shape == (len(banks), m) and banks.columns.shape == (len(banks), k)
    cells = banks.cells(ROWS, COLUMNS)
    assert np.unique(cells).size == cells.size
    assert usable.ravel()[cells].all()
    assert (np.diff(banks.rows, axis=1) > 0).all() and (np.diff(banks.columns, axis=1) == 1).all()
    assert len(banks) <= (ROWS // m) * (COLUMNS // k)


@given(chips(), chips(), st.integers(1, 5), st.integers(1, 4))
def test_more_usable_cells_never_cost_a_bank(some, others, m, k):
    assert len(place_banks(some | others, m, k)) >= len(place_banks(some, m, k))


@pytest.mark.parametrize(
    ("m", "k", "count"), [(1, 1, 2048), (8, 2, 128), (128, 16, 1), (3, 5, 126), (129, 1, 0), (1, 17, 0)]
)
def test_faultless_chip_holds_as_many_as_fit(m, k, count):
    assert len(place_banks(np.ones((2, 128, 16), bool), m, k)) == count == banks_of_faultless_chip(128, 16, m, k)


def test_one_bad_cell_costs_one_row_of_its_columns_only():
    usable = np.ones((2, 128, 16), bool)
    usable[1, 0, 0] = False
    assert len(place_banks(usable, 8, 2)) == 127


def test_first_banks_share_rows_so_that_few_matrices_touch_few_rows():
    assert np.unique(place_banks(np.ones((2, 128, 16), bool), 8, 2).first(8).rows).size == 8


def test_default_faults_leave_116_of_128_banks_on_average():
    """Measured: 116.8 of 128 8×2 banks, from 115 to 120, over array serials 1…20."""
    stuck = [CellArray(serial, 0, 128, 16).faults.stuck.reshape(2, 128, 16) for serial in range(1, 21)]
    counts = [len(place_banks(~cells, 8, 2)) for cells in stuck]
    assert np.mean(counts) >= 116.0 and min(counts) >= 110


def test_failed_rows_move_to_spare_rows_and_the_others_stay():
    usable = np.ones((2, 10, 4), bool)
    usable[0, 9, 0] = False
    banks = place_banks(usable, 4, 2).first(2)
    failed = np.zeros((2, 4), bool)
    failed[0, 1] = failed[0, 2] = True
    moved_banks, moved = move_rows(banks, failed, usable)
    assert (moved == failed).all()
    assert (moved_banks.rows[~failed] == banks.rows[~failed]).all()
    assert not np.isin(moved_banks.rows[0, 1:3], [*banks.rows[0], 9]).any()
    assert np.unique(moved_banks.cells(10, 4)).size == 2 * 2 * 4 * 2


def test_rows_stay_where_no_spare_row_is_left():
    usable = np.ones((2, 4, 2), bool)
    banks = place_banks(usable, 4, 2)
    moved_banks, moved = move_rows(banks, np.ones((1, 4), bool), usable)
    assert not moved.any() and (moved_banks.rows == banks.rows).all()


@pytest.mark.parametrize(
    ("m", "k", "text"), [(8, 17, "rank is 17, allowed 1 to 16"), (8, 0, "rank is 0"), (0, 2, "0 rows")]
)
def test_impossible_sizes_are_refused_with_what_is_allowed(m, k, text):
    with pytest.raises(UsageError, match=text):
        check_fit(m, k, 128, 16)
