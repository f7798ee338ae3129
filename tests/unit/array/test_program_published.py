"""IGVVA and ISPVA on the default device must cost what was published, before any other strategy is quoted."""

import numpy as np
import pytest

from hwloop.array.program import igvva, ispva
from hwloop.mock.devices import CellArray
from tests.unit.array.direct_port import DirectPort, known_curve


def bench(serial: int, rows: int = 128):
    array = CellArray(serial, 0, rows, 16)
    cells = np.flatnonzero(~array.faults.stuck)
    target = np.random.default_rng(serial).uniform(3e-6, 225e-6, cells.size)
    return array, DirectPort(array), cells, target


@pytest.mark.parametrize("serial", [1, 2])
def test_ispva_takes_16_pulses_a_cell(serial):
    array, port, cells, target = bench(serial)
    result = ispva.program(port, cells, target, ispva.IspvaSettings(gate_curve=known_curve(array.truth, array.size)))
    assert result.pulses.mean() == pytest.approx(16, abs=4)
    assert result.accepted.mean() >= 0.98


@pytest.mark.parametrize("serial", [1, 2])
def test_igvva_takes_121_pulses_a_cell_with_the_published_write_error(serial):
    array, port, cells, target = bench(serial)
    result = igvva.program(port, cells, target)
    assert result.pulses.mean() == pytest.approx(121, abs=30)
    error = array.true_conductance(cells, port.ticks) - target
    for low in np.arange(50e-6, 225e-6, 35e-6):
        bin_ = (target >= low) & (target < low + 35e-6) & (result.pulses > 0)
        expected = 4.782e-6 - 0.009107 * (low + 17.5e-6)
        assert error[bin_].std() == pytest.approx(expected, rel=0.25)


def test_igvva_steps_the_gate_and_starts_high_cells_from_hrs():
    array, port, cells, _ = bench(1, rows=8)
    array.pulse(cells, 0, 1.2, 2.5, 1e-6, 0)
    result = igvva.program(port, cells, np.full(cells.size, 60e-6))
    error = array.true_conductance(cells, port.ticks) - 60e-6
    assert np.median(np.abs(error)) < 5e-6 and np.median(result.pulses) > 50
