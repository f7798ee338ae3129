"""Forming on a simulated chip wired straight to the procedure: who is formed, how often, what becomes of the rest."""

from dataclasses import replace

import numpy as np
import pytest

from hwloop.array.cellmap import CellMap
from hwloop.array.chip import Chip, ProgramSettings
from hwloop.array.forming import FORMED_SIEMENS, FormingSettings, form, unformed_cells
from hwloop.errors import LimitError
from hwloop.link import protocol as wire
from hwloop.mock.devices import CellArray
from hwloop.mock.presets import effects_of_preset
from tests.unit.array.direct_port import DirectPort

ROWS, COLUMNS = 64, 8
RESET, FORM = 1, 2


class FormingPort(DirectPort):
    """A board's geometry round the port; keeps every pulse that it gave."""

    def __init__(self, cells):
        super().__init__(cells)
        self.rows, self.given = ROWS, []

    def pulse_and_read(self, pulses, read_cells, *arguments):
        if pulses is not None:
            self.given.append(pulses)
        return super().pulse_and_read(pulses, read_cells, *arguments)


@pytest.fixture
def chip():
    cells = CellArray(1, 0, ROWS, COLUMNS, effects_of_preset("default"), pristine=True)
    return Chip(FormingPort(cells), CellMap(ROWS, COLUMNS), ProgramSettings())


def everything(chip):
    return np.arange(chip.size)


def test_nearly_every_cell_forms_and_ends_in_its_high_resistance_state(chip):
    result = form(chip, everything(chip), FormingSettings())
    healthy = ~chip.board.cell_array.faults.stuck
    assert len(result.formed) >= 0.97 * healthy.sum()
    siemens = chip.board.cell_array.true_conductance(result.formed, chip.board.ticks)
    assert np.median(siemens) < 5e-6 and np.percentile(siemens, 90) < 20e-6
    parts = (result.formed, result.already_formed, result.not_formed)
    assert sorted(np.concatenate(parts).tolist()) == everything(chip).tolist()


def test_cells_that_do_not_form_or_conduct_for_ever_are_on_the_map(chip):
    result = form(chip, everything(chip), FormingSettings())
    assert {chip.map.status[cell] for cell in result.not_formed.tolist()} <= {"unformed"}
    assert {chip.map.status[cell] for cell in result.stuck_high.tolist()} == {"stuck high"}
    assert len(chip.map.status) == len(result.not_formed) + len(result.stuck_high)


def test_formed_cells_are_not_formed_again(chip):
    form(chip, everything(chip), FormingSettings())
    chip.board.given.clear()
    again = form(chip, everything(chip), FormingSettings())
    formed_again = [pulses.cells[pulses.polarity == FORM] for pulses in chip.board.given]
    assert len(again.formed) == 0 and len(np.unique(np.concatenate([[], *formed_again]))) <= 0.02 * chip.size


def test_only_the_chosen_cells_are_touched(chip):
    chosen = np.arange(3 * COLUMNS, 5 * COLUMNS)
    form(chip, chosen, FormingSettings())
    assert set(np.concatenate([pulses.cells for pulses in chip.board.given]).tolist()) <= set(chosen.tolist())
    assert len(unformed_cells(chip, everything(chip))) > 0.9 * (chip.size - len(chosen))


def test_attempts_rise_and_cells_that_formed_are_reset_in_the_next_exchange(chip):
    settings = FormingSettings()
    form(chip, everything(chip), settings)
    forming = [pulses.cells[pulses.polarity == FORM] for pulses in chip.board.given]
    resetting = [pulses.cells[pulses.polarity == RESET] for pulses in chip.board.given]
    for number, volts in enumerate(settings.amplitudes_volts):
        given = chip.board.given[number]
        assert (given.amplitude_volts[given.polarity == FORM] == volts).all()
        formed = np.setdiff1d(forming[number], np.concatenate(forming[number + 1 :]))
        if number + 1 < len(settings.amplitudes_volts):
            assert np.isin(formed, resetting[number + 1]).all()
    assert np.bincount(np.concatenate(forming)).max() <= wire.LIMIT_FORMING_ATTEMPTS


def test_progress_is_told(chip):
    told = []
    form(chip, everything(chip), FormingSettings(), lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, len(told) + 1)) and {total for _, total in told} == {7}


@pytest.mark.parametrize("count", [0, wire.LIMIT_FORMING_ATTEMPTS + 1])
def test_a_number_of_attempts_beyond_the_limit_is_refused(count):
    with pytest.raises(LimitError, match=f"number of forming attempts is {count} pulses a cell"):
        replace(FormingSettings(), amplitudes_volts=(2.4,) * count)


def test_the_voltages_lie_within_the_boards_hard_limit():
    limit_volts = wire.LIMIT_FORM_CODE * wire.SCALE_AMPLITUDE_FULL_SCALE_MICROVOLTS * 1e-6 / 65536
    assert max(FormingSettings().amplitudes_volts) <= limit_volts and FORMED_SIEMENS > 1e-6
