"""Outputs as read, and as they are: gain and offset that somebody knows better than the board's calibration."""

import numpy as np

from hwloop.drivers.board import AS_READ, OutputCalibration


def test_gain_and_offset():
    calibration = OutputCalibration(gain=2.0, offset_volts=0.01)
    np.testing.assert_allclose(calibration.volts(np.array([0.1, -0.1])), [0.21, -0.19])


def test_without_a_calibration_nothing_changes_by_a_bit():
    read_volts = np.random.default_rng(0).normal(size=(50, 3))
    assert np.array_equal(AS_READ.volts(read_volts), read_volts)
    assert OutputCalibration() == AS_READ
