"""Conductances of cells by the source-measure unit: one routed cell after the other, four-wire, at the read voltage."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from hwloop.controller.instrument_readings import Readings
from hwloop.drivers.board import Board
from hwloop.drivers.smu.smu import Smu
from hwloop.link.protocol import Route
from hwloop.procedures.metering import ammeter

# Ranges of the meter, the limit too; what is small on the first is measured again on the second, whose zero is better.
_COARSE_AMPS, _FINE_AMPS = 100e-6, 10e-6
_FINE_SHARE = 0.9


@dataclass(frozen=True)
class CellReadings:
    """Of n cells, each (n,): conductance, the half-width of its 95 % interval by the data sheet of the instrument, and
    whether the current limit acted, so that the cell conducts more than `siemens`."""

    siemens: np.ndarray
    uncertainty_95_siemens: np.ndarray
    in_limit: np.ndarray


class CellMeter:
    """Reads cells of a board through its SMU port. `smu` is None in a replay; `on_step` (phase, done, total)."""

    def __init__(self, board: Board, smu: Smu | None, readings: Readings, on_step: Callable[[str, int, int], None]):
        self._board, self._smu, self._readings, self._on_step = board, smu, readings, on_step

    def read(self, cells: np.ndarray) -> CellReadings:
        """Conductances of flat indices (n,) at the board's read voltage. Raises as Smu and Readings.

        The level is 0 V while the route changes. An error leaves the output as it is: the session grounds the board,
        then the instrument's own way out switches it off.
        """
        found = self._at_range(cells, _COARSE_AMPS)
        small = np.flatnonzero(found[0] * self._board.scales.read_volts < _FINE_SHARE * _FINE_AMPS)
        if len(small):
            found[:, small] = self._at_range(cells[small], _FINE_AMPS)
        return CellReadings(found[0], found[1], found[2] > 0)

    def _at_range(self, cells: np.ndarray, range_amps: float) -> np.ndarray:
        """Siemens, uncertainty and whether in the limit, (3, n)."""
        found, volts, ports = np.empty((3, len(cells))), self._board.scales.read_volts, self._board.ports
        with ammeter(self._smu, volts, range_amps) if self._smu else contextlib.nullcontext():
            for place, cell in enumerate(cells.tolist()):
                array_row, column = divmod(cell, self._board.columns)
                array, row = divmod(array_row, self._board.rows)
                _, taken = self._readings.take(
                    {"role": "smu", "cell": cell, "range_amps": range_amps},
                    partial(ports.route, Route.CELL_TO_SMU, array, row, column),
                    partial(_measured, self._smu, volts, range_amps),
                )
                found[:, place : place + 1] = taken["siemens"], taken["uncertainty_95_siemens"], taken["in_limit"]
                self._on_step(f"cells by the SMU, {range_amps * 1e6:g} uA", place + 1, len(cells))
        ports.route(Route.NOTHING)
        return found


def _measured(smu: Smu, volts: float, range_amps: float) -> dict[str, np.ndarray]:
    """One reading of the cell that is routed, arrays (1,)."""
    smu.set_level(volts)
    reading = smu.measure()
    smu.set_level(0.0)
    # A reading beyond the meter's range comes as NaN: the limit is the range.
    beyond = bool(reading.in_limit[0] or np.isnan(reading.amps[0]))
    amps = range_amps if beyond else float(reading.amps[0])
    source, meter = smu.accuracy("volts", "source", volts), smu.accuracy("amps", "measure", range_amps)
    relative = np.hypot(source.gain_fraction, source.offset / volts)
    uncertainty_amps = np.hypot(np.hypot(relative, meter.gain_fraction) * amps, meter.offset)
    return {
        "siemens": np.array([amps / volts]), "uncertainty_95_siemens": np.array([uncertainty_amps / volts]),
        "in_limit": np.array([beyond]),
    }
