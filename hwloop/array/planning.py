"""How a load is solved: feedback, active columns and settle wait of every matrix, so that each loop is stable and quick."""

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

EXTRA_SHARE = 0.02              # of a column's own gain: extra feedback up to here moves a solution by 1 % or so
SUSPECT_RATE = 3.0              # masked loops slower than this many times the slowest allowed are looked at one by one
NEEDED_RATE_PER_SECOND = -np.log(SETTLED_REMAINDER) / SETTLE_LIMIT_SECONDS


@dataclass(frozen=True)
class Plan:
    """Of every matrix, or of every masked solve: feedback (n, k), active columns (n, k) bool, wait (n,) in seconds."""

    feedback_siemens: np.ndarray
    active: np.ndarray
    wait_seconds: np.ndarray


def plan_matrices(
    circuit: Circuit, a_siemens: np.ndarray, b_siemens: np.ndarray, row_sum_siemens: float, feedback_siemens: np.ndarray,
    active: np.ndarray,
) -> Plan:
    """Plan for n matrices with conductances (n, m, k) and the feedback (n, k) that their ridge asks for.

    A loop that is too slow gets a little feedback first; where that is not enough, the columns are nearly copies of
    each other, and the one without which the loop is fastest is left out.
    """
    needed = NEEDED_RATE_PER_SECOND / (2 * np.pi * circuit.gain_bandwidth_hertz)
    active = active & (b_siemens.sum(axis=1) > 0.0)
    feedback = feedback_siemens * active
    rate = _rates(circuit, a_siemens, b_siemens, row_sum_siemens, feedback, active)
    slow = np.flatnonzero(active.any(axis=1) & ~(rate >= NEEDED_RATE_PER_SECOND))
    if len(slow):
        circuit.totals.regularised += len(slow)
        strength, own_gain = b_siemens[slow].sum(axis=1), (a_siemens[slow] * b_siemens[slow]).sum(axis=1) / row_sum_siemens
        most = EXTRA_SHARE * own_gain
        # Enough where A and B are equal, then what their errors may ask for.
        for extra in (np.minimum(1.1 * needed * strength, most), most):
            feedback[slow] = np.minimum(feedback_siemens[slow] + extra, circuit.board.scales.feedback_max_siemens) * active[slow]
            rate[slow] = _rates(circuit, a_siemens[slow], b_siemens[slow], row_sum_siemens, feedback[slow], active[slow])
            still = ~(rate[slow] >= NEEDED_RATE_PER_SECOND)
            slow, most = slow[still], most[still]
            if not len(slow):
                break
    while len(slow):
        for matrix in slow:
            chosen = np.flatnonzero(active[matrix])
            without = np.repeat(active[matrix][None], len(chosen), axis=0)
            without[np.arange(len(chosen)), chosen] = False
            rates = _rates(
                circuit, a_siemens[matrix][None].repeat(len(chosen), 0), b_siemens[matrix][None].repeat(len(chosen), 0),
                row_sum_siemens, feedback[matrix] * without, without,
            )
            best = np.nanargmax(rates)
            active[matrix], rate[matrix] = without[best], rates[best]
            circuit.totals.columns_left_out += 1
        feedback *= active
        slow = slow[active[slow].any(axis=1) & ~(rate[slow] >= NEEDED_RATE_PER_SECOND)]
    wait = np.where(active.any(axis=1), settle_seconds(np.where(rate > 0, rate, np.inf), SETTLED_REMAINDER), np.inf)
    return Plan(feedback, active, wait)


def plan_masked(
    circuit: Circuit, load: Load, indptr: np.ndarray, indices: np.ndarray, feedback_siemens: np.ndarray, active: np.ndarray
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
            circuit, load.a_siemens[:, own], load.b_siemens[:, own], load.row_sum_siemens, feedback[solve][None], columns[solve][None]
        )
        feedback[solve], columns[solve], wait[solve] = plan.feedback_siemens[0], plan.active[0], plan.wait_seconds[0]
    return Plan(feedback, columns, np.minimum(wait, LONGEST_WAIT_SECONDS))


def _rates(
    circuit: Circuit, a_siemens: np.ndarray, b_siemens: np.ndarray, row_sum_siemens: float, feedback_siemens: np.ndarray,
    active: np.ndarray,
) -> np.ndarray:
    on = active[:, None, :]
    return settling_rate_per_second(a_siemens * on, b_siemens * on, row_sum_siemens, feedback_siemens, circuit.gain_bandwidth_hertz)
