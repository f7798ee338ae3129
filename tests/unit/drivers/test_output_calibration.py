"""Outputs as read, and as they are: gain and offset on what the board answered, and on nothing else."""

import numpy as np

from hwloop.drivers.board import AS_READ, OutputCalibration


def test_outputs_that_the_board_did_not_give_stay_zero():
    read_volts = np.array([[0.1, 0.0], [0.2, -0.1]])
    answered = np.array([[True, False], [True, True]])
    calibrated = OutputCalibration(gain=2.0, offset_volts=0.01).volts(read_volts, answered)
    np.testing.assert_allclose(calibrated, [[0.21, 0.0], [0.41, -0.19]])


def test_without_a_calibration_nothing_changes_by_a_bit():
    read_volts = np.random.default_rng(0).normal(size=(50, 3))
    assert np.array_equal(AS_READ.volts(read_volts, np.ones((50, 3), bool)), read_volts)
    assert OutputCalibration() == AS_READ
