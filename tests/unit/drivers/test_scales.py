"""Codes ↔ volts, amps and siemens: round trips to half a code, on a board without errors and on one whose errors are
known; nothing clipped, bounds in the message."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.calibration.constants import BoardConstants
from hwloop.drivers.board.scales import Scales
from hwloop.errors import LimitError
from hwloop.link.protocol import TiaRange
from hwloop.mock.board_truth import BoardTruth, draw_board
from hwloop.mock.converters import Converters
from tests.unit.drivers.describing import known_values, scales_of

NOMINAL = scales_of("hwloop-128x16")
ROWS, COLUMNS = 128, 16


def board_with(has_errors: bool) -> tuple[BoardTruth, Scales, Converters]:
    """A board, what the host makes of its codes where it knows all about it, and what they truly give."""
    truth = draw_board(3, ROWS, COLUMNS, has_errors, amplifier_offset=False)
    constants = BoardConstants.nominal(NOMINAL.describe).calibrated(known_values(truth))
    return truth, Scales(NOMINAL.describe, constants), Converters(truth)


@pytest.mark.parametrize("has_errors", [False, True])
@pytest.mark.parametrize(
    ("codes", "back", "channels", "low", "high", "step", "slack"),
    [
        (lambda s, v, c: s.amplitude_codes(v, False, c), Converters.amplitude_volts, COLUMNS, 0.02, 2.45, 5 / 65536, 1),
        (lambda s, v, c: s.amplitude_codes(v, True, c), Converters.amplitude_volts, COLUMNS, 0.02, 3.25, 5 / 65536, 1),
        (Scales.input_codes, Converters.input_volts, ROWS, -2.45, 2.45, 2.5 / 32768, 1),
        (Scales.feedback_codes, Converters.feedback_siemens, COLUMNS, 0, 200e-6, 205e-6 / 4096, 60),
        (Scales.compensation_codes, Converters.compensation_siemens, ROWS, 0, 7e-3, 7.2e-3 / 1024, 8),
    ],
)
def test_what_the_driver_encodes_the_board_gives(has_errors, codes, back, channels, low, high, step, slack):
    _, scales, board = board_with(has_errors)
    values = np.linspace(low, high, 2001)
    channel = np.arange(2001) % channels
    given_back = back(board, codes(scales, values, channel).astype(np.int64), channel)
    # Steps of a ladder that are off leave gaps where a large one takes over from all the smaller ones.
    half = step / 2 * (1.01 if not has_errors else slack * 1.01)
    assert np.abs(given_back - values).max() <= half
    for beyond in (low - 2 * step - 0.05 * (high - low), high + 0.1 * (high - low)):
        with pytest.raises(LimitError):
            codes(scales, np.array([high, beyond]), channel[:2])


@pytest.mark.parametrize("has_errors", [False, True])
def test_gate_voltages(has_errors):
    _, scales, board = board_with(has_errors)
    volts = np.linspace(0.02, 2.98, 500)
    assert np.abs(board.gate_volts(scales.gate_codes(volts)) - volts).max() <= 5 / 65536 / 2 * 1.01


def test_an_input_of_solve_is_a_current_whatever_the_resistor_of_the_row():
    truth, scales, board = board_with(True)
    rows, volts = np.arange(ROWS), np.linspace(-2.3, 2.3, ROWS)
    at_pin = board.input_volts(scales.solve_input_codes(volts, rows), rows)
    assert at_pin / truth.input_ohms == pytest.approx(volts * 1e-4, abs=2.5 / 32768 / 1e4)
    largest = np.full(ROWS, scales.input_max_volts)
    scales.solve_input_codes(largest, rows)
    scales.solve_input_codes(-largest, rows)
    with pytest.raises(LimitError, match="input voltage"):
        scales.solve_input_codes(largest * 1.03, rows)


@given(st.lists(st.floats(-48e-6, 48e-6), min_size=1, max_size=16), st.booleans())
def test_bias_takes_the_finest_divider_that_holds_all(amps, has_errors):
    _, scales, board = board_with(has_errors)
    amps, columns = np.array(amps), np.arange(len(amps))
    divider = scales.bias_divider(np.abs(amps).max())
    codes = scales.bias_codes(amps, divider, columns)
    step = 50e-6 / 2048 / 16**divider
    assert np.abs(board.bias_amps(codes.astype(np.int64), divider, columns) - amps).max() <= step / 2 * 1.04
    if divider < 2:
        assert np.abs(amps).max() > 0.95 * 50e-6 / 16 ** (divider + 1)


def test_bias_beyond_the_widest_range_is_refused():
    with pytest.raises(LimitError, match="bias current is 6e-05 A"):
        NOMINAL.bias_codes(np.array([1e-9, 6e-5]), NOMINAL.bias_divider(np.array([1e-9, 6e-5])), np.arange(2))


@pytest.mark.parametrize("has_errors", [False, True])
@pytest.mark.parametrize("tia_range", TiaRange)
def test_readings(tia_range, has_errors):
    truth, scales, board = board_with(has_errors)
    full_scale_siemens = {TiaRange.FINE: 25e-6, TiaRange.COARSE: 250e-6}[tia_range]
    assert NOMINAL.range_siemens(tia_range) == pytest.approx(full_scale_siemens)
    columns, siemens = np.arange(COLUMNS), np.linspace(0.05, 0.95, COLUMNS) * full_scale_siemens
    slope = board.read_codes_per_amp(tia_range)
    codes = siemens * truth.read_volts * slope + board.offset_codes(tia_range, slope)
    assert scales.siemens_from_read_codes(codes, tia_range, columns) == pytest.approx(siemens, rel=1e-9)
    slope = board.current_codes_per_amp(tia_range)
    amps = np.linspace(-0.9, 0.9, COLUMNS) * full_scale_siemens * 0.2
    codes = amps * slope + board.offset_codes(tia_range, slope)
    assert scales.amps_from_current_codes(codes, tia_range, columns) == pytest.approx(amps, rel=1e-9)


@pytest.mark.parametrize("has_errors", [False, True])
def test_output_codes(has_errors):
    truth, scales, board = board_with(has_errors)
    columns, volts = np.arange(COLUMNS), np.linspace(-0.25, 0.25, COLUMNS)
    codes = truth.output_adc.at_pin(volts, columns) * board.output_codes_per_volt
    assert scales.volts_from_output_codes(codes, columns) == pytest.approx(volts, rel=1e-9, abs=1e-12)
    assert scales.output_max_volts == pytest.approx(0.3)


def test_a_spread_is_at_least_one_code_and_at_most_the_range():
    assert NOMINAL.spread_code(0.0, TiaRange.COARSE) == 1
    assert NOMINAL.spread_code(1e-6, TiaRange.COARSE) == 262
    for spread_siemens in (251e-6, -1e-6, np.nan):
        with pytest.raises(LimitError, match="spread of a steady reading.*allowed 0 to 0.000249996 S"):
            NOMINAL.spread_code(spread_siemens, TiaRange.COARSE)


def test_the_energy_of_a_pulse_is_limited():
    NOMINAL.check_pulse_energy(np.array([32768]), np.array([10_000]))
    NOMINAL.check_pulse_energy(np.array([43254]), np.array([5739]))
    with pytest.raises(LimitError, match=r"allowed up to 0.00625 V\^2 s"):
        NOMINAL.check_pulse_energy(np.array([43254]), np.array([5740]))


@pytest.mark.parametrize(("averages", "sub_averages"), [(0, 1), (4097, 1), (1366, 3), (1, 256), (-4, -1)])
def test_samples_are_limited(averages, sub_averages):
    NOMINAL.check_samples(4096, 1)
    with pytest.raises(LimitError):
        NOMINAL.check_samples(averages, sub_averages)
