"""Small compiled eigenvalue routines against LAPACK."""

import numpy as np
import pytest
from scipy.linalg import eigh

from hwloop.eigenvalues import smallest_pencil_eigenvalue, smallest_real_part


@pytest.mark.parametrize("kind", ["general", "symmetric", "defective", "repeated", "graded", "triangular"])
def test_smallest_real_part_is_that_of_lapack(kind):
    rng = np.random.default_rng(11)
    for _ in range(200):
        k = int(rng.integers(1, 17))
        matrix = rng.standard_normal((k, k))
        if kind == "symmetric":
            matrix = matrix @ matrix.T
        elif kind == "defective":
            matrix[:, -1] = matrix[:, 0]
        elif kind == "repeated":
            matrix = 3.0 * np.eye(k)
        elif kind == "graded":
            matrix = matrix * np.logspace(0, -8, k)
        elif kind == "triangular":
            matrix = np.triu(matrix)
        before = matrix.copy()
        expected = np.linalg.eigvals(matrix).real.min()
        assert smallest_real_part(matrix) == pytest.approx(expected, abs=1e-12 * np.abs(matrix).sum())
        assert np.array_equal(matrix, before)


def test_cyclic_permutations_converge():
    """The classical case in which plain shifted QR stands still; its eigenvalues are the roots of unity."""
    for k in range(3, 17):
        matrix = np.roll(np.eye(k), 1, axis=0)
        expected = np.cos(2 * np.pi * np.arange(k) / k).min()
        assert smallest_real_part(matrix) == pytest.approx(expected, abs=1e-12)


def test_pencil_eigenvalue_is_never_above_and_within_1e_6():
    rng = np.random.default_rng(5)
    for _ in range(200):
        k = int(rng.integers(1, 17))
        x, y = rng.standard_normal((k + 2, k)), rng.standard_normal((k + 2, k))
        q, big_k = x.T @ x, y.T @ y + np.eye(k)
        expected = eigh(q, big_k, eigvals_only=True)[0]
        found = smallest_pencil_eigenvalue(q, big_k)
        assert expected * (1 - 2e-6) <= found <= expected * (1 + 1e-9)


def test_pencil_of_a_singular_matrix_is_zero():
    x = np.ones((4, 3))
    assert smallest_pencil_eigenvalue(x.T @ x, np.eye(3)) == pytest.approx(0.0, abs=1e-10)
