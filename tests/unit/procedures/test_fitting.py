"""Fits: exact on exact points, and as wrong as they say on points that scatter and meters that are off."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.drivers.instrument import Accuracy
from hwloop.procedures.fitting import bent_line, fit_linear, parameter, pooled_sigma
from hwloop.procedures.metering import meter_errors_95

X_VOLTS = np.array([-2.4, -1.2, 0.0, 1.2, 2.4, -0.04, 0.0, 0.04])
PART = np.array([0, 0, 0, 0, 0, 1, 1, 1])
RANGES = [Accuracy(35e-6, 50e-6), Accuracy(50e-6, 4e-6)]


@given(st.floats(0.9, 1.1), st.floats(-5e-3, 5e-3), st.floats(-1e-3, 1e-3))
def test_exact_points_give_what_they_were_made_of(gain, offset, bend):
    points = gain * X_VOLTS + offset + bend * (X_VOLTS / 2.5) ** 2
    fit = fit_linear(bent_line(X_VOLTS, 2.5), points[None], np.full(8, 1e-5), meter_errors_95(RANGES, X_VOLTS, PART))
    np.testing.assert_allclose(fit.value[0], [gain, offset, bend], atol=1e-12)
    assert np.abs(fit.residual).max() < 1e-12


def test_what_is_stated_covers_scatter_and_the_errors_that_channels_share():
    rng = np.random.default_rng(0)
    truth, sigma = np.array([1.002, 1e-3, -2e-4]), np.where(PART == 0, 1e-5, 1e-7)
    shared_95 = meter_errors_95(RANGES, X_VOLTS, PART)
    errors, stated = [], None
    for _ in range(500):
        # A meter of its own each time; its errors are normal, and what is stated of them is twice their sigma.
        points = bent_line(X_VOLTS, 2.5) @ truth + shared_95 @ (0.5 * rng.standard_normal(4))
        fit = fit_linear(bent_line(X_VOLTS, 2.5), (points + sigma * rng.standard_normal(8))[None], sigma, shared_95)
        errors.append(fit.value[0] - truth)
        stated = np.hypot(2 * fit.sigma, fit.common_95)
    ratio = np.array(errors) / (stated / 2)
    np.testing.assert_allclose(np.sqrt((ratio**2).mean(axis=0)), 1.0, atol=0.1)


def test_many_channels_do_not_average_away_what_they_share():
    """The meter's own gain error stands in full in every channel's uncertainty, however many channels there are."""
    points = np.tile(X_VOLTS, (1000, 1))
    fit = fit_linear(bent_line(X_VOLTS, 2.5), points, np.full(8, 1e-7), meter_errors_95(RANGES, X_VOLTS, PART))
    found = fit.parameter("input_dac_gain", "V/V", 0)
    assert 25e-6 < found.common_95 <= 35e-6 and np.all(found.uncertainty_95 >= found.common_95)


def test_the_small_range_makes_the_offset_good():
    """Near zero the small range counts: its 4 uV, not the 50 uV of the large one."""
    fit = fit_linear(
        bent_line(X_VOLTS, 2.5), X_VOLTS[None], np.full(8, 1e-7), meter_errors_95(RANGES, X_VOLTS, PART)
    )
    assert fit.common_95[1] == pytest.approx(4e-6, rel=0.05)


def test_a_parameter_of_one_number_and_of_many():
    one = parameter("read_volts", "V", 0.2, 1e-6, 2e-6)
    assert one.value.shape == () and float(one.uncertainty_95) == pytest.approx(2e-6 * np.sqrt(2))
    many = parameter("reference_ohms", "ohm", [5e3, 50e3], [0.0, 0.0], [1.0, 10.0])
    assert many.uncertainty_95.tolist() == [1.0, 10.0] and many.common_95 == 1.0


def test_scatter_is_what_repeats_differ_by_not_what_places_differ_by():
    rng = np.random.default_rng(1)
    repeats = 100.0 * np.arange(50) + rng.normal(0.0, 2.0, (20, 50))
    assert pooled_sigma(repeats) == pytest.approx(2.0, rel=0.1)
