"""Iterative refinement: digital gradients, analog corrections (design notes, section 2, "Refinement").

The circuit solves with matrices that are a few per cent off; a correction by the gradient of the exact problem, on the
free columns only, takes most of that error away, so a few of them reach what float64 would give. Columns that become
negative are dropped, blocked ones with a positive gradient added, until the KKT conditions hold.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwloop.array.circuit import Circuit, Solves
from hwloop.array.loading import Load
from hwloop.array.planning import Plan
from hwloop.array.ranging import BIAS_SHARE
from hwloop.drivers.board import SolveGroup
from hwloop.link.protocol import Constraint

EXPECTED_OVER_DIAGONAL = 5.0    # a correction may be this many times g_j / |X_j|²; a saturated one is repeated smaller

Gradient = Callable[[np.ndarray, np.ndarray], np.ndarray]
Corrections = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
# The active rows of problems (q,): (q, m), or each problem's own.
RowsOf = Callable[[np.ndarray], np.ndarray | list[np.ndarray]]


def refine(
    solution: np.ndarray, allowed: np.ndarray, sizes: np.ndarray, gradient: Gradient, corrections: Corrections,
    passes: int, tolerance: float,
) -> tuple[np.ndarray, int]:
    """Solutions (p, k) of p problems that satisfy the KKT conditions to `tolerance`, or are as near as `passes`
    corrections bring them; and how many corrections were solved.

    `solution` (p, k) ≥ 0 from the circuit; `allowed` (p, k) columns that may be used; `sizes` (p, k) is |X_j||y|, what
    gradients are compared with; `gradient(which (q,), solution (q, k))` is -∂/∂x of the exact problem;
    `corrections(which, gradient, free)` solves for steps (q, k) that are zero outside `free` columns, and throughout
    where the circuit gave none: such a problem stays at the best solution that it had.
    """
    solution = np.where(allowed, solution, 0.0)
    free = solution > 0.0
    best, best_error = solution.copy(), np.full(len(solution), np.inf)
    open_problems, solves = np.arange(len(solution)), 0
    for number in range(passes + 1):
        slope = gradient(open_problems, solution[open_problems])
        blocked_slope = np.where(allowed[open_problems], np.maximum(slope, 0.0), 0.0)
        violation = np.where(free[open_problems], np.abs(slope), blocked_slope)
        own_sizes = sizes[open_problems]
        error = np.divide(violation, own_sizes, out=np.zeros_like(violation), where=own_sizes > 0.0).max(axis=1)
        improved = error < best_error[open_problems]
        better = open_problems[improved]
        best[better], best_error[better] = solution[better], error[improved]
        slope, open_problems = slope[error > tolerance], open_problems[error > tolerance]
        if number == passes or not len(open_problems):
            break
        free[open_problems] |= (slope > tolerance * sizes[open_problems]) & allowed[open_problems]
        steps = corrections(open_problems, slope * free[open_problems], free[open_problems])
        solves += len(open_problems)
        stepped = steps.any(axis=1)
        open_problems, steps = open_problems[stepped], steps[stepped]
        moved = solution[open_problems] + steps
        free[open_problems] &= moved > 0.0
        solution[open_problems] = np.maximum(moved, 0.0)
    return best, solves


def bias_corrections(
    circuit: Circuit, load: Load, columns: np.ndarray, rows_of: RowsOf, inverse_scale: np.ndarray,
    diagonal: np.ndarray, plan: Plan, offset_bias_amps: np.ndarray,
) -> Corrections:
    """Corrections on loaded matrices: the gradient goes to the column nodes as bias, with dual supply.

    All per problem: `columns` (p, k) on the chip, `rows_of(problems)` their active rows, `inverse_scale` (p, k) of the
    mapping, `diagonal` (p, k) of XᵀX + λ, plan and offset bias (p, k).

    In scaled coefficients x̃ = s·x, with g̃ = g/s, a bias of -κ·(G_max²/S)·g̃ makes the circuit step by dw = κ·dx̃.
    """
    lean_siemens = circuit.maximum_siemens**2 / load.row_sum_siemens

    def corrections(which: np.ndarray, gradient: np.ndarray, free: np.ndarray) -> np.ndarray:
        inverse = inverse_scale[which]
        steps = np.divide(np.abs(gradient), diagonal[which] * inverse, out=np.zeros_like(gradient), where=free)
        bias = lean_siemens * gradient * inverse
        with np.errstate(divide="ignore"):
            by_output = circuit.aim_volts / (EXPECTED_OVER_DIAGONAL * steps.max(axis=1))
            by_bias = BIAS_SHARE * circuit.bias_max_amps / np.abs(bias).max(axis=1)
        kappa = np.minimum(by_output, by_bias)
        kappa[~np.isfinite(kappa)] = 0.0

        def group(solves: Solves) -> SolveGroup:
            position, problem = solves.problem, which[solves.problem]
            amps = offset_bias_amps[problem] - (kappa[position] * solves.shrink)[:, None] * bias[position]
            rows = rows_of(problem)
            no_input = [np.zeros(len(own)) for own in rows] if isinstance(rows, list) else np.zeros(rows.shape)
            return SolveGroup(
                rows, columns[problem], no_input, solves.wait_seconds, circuit.settings.averages, Constraint.NONE,
                plan.feedback_siemens[problem], amps, solves.counts, free[position],
            )

        position = np.flatnonzero(free.any(axis=1) & (kappa > 0.0))
        volts = np.zeros_like(gradient)
        due = Solves.of(position, position, plan.wait_seconds[which[position]])
        circuit.totals.corrections_given_up += circuit.solve_what_settles(due, group, volts)
        return np.divide(volts, kappa[:, None], out=volts, where=kappa[:, None] > 0.0) * inverse

    return corrections
