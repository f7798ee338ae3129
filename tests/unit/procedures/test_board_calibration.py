"""A whole board, calibrated on a simulated bench: what is found against what the board hides, and what is refused."""

import dataclasses

import numpy as np
import pytest

from hwloop.calibration.constants import BoardConstants
from hwloop.calibration.kinds import BOARD, KINDS
from hwloop.errors import CalibrationError, UsageError
from hwloop.procedures.board_dac import DacCalibration
from hwloop.procedures.catalogue import PROCEDURES
from hwloop.procedures.metering import checked
from hwloop.procedures.tools import Tools
from tests.unit.drivers.describing import known_values

BOARD_KINDS = [kind.name for kind in KINDS.values() if kind.subject == BOARD]
# The widest half-widths that a calibration may state, absolute or as a part of the value.
ABSOLUTE = {
    "input_dac_gain": 300e-6, "amplitude_dac_gain": 300e-6, "gate_dac_gain": 300e-6, "output_adc_gain": 300e-6,
    "input_dac_offset_volts": 50e-6, "amplitude_dac_offset_volts": 50e-6, "gate_dac_offset_volts": 50e-6,
    "tia_fine_gain": 1e-3, "tia_coarse_gain": 1e-3, "amplifier_offset_volts": 2e-6,
}
RELATIVE = {"input_ohms": 1e-3, "gain_bandwidth_hertz": 1e-2, "reference_ohms": 1e-3}


def calibrate(bench, kinds):
    """Findings by kind; each goes by what those before it found."""
    tools, found = bench.tools, {}
    for kind in kinds:
        procedure = PROCEDURES[kind]
        assert procedure.plan(tools).lines
        found[kind] = procedure.run(tools)
        known = {**tools.known, **{parameter.name: parameter for parameter in found[kind].parameters}}
        values = {name: parameter.value for name, parameter in known.items()}
        tools.board.use(BoardConstants.nominal(tools.board.describe).calibrated(values))
        tools = dataclasses.replace(tools, known=known)
    return found


def ratios(findings, truth):
    """Error over sigma of every number."""
    return np.concatenate([
        ((parameter.value - truth[parameter.name]) / (parameter.uncertainty_95 / 2)).ravel()
        for parameter in findings.parameters
    ])


@pytest.fixture(scope="module")
def bench(open_bench):
    return open_bench(board_name="hwloop-16x4", board_serial=7)


@pytest.fixture(scope="module")
def findings(bench):
    return calibrate(bench, BOARD_KINDS)


@pytest.fixture(scope="module")
def truth(bench):
    return known_values(bench.world.truth)


def test_every_hidden_parameter_of_the_board_is_found(findings, truth):
    found = {parameter.name: parameter for kind in findings.values() for parameter in kind.parameters}
    assert found.keys() == truth.keys()
    assert all(parameter.value.shape == truth[name].shape for name, parameter in found.items())


def test_what_is_found_lies_within_what_is_stated(findings, truth):
    ratio = np.concatenate([ratios(kind, truth) for kind in findings.values()])
    assert np.mean(np.abs(ratio) <= 2) >= 0.93 and np.abs(ratio).max() < 4
    # Errors of the instruments are common to many channels: of one board and one SMU there are few independent ones.
    assert 0.5 < np.sqrt(np.mean(ratio**2)) < 1.4


def test_intervals_are_narrow(findings):
    for kind in findings.values():
        for parameter in kind.parameters:
            widest = parameter.uncertainty_95.max()
            assert widest <= ABSOLUTE.get(parameter.name, np.inf), parameter.name
            if parameter.name in RELATIVE:
                share = (parameter.uncertainty_95 / np.abs(parameter.value)).max()
                assert share <= RELATIVE[parameter.name], parameter.name


def test_residuals_hold_and_pictures_have_their_points(findings):
    for kind, found in findings.items():
        assert found.residual.holds, kind
        for trace in found.traces:
            assert trace.y.shape[-1] == len(trace.x) and trace.residual.shape == trace.y.shape, (kind, trace.title)


def test_what_the_instruments_may_be_off_is_common(findings, bench):
    """The SMU's own gain stands in full in what is stated of every ADC."""
    gain = next(parameter for parameter in findings["adc"].parameters if parameter.name == "output_adc_gain")
    meter = bench.tools.smu.accuracy("volts", "source", 0.28)
    assert gain.common_95 == pytest.approx(meter.gain_fraction, rel=0.01)
    assert np.all(gain.uncertainty_95 >= gain.common_95)


def test_nothing_is_left_connected_or_held(findings, bench):
    connection = bench.world.connection
    assert connection.route == 0 and not connection.input_code.any() and not connection.amplitude_code.any()


def test_dacs_without_a_daq(bench, truth):
    """The SMU does it one after another, and says that it knows less."""
    alone = dataclasses.replace(bench.tools, daq=None, known={})
    found = DacCalibration().run(alone)
    assert np.mean(np.abs(ratios(found, truth)) <= 2) >= 0.93
    offsets = next(parameter for parameter in found.parameters if parameter.name == "input_dac_offset_volts")
    assert offsets.common_95 > 50e-6


@pytest.mark.parametrize("kind", BOARD_KINDS)
def test_a_plan_moves_nothing_and_needs_nothing(kind, bench):
    before = bench.world.ticks
    plan = PROCEDURES[kind].plan(Tools(bench.tools.board))
    assert plan.lines and plan.seconds > 0 and set(plan.needs) <= {"smu", "daq", "chip"}
    assert bench.world.ticks == before
    assert (plan.pulses > 0) == ("chip" in plan.needs)


@pytest.mark.parametrize("kind", ["adc", "tia", "series", "input-resistors", "compensation", "feedback", "bias"])
def test_without_an_smu(kind, bench):
    with pytest.raises(UsageError, match="name one in the rig file"):
        PROCEDURES[kind].run(dataclasses.replace(bench.tools, smu=None))


@pytest.mark.parametrize("kind, goes_by", [("tia", "dac"), ("input-resistors", "dac"), ("amplifiers", "bias")])
def test_a_kind_that_goes_by_another_says_which(kind, goes_by, bench):
    with pytest.raises(CalibrationError, match=f"hwloop calibrate {goes_by}"):
        PROCEDURES[kind].run(dataclasses.replace(bench.tools, known={}))


def test_readings_beyond_the_range_are_no_result():
    with pytest.raises(CalibrationError, match="1 of 2 readings are beyond the range; check the wiring"):
        checked(np.array([0.1, np.nan]), "volts at the DAQ pins")


@pytest.mark.parametrize("smu", ["keithley-2400", "keithley-2602b", "keysight-b2901a"])
def test_every_family_of_smus_will_do(smu, open_bench):
    bench = open_bench(smu, board_name="hwloop-16x4", board_serial=8)
    found = calibrate(bench, ["dac", "adc", "tia", "input-resistors", "feedback", "bias"])
    known = known_values(bench.world.truth)
    ratio = np.concatenate([ratios(kind, known) for kind in found.values()])
    assert np.mean(np.abs(ratio) <= 2) >= 0.93
    assert all(kind.residual.holds for kind in found.values())
