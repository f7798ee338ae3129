"""What all strategies promise: delta programming, one-sided HRS, honest counts, refusals, named failures."""

import numpy as np
import pytest

from hwloop.array.program import adaptive, igvva, ispva
from hwloop.array.program.common import Outcome, Verify
from hwloop.errors import LimitError, UnformedError, UsageError
from hwloop.mock.devices import CellArray
from hwloop.mock.presets import PRESETS
from tests.unit.array.direct_port import DirectPort

STRATEGIES = pytest.mark.parametrize("strategy", [adaptive, ispva, igvva])
ROWS, COLUMNS = 16, 16


def bench(preset: str = "default", **kw) -> tuple[CellArray, DirectPort, np.ndarray]:
    """A chip, a port to it, and its cells that are not stuck in truth."""
    array = CellArray(1, 0, ROWS, COLUMNS, PRESETS[preset], **kw)
    return array, DirectPort(array), np.flatnonzero(~array.faults.stuck)


def some_targets(cells: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).uniform(3e-6, 225e-6, cells.size)


@STRATEGIES
def test_the_result_counts_what_the_board_did(strategy):
    array, port, cells = bench()
    before = array.cell_state.pulse_count.copy()
    result = strategy.program(port, cells, some_targets(cells))
    assert np.array_equal(result.pulses, (array.cell_state.pulse_count - before)[cells])
    assert result.row_pulses == port.row_pulses and result.cell_pulses == result.pulses.sum()
    assert np.array_equal(result.cells, cells) and result.steps >= result.pulses.max()
    accepted = np.abs(result.error_siemens[result.accepted])
    assert accepted.max() <= Verify().tolerance_siemens


@STRATEGIES
def test_cells_within_tolerance_get_nothing(strategy):
    array, port, cells = bench("ideal")
    there = array.true_conductance(cells, 0) + 3e-6
    result = strategy.program(port, cells, there)
    assert result.accepted.all() and result.cell_pulses == result.steps == result.row_pulses == 0


@STRATEGIES
def test_hrs_passes_up_to_its_ceiling_only(strategy):
    array, port, cells = bench()
    array.pulse(cells, 0, 1.2, 1.8, 1e-6, 0)
    result = strategy.program(port, cells, np.full(cells.size, 3e-6))
    assert result.accepted.mean() > 0.97
    assert result.conductance_siemens[result.accepted].max() <= Verify().hrs_accept_siemens


@STRATEGIES
def test_no_cells_is_no_work(strategy):
    _, port, _ = bench()
    result = strategy.program(port, np.empty(0, np.int64), np.empty(0))
    assert result.steps == result.cell_pulses == 0 and result.accepted.size == 0


@STRATEGIES
def test_an_unformed_array_is_named_and_hardly_touched(strategy):
    array, port, cells = bench(pristine=True)
    with pytest.raises(UnformedError, match="hwloop array form"):
        strategy.program(port, cells, some_targets(cells))
    assert array.true_conductance(cells, 0).max() < 0.1e-6


@STRATEGIES
def test_bad_requests_are_refused_before_any_pulse(strategy):
    array, port, _ = bench()
    before = array.cell_state.pulse_count.copy()
    with pytest.raises(LimitError, match="250"):
        strategy.program(port, np.array([0]), np.array([250e-6]))
    with pytest.raises(LimitError):
        strategy.program(port, np.array([0]), np.array([np.nan]))
    with pytest.raises(UsageError, match="twice"):
        strategy.program(port, np.array([1, 1]), np.array([50e-6, 60e-6]))
    with pytest.raises(UsageError, match="one target a cell"):
        strategy.program(port, np.array([1, 2]), np.array([50e-6]))
    assert np.array_equal(before, array.cell_state.pulse_count)


def test_stuck_cells_are_given_up_early_and_by_name():
    array = CellArray(1, 0, 128, 16, PRESETS["low-yield"])
    cells = np.arange(array.size)
    result = adaptive.program(DirectPort(array), cells, np.full(cells.size, 100e-6))
    low, high = array.faults.stuck_low, array.faults.stuck_high
    assert set(result.outcome[high]) == {Outcome.STUCK_HIGH}
    assert set(result.outcome[low]) == {Outcome.NO_RESPONSE, Outcome.UNFORMED}
    assert result.pulses[low | high].max() == adaptive.AdaptiveSettings().patience
    assert np.mean(result.accepted[~array.faults.stuck]) > 0.995


def test_a_window_that_reading_noise_fills_is_refused():
    with pytest.raises(UsageError, match="widen"):
        Verify(tolerance_siemens=0.8e-6)
