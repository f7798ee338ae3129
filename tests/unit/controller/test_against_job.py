"""Two recorded runs, compared exchange by exchange."""

import numpy as np
import pytest

from hwloop import config
from hwloop.config import RunSettings
from hwloop.controller.against_job import compare_runs
from hwloop.controller.matrix_job import run_matrix
from hwloop.errors import RunsDifferError
from hwloop.report import Report
from hwloop.runlog.journal import Journal
from hwloop.runscript import MatrixOptions


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run files of a small matrix: twice with seed 0, once with seed 1, once with one iteration less."""
    folder = tmp_path_factory.mktemp("runs")
    np.save(folder / "matrix.npy", np.random.default_rng(0).random((12, 3)) @ np.random.default_rng(1).random((3, 9)))
    made = []
    for name, seed, iterations in (("one", 0, 2), ("again", 0, 2), ("other", 1, 2), ("shorter", 0, 1)):
        options = MatrixOptions(folder / "matrix.npy", 3, iterations, run_file=folder / f"{name}.h5")
        run_matrix(options, RunSettings(config.load_rig("default"), seed), Report())
        made.append(folder / f"{name}.journal")
    return made


def test_runs_with_one_seed_are_the_same(runs):
    found = compare_runs(runs[0], runs[1].with_suffix(".h5"))
    assert found.same and found.exchanges > 10
    found.raise_if_different()
    assert found.document()["first_divergence"] is None and not found.metrics


def test_another_seed_reads_other_noise_first(runs):
    found = compare_runs(runs[0], runs[2])
    document = found.document()
    assert not document["same"] and document["first_divergence"]["kind"] == "reply"
    assert document["first_divergence"]["a"] != document["first_divergence"]["b"]
    assert all(pair["relative_difference"] > 0 for pair in document["factors"])
    assert document["configuration"]["seed"] == {"a": 0, "b": 1}
    with pytest.raises(RunsDifferError, match="part at exchange") as refused:
        found.raise_if_different()
    assert refused.value.exit_code == 7
    assert "READ reply" in found.text()


def test_the_shorter_one_ends_before(runs):
    found = compare_runs(runs[0], runs[3])
    assert found.parting.kind == "b ends" and found.configuration["options.iterations"] == (2, 1)


def test_a_run_that_was_cut_off_has_no_factors_to_compare(runs, tmp_path):
    cut = tmp_path / "cut.journal"
    with Journal.open(runs[0]) as journal:
        middle = list(journal.records())[60].offset
    cut.write_bytes(runs[0].read_bytes()[:middle])
    found = compare_runs(runs[0], cut)
    assert not found.same and found.factors == ()
