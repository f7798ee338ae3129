"""Codes ↔ volts, amps and siemens: round trips to half a code, nothing clipped, bounds in the message."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.errors import LimitError
from hwloop.link.protocol import TiaRange
from hwloop.mock.converters import Converters
from tests.unit.drivers.describing import scales_of

SCALES, BOARD = scales_of("hwloop-128x16"), Converters()


@pytest.mark.parametrize(
    ("codes", "back", "low", "high", "step"),
    [
        (lambda v: SCALES.amplitude_codes(v, False), BOARD.amplitude_volts, 0, 2.5, 5 / 65536),
        (lambda v: SCALES.amplitude_codes(v, True), BOARD.amplitude_volts, 0, 3.3, 5 / 65536),
        (SCALES.gate_codes, BOARD.gate_volts, 0, 3.0, 5 / 65536),
        (SCALES.input_codes, BOARD.input_volts, -2.4999, 2.4999, 2.5 / 32768),
        (SCALES.feedback_codes, BOARD.feedback_siemens, 0, 204.9e-6, 205e-6 / 4096),
        (SCALES.compensation_codes, BOARD.compensation_siemens, 0, 7.19e-3, 7.2e-3 / 1024),
    ],
)
def test_what_the_driver_encodes_the_board_gives_within_half_a_code(codes, back, low, high, step):
    values = np.linspace(low, high, 2001)
    assert np.abs(back(codes(values).astype(np.int64)) - values).max() <= step / 2 * (1 + 1e-9)
    for beyond in (low - step, high + 20 * step):
        with pytest.raises(LimitError):
            codes(np.array([low, beyond]))


@given(st.lists(st.floats(-49.9e-6, 49.9e-6), min_size=1, max_size=16))
def test_bias_takes_the_finest_divider_that_holds_all(amps):
    amps = np.array(amps)
    divider = SCALES.bias_divider(np.abs(amps).max())
    codes = SCALES.bias_codes(amps, divider)
    step = 50e-6 / 2048 / 16**divider
    assert np.abs(BOARD.bias_amps(codes.astype(np.int64), divider) - amps).max() <= step / 2 * (1 + 1e-9)
    if divider < 2:
        assert np.abs(amps).max() > 50e-6 / 16 ** (divider + 1) * 2047 / 2048


def test_bias_beyond_the_widest_range_is_refused():
    with pytest.raises(LimitError, match="bias current is 6e-05 A"):
        SCALES.bias_codes(np.array([1e-9, 6e-5]), SCALES.bias_divider(np.array([1e-9, 6e-5])))


@pytest.mark.parametrize("tia_range", TiaRange)
def test_readings(tia_range):
    full_scale_siemens = SCALES.range_siemens(tia_range)
    assert full_scale_siemens == pytest.approx({TiaRange.FINE: 25e-6, TiaRange.COARSE: 250e-6}[tia_range])
    codes = np.array([0, 32768, 65535])
    assert SCALES.siemens_from_read_codes(codes, tia_range) == pytest.approx(codes / 65536 * full_scale_siemens)
    assert SCALES.amps_from_current_codes(np.array([-32768, 16384]), tia_range) == pytest.approx(
        full_scale_siemens * 0.2 * np.array([-1.0, 0.5])
    )


def test_output_codes():
    assert SCALES.volts_from_output_codes(np.array([-32768, 0, 4096])) == pytest.approx([-0.32, 0.0, 0.04])
    assert SCALES.output_max_volts == pytest.approx(0.3)


def test_a_spread_is_at_least_one_code_and_at_most_the_range():
    assert SCALES.spread_code(0.0, TiaRange.COARSE) == 1
    assert SCALES.spread_code(1e-6, TiaRange.COARSE) == 262
    for spread_siemens in (251e-6, -1e-6, np.nan):
        with pytest.raises(LimitError, match="spread of a steady reading.*allowed 0 to 0.000249996 S"):
            SCALES.spread_code(spread_siemens, TiaRange.COARSE)


def test_the_energy_of_a_pulse_is_limited():
    SCALES.check_pulse_energy(np.array([32768]), np.array([10_000]))
    SCALES.check_pulse_energy(np.array([43254]), np.array([5739]))
    with pytest.raises(LimitError, match=r"allowed up to 0.00625 V\^2 s"):
        SCALES.check_pulse_energy(np.array([43254]), np.array([5740]))


@pytest.mark.parametrize(("averages", "sub_averages"), [(0, 1), (4097, 1), (1366, 3), (1, 256), (-4, -1)])
def test_samples_are_limited(averages, sub_averages):
    SCALES.check_samples(4096, 1)
    with pytest.raises(LimitError):
        SCALES.check_samples(averages, sub_averages)
