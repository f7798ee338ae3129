"""Factors rounded to a few bits: steps of each component's own largest entry."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.apps.rounding import round_factors


def test_none_leaves_factors_as_they_are():
    w, h = np.random.default_rng(0).random((5, 2)), np.random.default_rng(1).random((2, 4))
    assert all(found is own for found, own in zip(round_factors(w, h, None), (w, h), strict=True))


def test_one_bit_is_nothing_or_the_largest_entry_of_the_component():
    w, _ = round_factors(np.array([[0.0, 10.0], [0.6, 4.0], [1.0, 6.0]]), np.ones((2, 1)), 1)
    assert w.tolist() == [[0.0, 10.0], [1.0, 0.0], [1.0, 10.0]]
    _, h = round_factors(np.ones((1, 2)), np.array([[0.4, 1.0], [3.0, 1.4]]), 1)
    assert h.tolist() == [[0.0, 1.0], [3.0, 0.0]]


def test_a_component_of_zeros_stays_so():
    w, h = round_factors(np.zeros((3, 1)), np.zeros((1, 2)), 8)
    assert not w.any() and not h.any()


@given(st.integers(1, 16), st.integers(0, 1000), st.floats(1e-6, 1e6))
@settings(max_examples=50, deadline=None)
def test_no_entry_moves_by_more_than_half_a_step_and_none_takes_another_value(bits, seed, scale):
    random, steps = np.random.default_rng(seed), 2**bits - 1
    w, h = scale * random.random((3, 6, 2)), random.random((3, 2, 5))
    for own, found, axis in zip((w, h), round_factors(w, h, bits), (-2, -1), strict=True):
        largest = own.max(axis=axis, keepdims=True)
        assert (np.abs(found - own) <= 0.5000001 * largest / steps).all()
        assert found / largest * steps == pytest.approx(np.rint(found / largest * steps), abs=1e-6)
        assert (found >= 0.0).all() and found.max(axis=axis, keepdims=True) == pytest.approx(largest)
