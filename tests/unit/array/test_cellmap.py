"""The list of bad cells and its file."""

import numpy as np
import pytest

from hwloop.array.cellmap import GOOD, CellMap
from hwloop.errors import CalibrationError, UsageError


def test_marked_cells_are_not_usable_and_good_takes_them_off_again():
    cell_map = CellMap(4, 3)
    cell_map.mark(np.array([0, 23]), "stuck high")
    usable = cell_map.usable()
    assert usable.shape == (2, 4, 3) and not usable[0, 0, 0] and not usable[1, 3, 2] and usable.sum() == 22
    cell_map.mark(np.array([0]), GOOD)
    assert cell_map.usable().sum() == 23


def test_file_gives_back_what_was_saved(tmp_path):
    cell_map, again = CellMap(4, 3), CellMap(4, 3)
    cell_map.mark(np.array([5, 13]), "no response")
    cell_map.mark(np.array([2]), "masked")
    cell_map.save(tmp_path / "deep" / "map.csv")
    assert again.import_list(tmp_path / "deep" / "map.csv") == 3
    assert again.status == cell_map.status
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["map.csv"]


def test_an_empty_row_or_column_stands_for_all_of_them(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("array,row,column,status\nA,1,,masked\nB,,2,masked\nB,0,2,good\n")
    cell_map = CellMap(4, 3)
    assert cell_map.import_list(path) == 3
    usable = cell_map.usable()
    assert not usable[0, 1].any() and usable[0].sum() == 9
    assert usable[1, 0, 2] and not usable[1, 1:, 2].any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row,column\n1,1\n", "first line"), ("array,row,column,status\nA,x,1,bad\n", "line 2: row is 'x'"),
        ("array,row,column,status\nA,1,1,\n", "no status"), ("array,row,column,status\nA,-1,1,bad\n", "row is '-1'"),
    ],
)
def test_malformed_lists_are_refused_with_line_and_reason(tmp_path, text, message):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(CalibrationError, match=message):
        CellMap(4, 3).import_list(tmp_path / "list.csv")


@pytest.mark.parametrize(
    ("line", "message"), [("A,4,0", "row is 4, allowed 0 to 3"), ("B,0,3", "column is 3"), ("C,0,0", "array is 'C'")]
)
def test_nothing_is_taken_over_where_one_cell_is_outside(tmp_path, line, message):
    (tmp_path / "list.csv").write_text(f"array,row,column,status\nA,0,0,bad\n{line},bad\n")
    cell_map = CellMap(4, 3)
    with pytest.raises(UsageError, match=message):
        cell_map.import_list(tmp_path / "list.csv")
    assert not cell_map.status


def test_missing_file_is_a_calibration_error(tmp_path):
    with pytest.raises(CalibrationError, match="cannot be read"):
        CellMap(4, 3).import_list(tmp_path / "none.csv")


def test_slow_and_noisy_cells_are_noted_and_used():
    cell_map = CellMap(4, 2)
    for cell, status in ((0, "slow"), (1, "noisy"), (2, "slow, avoided"), (3, "stuck low")):
        cell_map.mark(np.array([cell]), status)
    assert np.flatnonzero(~cell_map.usable().ravel()).tolist() == [2, 3]
