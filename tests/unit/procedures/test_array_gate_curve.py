"""Gate curve of an array: from landings of single cells, and on simulated chips against what they really have."""

import numpy as np
import pytest

from hwloop.errors import CalibrationError, UsageError
from hwloop.procedures.array_gate_curve import GateCurveProcedure, fit_gate_curve
from hwloop.procedures.tools import Tools
from tests.unit.procedures.benches import simulated_bench

GATES = np.array([0.9, 1.2, 1.5, 1.9, 2.3, 2.7])
SLOPE, THRESHOLD = 97e-6, 0.62


def landings(cells, seed):
    """Landings (gates, cells) by the law of the device: compliance, and an exponential overshoot above it."""
    random = np.random.default_rng(seed)
    compliance = SLOPE * (GATES[:, None] - THRESHOLD - 0.02 * random.standard_normal(cells))
    return compliance + random.exponential(np.maximum(0.0, 4.782e-6 - 0.009107 * compliance))


def test_the_curve_comes_out_as_it_is_and_as_well_known_as_stated():
    errors = []
    for seed in range(60):
        fit = fit_gate_curve(GATES, landings(240, seed))
        errors.append([
            (fit.threshold_volts - THRESHOLD) / fit.threshold_sigma, (fit.siemens_per_volt - SLOPE) / fit.slope_sigma
        ])
    assert np.all(np.abs(np.mean(errors, axis=0)) < 0.5)
    assert np.all((np.std(errors, axis=0) > 0.7) & (np.std(errors, axis=0) < 1.3))


def test_slow_stuck_and_missing_cells_change_nothing():
    landed = landings(240, 7)
    good = fit_gate_curve(GATES, landed)
    spoiled = np.concatenate([landed, landed[:, :12] / 3, np.full((6, 6), 1e-7), np.full((6, 3), 400e-6)], axis=1)
    spoiled = np.concatenate([spoiled, np.where(GATES[:, None] == 1.5, np.nan, landed[:, :4])], axis=1)
    fit = fit_gate_curve(GATES, spoiled)
    assert fit.cells == good.cells
    assert fit.threshold_volts == pytest.approx(good.threshold_volts, abs=1e-4)


def test_a_chip_that_does_not_answer_is_no_calibration():
    with pytest.raises(CalibrationError, match=r"only 0 cells .*array yield"):
        fit_gate_curve(GATES, np.full((6, 100), np.nan))


@pytest.mark.parametrize("serial", [1, 2])
def test_a_simulated_chip_is_found_as_it_is(serial):
    with simulated_bench(array_serial=serial) as bench:
        procedure = GateCurveProcedure()
        plan = procedure.plan(bench.tools)
        findings = procedure.run(bench.tools)
        assert bench.tools.board.counters.pulses == pytest.approx(plan.pulses, rel=0.2)
    assert findings.residual.holds
    for name, value, width, truth in bench.found_and_true(findings):
        assert abs(value - truth) < 1.75 * width, name
        assert width < (8e-3 if "volts[" in name else 0.5e-6), name


def test_the_smallest_board_is_calibrated_too():
    with simulated_bench(board_name="hwloop-16x4") as bench:
        findings = GateCurveProcedure().run(bench.tools)
    assert findings.residual.holds
    assert all(abs(value - truth) < 1.75 * width for _, value, width, truth in bench.found_and_true(findings))


def test_without_a_chip_it_is_not_begun():
    with pytest.raises(UsageError, match="needs a chip"):
        GateCurveProcedure().run(Tools(board=None))
