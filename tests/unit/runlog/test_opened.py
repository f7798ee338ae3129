"""A run opened for analysis: from its run file or its journal, by name, with shapes and units, for other programs."""

import csv
import sys

import numpy as np
import pytest

import hwloop
from hwloop.errors import DataError, UsageError
from hwloop.runlog.run_file import journal_of, write_run_file
from tests.unit.runlog.results import full_record
from tests.unit.runlog.telling import tell_everything


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """told.journal, told.h5 of it, and killed.journal of a run without a result."""
    folder = tmp_path_factory.mktemp("opened")
    tell_everything(folder / "told.journal", full_record())
    tell_everything(folder / "killed.journal")
    with journal_of(folder / "told.journal") as journal:
        write_run_file(journal, folder / "told.h5")
    return folder


@pytest.fixture(params=["told.h5", "told.journal"])
def run(request, folder):
    with hwloop.open_run(folder / request.param) as opened:
        yield opened


def test_arrays_have_shape_unit_and_description_before_they_are_read(run):
    values = run["reads/conductance_siemens"]
    assert (values.shape, values.unit, values.dtype) == ((172,), "S", np.float32)
    assert "read voltage" in values.description and len(values) == 172
    assert values[3:5].shape == (2,) and np.asarray(values).shape == (172,)
    assert run["events/text"][-1] == "hello" and run["events/text"].unit is None
    assert repr(run["solves/outputs/code"]) == "<solves/outputs/code: int16 (8,) counts>"
    assert (run.kind, run.status, run.created[:10]) == ("image", "complete", "2026-03-04")
    assert "reconstruction/picture" in set(run) and "programming/steps" in run.groups()


def test_a_journal_of_a_killed_run_opens_as_well(folder):
    with hwloop.open_run(folder / "killed.journal") as run:
        assert run.status == "partial"
        assert run["pulses/cell"].shape == (86,)


def test_a_name_that_is_not_there_says_what_is(run):
    with pytest.raises(DataError, match="no 'reeds'.*reads"):
        run["reeds"]
    with pytest.raises(DataError, match="reads is a group.*code"):
        run["reads"]
    with pytest.raises(DataError, match="neither|cannot be read|no run"):
        hwloop.open_run(run.path.parent / "absent.h5")


def test_tables_for_pandas(run):
    pandas = pytest.importorskip("pandas")
    table = run.to_pandas("programming/steps")
    assert isinstance(table, pandas.DataFrame) and len(table) == 4
    assert table.attrs["units"]["error_median_siemens"] == "S"
    assert table.groupby("round").cell_pulses.sum().tolist() == [43, 43]
    assert run.to_pandas("conductance_a/conductance").shape == (16, 4)
    with pytest.raises(UsageError, match="3 dimensions"):
        run.to_pandas("factors_1/w")
    with pytest.raises(UsageError, match="no columns"):
        run.to_pandas("conductance_a")


def test_arrays_with_axes_for_xarray(run):
    pytest.importorskip("xarray")
    maps = run.to_xarray("conductance_maps_a")
    assert maps.conductance.dims == ("round", "row", "column") and maps.conductance.attrs["units"] == "S"
    assert maps.sel(round=2, row=0, column=3).conductance > 1e-6
    assert run.to_xarray("convergence_1").analog.dims == ("iteration",)
    assert run.to_xarray("reads").sizes == {"index": 172}
    assert run.to_xarray("factors_1/w").dims == ("matrix", "row", "component")


def test_a_missing_package_is_named(run, monkeypatch):
    for name, call in (("pandas", run.to_pandas), ("xarray", run.to_xarray)):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(UsageError, match=f"pip install {name}"):
            call("reads")


def test_csv_files(run, tmp_path):
    paths = run.export_csv(tmp_path / "csv")
    assert {path.name for path in paths} >= {"reads.csv", "solves-outputs.csv", "metrics.csv", "factors_1-w.csv"}
    with open(tmp_path / "csv" / "reads.csv", newline="") as file:
        head, *rows = csv.reader(file)
    assert head[4:7] == ["tia_range", "code [counts]", "conductance_siemens [S]"]
    values = np.array([row[6] for row in rows], np.float32)
    np.testing.assert_array_equal(values, run["reads/conductance_siemens"])
    with open(tmp_path / "csv" / "factors_1-w.csv", newline="") as file:
        head, first = list(csv.reader(file))[:2]
    assert head == ["matrix", "row", "component", "w"] and float(first[3]) == run["factors_1/w"][0, 0, 0]
    assert "bound_db,inf,dB" in (tmp_path / "csv" / "metrics.csv").read_text()
    with pytest.raises(UsageError, match="exists"):
        run.export_csv(tmp_path / "csv")


def test_a_matlab_file(run, tmp_path):
    from scipy.io import loadmat

    run.export_mat(tmp_path / "run.mat")
    found = loadmat(tmp_path / "run.mat", simplify_cells=True)["run"]
    np.testing.assert_array_equal(found["reads"]["code"], run["reads/code"])
    np.testing.assert_array_equal(found["factors_1"]["w"], run["factors_1/w"])
    assert found["solves"]["outputs"]["code"].tolist() == [1, 2, 3, 4, 5, -6, 700, 800]
    assert "journal" not in found and found["metrics"]["psnr"] == 36.25
    with pytest.raises(UsageError, match="exists"):
        run.export_mat(tmp_path / "run.mat")


def test_old_run_files_open_too():
    with hwloop.open_run("tests/recordings/layout1.h5") as run:
        assert (run.kind, run.status) == ("ratings", "complete")
        assert run["factors_1/w"].shape == (5, 2) and run["conductance_a/conductance"].unit == "S"
