"""The adaptive strategy against its bars, on the default device with slow and telegraph cells included."""

import numpy as np
import pytest

from hwloop.array.program.adaptive import AdaptiveSettings, new_model, program, settings_for
from hwloop.array.program.common import Verify
from hwloop.array.program.curves import GateCurve, ResetCurve
from hwloop.mock.devices import CellArray
from hwloop.mock.presets import IDEAL
from tests.unit.array.direct_port import DirectPort, known_curve

SECOND = 10_000_000
TOLERANCE_SIEMENS = 4.44e-6


class Chip:
    """128x16 cells, the ones not stuck, and targets uniform in the range."""

    def __init__(self, serial: int, seed: int):
        self.array = CellArray(serial, seed, 128, 16)
        self.port = DirectPort(self.array, seed=seed)
        self.cells = np.flatnonzero(~self.array.faults.stuck)
        self.random = np.random.default_rng(100 * serial + seed)

    def targets(self, count: int) -> np.ndarray:
        return self.random.uniform(3e-6, 225e-6, count)

    def true_error(self, target: np.ndarray, later_seconds: float = 0.0) -> np.ndarray:
        return self.array.true_conductance(self.cells, self.port.ticks + int(later_seconds * SECOND)) - target


@pytest.mark.parametrize("serial", [1, 2])
@pytest.mark.parametrize("seed", range(5))
def test_programming_bars(serial, seed):
    chip = Chip(serial, seed)
    target = chip.targets(chip.cells.size)
    result = program(chip.port, chip.cells, target)
    assert result.accepted.mean() >= 0.98 and result.steps <= 16
    assert np.mean(np.abs(chip.true_error(target, 1.0)) <= TOLERANCE_SIEMENS) >= 0.95
    assert result.cell_pulses <= 4 * chip.cells.size
    error = chip.true_error(target)[result.accepted]
    assert np.sqrt(np.mean(error**2)) < 0.013 * 222e-6
    assert np.mean(np.abs(error) > TOLERANCE_SIEMENS) < 0.02


def test_retargeting_a_twentieth_of_the_cells_costs_a_fraction():
    chip = Chip(1, 0)
    target = chip.targets(chip.cells.size)
    settings = AdaptiveSettings()
    model = new_model(chip.array.size, settings)
    first = program(chip.port, chip.cells, target, settings, model)
    chip.port.ticks += SECOND
    changed = chip.random.random(target.size) < 0.05
    target[changed] = chip.targets(np.count_nonzero(changed))
    again = program(chip.port, chip.cells, target, settings, model)
    assert again.cell_pulses <= 0.25 * first.cell_pulses and again.row_pulses <= 0.25 * first.row_pulses
    assert again.accepted.mean() >= 0.98


def test_later_rounds_start_from_what_was_learned():
    chip = Chip(1, 1)
    settings = AdaptiveSettings(gate_curve=known_curve(chip.array.truth, chip.array.size))
    model = new_model(chip.array.size, settings)
    for _ in range(6):
        result = program(chip.port, chip.cells, chip.targets(chip.cells.size), settings, model)
    assert result.accepted.mean() > 0.998 and result.cell_pulses < 1.7 * chip.cells.size
    normal = ~chip.array.faults.slow & ~chip.array.faults.stuck
    hardware = chip.array.hardware
    own_volts = hardware.threshold_volts - settings.gate_curve.threshold_volts
    gate_error = model.offset_siemens[0] + own_volts * hardware.siemens_per_volt
    reset_error = model.offset_siemens[1] - hardware.reset_offset_volts * 185e-6
    assert gate_error[normal].std() < 1.6e-6 and reset_error[normal].std() < 2.5e-6
    slow = model.response[chip.array.faults.slow & ~chip.array.faults.stuck]
    assert np.mean(slow < 1) > 0.9 and np.mean(model.response[normal] == 1) > 0.99


@pytest.mark.parametrize(
    "settings",
    [
        AdaptiveSettings(gate_curve=GateCurve(threshold_volts=0.7)),
        AdaptiveSettings(gate_curve=GateCurve(siemens_per_volt=110e-6)),
        AdaptiveSettings(reset_curve=ResetCurve(siemens_per_volt=165e-6)),
    ],
    ids=["gate threshold 0.1 V off", "gate slope 12 % off", "RESET slope 11 % off"],
)
def test_wrong_curves_cost_pulses_not_cells(settings):
    chip = Chip(1, 0)
    result = program(chip.port, chip.cells, chip.targets(chip.cells.size), settings)
    assert result.accepted.mean() >= 0.98 and result.cell_pulses <= 4 * chip.cells.size


def test_an_ideal_device_converges_to_a_ten_thousandth_of_the_range():
    array = CellArray(1, 0, 128, 16, IDEAL)
    port, cells = DirectPort(array, noise_amps=0.0), np.arange(array.size)
    settings = settings_for(Verify(2.2e-8, 3e-9, 3e-9, hrs_target_siemens=0.0, hrs_accept_siemens=2.2e-8))
    model = new_model(array.size, settings)
    random = np.random.default_rng(0)
    for _ in range(3):
        target = random.uniform(0, 225e-6, cells.size)
        target[random.random(cells.size) < 0.1] = 0.0
        result = program(port, cells, target, settings, model)
        assert result.accepted.all() and result.steps <= 3
        assert np.abs(array.true_conductance(cells, port.ticks) - target).max() <= 2.2e-8


def test_the_same_seed_gives_the_same_result():
    first, second = (Chip(2, 3), Chip(2, 3))
    results = [program(chip.port, chip.cells, chip.targets(chip.cells.size)) for chip in (first, second)]
    assert np.array_equal(results[0].conductance_siemens, results[1].conductance_siemens)
    assert np.array_equal(*(chip.array.true_conductance(chip.cells, SECOND) for chip in (first, second)))
