"""How a load is solved: feedback, active columns and settle wait of every matrix, for stable and quick loops.

A matrix with nearly equal columns, or with more columns than rows, makes a loop that hardly settles, and programming
errors may make it unstable. It gets a little extra feedback, a ridge that moves a solution by a per cent or two; where
that is not enough, the column without which the loop is fastest is left out: another one stands in for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.array.circuit import LONGEST_WAIT_SECONDS, Circuit
from hwloop.array.loading import Load
from hwloop.array.settling import (
    SETTLE_LIMIT_SECONDS,
    SETTLED_REMAINDER,
    masked_settling_rate_per_second,
    settle_seconds,
    settling_rate_per_second,
)

NEEDED_RATE_PER_SECOND = -np.log(SETTLED_REMAINDER) / SETTLE_LIMIT_SECONDS
EXTRA_SHARE = 0.02      # of a column's own gain: the most extra feedback
SUSPECT_RATE = 3.0      # masked loops slower than this many times the slowest allowed are looked at one by one


@dataclass(frozen=True)
class Plan:
    """Of every matrix, or of every masked solve: feedback (n, k), active columns (n, k) bool, wait (n,) in seconds."""

    feedback_siemens: np.ndarray
    active: np.ndarray
    wait_seconds: np.ndarray

    def of(self, matrix: np.ndarray) -> Plan:
        """The plans of matrices (p,), repeated as often as they occur."""
        return Plan(self.feedback_siemens[matrix], self.active[matrix], self.wait_seconds[matrix])


@dataclass(frozen=True)
class Loops:
    """n circuits with conductances (n, m, k) and a common row sum S."""

    a_siemens: np.ndarray
    b_siemens: np.ndarray
    row_sum_siemens: float
    gain_bandwidth_hertz: float

    def rates(self, which: np.ndarray, feedback_siemens: np.ndarray, active: np.ndarray) -> np.ndarray:
        """Settling rates (q,) per second of circuits `which` (q,) with feedback and active columns (q, k)."""
        on = active[:, None, :]
        return settling_rate_per_second(
            self.a_siemens[which] * on, self.b_siemens[which] * on, self.row_sum_siemens, feedback_siemens * active,
            self.gain_bandwidth_hertz,
        )


def plan_matrices(
    circuit: Circuit, a_siemens: np.ndarray, b_siemens: np.ndarray, row_sum_siemens: float,
    feedback_siemens: np.ndarray, active: np.ndarray,
) -> Plan:
    """Plan for n matrices with conductances (n, m, k), the feedback (n, k) that their ridge asks for and the columns
    (n, k) that may be used."""
    loops = Loops(a_siemens, b_siemens, row_sum_siemens, circuit.gain_bandwidth_hertz)
    active = active & (b_siemens.sum(axis=1) > 0.0)
    feedback = feedback_siemens * active
    rate = loops.rates(np.arange(len(active)), feedback, active)
    slow = np.flatnonzero(active.any(axis=1) & ~(rate >= NEEDED_RATE_PER_SECOND))
    if len(slow):
        circuit.totals.regularised += len(slow)
        slow = _regularise(loops, slow, feedback, active, rate, circuit.board.scales.feedback_max_siemens)
    while len(slow):
        circuit.totals.columns_left_out += len(slow)
        for matrix in slow:
            _leave_column_out(loops, matrix, feedback, active, rate)
        slow = slow[active[slow].any(axis=1) & ~(rate[slow] >= NEEDED_RATE_PER_SECOND)]
    wait = settle_seconds(np.where(rate > 0, rate, np.inf), SETTLED_REMAINDER)
    return Plan(feedback * active, active, wait)


def plan_masked(
    circuit: Circuit, load: Load, indptr: np.ndarray, indices: np.ndarray, feedback_siemens: np.ndarray,
    active: np.ndarray,
) -> Plan:
    """Plan for n solves on the one matrix of `load`, each with its own rows (CSR) and feedback (n, k); `active` (k,).

    The quick look takes A for B; solves that seem slow are planned from both.
    """
    feedback = feedback_siemens * active
    columns = np.broadcast_to(active, feedback.shape).copy()
    rate = masked_settling_rate_per_second(
        load.a_siemens[0] * active, indptr, indices, load.row_sum_siemens, feedback, circuit.gain_bandwidth_hertz
    )
    wait = settle_seconds(np.where(rate > 0, rate, np.inf), SETTLED_REMAINDER)
    for solve in np.flatnonzero((np.diff(indptr) > 0) & ~(rate >= SUSPECT_RATE * NEEDED_RATE_PER_SECOND)):
        own = indices[indptr[solve] : indptr[solve + 1]]
        plan = plan_matrices(
            circuit, load.a_siemens[:, own], load.b_siemens[:, own], load.row_sum_siemens, feedback[solve][None],
            columns[solve][None],
        )
        feedback[solve], columns[solve] = plan.feedback_siemens[0], plan.active[0]
        wait[solve] = plan.wait_seconds[0]
    return Plan(feedback, columns, np.minimum(wait, LONGEST_WAIT_SECONDS))


def _regularise(
    loops: Loops, slow: np.ndarray, feedback: np.ndarray, active: np.ndarray, rate: np.ndarray, limit_siemens: float
) -> np.ndarray:
    """Extra feedback, in place, for matrices `slow`; returns those that are still slow."""
    asked = feedback.copy()
    needed = 1.1 * NEEDED_RATE_PER_SECOND / (2 * np.pi * loops.gain_bandwidth_hertz)
    own_gain = (loops.a_siemens * loops.b_siemens).sum(axis=1) / loops.row_sum_siemens
    most = EXTRA_SHARE * own_gain
    # The first is enough where A and B are equal, the second what their errors may ask for.
    for extra in (np.minimum(needed * loops.b_siemens.sum(axis=1), most), most):
        feedback[slow] = np.minimum(asked[slow] + extra[slow], limit_siemens) * active[slow]
        rate[slow] = loops.rates(slow, feedback[slow], active[slow])
        slow = slow[~(rate[slow] >= NEEDED_RATE_PER_SECOND)]
        if not len(slow):
            break
    return slow


def _leave_column_out(loops: Loops, matrix: int, feedback: np.ndarray, active: np.ndarray, rate: np.ndarray) -> None:
    """Switch one column of `matrix` off, in place: the one without which the loop is fastest."""
    chosen = np.flatnonzero(active[matrix])
    without = np.repeat(active[matrix][None], len(chosen), axis=0)
    without[np.arange(len(chosen)), chosen] = False
    rates = loops.rates(np.full(len(chosen), matrix), np.repeat(feedback[matrix][None], len(chosen), axis=0), without)
    best = int(np.argmax(np.nan_to_num(rates, nan=-np.inf)))
    active[matrix], rate[matrix] = without[best], rates[best]
