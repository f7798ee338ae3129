"""`factorize matrix`: dense, sparse and with missing entries; factors out, run file, sameness."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from hwloop.cli.output import _plain
from hwloop.controller.matrix_job import run_matrix
from hwloop.report import Report
from hwloop.runlog.digest import factors_sha256, file_sha256
from hwloop.runscript import MatrixOptions

OPTIONS = MatrixOptions(path=Path("m.npy"), rank=3, iterations=3, factors=Path("factors.npz"))


@pytest.fixture(scope="module")
def found(inputs, settings_of):
    return run_matrix(OPTIONS, settings_of(), Report())


def test_the_document_has_every_key_with_its_type(found, check_counters):
    document = json.loads(json.dumps(_plain(found.document())))
    check_counters(document)
    assert document["shape"] == [12, 9] and document["stored"] == 108
    assert 0.0 < document["reference"]["residual"] < 1.0
    assert document["residual"] == pytest.approx(document["reference"]["residual"], abs=0.05)
    assert [item["iteration"] for item in document["iterations"]] == [1, 2, 3]


def test_factors_and_run_file_are_what_was_told(found, check_run_file):
    run = check_run_file(found.outcome.run_file, seed=0)
    (pair,) = run.factors()
    stored = np.load("factors.npz")
    assert np.array_equal(stored["W"], pair.w) and np.array_equal(stored["H"], pair.h)
    assert (pair.w >= 0).all() and (pair.h >= 0).all()
    assert factors_sha256([(pair.w, pair.h)]) == found.factors_sha256
    matrix = np.load("m.npy")
    residual = np.linalg.norm(matrix - pair.w @ pair.h) / np.linalg.norm(matrix)
    assert residual == pytest.approx(found.residual[-1])
    assert run.inputs[0].sha256 == file_sha256("m.npy")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in found.outcome.pictures)


def test_the_same_seed_gives_the_same_factors(found, settings_of):
    again = run_matrix(MatrixOptions(Path("m.npy"), rank=3, iterations=3), settings_of(), Report())
    assert again.factors_sha256 == found.factors_sha256


@pytest.mark.parametrize("missing", [False, True], ids=["zeros are data", "zeros are missing"])
def test_sparse_matrices(inputs, settings_of, missing):
    matrix = sp.random_array((14, 11), density=0.4, rng=np.random.default_rng(2), format="csr")
    sp.save_npz("sparse.npz", matrix)
    done = run_matrix(
        MatrixOptions(Path("sparse.npz"), rank=2, iterations=2, missing=missing, ridge=0.01), settings_of(), Report()
    )
    assert done.stored == matrix.nnz and done.residual[-1] == pytest.approx(done.reference_residual[-1], abs=0.05)


@pytest.mark.parametrize(
    ("matrix", "rank"), [([[0.7]], 1), (np.zeros((4, 3)).tolist(), 2)], ids=["1x1", "zero"]
)
def test_any_size_works(inputs, settings_of, matrix, rank):
    np.savetxt("small.csv", matrix, delimiter=",")
    done = run_matrix(MatrixOptions(Path("small.csv"), rank=rank, iterations=2), settings_of(), Report())
    assert done.residual[-1] < 0.1
