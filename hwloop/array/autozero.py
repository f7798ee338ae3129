"""Offset auto-zero: the amplifiers' offsets, seen at the outputs without input, and the bias that cancels them."""

from __future__ import annotations

import numpy as np

from hwloop.array.loading import Load
from hwloop.drivers.board import Board, SolveGroup
from hwloop.link.protocol import Constraint

REPEATS = 8             # solves a bank; their noise spreads the answers over several output codes
MOST_BANKS = 16


class AutoZero:
    """Offset of each column's amplifier in volts, (C,); NaN until a load that uses the column was measured."""

    def __init__(self, columns: int):
        self.offset_volts = np.full(columns, np.nan)

    def measure(self, board: Board, load: Load, averages: int, settle_seconds: np.ndarray) -> None:
        """Measure columns of `load` that are not known yet: with no input, K c = Q w at c = Vos, so Vos = K⁻¹ Q w.

        `settle_seconds` (n,) of each bank.
        """
        new = np.isnan(self.offset_volts[load.banks.columns]).any(axis=1) & load.written & np.isfinite(settle_seconds)
        chosen = np.flatnonzero(new)
        # A few banks of every column group are enough, and the offsets of a column do not depend on the bank.
        chosen = chosen[np.argsort(load.banks.columns[chosen, 0], kind="stable")][:: max(1, len(chosen) // MOST_BANKS)]
        if not len(chosen):
            return
        m = load.banks.rows.shape[1]
        groups = [
            SolveGroup(load.banks.rows[i], load.banks.columns[i], np.zeros((REPEATS, m)), settle_seconds[i], averages, Constraint.NONE)
            for i in chosen
        ]
        outputs = board.solve(groups)
        found: dict[int, list[float]] = {}
        for i, output in zip(chosen, outputs, strict=True):
            if output.saturated.any() or output.unsettled.any():
                continue
            q, k = circuit_matrices(load.a_siemens[i], load.b_siemens[i], load.row_sum_siemens)
            offsets = np.linalg.solve(k, q @ output.output_volts.mean(axis=0))
            for column, volts in zip(load.banks.columns[i].tolist(), offsets.tolist(), strict=True):
                found.setdefault(column, []).append(volts)
        for column, volts in found.items():
            self.offset_volts[column] = np.mean(volts)

    def bias_amps(self, b_siemens: np.ndarray, columns: np.ndarray, row_sum_siemens: float, feedback_siemens: np.ndarray) -> np.ndarray:
        """Bias K·Vos (n, k) that cancels the offsets of banks with conductances (n, m, k) on `columns` (n, k)."""
        volts = np.nan_to_num(self.offset_volts)[columns]
        leaked = np.einsum("nmk,nk->nm", b_siemens, volts) / row_sum_siemens
        return volts * (b_siemens.sum(axis=1) + feedback_siemens) - np.einsum("nmk,nm->nk", b_siemens, leaked)


def circuit_matrices(a_siemens: np.ndarray, b_siemens: np.ndarray, row_sum_siemens: float) -> tuple[np.ndarray, np.ndarray]:
    """Q and K (k, k) of one bank without feedback, from conductances (m, k) (design notes, section 2)."""
    q = b_siemens.T @ a_siemens / row_sum_siemens
    k = np.diag(b_siemens.sum(axis=0)) - b_siemens.T @ b_siemens / row_sum_siemens
    return q, k
