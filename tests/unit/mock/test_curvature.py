"""The cells' I–V law against the measured ratios that it was fitted to."""

import numpy as np
import pytest

from hwloop.mock.curvature import cell_current, curvature_per_square_volt


def chord(siemens, volts):
    return cell_current(siemens, volts, 1.0) / volts


@pytest.mark.parametrize(
    ("siemens", "low", "high"),
    [(5e-6, 1.37, 1.40), (10e-6, 1.37, 1.40), (30e-6, 1.21, 1.23), (50e-6, 1.10, 1.12), (70e-6, 1.055, 1.065),
     (90e-6, 1.036, 1.038), (110e-6, 1.013, 1.015), (225e-6, 1.013, 1.015)],
)  # fmt: skip
def test_measured_ratio_between_0v34_and_0v1(siemens, low, high):
    assert low <= chord(siemens, 0.34) / chord(siemens, 0.1) <= high


def test_conductance_means_the_current_at_the_read_voltage():
    siemens = np.linspace(0, 500e-6, 101)
    np.testing.assert_allclose(cell_current(siemens, 0.2, 1.0), siemens * 0.2, rtol=1e-14)


def test_odd_and_rising_in_voltage():
    volts = np.linspace(-0.5, 0.5, 101)
    current = cell_current(20e-6, volts, 1.0)
    np.testing.assert_array_equal(current, -cell_current(20e-6, -volts, 1.0))
    assert np.all(np.diff(current) > 0)


def test_the_coefficient_falls_with_conductance():
    values = [curvature_per_square_volt(g) for g in np.linspace(0, 300e-6, 301)]
    assert np.all(np.diff(values) <= 0)
