"""Cell pulses → row pulses: which cells share one, and in which order they are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from hwloop.drivers.cells import CellPulses, Polarity


@dataclass(frozen=True)
class RowPulses:
    """Cell pulses in row pulse order."""

    order: np.ndarray       # (n,) positions in the CellPulses, cells of one row pulse together and in order of columns
    group: np.ndarray       # (n,) row pulse number of each of `order`, ascending from 0
    count: int


def row_pulses(pulses: CellPulses, columns: int) -> RowPulses:
    """Group cells of one row with equal polarity, gate and width into one row pulse; amplitudes may differ.

    Row after row, in a row RESET before SET and lower gates first. A cell that occurs several times is pulsed in the
    order given: its later pulses follow all first ones.
    """
    n = pulses.cells.size
    if n == 0:
        return RowPulses(np.empty(0, np.int64), np.empty(0, np.int64), 0)
    occurrence = _occurrence(pulses.cells)
    keys = (pulses.width_seconds, pulses.gate_volts, -pulses.polarity, pulses.cells // columns, occurrence)
    order = np.lexsort((pulses.cells, *keys))
    first = np.zeros(n, bool)
    for key in keys:
        ordered = key[order]
        first[1:] |= ordered[1:] != ordered[:-1]
    group = np.cumsum(first)
    return RowPulses(order, group, int(group[-1]) + 1)


def count_row_pulses(pulses: CellPulses, columns: int) -> int:
    """How many row pulses `pulses` are, of one width and at most one of each cell: quicker than to form them."""
    row_and_polarity = pulses.cells // columns * len(Polarity) + pulses.polarity
    return _count_pairs(row_and_polarity, np.array(pulses.gate_volts, np.float64))


@njit("i8(i8[::1], f8[::1])", cache=True)
def _count_pairs(key, value):
    """How many different pairs of a small `key` ≥ 0 and a `value` there are."""
    first = np.full(key.max() + 1 if len(key) else 0, -1, np.int64)
    following = np.empty(len(key), np.int64)
    count = 0
    for i in range(len(key)):
        other = first[key[i]]
        while other >= 0 and value[other] != value[i]:
            other = following[other]
        if other < 0:
            following[i], first[key[i]] = first[key[i]], i
            count += 1
    return count


def _occurrence(cells: np.ndarray) -> np.ndarray:
    """How often each cell has occurred before, (n,)."""
    order = np.argsort(cells, kind="stable")
    ordered = cells[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    if starts.size == cells.size:
        return np.zeros(cells.size, np.int64)
    position = np.arange(cells.size)
    run_length = np.diff(np.append(starts, cells.size))
    occurrence = np.empty(cells.size, np.int64)
    occurrence[order] = position - np.repeat(starts, run_length)
    return occurrence
