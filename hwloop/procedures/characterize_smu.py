"""Sweeps of a source meter over routed cells, one at a time, at voltages that do not disturb them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.drivers.smu.checks import require_within_limit
from hwloop.drivers.smu.settings import SmuSetting
from hwloop.errors import LimitError
from hwloop.link.protocol import Route
from hwloop.procedures.tools import Tools

# More across a cell would disturb it (design notes, section 2).
MOST_VOLTS = 0.34
_LIMIT_AMPS = 250e-6
_LINE_SECONDS, _CELL_SECONDS = 0.02, 0.15


@dataclass(frozen=True)
class SweepCells:
    """How cells are swept: integration in power line cycles; four-wire, so that leads and switches have no share."""

    nplc: float = 1.0
    four_wire: bool = True

    def seconds(self, points: int) -> float:
        """About what one cell takes."""
        return _CELL_SECONDS + points * 2 * self.nplc * _LINE_SECONDS

    def amps(self, tools: Tools, cells: np.ndarray, volts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Voltage and current of `cells` (n,) at each of `volts`, both (voltages, n); one sweep a cell.

        Raises LimitError above 0.34 V, UsageError without a source meter, and as it does where its limit acts.
        """
        if np.abs(volts).max() > MOST_VOLTS:
            raise LimitError(
                "sweep voltage", float(np.abs(volts).max()), f"up to {MOST_VOLTS:g}", "V", "more disturbs the cell"
            )
        smu, board = tools.need_smu(), tools.board
        smu.configure(SmuSetting(
            "volts", _LIMIT_AMPS, source_range=float(np.abs(volts).max()), measure_range=_LIMIT_AMPS, nplc=self.nplc,
            four_wire=self.four_wire, readback=True,
        ))
        found = np.empty((2, len(volts), len(cells)))
        try:
            for place, cell in enumerate(cells.tolist()):
                array_row, column = divmod(cell, board.columns)
                array, row = divmod(array_row, board.rows)
                board.ports.route(Route.CELL_TO_SMU, array, row, column)
                smu.output(True)
                readings = smu.sweep(volts)
                require_within_limit(smu.port.name, readings)
                smu.output(False)
                found[:, :, place] = readings.volts, readings.amps
                tools.on_step("sweeps", place + 1, len(cells))
        finally:
            board.ports.route(Route.NOTHING)
        return found[0], found[1]
