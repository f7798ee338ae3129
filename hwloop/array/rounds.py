"""More matrices than a chip has places: load after load until all are solved, those whose cells fail placed again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwloop.array.circuit import Circuit
from hwloop.array.placement import Banks
from hwloop.errors import GoalNotReachedError

MOST_ATTEMPTS = 4       # how often a matrix may fail, rounds apart that found new bad cells, before it is given up


def solve_in_rounds(
    circuit: Circuit, m: int, k: int, waiting: np.ndarray, solve_round: Callable[[Banks, np.ndarray], np.ndarray]
) -> np.ndarray:
    """`solve_round(banks, matrices)` loads and solves some of the `waiting` matrices and tells which were written.

    Returns those that no place was left for. Raises GoalNotReachedError where a matrix fails everywhere.
    """
    attempts, total = dict.fromkeys(waiting.tolist(), 0), len(waiting)
    while len(waiting):
        banks = circuit.places(m, k)
        if not len(banks):
            break
        batch, waiting = waiting[: len(banks)], waiting[len(banks) :]
        known_bad = len(circuit.chip.map.status)
        written = solve_round(banks.first(len(batch)), batch)
        circuit.totals.rounds += 1
        failed = batch[~written]
        found_nothing = len(circuit.chip.map.status) == known_bad
        for matrix in failed.tolist():
            attempts[matrix] += found_nothing
            if attempts[matrix] >= MOST_ATTEMPTS:
                raise GoalNotReachedError(
                    f"a {m}x{k} matrix could not be programmed in {MOST_ATTEMPTS} places; "
                    "look at the chip with `hwloop array show`"
                )
        circuit.totals.matrices_placed_again += len(failed)
        waiting = np.concatenate([waiting, failed])
        circuit.on_round(total - len(waiting), total)
    return waiting
