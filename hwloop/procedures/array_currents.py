"""Currents of cells at chosen voltages, by the board's input DACs and transimpedance amplifiers, row by row."""

from __future__ import annotations

import numpy as np

from hwloop.drivers.board import Board
from hwloop.link.protocol import TiaRange
from hwloop.procedures.tools import Tools

_FINE_AMPS = 4.5e-6         # up to here the fine range reads, with room for noise


def read_amps(
    tools: Tools, cells: np.ndarray, volts: np.ndarray, averages: int, repeats: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Voltage, as the DACs really give it, and current of `cells` (n,) at each of `volts`, both (voltages, n).

    All voltages are gone through `repeats` times, and averaged. Each cell is read on the finest range that holds all
    its currents; beyond the coarse one the current is the end of that.
    """
    board = tools.board
    drive_volts = np.tile(volts, repeats)[:, None]
    array_row, column = np.divmod(cells, board.columns)
    given_volts, amps = np.empty((2, len(volts), len(cells)))
    lines = np.unique(array_row)
    for done, line in enumerate(lines.tolist()):
        here = np.flatnonzero(array_row == line)
        columns, place = np.unique(column[here], return_inverse=True)
        row = np.array([line % board.rows])
        read = _finest_amps(board, line // board.rows, row, columns, drive_volts, averages)
        amps[:, here] = read.reshape(repeats, len(volts), -1).mean(axis=0)[:, place]
        scales = board.scales
        given_volts[:, here] = scales.volts_from_input_codes(scales.input_codes(volts, row), row)[:, None]
        tools.on_step("currents", done + 1, len(lines))
    return given_volts, amps


def _finest_amps(
    board: Board, array: int, row: np.ndarray, columns: np.ndarray, drive_volts: np.ndarray, averages: int
) -> np.ndarray:
    """Currents (n, k) of `columns` (k,) of one row, on the fine range where it holds all of them."""
    coarse, fine = (
        board.multiply(array, row, columns, drive_volts, averages, tia_range=tia_range)[0]
        for tia_range in (TiaRange.COARSE, TiaRange.FINE)
    )
    return np.where((np.abs(coarse) < _FINE_AMPS).all(axis=0), fine, coarse)
