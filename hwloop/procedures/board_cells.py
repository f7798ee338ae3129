"""Cells that help to calibrate a board: a few rows at one conductance in both arrays, and the circuit with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.errors import CalibrationError
from hwloop.procedures.tools import Tools

MOST_ROWS = 16
# Cells of 80 µS or more bend their I–V curve little, and read within the coarse range.
TARGET_SIEMENS = 100e-6
_READ_AVERAGES = 64
_SMALL_VOLTS = 0.05             # little enough for the bend, enough beside offsets
_LEAST_ROWS = 4
_PULSES_A_CELL = 8.0            # as a rule, from whatever there is


@dataclass(frozen=True)
class CellRows:
    """`rows` (m,) whose cells were written; conductances (2, m, C) of arrays A and B as READ has them, and nearly
    without a voltage, where they conduct a little less."""

    rows: np.ndarray
    read_siemens: np.ndarray
    small_siemens: np.ndarray

    def row_sums_siemens(self, fixed_siemens: np.ndarray) -> np.ndarray:
        """S (m,): the cells of each row, nearly all of which see no voltage, with (m,) of everything else."""
        return self.small_siemens.sum(axis=(0, 2)) + fixed_siemens

    def loop(self, a_siemens: np.ndarray, sums_siemens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Q and K (C,) of each column as a bank of its own, with (m, C) of array A (design notes, section 2)."""
        b = self.small_siemens[1]
        weighted = b / sums_siemens[:, None]
        return (weighted * a_siemens).sum(axis=0), (b - weighted * b).sum(axis=0)

    def driven(self, sums_siemens: np.ndarray, input_amps: np.ndarray) -> np.ndarray:
        """Current (C,) into each column's node for `input_amps` (m,), the short-circuit currents of the inputs."""
        return (self.small_siemens[1] * (input_amps / sums_siemens)[:, None]).sum(axis=0)


def planned_rows(tools: Tools) -> int:
    """How many rows are written."""
    return min(MOST_ROWS, tools.board.rows)


def planned_pulses(tools: Tools) -> int:
    """About how many pulses that takes."""
    return round(_PULSES_A_CELL * 2 * planned_rows(tools) * tools.board.columns)


def write_rows(tools: Tools) -> CellRows:
    """Bring the first rows of both arrays to one conductance. Cells that do not get there serve as they are, but rows
    with one beyond the range of READ do not. Raises CalibrationError where hardly any is left."""
    chip = tools.need_chip()
    rows = np.arange(planned_rows(tools))
    cells = chip.cells_of_rows(rows)
    chip.program(cells, np.full(len(cells), TARGET_SIEMENS))
    saturated = chip.read(cells, _READ_AVERAGES).saturated
    good = ~saturated.reshape(2, len(rows), tools.board.columns).any(axis=(0, 2))
    if good.sum() < min(_LEAST_ROWS, len(rows)):
        raise CalibrationError(
            f"of the first {len(rows)} rows only {good.sum()} have cells that can all be read; calibrate with another "
            "chip in the socket"
        )
    return read_rows(tools, rows[good])


def read_rows(tools: Tools, rows: np.ndarray) -> CellRows:
    """Cells of `rows` (m,) as they are now."""
    board, columns = tools.board, np.arange(tools.board.columns)
    reads = tools.need_chip().read(tools.need_chip().cells_of_rows(rows), _READ_AVERAGES)
    read_siemens = reads.conductance_siemens.reshape(2, len(rows), -1)
    small = np.empty_like(read_siemens)
    for number, row in enumerate(rows.tolist()):
        volts = board.scales.volts_from_input_codes(
            board.scales.input_codes(np.array([_SMALL_VOLTS]), np.array([row])), np.array([row])
        )
        for array in range(2):
            amps, _ = board.multiply(array, np.array([row]), columns, volts[None], _READ_AVERAGES)
            small[array, number] = amps[0] / volts
    return CellRows(rows, read_siemens, small)
