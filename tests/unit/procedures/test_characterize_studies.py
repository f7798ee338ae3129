"""Characterizations of cells on simulated chips, against what these cells really are."""

import numpy as np
import pytest

from hwloop.array.cellmap import CellMap
from hwloop.controller.yield_job import mark
from hwloop.mock.devices import CellArray
from hwloop.mock.presets import DEFAULT
from hwloop.procedures.characterize_disturb import DisturbStudy
from hwloop.procedures.characterize_endurance import EnduranceStudy
from hwloop.procedures.characterize_forming import FormingStudy
from hwloop.procedures.characterize_gate import GateStudy
from hwloop.procedures.characterize_iv import IvStudy
from hwloop.procedures.characterize_noise import NoiseStudy, two_levels
from hwloop.procedures.characterize_retention import RetentionStudy
from hwloop.procedures.characterize_study import logarithmic_counts
from hwloop.procedures.characterize_yield import STATUSES, YieldTest
from tests.unit.procedures.benches import simulated_bench

CELLS = np.arange(256)      # rows 0 to 15 of array A


@pytest.fixture(scope="module")
def bench():
    with simulated_bench() as opened:
        yield opened


@pytest.fixture(scope="module")
def real():
    """The chip's cells as they are made, and their faults."""
    return CellArray(1, 0, 128, 16, DEFAULT)


@pytest.fixture
def run(bench):
    """Runs a study on cells, and checks that it stayed within the pulses that it planned."""

    def run_study(study, cells=CELLS):
        board = bench.tools.board
        planned, before = study.plan(len(cells), board.columns), board.counters.pulses
        found = study.run(bench.tools, cells)
        assert board.counters.pulses - before <= planned.pulses
        for field in found.fields:
            assert field.unit and field.description
        return found

    return run_study


def test_forming_voltages_are_those_of_the_cells():
    with simulated_bench(pristine=True) as bench:
        real = CellArray(1, 0, 128, 16, DEFAULT, pristine=True)
        found = FormingStudy().run(bench.tools, CELLS)
    volts, needed = found.values("forming_volts"), real.hardware.forming_volts[CELLS]
    formed = np.isfinite(volts)
    assert formed[~real.faults.stuck[CELLS]].all() and not formed[real.faults.stuck_low[CELLS]].any()
    steps = np.array([0.0, *FormingStudy().settings.amplitudes_volts])
    below = steps[np.searchsorted(steps, volts[formed]) - 1]
    # Columns share one code a voltage, and differ by a few millivolts.
    assert np.all((needed[formed] <= volts[formed] + 0.02) & (needed[formed] > below - 0.02))


def test_switching_loops_go_up_and_come_down_again(run, real):
    found = run(IvStudy())
    volts, siemens = found.values("loop_volts"), found.values("loop_siemens")[:, ~real.faults.stuck[CELLS]]
    up, down = np.median(siemens[volts > 0], axis=1), np.median(siemens[volts < 0], axis=1)
    assert np.all(np.diff(up) > 0) and np.all(np.diff(down) < 1e-6) and up[-1] > 80e-6 and down[-1] < 5e-6
    amps = found.values("low_amps")
    assert amps.shape == (2, 12, 256) and np.all(np.sign(np.median(amps[0], axis=1)) == [-1] * 6 + [1] * 6)


def test_low_currents_agree_with_read(run):
    metrics = {quantity.name: quantity.value for quantity in run(IvStudy()).metrics}
    assert metrics["median_deviation_from_read"] < 0.01


def test_gate_curves_are_the_chips(run, bench):
    metrics = {quantity.name: quantity.value for quantity in run(GateStudy()).metrics}
    assert metrics["gate_threshold_a_volts"] == pytest.approx(bench.truth.gate_threshold_volts[0], abs=0.012)
    assert metrics["gate_slope_a_siemens_per_volt"] == pytest.approx(bench.truth.gate_siemens_per_volt[0], rel=0.01)
    assert "gate_threshold_b_volts" not in metrics


def test_endurance_reads_both_states_along_the_decades(run, real):
    found = run(EnduranceStudy(cycles=40))
    assert found.values("cycle").tolist() == logarithmic_counts(40).tolist()
    good = ~(real.faults.stuck | real.faults.slow)[CELLS]
    lrs, hrs = (np.median(found.values(name)[:, good], axis=1) for name in ("lrs_siemens", "hrs_siemens"))
    assert np.all(lrs > 90e-6) and np.all(hrs < 10e-6)


def test_retention_grows_with_the_logarithm_of_time(run):
    found = run(RetentionStudy(hold_seconds=1e5, target_siemens=(50e-6,)))
    seconds, siemens = found.values("seconds"), found.values("siemens")
    change = np.nanstd(siemens - siemens[0], axis=1)
    assert seconds[0] == 0.0 and seconds[-1] == pytest.approx(1e5) and change[-1] > change[1] > 0.1e-6


def test_a_retention_run_that_pauses_leaves_its_cells_alone(run, bench):
    run(RetentionStudy(hold_seconds=10.0, target_siemens=(50e-6,)))
    assert bench.tools.chip.restore().cells == 0


def test_cells_with_two_levels_are_told_from_the_others(run, real):
    found = run(NoiseStudy(reads=200))
    told = found.values("two_levels").astype(bool)
    assert real.faults.rtn[CELLS][told].mean() > 0.9
    deep = real.hardware.rtn_depth[CELLS] > 0.02
    assert told[deep & (real.hardware.rtn_hold_shift[CELLS] < 9)].mean() > 0.7
    assert 0.002 < np.nanmedian(found.values("relative_sigma")) < 0.005


def test_two_levels_are_two_levels():
    random = np.random.default_rng(2)
    normal = 1 + 0.004 * random.standard_normal((300, 50))
    jumping = normal + np.where(random.random((300, 50)) < 0.4, 0.03, 0.0)
    assert not two_levels(normal).any() and two_levels(jumping).all()


def test_pulses_below_the_threshold_set_nothing(run):
    found = run(DisturbStudy(pulses=50, target_siemens=(3e-6, 100e-6)))
    siemens, is_set = found.values("siemens"), found.values("polarity") == 0
    assert np.nanmedian(np.abs(siemens[-1] - siemens[0])[is_set]) < 1e-6
    assert found.values("pulses")[0] == 0 and found.values("pulses")[-1] == 50


def test_yield_finds_what_is_wrong_with_cells(run, real):
    everything = np.arange(4096)
    status = run(YieldTest(), everything).values("status")
    names = np.array(STATUSES)[status]
    faults = real.faults
    assert np.isin(names[faults.stuck_low], ["stuck low", "unformed"]).all()
    assert np.mean(names[faults.stuck_high] == "stuck high") > 0.95
    assert np.mean(names[faults.slow] == "slow") > 0.9
    healthy = ~(faults.stuck | faults.slow | faults.rtn)
    assert np.mean(names[healthy] == "good") > 0.99


def test_what_was_masked_or_found_bad_before_stays_on_the_map():
    cell_map = CellMap(4, 2)
    for cell, status in ((0, "masked"), (1, "unstable"), (2, "slow"), (3, "noisy")):
        cell_map.mark(np.array([cell]), status)
    numbers = {name: number for number, name in enumerate(STATUSES)}
    found = [numbers[name] for name in ("stuck low", "good", "good", "slow", "noisy", "stuck high")]
    mark(cell_map, np.arange(6), np.array(found), ("noisy",))
    assert cell_map.status == {0: "masked", 1: "unstable", 3: "slow", 4: "noisy, avoided", 5: "stuck high"}
