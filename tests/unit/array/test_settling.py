"""Settling rates of programmed loads against LAPACK's generalised eigenvalues and the published design figures."""

import math

import numpy as np
import pytest
from scipy.linalg import eigvals

from hwloop.array.settling import masked_settling_rate_per_second, settle_seconds, settling_rate_per_second

GBW_HERTZ = 10e6


def reference_rate(a, b, row_sum, feedback):
    weights = 1.0 / np.broadcast_to(row_sum, a.shape[:1])
    q = b.T @ (weights[:, None] * a) + np.diag(feedback)
    k = np.diag(b.sum(axis=0) + feedback) - b.T @ (weights[:, None] * b)
    return 2 * math.pi * GBW_HERTZ * eigvals(q, k).real.min()


@pytest.mark.parametrize("k", [1, 2, 5, 8, 16])
def test_batch_of_different_arrays(k):
    rng = np.random.default_rng(k)
    a = rng.uniform(3e-6, 225e-6, (20, 20, k))
    b = a * (1 + 0.1 * rng.standard_normal(a.shape))
    row_sum = rng.uniform(6e-3, 9e-3, (20, 20))
    feedback = rng.uniform(0, 1e-4, (20, k))
    rate = settling_rate_per_second(a, b, row_sum, feedback, GBW_HERTZ)
    expected = [reference_rate(a[s], b[s], row_sum[s], feedback[s]) for s in range(20)]
    np.testing.assert_allclose(rate, expected, rtol=1e-9)


def test_each_solve_has_its_own_rows():
    rng = np.random.default_rng(2)
    design = rng.uniform(3e-6, 225e-6, (100, 8))
    rows = [np.sort(rng.choice(100, size, replace=False)) for size in rng.integers(1, 60, 50)]
    feedback = rng.uniform(1e-7, 1e-4, (50, 8))
    pointers = np.concatenate([[0], np.cumsum([r.size for r in rows])])
    rate = masked_settling_rate_per_second(design, pointers, np.concatenate(rows), 7.45e-3, feedback, GBW_HERTZ)
    expected = [reference_rate(design[r], design[r], 7.45e-3, f) for r, f in zip(rows, feedback, strict=True)]
    np.testing.assert_allclose(rate, expected, rtol=2e-6)


def test_opposed_arrays_are_unstable():
    a = np.array([[[1.0, 2.0], [2.0, 1.0]]]) * 50e-6
    b = a[:, :, ::-1]
    assert settling_rate_per_second(a, b, 1e-3, np.zeros((1, 2)), GBW_HERTZ)[0] < 0
    assert settle_seconds(np.array([-1.0, 0.0]), 1e-3).tolist() == [math.inf, math.inf]


def test_a_column_without_conductance_is_left_out():
    rng = np.random.default_rng(4)
    a = rng.uniform(3e-6, 225e-6, (1, 10, 3))
    with_empty = np.concatenate([a[:, :, :1], np.zeros((1, 10, 1)), a[:, :, 1:]], axis=2)
    alone = settling_rate_per_second(a, a, 5e-3, np.zeros((1, 3)), GBW_HERTZ)
    beside = settling_rate_per_second(with_empty, with_empty, 5e-3, np.zeros((1, 4)), GBW_HERTZ)
    np.testing.assert_allclose(beside, alone)
    nothing = np.zeros((1, 10, 2))
    assert settling_rate_per_second(nothing, nothing, 5e-3, np.zeros((1, 2)), GBW_HERTZ)[0] == math.inf


@pytest.mark.parametrize("m", [64, 256, 1024])
def test_settling_hardly_depends_on_the_number_of_rows(m):
    """5 µs to 0.1 % at k = 4 and 10 MHz, uniform random X (design notes, section 2)."""
    rng = np.random.default_rng(m)
    a = rng.uniform(0, 225e-6, (50, m, 4))
    row_sum = (2 * a.sum(axis=2) + 100e-6).max(axis=1, keepdims=True) * np.ones((1, m))
    wait = settle_seconds(settling_rate_per_second(a, a, row_sum, np.zeros((50, 4)), GBW_HERTZ), 1e-3)
    assert 3.5e-6 < np.median(wait) < 8e-6
