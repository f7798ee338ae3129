"""A board whose pulses are checked against a chip's passport before they are sent, and noted in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwloop.array.passport import Passport
from hwloop.drivers.cells import CellPulses, CellReads
from hwloop.errors import LimitError, UsageError
from hwloop.link.protocol import TiaRange

if TYPE_CHECKING:
    from hwloop.array.chip import BoardPort


class PassportPort:
    """`board` for a chip, with its `passport`.

    `known_batches` exchanges with pulses are in the passport already: those of a run that is gone on with, which are
    answered from its recording. `batches` counts all of them.
    """

    def __init__(self, board: BoardPort, passport: Passport, known_batches: int = 0):
        self.rows, self.columns = board.rows, board.columns
        self.passport, self.batches = passport, 0
        self._board, self._known_batches = board, known_batches

    @property
    def noted_batches(self) -> int:
        """Exchanges with pulses that the passport did not know."""
        return max(self.batches - self._known_batches, 0)

    def pulse_and_read(
        self, pulses: CellPulses | None, read_cells: np.ndarray | None, averages: int, sub_averages: int,
        spread_siemens: float, tia_range: int = TiaRange.COARSE,
    ) -> CellReads | None:
        """As the board's own. Raises LimitError naming a cell that would be over-stressed, before anything is sent."""
        asked = (read_cells, averages, sub_averages, spread_siemens, tia_range)
        if pulses is None or not len(pulses.cells):
            return self._board.pulse_and_read(pulses, *asked)
        if self.batches < self._known_batches:
            self.batches += 1
            return self._board.pulse_and_read(pulses, *asked)
        self.passport.check(pulses)
        try:
            return self._board.pulse_and_read(pulses, *asked)
        except (LimitError, UsageError):
            # The driver refuses before it sends, so these pulses were never given.
            pulses = None
            raise
        finally:
            # Whatever else went wrong, they may have been.
            if pulses is not None:
                self.batches += 1
                self.passport.note(pulses)
