"""Converter channels and ladders, there and back: what a code means, and the code for what is wanted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.calibration.channels import Channels, Ladders

RNG = np.random.default_rng(4)
# Twice as far off as simulated boards are at most: gain ±1.2 %, offset ±12 mV, bend ±2 mV of 2.5 V.
CHANNELS = Channels(
    1.0 + 0.012 * RNG.uniform(-1, 1, 8), 0.012 * RNG.uniform(-1, 1, 8), 2e-3 * RNG.uniform(-1, 1, 8), 2.5
)
LADDERS = Ladders(Ladders.nominal(6, 12, 205e-6).step_siemens * (1.0 + 0.02 * RNG.uniform(-1, 1, (6, 12))))


def test_nominal_channels_change_nothing():
    nominal = Channels.nominal(3, 2.5)
    volts = np.linspace(-2.5, 2.5, 7)
    assert np.array_equal(nominal.forward(volts, 1), volts) and np.array_equal(nominal.inverse(volts, 1), volts)


def test_gain_offset_and_bend_are_those_of_the_formula():
    one = Channels(np.array([1.01, 0.98]), np.array([0.003, -0.002]), np.array([0.0, 5e-4]), 2.5)
    assert one.forward(np.array(2.0), 0) == pytest.approx(1.01 * 2.0 + 0.003)
    assert one.forward(np.array(2.0), 1) == pytest.approx(0.98 * 2.0 - 0.002 + 5e-4 * (2.0 / 2.5) ** 2)


@given(st.lists(st.floats(-2.5, 2.5), min_size=1, max_size=20), st.integers(0, 7))
def test_the_way_back_is_exact(volts, channel):
    there = CHANNELS.forward(np.array(volts), channel)
    assert np.allclose(CHANNELS.inverse(there, channel), volts, rtol=0, atol=1e-12)


def test_every_value_is_converted_by_its_own_channel():
    channels = np.arange(8)
    volts = np.linspace(-2.0, 2.0, 8)
    together = CHANNELS.forward(volts, channels)
    assert together.tolist() == [float(CHANNELS.forward(volts[n], n)) for n in channels]
    table = CHANNELS.forward(volts[:, None], channels)
    assert np.array_equal(np.diagonal(table), together) and table.shape == (8, 8)


def test_every_code_of_a_ladder_is_the_sum_of_its_steps():
    codes = np.array([0, 1, 2, 5, 0b1000_0000_0001, 4095])
    by_hand = [sum(LADDERS.step_siemens[3, bit] for bit in range(12) if code >> bit & 1) for code in codes]
    assert np.allclose(LADDERS.siemens(codes, 3), by_hand, rtol=1e-14)
    assert np.allclose(LADDERS.largest_siemens(), LADDERS.step_siemens.sum(axis=1))


def test_a_nominal_ladder_ends_one_step_before_its_full_scale():
    ladder = Ladders.nominal(1, 10, 7.2e-3)
    assert ladder.siemens(np.array(512), 0) == pytest.approx(3.6e-3)
    assert ladder.largest_siemens()[0] == pytest.approx(7.2e-3 * 1023 / 1024)


def test_no_code_comes_nearer_than_the_one_that_is_chosen():
    wanted = np.concatenate([RNG.uniform(0, 205e-6, 400), [0.0, 205e-6, 2e-9]])
    ladder = RNG.integers(0, 6, wanted.size)
    chosen = LADDERS.nearest_codes(wanted, ladder)
    distance = np.abs(LADDERS.siemens(chosen, ladder) - wanted)
    least = np.abs(LADDERS.sums_siemens[ladder] - wanted[:, None]).min(axis=1)
    assert np.allclose(distance, least, rtol=0, atol=1e-18)
    assert chosen.dtype == np.int64


def test_codes_of_a_true_ladder_come_back_as_they_are():
    ladder = Ladders.nominal(2, 10, 7.2e-3)
    codes = np.arange(1024)
    assert np.array_equal(ladder.nearest_codes(ladder.siemens(codes, 1), np.ones(1024, int)), codes)
