"""Starts: shapes, signs, determinism, and the data that each is for."""

import numpy as np
import pytest
import scipy.sparse as sp

from hwloop.anls.problem import Masked, pose
from hwloop.anls.start import STARTS, nndsvd, random_start, svd_centred
from hwloop.errors import UsageError


@pytest.fixture
def ratings():
    rng = np.random.default_rng(0)
    matrix = rng.integers(1, 6, (90, 120)) * (rng.random((90, 120)) < 0.2)
    return pose(Masked(sp.csr_array(matrix.astype(float))))


@pytest.mark.parametrize("rank", [1, 2, 5, 8])
def test_svd_centred_has_any_rank_and_stays_near_its_offset(ratings, rank):
    start = svd_centred(ratings, rank, seed=0)
    assert start.W.shape == (90, rank) and start.H.shape == (rank, 120)
    assert min(start.W.min(), start.H.min()) >= 0.3
    assert max(start.W.max(), start.H.max()) <= 1.31


def test_svd_centred_splits_each_vector_into_its_signed_parts(ratings):
    start = svd_centred(ratings, 8, seed=0)
    for component in range(0, 8, 2):
        either = np.minimum(start.W[:, component], start.W[:, component + 1]) - 0.3
        assert either.max() <= 0.01


@pytest.mark.parametrize("name", STARTS)
def test_the_seed_decides_everything(ratings, name):
    problem = pose(np.random.default_rng(1).random((90, 70))) if name == "nndsvd" else ratings
    one, again = STARTS[name](problem, 4, 7), STARTS[name](problem, 4, 7)
    assert np.array_equal(one.W, again.W) and np.array_equal(one.H, again.H)
    if name != "nndsvd":
        assert not np.array_equal(one.H, STARTS[name](problem, 4, 8).H)


def test_equal_ratings_leave_no_vectors_and_still_no_equal_components():
    start = svd_centred(pose(Masked(sp.csr_array(np.full((80, 70), 3.0)))), 4, seed=0)
    assert np.linalg.matrix_rank(start.H) == 4


def test_nndsvd_of_a_positive_rank_one_matrix_is_exact_in_its_first_component():
    outer = np.outer(np.arange(1.0, 7.0), np.arange(1.0, 5.0))
    start = nndsvd(pose(outer), 3, seed=0)
    np.testing.assert_allclose(np.outer(start.W[0, :, 0], start.H[0, 0]), outer, rtol=1e-12)
    assert start.W[0, :, 1:].any(axis=0).all(), "components beyond the rank of the data start at random"


def test_nndsvd_of_sparse_data_is_that_of_the_same_dense_data():
    matrix = np.random.default_rng(2).random((90, 80))
    dense, sparse = nndsvd(pose(matrix), 3, 0), nndsvd(pose(sp.csr_array(matrix)), 3, 0)
    np.testing.assert_allclose(sparse.W, dense.W[0], atol=1e-8)
    np.testing.assert_allclose(sparse.H, dense.H[0], atol=1e-8)


def test_random_start_fills_a_batch():
    start = random_start(pose(np.ones((5, 4, 3))), 2, seed=0)
    assert start.W.shape == (5, 4, 2) and start.H.shape == (5, 2, 3)
    assert 0.0 <= start.H.min() and start.H.max() < 1.0


def test_starts_refuse_data_that_they_are_not_for(ratings):
    with pytest.raises(UsageError, match="nndsvd needs every entry"):
        nndsvd(ratings, 2, 0)
    with pytest.raises(UsageError, match="svd_centred is for masked data"):
        svd_centred(pose(np.ones((4, 4))), 2, 0)
