"""The analog solver: non-negative regressions on the compact GINV circuit, matrices in, coefficients out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from hwloop.array.autozero import AutoZero
from hwloop.array.chip import Chip
from hwloop.array.circuit import Circuit
from hwloop.array.dense import LoadedMatrices, solve_dense
from hwloop.array.masked import solve_masked
from hwloop.array.observations import Observations
from hwloop.array.placement import check_fit, place_banks
from hwloop.array.rounds import solve_in_rounds
from hwloop.array.settings import SolverSettings, SolverTotals
from hwloop.array.tall import solve_tall_dense, solve_tall_masked, solve_tall_sparse
from hwloop.drivers.board import Board

__all__ = ["GinvSolver", "SolverSettings", "SolverTotals"]

CHUNK_ENTRIES = 1 << 21     # of a sparse right side that are densified at once


class GinvSolver:
    """Solves batches of regressions on one board and chip. `on_round(done, total)` is told of progress.

    Every regression minimises 1/2 |X h - y|² + 1/2 ridge |h|² + l1 Σh over h ≥ 0. Designs X are ≥ 0; where the chip
    cannot hold one, it goes in row tiles. Every method raises UsageError for a rank above the board's columns and for
    a chip with no place left, and GoalNotReachedError where repeating and placing again do not help.
    """

    def __init__(
        self, board: Board, chip: Chip, settings: SolverSettings | None = None,
        on_round: Callable[[int, int], None] = lambda done, total: None,
    ):
        self.circuit = Circuit(board, chip, settings or SolverSettings(), on_round)

    @property
    def totals(self) -> SolverTotals:
        """What happened besides solving, since the solver was made."""
        return self.circuit.totals

    @property
    def auto_zero(self) -> AutoZero:
        """The measured offsets of the amplifiers."""
        return self.circuit.auto_zero

    @property
    def on_round(self) -> Callable[[int, int], None]:
        """Told of progress: matrices done, matrices in all."""
        return self.circuit.on_round

    @on_round.setter
    def on_round(self, on_round: Callable[[int, int], None]) -> None:
        self.circuit.on_round = on_round

    def fits(self, m: int, k: int) -> bool:
        """Whether an m×k matrix has a place on the chip, as its map stands, without row tiles."""
        self._check(m, k)
        return len(place_banks(self.circuit.chip.map.usable(), m, k)) > 0

    def solve_dense(self, design: np.ndarray, targets: np.ndarray, ridge: float = 0.0, l1: float = 0.0) -> np.ndarray:
        """Coefficients (b, k, n) of b designs (b, m, k) with n right sides each (b, m, n)."""
        self._check(*design.shape[1:])
        coefficients, left = solve_dense(self.circuit, design, targets, ridge, l1)
        for matrix in left.tolist():
            coefficients[matrix] = solve_tall_dense(self.circuit, design[matrix], targets[matrix], ridge, l1)
        return coefficients

    def solve_masked(
        self, design: np.ndarray, indptr: np.ndarray, indices: np.ndarray, values: np.ndarray, ridge: np.ndarray,
        l1: float = 0.0,
    ) -> np.ndarray:
        """Coefficients (k, n) of n regressions on one design (m, k), each with its own rows switched on.

        Regression j observed values[indptr[j]:indptr[j+1]] in rows indices[indptr[j]:indptr[j+1]]; `ridge` (n,).
        """
        self._check(*design.shape)
        seen = Observations(np.asarray(indptr), np.asarray(indices), values, ridge)
        coefficients = solve_masked(self.circuit, design, seen, l1)
        return solve_tall_masked(self.circuit, design, seen, l1) if coefficients is None else coefficients

    def solve_sparse(
        self, design: np.ndarray, targets: sp.csc_array, ridge: float = 0.0, l1: float = 0.0
    ) -> np.ndarray:
        """Coefficients (k, n) of n sparse right sides (m, n) on one design (m, k); what is not stored is zero, is data.

        The design is written once; right sides are densified a few columns at a time.
        """
        self._check(*design.shape)
        m, k = design.shape
        coefficients = np.zeros((k, targets.shape[1]))
        live = np.flatnonzero(np.diff(targets.indptr))
        if not len(live) or not design.any():
            return coefficients
        columns_at_once = max(1, CHUNK_ENTRIES // m)

        def solve_round(banks, batch: np.ndarray) -> np.ndarray:
            loaded = LoadedMatrices(self.circuit, banks, design[None], ridge, l1)
            for first in range(0, len(live) if loaded.load.written.all() else 0, columns_at_once):
                chosen = live[first : first + columns_at_once]
                coefficients[:, chosen] = loaded.solve(targets[:, chosen].toarray()[None])[0]
            return loaded.load.written

        if len(solve_in_rounds(self.circuit, m, k, np.zeros(1, np.int64), solve_round)):
            coefficients[:, live] = solve_tall_sparse(self.circuit, design, targets[:, live], ridge, l1)
        return coefficients

    def _check(self, m: int, k: int) -> None:
        check_fit(m, k, self.circuit.chip.rows, self.circuit.chip.columns)
