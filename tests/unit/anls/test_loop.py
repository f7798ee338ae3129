"""The ANLS loop: descent, stopping, dead components, batches, sparse and masked data, and the two reference jobs."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.anls import Masked, Start, exact_half_step, factorize
from hwloop.apps.image import load_photograph, psnr_db, rebuild, to_patches
from hwloop.apps.ratings import load_ratings, predict, score
from hwloop.errors import DataError, UsageError


def relative_residual(data, result):
    return np.linalg.norm(data - result.W @ result.H) / np.linalg.norm(data)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.sampled_from("WH"), st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_residual_never_rises_and_is_that_of_the_factors(m, n, rank, first, with_zeros, seed):
    rng = np.random.default_rng(seed)
    data = rng.random((m, n)) * (rng.random((m, n)) < 0.5 if with_zeros else 1.0)
    result = factorize(data, rank, first=first, iterations=6, seed=seed)
    assert result.W.shape == (m, rank) and result.H.shape == (rank, n)
    assert min(result.W.min(), result.H.min()) >= 0.0
    assert np.all(np.diff(result.residual) <= 1e-7)
    if data.any():
        assert result.residual[-1] == pytest.approx(relative_residual(data, result), abs=1e-7)


def test_exact_product_is_found_again():
    rng = np.random.default_rng(0)
    data = rng.random((30, 3)) @ rng.random((3, 20))
    result = factorize(data, 3, iterations=500)
    assert relative_residual(data, result) <= 1e-4
    assert result.residual[-1] == pytest.approx(relative_residual(data, result), rel=1e-6)


def test_stops_by_tolerance_and_says_so():
    data = np.random.default_rng(0).random((20, 15))
    loose = factorize(data, 3, iterations=200, tolerance=1e-3)
    assert loose.converged and loose.iterations == len(loose.residual) < 200
    assert abs(loose.residual[-2] - loose.residual[-1]) < 1e-3 * loose.residual[-2]
    bounded = factorize(data, 3, iterations=4)
    assert not bounded.converged and bounded.iterations == 4


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5), st.integers(2, 9), st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_batch_is_a_loop_over_its_matrices(batch, m, n, seed):
    rng = np.random.default_rng(seed)
    data, H = rng.random((batch, m, n)) + 0.1, rng.random((batch, 2, n))
    together = factorize(data, 2, start=Start(None, H), iterations=1)
    for index in range(batch):
        alone = factorize(data[index], 2, start=Start(None, H[index]), iterations=1)
        if not together.reseeded:  # what is drawn anew depends on the place in the batch
            np.testing.assert_allclose(together.W[index] @ together.H[index], alone.W @ alone.H, atol=1e-9)


def test_masked_with_every_entry_observed_is_dense():
    rng = np.random.default_rng(1)
    data, H = rng.random((25, 18)) + 0.1, rng.random((3, 18))
    dense = factorize(data, 3, start=Start(None, H), iterations=8)
    masked = factorize(Masked(sp.csr_array(data)), 3, start=Start(None, H), iterations=8)
    sparse = factorize(sp.csr_array(data), 3, start=Start(None, H), iterations=8)
    for other in (masked, sparse):
        np.testing.assert_allclose(other.W @ other.H, dense.W @ dense.H, atol=1e-9)
        np.testing.assert_allclose(other.residual, dense.residual, rtol=1e-9)


def test_stored_zeros_of_masked_data_are_observations():
    entries = sp.csr_array((np.array([1.0, 0.0]), (np.array([0, 1]), np.array([0, 0]))), shape=(2, 1))
    result = factorize(Masked(entries), 1, iterations=3)
    np.testing.assert_allclose(result.W @ result.H, [[1.0], [0.0]], atol=1e-12)


def test_normalised_designs_leave_the_product_alone():
    designs = []

    def watch(regression):
        designs.append(regression.design)
        return exact_half_step(regression)

    data = 1e-150 * np.random.default_rng(2).random((9, 7))
    result = factorize(data, 2, solver=watch, iterations=5)
    for design in designs[1:]:
        largest = design.max(axis=-2)
        assert np.all((largest >= 1.0) & (largest < 2.0))
    scaled = factorize(1e150 * data, 2, iterations=5)
    np.testing.assert_allclose(1e150 * (result.W @ result.H), scaled.W @ scaled.H, rtol=1e-6)


def test_ridge_and_l1_shrink_the_factors():
    data = np.random.default_rng(3).random((20, 15))
    plain = factorize(data, 3, iterations=30)
    ridge = factorize(data, 3, iterations=30, ridge=1.0)
    sparse = factorize(data, 3, iterations=30, ridge=0.1, l1=0.5)
    assert np.linalg.norm(ridge.W @ ridge.H) < np.linalg.norm(plain.W @ plain.H)
    assert np.mean(sparse.H == 0.0) > np.mean(ridge.H == 0.0)


def kill_first_component(regression):
    """A solver whose rail holds component 0 of every matrix at exactly zero while its design is nearly dependent."""
    coefficients = exact_half_step(regression)
    design = regression.design / np.linalg.norm(regression.design, axis=-2, keepdims=True)
    dependent = np.einsum("bm,bm->b", design[..., 0], design[..., 1]) > 0.999
    coefficients[dependent, 0] = 0.0
    return coefficients


def test_dead_components_come_back_whatever_solver_killed_them():
    rng = np.random.default_rng(4)
    data = rng.random((50, 8, 2)) @ rng.random((50, 2, 8))
    flat = np.ones((50, 2, 8)) + 1e-4 * rng.random((50, 2, 8))
    result = factorize(data, 2, solver=kill_first_component, start=Start(None, flat), iterations=60)
    assert result.reseeded >= 50
    assert (result.W.any(axis=1) & result.H.any(axis=2)).all()
    assert result.residual[-1] < 0.02


def test_a_component_that_starts_dead_is_drawn_anew_and_zero_matrices_are_left_alone():
    data = np.stack([np.random.default_rng(5).random((6, 6)), np.zeros((6, 6))])
    H = np.random.default_rng(6).random((2, 2, 6))
    H[:, 1] = 0.0
    result = factorize(data, 2, start=Start(None, H), iterations=3)
    assert result.reseeded == 1
    assert result.W[0].any(axis=0).all() and not result.W[1].any()


def test_all_zero_data_gives_zero_and_no_residual():
    result = factorize(np.zeros((4, 3)), 2, iterations=2)
    assert not (result.W @ result.H).any() and result.residual.tolist() == [0.0, 0.0]


def test_same_seed_same_bytes_and_another_seed_another_result():
    data = np.random.default_rng(7).random((4, 8, 8))
    one, again, other = (factorize(data, 2, iterations=3, seed=seed) for seed in (1, 1, 2))
    assert one.W.tobytes() == again.W.tobytes() and one.H.tobytes() == again.H.tobytes()
    assert one.H.tobytes() != other.H.tobytes()


def test_sparse_data_is_never_densified():
    rng = np.random.default_rng(8)
    size, entries = 100_000, 300_000
    coordinates = (rng.integers(0, size, entries), rng.integers(0, size, entries))
    data = sp.csr_array((rng.random(entries), coordinates), shape=(size, size))
    for kind in (data, Masked(data)):
        tracemalloc.start()
        result = factorize(kind, 2, iterations=1)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak_bytes < 100e6, "dense, this matrix would take 80 GB"
        assert 0.0 < result.residual[-1] < 1.0


def test_callback_sees_every_iteration():
    seen = []
    data = np.random.default_rng(9).random((6, 5))
    result = factorize(data, 2, iterations=3, callback=seen.append)
    assert [progress.iteration for progress in seen] == [1, 2, 3]
    assert [progress.residual for progress in seen] == result.residual.tolist()
    assert np.array_equal(seen[-1].W, result.W) and seen[0].H.shape == (2, 5)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.array([[1.0, 2.0], [-0.5, 1.0]]), r"entry \(1, 0\) is -0.5"),
        (np.array([[1.0, np.nan]]), r"entry \(0, 1\) is nan"),
        (np.array([[[1.0, np.inf]]]), r"entry \(0, 0, 1\) is inf"),
        (sp.csr_array(np.array([[0.0, 0.0], [3.0, -2.0]])), r"entry \(1, 1\) is -2"),
        (Masked(sp.csr_array(np.array([[0.0, np.nan]]))), r"entry \(0, 1\) is nan"),
        (np.array([["a"]]), "not numeric"),
        (np.array([[1j]]), "complex"),
        (np.ones(3), r"shape \(3,\)"),
        (np.ones((0, 3)), r"shape \(0, 3\)"),
    ],
)
def test_bad_data_is_named(data, message):
    with pytest.raises(DataError, match=message):
        factorize(data, 1)


def test_an_entry_observed_twice_is_refused():
    twice = sp.csr_array((np.ones(2), np.array([0, 0]), np.array([0, 2])), shape=(1, 1))
    with pytest.raises(DataError, match="observed twice"):
        factorize(Masked(twice), 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, "rank is 0"),
        ({"rank": 1.5}, "rank is 1.5"),
        ({"rank": 1, "iterations": 0}, "iterations is 0"),
        ({"rank": 1, "first": "X"}, "first is 'X'"),
        ({"rank": 1, "start": "zeros"}, "start is 'zeros'"),
        ({"rank": 1, "ridge": -1.0}, "ridge is -1"),
        ({"rank": 1, "tolerance": float("nan")}, "tolerance is nan"),
        ({"rank": 1, "start": Start(np.ones((3, 1)), None)}, "start has no H"),
        ({"rank": 1, "start": Start(None, np.ones((1, 3)))}, r"start H has .*\(1, 3, 1\), needed \(1, 4, 1\)"),
        ({"rank": 1, "start": Start(None, -np.ones((1, 4)))}, "start H has entries that are negative"),
        ({"rank": 1, "solver": lambda regression: np.ones(3)}, r"returned shape \(3,\)"),
        ({"rank": 1, "solver": lambda regression: -exact_half_step(regression)}, "returned entries"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(UsageError, match=message):
        factorize(np.ones((3, 4)), **arguments)


def test_default_photograph_reaches_its_reference():
    pixels = load_photograph().pixels
    patches = to_patches(pixels, 8)
    for seed in range(10):
        result = factorize(patches, 2, iterations=6, seed=seed)
        assert psnr_db(pixels, rebuild(result.W, result.H, pixels.shape)) >= 36.3


def test_movielens_reaches_its_reference(movielens_folder):
    ratings = load_ratings(movielens_folder)
    for seed in (0, 1):
        rmse = []
        for number in ratings.fold_numbers:
            fold = ratings.fold(number)
            result = factorize(
                Masked(fold.train), 8, start="svd_centred", iterations=10, ridge_per_observation=0.1, seed=seed
            )
            predicted = predict(fold.train, result.W, result.H, fold.test_users, fold.test_items)
            rmse.append(score(predicted, fold.test_values).rmse)
        assert np.mean(rmse) <= 0.9175
