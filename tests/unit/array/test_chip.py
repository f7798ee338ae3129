"""The chip in a session: programming, what it remembers, and which cells it stops using."""

import numpy as np
import pytest

from hwloop.array.cellmap import CellMap
from hwloop.array.chip import FAILURES_UNTIL_BAD, Chip, ProgramSettings
from hwloop.drivers.cells import CellReads
from hwloop.errors import LimitError
from hwloop.mock.devices import CellArray


class StubbornBoard:
    """A board whose cells all read 100 µS, but for one that pulses only move to and fro."""

    rows, columns = 4, 2

    def __init__(self, restless: int):
        self.restless, self.flips = restless, 0

    def pulse_and_read(self, pulses, read_cells, averages, sub_averages, spread_siemens):
        if pulses is not None:
            self.flips += 1
        siemens = np.full(len(read_cells), 100e-6)
        siemens[read_cells == self.restless] = (80e-6, 120e-6)[self.flips % 2]
        return CellReads(siemens, np.ones(len(read_cells), bool), np.zeros(len(read_cells), bool))


def test_programmed_cells_stand_near_their_targets_and_are_remembered(default):
    cells = np.arange(200, 264)
    targets = np.linspace(3e-6, 225e-6, 64)
    result = default.chip.program(cells, targets)
    good = ~CellArray(1, 0, 128, 16).faults.stuck[cells]
    assert result.accepted[good].mean() > 0.95
    assert np.abs(result.error_siemens[result.accepted]).max() <= default.chip.settings.tolerance_siemens
    np.testing.assert_array_equal(default.chip.conductance_siemens[cells], result.conductance_siemens)
    assert default.chip.totals.cells_written > 0 and default.chip.totals.steps == result.steps


def test_cells_within_tolerance_get_no_pulse_again(ideal):
    cells, targets = np.arange(32), np.linspace(50e-6, 200e-6, 32)
    ideal.chip.program(cells, targets)
    pulses = ideal.board.counters.pulses
    targets[0] += 20e-6
    assert ideal.chip.program(cells, targets).cells_written == 1
    assert ideal.board.counters.pulses - pulses <= 2


def test_dead_cells_go_on_the_map_at_once_under_their_own_name(default):
    faults = CellArray(1, 0, 128, 16).faults
    stuck = np.flatnonzero(faults.stuck)
    default.chip.program(stuck, np.full(len(stuck), 120e-6))
    marked = np.array(list(default.chip.map.status))
    assert np.isin(stuck, marked).all()
    assert {default.chip.map.status[cell] for cell in np.flatnonzero(faults.stuck_high)} == {"stuck high"}


def test_a_cell_that_moves_but_misses_is_kept_until_it_fails_again_and_again():
    chip = Chip(StubbornBoard(restless=3), CellMap(4, 2), ProgramSettings())
    cells = np.arange(4)
    for attempt in range(FAILURES_UNTIL_BAD):
        assert 3 not in chip.map.status, attempt
        chip.program(cells, np.full(4, 100e-6))
    assert chip.map.status == {3: "unstable"}


def test_row_sums_count_both_arrays_and_every_column(ideal):
    cells = ideal.chip.cells_of_rows(np.array([7]))
    assert len(cells) == 32
    ideal.chip.program(cells, np.full(32, 50e-6))
    np.testing.assert_allclose(ideal.chip.row_sums_siemens(np.array([7])), 32 * 50e-6, rtol=1e-3)


def test_unread_cells_are_read_once(open_rig):
    chip = open_rig(preset="ideal", board_name="hwloop-128x16").chip
    reads = chip.board.counters.reads
    chip.read_unknown(np.array([3, 4]))
    chip.read_unknown(np.array([3, 4]))
    assert chip.board.counters.reads - reads == 64
    assert np.isfinite(chip.conductance_siemens[chip.cells_of_rows(np.array([3, 4]))]).all()


def test_targets_out_of_range_are_refused_before_anything_is_pulsed(ideal):
    pulses = ideal.board.counters.pulses
    with pytest.raises(LimitError, match="µS|uS|S"):
        ideal.chip.program(np.array([0]), np.array([400e-6]))
    assert ideal.board.counters.pulses == pulses
