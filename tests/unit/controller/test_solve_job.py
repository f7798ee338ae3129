"""`solve`: the circuit's solution beside the exact one."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import nnls

from hwloop.cli.output import _plain
from hwloop.controller.solve_job import SolveOptions, run_solve
from hwloop.errors import DataError, UsageError
from hwloop.report import Report

X, Y = Path("x.npy"), Path("y.npy")


@pytest.fixture(scope="module", autouse=True)
def regression(workplace):
    random = np.random.default_rng(3)
    np.save("x.npy", random.random((10, 3)))
    np.save("y.npy", random.random((10, 2)) - 0.2)
    np.savetxt("row.csv", random.random((1, 10)), delimiter=",")


def test_the_solution_is_close_to_the_exact_one_and_written(settings_of, check_counters):
    done = run_solve(SolveOptions(X, Y, Path("h.npy")), settings_of(), Report())
    document = json.loads(json.dumps(_plain(done.document())))
    check_counters(document)
    expected = np.stack([nnls(np.load("x.npy"), y)[0] for y in np.load("y.npy").T], axis=1)
    assert np.allclose(document["exact"], expected)
    assert document["deviation"] < 0.15 and document["reference"]["residual"] <= document["residual"] + 1e-12
    assert np.array_equal(np.load("h.npy"), document["solution"])
    assert "file       h.npy" in done.text() and done.text().isascii()


def test_one_right_side_may_lie_in_a_row_and_penalties_shrink(settings_of):
    def size(ridge, l1):
        return run_solve(SolveOptions(X, Path("row.csv"), None, ridge, l1), settings_of(), Report()).solution.sum()

    assert size(3.0, 0.5) < size(0.0, 0.0)


def test_refusals(settings_of):
    np.save("short.npy", np.ones((4, 1)))
    with pytest.raises(DataError, match="short.npy has 4 rows, x.npy has 10"):
        run_solve(SolveOptions(X, Path("short.npy")), settings_of(), Report())
    np.save("wide.npy", np.ones((10, 17)))
    with pytest.raises(UsageError, match="rank is 17, allowed 1 to 16"):
        run_solve(SolveOptions(Path("wide.npy"), Y), settings_of(), Report())


def test_a_dry_run_opens_nothing(settings_of, report):
    assert run_solve(SolveOptions(X, Y), settings_of(dry_run=True), report).solves == 2
    assert not report.notes
