"""What a write-verify strategy needs of a board: one exchange that pulses cells and reads cells."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np


class Polarity(IntEnum):
    """Which line of a cell is driven: SET the bit line, RESET the source line."""

    SET = 0
    RESET = 1


@dataclass(frozen=True)
class CellPulses:
    """One pulse a cell, all (n,): flat cell index, polarity code, amplitude and gate voltage, width."""

    cells: np.ndarray
    polarity: np.ndarray
    amplitude_volts: np.ndarray
    gate_volts: np.ndarray
    width_seconds: np.ndarray


@dataclass(frozen=True)
class CellReads:
    """One READ, all (n,) in the order of the cells asked for."""

    conductance_siemens: np.ndarray     # mean of all samples
    steady: np.ndarray                  # bool: every sub-average lies within the spread of that mean
    saturated: np.ndarray               # bool: beyond the range, the conductance is a lower bound


class ProgrammingPort(Protocol):
    """A board, as strategies see it: `columns` cells of one row share a gate line."""

    columns: int

    def pulse_and_read(
        self, pulses: CellPulses | None, read_cells: np.ndarray, averages: int, sub_averages: int,
        spread_siemens: float,
    ) -> CellReads:
        """Give `pulses` (row pulses in the order of `row_pulses`), then read `read_cells` (n,), in one exchange.

        Each cell is the mean of `sub_averages` parts of `averages` samples each.
        """
