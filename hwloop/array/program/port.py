"""What a write-verify strategy needs of a board: one exchange that pulses cells and reads cells."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hwloop.drivers.cells import CellPulses, CellReads


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
