"""Acceptance of a board without instruments: sound ones pass, and each fault fails the check that is there for it."""

import dataclasses
import time

import numpy as np
import pytest

from hwloop.calibration.record import Parameter
from hwloop.mock import bench as world_of_boards
from hwloop.mock.board_truth import draw_board
from hwloop.procedures.selftest import SelfTest, plan
from hwloop.procedures.selftest_limits import loop_back_limit_volts
from tests.unit.drivers.describing import known_values
from tests.unit.procedures.test_board_calibration import calibrate

ROWS, COLUMNS = 16, 4


@pytest.fixture(scope="module")
def bench(open_bench):
    return open_bench(board_name="hwloop-16x4", board_serial=7)


@pytest.fixture(scope="module")
def known(bench):
    """What calibrations found of this board, with their uncertainties."""
    found = calibrate(bench, ["dac", "adc", "tia"])
    return {parameter.name: parameter for findings in found.values() for parameter in findings.parameters}


def failed(checks):
    return {check.name: check.detail for check in checks if check.passed is False}


def of_another_board(known: dict[str, Parameter]) -> dict[str, Parameter]:
    """The same uncertainties round the values of board 8."""
    values = known_values(draw_board(8, ROWS, COLUMNS, True, True))
    return {name: dataclasses.replace(parameter, value=values[name]) for name, parameter in known.items()}


def test_a_calibrated_board_passes_within_its_uncertainties(bench, known):
    checks = SelfTest(bench.tools.board, known).run()
    assert not failed(checks) and len(checks) == 19
    by_name = {check.name: check for check in checks}
    loop_back = by_name["loop back at 0.28 V"]
    assert loop_back.unit == "V" and abs(loop_back.value) < 60e-6 and 60e-6 < loop_back.high < 300e-6
    resistor = by_name["resistor 5 kohm, coarse range"]
    assert resistor.value == pytest.approx(200e-6, rel=2e-3) and resistor.high / resistor.low < 1.005
    assert 2e-9 < by_name["current at rest, fine range"].high < 4e-9
    assert by_name["supply"].value == pytest.approx(5.0, abs=0.01)


@pytest.mark.parametrize("serial", range(20, 26))
def test_boards_that_nobody_calibrated_pass_within_what_parts_are_built_to(serial, open_bench):
    board = open_bench(board_name="hwloop-16x4", board_serial=serial).tools.board
    checks = SelfTest(board, {}).run()
    assert not failed(checks)
    assert "not calibrated" in checks[1].detail and checks[1].high > 10e-3


def test_the_calibration_of_another_board_shows_at_once(bench, known):
    checks = SelfTest(bench.tools.board, of_another_board(known)).run()
    assert {name.split(" ")[0] for name in failed(checks)} == {"loop", "resistor", "current"}


@pytest.mark.parametrize(
    "name, column, drift, check",
    [
        ("output_adc_gain", 2, 2e-3, "loop back at 0.28 V"),
        ("amplitude_dac_offset_volts", 0, 100e-6, "loop back at 0.02 V"),
        ("tia_fine_gain", 3, 3e-3, "resistor 50 kohm, fine range"),
        ("tia_fine_offset_amps", 1, 4e-9, "current at rest, fine range"),
    ],
)
def test_what_drifts_is_told_with_its_column(name, column, drift, check, bench, known):
    value = known[name].value.copy()
    value[column] += drift
    test = SelfTest(bench.tools.board, {**known, name: dataclasses.replace(known[name], value=value)})
    found = failed(test.loop_back() + test.references() + test.leakage())
    assert check in found and all(f"column {column} beyond" in detail for detail in found.values())


def test_lines_that_do_not_conduct_anywhere_have_an_open_switch(open_bench):
    bench = open_bench(board_name="hwloop-16x4")
    state = bench.world.cells.cell_state
    for values in (state.conductance_siemens, state.relaxation):
        cells = values.reshape(2, ROWS, COLUMNS)
        cells[0, 5] = cells[1, :, 2] = cells[1, :, 3] = 0.0
    found = failed(SelfTest(bench.tools.board, {}).continuity())
    assert len(found) == 4
    for tia_range in ("fine", "coarse"):
        assert found[f"array A, each row conducts, {tia_range} range"].startswith("row 5: open switch")
        assert found[f"array B, each column conducts, {tia_range} range"].startswith("columns 2, 3: open switch")


def test_an_array_that_was_never_formed_cannot_tell(open_bench):
    board = open_bench(board_name="hwloop-16x4", pristine=True).tools.board
    checks = SelfTest(board, {}).continuity()
    assert len(checks) == 8
    for check in checks:
        assert check.passed is None and check.detail.startswith("cannot be told") and check.value < 0.2e-6


def test_a_supply_that_is_too_low(bench, monkeypatch):
    monkeypatch.setattr(world_of_boards, "SUPPLY_VOLTS", 4.7)
    supply = SelfTest(bench.tools.board, {}).supply()[0]
    assert supply.passed is False and supply.value == pytest.approx(4.7, abs=0.01) and supply.low == 4.75


def test_it_pulses_no_cell_and_takes_as_long_as_planned(bench):
    board, before = bench.tools.board, bench.world.ticks
    pulses_before = board.counters.pulses
    started = time.monotonic()
    SelfTest(board, {}).run()
    assert time.monotonic() - started < 5.0 and board.counters.pulses == pulses_before
    taken_seconds = (bench.world.ticks - before) / 1e7
    assert plan(ROWS, COLUMNS).seconds == pytest.approx(taken_seconds, rel=0.5)


def test_limits_follow_from_the_uncertainties(known):
    """Three half-widths, half a code, five sigma of the mean: to be had by hand where one error stands for all."""
    exact = {name: dataclasses.replace(each, uncertainty_95=np.zeros(each.value.shape)) for name, each in known.items()}
    exact["output_adc_gain"] = dataclasses.replace(known["output_adc_gain"], uncertainty_95=np.full(COLUMNS, 2e-4))
    limit = loop_back_limit_volts(exact, np.full(COLUMNS, 0.28), (5.0, 0.32), 10e-6, 8.0, 100)
    assert limit == pytest.approx(np.full(COLUMNS, 3 * 0.28 * 2e-4 + 5e-6 + 5 * 7.5e-6 / 10))
