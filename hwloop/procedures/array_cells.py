"""What procedures do to cells of a chip: a sample spread over an array, RESET until low, SET at a gate voltage."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hwloop.array.chip import Chip
from hwloop.array.program.common import PULSE_SECONDS, RESET_GATE_VOLTS, SET_VOLTS
from hwloop.calibration.record import Parameter
from hwloop.drivers.board import Board
from hwloop.drivers.cells import CellPulses, CellReads, Polarity
from hwloop.errors import CalibrationError

RESET_VOLTS = 2.0
# One RESET in ten does nothing (design notes, section 4), so that after so many nearly every cell was reached.
RESET_ROUNDS = 4
LOW_SIEMENS = 8e-6
READ_AVERAGES = 12


def sample_size(board: Board, count: int) -> int:
    """How many cells of an array are taken where about `count` are wanted: whole rows."""
    return min(-(-count // board.columns), board.rows) * board.columns


def sample_cells(chip: Chip, array: int, count: int) -> np.ndarray:
    """Flat indices of about `count` usable cells of `array`: whole rows, evenly spread."""
    rows = np.rint(np.linspace(0, chip.rows - 1, min(-(-count // chip.columns), chip.rows))).astype(int)
    cells = (((array * chip.rows + rows) * chip.columns)[:, None] + np.arange(chip.columns)).ravel()
    return cells[chip.map.usable().ravel()[cells]]


def pulses_of(cells: np.ndarray, polarity, amplitude_volts, gate_volts) -> CellPulses:
    """One pulse of 1 µs a cell; polarity and voltages (n,) or one for all."""
    amplitude, gate, width = (
        np.broadcast_to(np.asarray(value, float), cells.shape)
        for value in (amplitude_volts, gate_volts, PULSE_SECONDS)
    )
    return CellPulses(cells, np.broadcast_to(np.asarray(polarity, np.int64), cells.shape), amplitude, gate, width)


def pulse(
    chip: Chip, cells: np.ndarray, polarity: Polarity, amplitude_volts, gate_volts, averages: int = READ_AVERAGES
) -> CellReads:
    """Pulse `cells` (n,) once each and read them, in one exchange."""
    given = pulses_of(cells, polarity, amplitude_volts, gate_volts)
    reads = chip.board.pulse_and_read(given, cells, averages, 1, 1e-6)
    chip.conductance_siemens[cells] = reads.conductance_siemens
    return reads


def reset_low(chip: Chip, cells: np.ndarray, rounds: int = RESET_ROUNDS) -> np.ndarray:
    """RESET `cells` (n,) until they are low, up to `rounds` times; gives what they read in the end, siemens."""
    siemens, waiting = chip.read(cells).conductance_siemens.copy(), np.arange(len(cells))
    for _ in range(rounds):
        waiting = waiting[siemens[waiting] > LOW_SIEMENS]
        if not len(waiting):
            break
        siemens[waiting] = pulse(
            chip, cells[waiting], Polarity.RESET, RESET_VOLTS, RESET_GATE_VOLTS
        ).conductance_siemens
    return siemens


def set_from_low(chip: Chip, cells: np.ndarray, gate_volts) -> np.ndarray:
    """SET `cells` (n,) at 1.2 V and a gate voltage, after RESETs. Siemens (n,), NaN for cells that were not low before
    or are beyond the range."""
    low = reset_low(chip, cells) <= LOW_SIEMENS
    reads = pulse(chip, cells, Polarity.SET, SET_VOLTS, gate_volts)
    return np.where(low & ~reads.saturated, reads.conductance_siemens, np.nan)


def exchange_seconds(board: Board, cells: int, averages: int) -> float:
    """About what one exchange takes that pulses and reads `cells` row by row (tick rules of the design notes)."""
    return exchange_seconds_of(cells, board.columns, averages)


def exchange_seconds_of(cells: int, columns: int, averages: int) -> float:
    """The same on a board with `columns`; `averages` 0: nothing is read."""
    reading = 20e-6 + averages * 16e-6 if averages else 0.0
    return 1e-3 + -(-cells // columns) * (reading + 16e-6 + columns * 1e-6)


def shared_95(known: Mapping[str, Parameter], name: str) -> float:
    """What the mean over channels of an earlier finding is uncertain by, 95 %; 0 where it was not found."""
    parameter = known.get(name)
    if parameter is None:
        return 0.0
    own = np.maximum(parameter.uncertainty_95**2 - parameter.common_95**2, 0.0)
    return float(np.sqrt(parameter.common_95**2 + own.mean() / own.size))


def require_cells(count: int, least: int, what: str) -> None:
    """Raises CalibrationError where fewer cells than `least` behaved so that something can be learned from them."""
    if count < least:
        raise CalibrationError(
            f"only {count} cells {what}, {least} are needed; look at the chip with `hwloop array show` and "
            "`hwloop array yield`, and form it where it is unformed"
        )
