"""The cells of one simulated array chip: both arrays, flat cell index, from pristine to programmed and back.

The hardware of a chip (faults, spread, noise sources) follows from its serial, what happens to it from the seed.
Source and numbers: hwloop.mock.kinetics and hwloop.mock.fluctuations, and the table in section 4 of the design notes;
sizes of cell-to-cell spread that no source gives are assumed and say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hwloop.errors import LimitError, UsageError
from hwloop.mock.chip_truth import ChipTruth, draw_chip
from hwloop.mock.fluctuations import (
    NOISE_FLOOR,
    NOISE_OCTAVES,
    REFERENCE_CELSIUS,
    conductance_of_cells,
    conductance_of_rows,
)
from hwloop.mock.kinetics import RESET, pulse_cells
from hwloop.mock.presets import DEFAULT, Effects
from hwloop.mock.randomness import derive_many, normal_many, stream, uniform_many

ARRAYS = 2
SET, FORM = 0, 2
MAX_PULSE_VOLTS = 3.5
WIDTH_RANGE_SECONDS = (1e-7, 1e-3)
CELSIUS_RANGE = (-40.0, 125.0)
PRISTINE_SIEMENS = 0.1e-6           # pristine cells lie below
FORMING_VOLTS = (2.2, 3.1)          # at 1 µs
SLOW_RESPONSE = 1.0 / 3.0
THRESHOLD_SPREAD_VOLTS = 0.020      # assumed: 2 µS of compliance
RESET_SPREAD_VOLTS = 0.040          # assumed: 7.4 µS of equilibrium
HRS_CELL_SPREAD = 0.12              # assumed, of ln G: with the pulse-to-pulse spread 99.8 % of cells reset below 5 µS
TEMPERATURE_SPREAD_PER_KELVIN = 0.0008
HEAVY_TAIL_FRACTION, HEAVY_TAIL_SCALE = 0.02, 4.0
RTN_DEPTH = (0.01, 0.05)
RTN_HOLD_SHIFTS = (2, 12)           # held 4 ms … 4 s between draws
_HARDWARE_DOMAIN, _PULSE_DOMAIN, _NOISE_DOMAIN = 1, 2, 3
_START_PULSES = ((FORM, 3.3, 1.6), (RESET, 2.1, 2.7), (RESET, 2.1, 2.7), (RESET, 2.1, 2.7))


class CellLaws(NamedTuple):
    """Scalars that all cells share; the compiled kernels read them."""

    stochastic: bool
    relaxation_at_1_second_siemens: float
    relaxation_per_e_fold_siemens: float
    relaxation_onset_ticks: int     # σ(t) is zero up to here
    noise_scale: float


class CellHardware(NamedTuple):
    """What one chip is made of, per cell (n,)."""

    pulse_key: np.ndarray               # uint64
    noise_key: np.ndarray               # uint64
    response: np.ndarray                # share of the way that a pulse moves the cell: 1, slow 1/3, stuck 0
    threshold_volts: np.ndarray
    siemens_per_volt: np.ndarray        # compliance, a volt of gate above the threshold
    reset_offset_volts: np.ndarray
    hrs_siemens: np.ndarray
    forming_volts: np.ndarray
    temperature_per_kelvin: np.ndarray
    relaxation_scale: np.ndarray
    rtn_depth: np.ndarray
    rtn_hold_shift: np.ndarray          # int64; levels are held for 2**shift ms


class CellState(NamedTuple):
    """What pulses have made of the cells, per cell (n,)."""

    conductance_siemens: np.ndarray     # right after the last pulse that moved the cell
    relaxation: np.ndarray              # its relaxation since, in units of σ(t)
    moved_tick: np.ndarray              # int64, the end of that pulse
    pulse_count: np.ndarray             # int64, all pulses
    formed: np.ndarray                  # bool


@dataclass(frozen=True)
class Faults:
    """World truth about one chip, bool (n,) by flat cell."""

    stuck_low: np.ndarray
    stuck_high: np.ndarray
    slow: np.ndarray
    rtn: np.ndarray

    @property
    def stuck(self) -> np.ndarray:
        """Cells that no pulse moves, bool (n,)."""
        return self.stuck_low | self.stuck_high


class CellArray:
    """All cells of a chip with two arrays of `rows` × `columns`; cell = (array × rows + row) × columns + column.

    Starts as after forming and RESET at tick 0, or unformed where `pristine`. Ticks are bench ticks of 0.1 µs.
    Identical calls give identical numbers, however they are cut into batches.
    """

    def __init__(
        self, serial: int, seed: int, rows: int, columns: int, effects: Effects = DEFAULT, pristine: bool = False
    ):
        if rows < 1 or columns < 1:
            raise UsageError(f"array of {rows} rows x {columns} columns: both must be at least 1")
        self.rows, self.columns, self.effects = rows, columns, effects
        self.size = ARRAYS * rows * columns
        self.temperature_celsius = REFERENCE_CELSIUS
        self.laws = _laws(effects)
        self.truth = draw_chip(serial, effects.chip_spread)
        self.hardware, self.faults, resting_siemens = _hardware(serial, seed, self.size, effects, self.truth)
        formed = np.full(self.size, not effects.forming)
        self.cell_state = CellState(
            resting_siemens, np.zeros(self.size), np.zeros(self.size, np.int64), np.zeros(self.size, np.int64), formed
        )
        if effects.forming and not pristine:
            for polarity, amplitude_volts, gate_volts in _START_PULSES:
                self.pulse(np.arange(self.size), polarity, amplitude_volts, gate_volts, 1e-5, -100)

    def pulse(self, cells, polarity, amplitude_volts, gate_volts, width_seconds, start_tick) -> None:
        """Pulse `cells` (n,) in order; a cell may occur several times. The other arguments are (n,) or scalars.

        `polarity` 0 SET, 1 RESET, 2 FORM. Raises LimitError outside the valid range, before any cell is touched.
        """
        cells = self._checked_cells(cells)
        if cells.size == 0:
            return
        _check("polarity", polarity, SET, FORM, "", "use 0 SET, 1 RESET or 2 FORM")
        _check("pulse amplitude", amplitude_volts, 0.0, MAX_PULSE_VOLTS, "V", "lower the amplitude")
        _check("gate voltage", gate_volts, 0.0, MAX_PULSE_VOLTS, "V", "lower the gate voltage")
        _check("pulse width", width_seconds, *WIDTH_RANGE_SECONDS, "s", "choose a width inside the model's range")
        pulse_cells(
            self.laws, self.hardware, self.cell_state, cells, _vector(polarity, cells, np.int64),
            _vector(amplitude_volts, cells, np.float64), _vector(gate_volts, cells, np.float64),
            _vector(width_seconds, cells, np.float64), _vector(start_tick, cells, np.int64),
        )

    def conductance(self, cells, tick) -> np.ndarray:
        """I(0.2 V)/0.2 V of `cells` (n,) at `tick` (scalar or (n,)), siemens, as a perfect instrument sees it."""
        return self._conductance(cells, tick, noisy=True)

    def true_conductance(self, cells, tick) -> np.ndarray:
        """World truth: `conductance` without cell noise, telegraph noise at the mean of its two levels."""
        return self._conductance(cells, tick, noisy=False)

    def conductance_rows(self, array: int, rows: np.ndarray, tick: int) -> np.ndarray:
        """`conductance` of whole `rows` (n,) of `array` (0 A, 1 B) at one `tick`: (n, columns), siemens."""
        out = np.empty((len(rows), self.columns))
        first_cells = (array * self.rows + np.asarray(rows, np.int64)) * self.columns
        if first_cells.size:
            self._checked_cells(first_cells[[first_cells.argmin(), first_cells.argmax()]])
        conductance_of_rows(
            self.laws, self.hardware, self.cell_state, first_cells, int(tick), self.temperature_celsius, out
        )
        return out

    @property
    def temperature_celsius(self) -> float:
        """Chip temperature. Raises LimitError outside -40…125 °C."""
        return self._temperature_celsius

    @temperature_celsius.setter
    def temperature_celsius(self, celsius: float) -> None:
        _check("chip temperature", celsius, *CELSIUS_RANGE, "°C", "the coefficients hold inside this range only")
        self._temperature_celsius = float(celsius)

    def state(self) -> dict[str, np.ndarray]:
        """Everything that pulses and time have changed, as arrays to be stored."""
        stored = {name: values.copy() for name, values in self.cell_state._asdict().items()}
        return stored | {"temperature_celsius": np.float64(self.temperature_celsius)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what `state` returned, on a chip of the same size. Raises UsageError where it does not fit."""
        for name, values in self.cell_state._asdict().items():
            if name not in state or np.shape(state[name]) != values.shape:
                raise UsageError(f"stored cell state lacks {name!r} for {self.size} cells; it belongs to another chip")
        for name, values in self.cell_state._asdict().items():
            values[:] = state[name]
        self.temperature_celsius = float(state["temperature_celsius"])

    def _conductance(self, cells, tick, noisy: bool) -> np.ndarray:
        cells = self._checked_cells(cells)
        out = np.empty(cells.size)
        ticks = _vector(tick, cells, np.int64)
        conductance_of_cells(
            self.laws, self.hardware, self.cell_state, cells, ticks, self.temperature_celsius, noisy, out
        )
        return out

    def _checked_cells(self, cells) -> np.ndarray:
        cells = np.ascontiguousarray(cells, np.int64)
        _check("cell", cells, 0, self.size - 1, "", "cells count over both arrays")
        return cells


def _laws(effects: Effects) -> CellLaws:
    at_1_second, per_e_fold = 0.0, 0.0
    onset_ticks = np.iinfo(np.int64).max
    if effects.relaxation:
        at_1_second, per_e_fold = effects.relaxation_at_1_second_siemens, effects.relaxation_per_e_fold_siemens
        onset_ticks = int(np.exp(-at_1_second / per_e_fold) * 1e7) if per_e_fold > 0 else 0
    noise_scale = NOISE_FLOOR * np.sqrt(12.0 / NOISE_OCTAVES) if effects.cell_noise else 0.0
    return CellLaws(effects.stochastic, at_1_second, per_e_fold, onset_ticks, float(noise_scale))


def _hardware(
    serial: int, seed: int, size: int, effects: Effects, truth: ChipTruth
) -> tuple[CellHardware, Faults, np.ndarray]:
    """The chip's hardware, its faults, and the conductance (siemens) of cells before any pulse."""
    index = np.arange(size, dtype=np.uint64)
    cell_key = derive_many(stream(_HARDWARE_DOMAIN, serial), index)

    def draw(number: int) -> np.ndarray:
        return derive_many(cell_key, np.uint64(number))

    def spread(number: int, switch: bool) -> np.ndarray:
        return normal_many(draw(number)) if switch else np.zeros(size)

    def between(number: int, low: float, high: float) -> np.ndarray:
        return low + (high - low) * uniform_many(draw(number))

    def of_array(values: np.ndarray) -> np.ndarray:
        return np.repeat(values, size // ARRAYS)

    fault = uniform_many(draw(0))
    low, high = effects.stuck_low_fraction, effects.stuck_low_fraction + effects.stuck_high_fraction
    stuck_low = (fault < low) & effects.stuck
    stuck_high = (fault >= low) & (fault < high) & effects.stuck
    slow = (uniform_many(draw(1)) < effects.slow_fraction) & effects.slow & ~stuck_low & ~stuck_high
    rtn = (uniform_many(draw(2)) < effects.rtn_fraction) & effects.rtn
    hrs_siemens = effects.hrs_siemens * np.exp(HRS_CELL_SPREAD * spread(5, effects.compliance_spread))
    heavy_tail = uniform_many(draw(8)) < HEAVY_TAIL_FRACTION

    resting_siemens = between(9, 0.005e-6, 0.95 * PRISTINE_SIEMENS) if effects.forming else hrs_siemens.copy()
    resting_siemens[stuck_low] = between(10, 0.02e-6, 1e-6)[stuck_low]
    resting_siemens[stuck_high] = between(10, 300e-6, 500e-6)[stuck_high]
    hardware = CellHardware(
        pulse_key=derive_many(stream(_PULSE_DOMAIN, serial, seed), index),
        noise_key=derive_many(stream(_NOISE_DOMAIN, serial, seed), index),
        response=np.where(stuck_low | stuck_high, 0.0, np.where(slow, SLOW_RESPONSE, 1.0)),
        threshold_volts=of_array(truth.gate_threshold_volts)
        + THRESHOLD_SPREAD_VOLTS * spread(3, effects.compliance_spread),
        siemens_per_volt=of_array(truth.gate_siemens_per_volt),
        reset_offset_volts=RESET_SPREAD_VOLTS * spread(4, effects.compliance_spread),
        hrs_siemens=hrs_siemens,
        forming_volts=between(6, *FORMING_VOLTS),
        temperature_per_kelvin=(of_array(truth.temperature_per_kelvin) if effects.temperature else 0.0)
        + TEMPERATURE_SPREAD_PER_KELVIN * spread(7, effects.temperature),
        relaxation_scale=np.where(heavy_tail, HEAVY_TAIL_SCALE, 1.0),
        rtn_depth=np.where(rtn, between(11, *RTN_DEPTH), 0.0),
        rtn_hold_shift=between(12, RTN_HOLD_SHIFTS[0], RTN_HOLD_SHIFTS[1] + 1).astype(np.int64),
    )
    return hardware, Faults(stuck_low, stuck_high, slow, rtn), resting_siemens


def _vector(values, cells: np.ndarray, dtype) -> np.ndarray:
    return np.ascontiguousarray(np.broadcast_to(np.asarray(values, dtype), cells.shape))


def _check(what: str, values, low: float, high: float, unit: str, remedy: str) -> None:
    values = np.atleast_1d(values)
    bad = ~((values >= low) & (values <= high))
    if bad.any():
        raise LimitError(what, float(values[bad][0]), f"{low:g}…{high:g}", unit, remedy)
