"""The residual of any factors, for each kind of data: what the loop itself finds after its last iteration."""

import numpy as np
import pytest
import scipy.sparse as sp

from hwloop.anls import Masked
from hwloop.anls.loop import factorize
from hwloop.anls.problem import relative_residual


def _sparse():
    return sp.random_array((20, 15), density=0.3, rng=np.random.default_rng(0), format="csr")


@pytest.mark.parametrize("data", [
    np.random.default_rng(0).random((12, 9)), np.random.default_rng(1).random((4, 6, 5)), _sparse(), Masked(_sparse()),
], ids=["dense", "batch", "sparse", "masked"])
def test_it_is_that_of_the_last_iteration(data):
    found = factorize(data, 2, iterations=3)
    assert relative_residual(data, found.W, found.H) == pytest.approx(found.residual[-1], rel=1e-9)


def test_masked_entries_do_not_count_and_nothing_is_off_by_nothing():
    data = sp.csr_array(np.array([[1.0, 0.0], [0.0, 2.0]]))
    w, h = np.array([[1.0], [2.0]]), np.array([[1.0, 1.0]])
    assert relative_residual(Masked(data), w, h) == 0.0
    assert relative_residual(data, w, h) == pytest.approx(np.sqrt(5.0 / 5.0))
    assert relative_residual(np.zeros((2, 2)), w, h) == 0.0
