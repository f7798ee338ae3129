"""What is done to cells and what they answer, in SI units: the vocabulary between the board driver and all above it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Polarity(IntEnum):
    """Which line of a cell is driven: SET and FORM the bit line, RESET the source line."""

    SET = 0
    RESET = 1
    FORM = 2


@dataclass(frozen=True)
class CellPulses:
    """One pulse for each of n cells.

    `cells` (n,) int64 flat indices (array × rows + row) × columns + column; `polarity` (n,) Polarity codes;
    `amplitude_volts` (n,) on the bit line (SET, FORM) or source line (RESET); `gate_volts` (n,); `width_seconds` (n,).
    """

    cells: np.ndarray
    polarity: np.ndarray
    amplitude_volts: np.ndarray
    gate_volts: np.ndarray
    width_seconds: np.ndarray


@dataclass(frozen=True)
class CellReads:
    """One reading of each of n cells at the read voltage.

    `conductance_siemens` (n,) mean of all samples; `steady` (n,) every sub-average lies within the spread that was
    asked for of that mean; `saturated` (n,) beyond the range, so that the conductance is a lower bound.
    """

    conductance_siemens: np.ndarray
    steady: np.ndarray
    saturated: np.ndarray
