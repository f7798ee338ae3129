"""Offset auto-zero: the amplifiers' offsets, seen at the outputs without input, and the bias that cancels them."""

from __future__ import annotations

import numpy as np

from hwloop.array.loading import Load
from hwloop.array.observations import Observations
from hwloop.array.settling import SETTLE_LIMIT_SECONDS, SETTLED_REMAINDER, settle_seconds, settling_rate_per_second
from hwloop.drivers.board import Board, SolveGroup
from hwloop.link.protocol import Constraint

REPEATS = 8             # solves a bank; their noise spreads the answers over several output codes
MOST_BANKS = 16


class AutoZero:
    """Offset of each column's amplifier in volts, (C,); NaN until a load that uses the column was measured."""

    def __init__(self, columns: int):
        self.offset_volts = np.full(columns, np.nan)

    def measure(self, board: Board, load: Load, averages: int) -> None:
        """Measure columns of `load` that are not known yet: with no input, K c = Q w at c = Vos, so Vos = K⁻¹ Q w.

        Matrices that do not settle quickly without feedback, or have a column without conductance, are passed over.
        """
        unknown = np.isnan(self.offset_volts[load.banks.columns]).any(axis=1)
        if not unknown.any():
            return
        rate = settling_rate_per_second(
            load.a_siemens, load.b_siemens, load.row_sum_siemens, np.zeros(load.banks.columns.shape),
            board.scales.gain_bandwidth_hertz,
        )
        wait_seconds = settle_seconds(rate, SETTLED_REMAINDER)
        live = (load.b_siemens.sum(axis=1) > 0.0).all(axis=1)
        chosen = np.flatnonzero(unknown & load.written & live & (wait_seconds <= SETTLE_LIMIT_SECONDS))
        # A few banks of every column group are enough, and the offsets of a column do not depend on the bank.
        chosen = chosen[np.argsort(load.banks.columns[chosen, 0], kind="stable")][:: max(1, len(chosen) // MOST_BANKS)]
        if not len(chosen):
            return
        m = load.banks.rows.shape[1]
        groups = [
            SolveGroup(
                np.sort(load.banks.rows[i]), load.banks.columns[i], np.zeros((REPEATS, m)), wait_seconds[i], averages,
                Constraint.NONE,
            )
            for i in chosen
        ]
        found: dict[int, list[float]] = {}
        for i, output in zip(chosen, board.solve(groups), strict=True):
            if output.saturated.any() or output.unsettled.any():
                continue
            q, k = circuit_matrices(load.a_siemens[i], load.b_siemens[i], load.row_sum_siemens)
            offsets = np.linalg.solve(k, q @ output.output_volts.mean(axis=0))
            for column, volts in zip(load.banks.columns[i].tolist(), offsets.tolist(), strict=True):
                found.setdefault(column, []).append(volts)
        for column, volts in found.items():
            self.offset_volts[column] = np.mean(volts)

    def bias_amps(self, load: Load, feedback_siemens: np.ndarray, active: np.ndarray) -> np.ndarray:
        """Bias K·Vos (n, k) that cancels the offsets of the `active` columns (n, k) of every matrix of `load`."""
        volts = np.nan_to_num(self.offset_volts)[load.banks.columns] * active
        leaked = np.einsum("nmk,nk->nm", load.b_siemens, volts) / load.row_sum_siemens
        return volts * (load.b_siemens.sum(axis=1) + feedback_siemens) - np.einsum("nmk,nm->nk", load.b_siemens, leaked)

    def masked_bias_amps(self, load: Load, seen: Observations, feedback_siemens: np.ndarray) -> np.ndarray:
        """Bias K·Vos (n, k) of solves on the one matrix of `load` that each have their own rows."""
        volts = np.nan_to_num(self.offset_volts)[load.banks.columns[0]]
        b_siemens = load.b_siemens[0]
        of_row = b_siemens * volts - b_siemens * ((b_siemens @ volts) / load.row_sum_siemens)[:, None]
        return seen.sum_rows(of_row) + volts * feedback_siemens


def circuit_matrices(
    a_siemens: np.ndarray, b_siemens: np.ndarray, row_sum_siemens: float
) -> tuple[np.ndarray, np.ndarray]:
    """Q and K (k, k) of one bank without feedback, from conductances (m, k) (design notes, section 2)."""
    q = b_siemens.T @ a_siemens / row_sum_siemens
    k = np.diag(b_siemens.sum(axis=0)) - b_siemens.T @ b_siemens / row_sum_siemens
    return q, k
