"""Iterative refinement: digital gradients, analog corrections (design notes, section 2, "Refinement").

The circuit solves with matrices that are a few per cent off; a correction by the gradient of the exact problem, on the
free columns only, takes most of that error away, so a few of them reach what float64 would give. Columns that become
negative are dropped, blocked ones with a positive gradient added, until the KKT conditions hold.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwloop.array.circuit import Circuit, Job
from hwloop.array.loading import Load
from hwloop.array.planning import Plan
from hwloop.drivers.board import SolveGroup
from hwloop.link.protocol import Constraint

EXPECTED_OVER_DIAGONAL = 2.0    # a correction is about this much of g_j / |X_j|²; a saturated one is repeated smaller

Gradient = Callable[[np.ndarray, np.ndarray], np.ndarray]
Corrections = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def refine(
    solution: np.ndarray, allowed: np.ndarray, sizes: np.ndarray, gradient: Gradient, corrections: Corrections,
    passes: int, tolerance: float,
) -> tuple[np.ndarray, int]:
    """Solutions (p, k) of p problems that satisfy the KKT conditions to `tolerance`, or are as near as `passes`
    corrections bring them; and the corrections solved.

    `solution` (p, k) ≥ 0 from the circuit; `allowed` (p, k) columns that may be used; `sizes` (p, k) is |X_j||y|, what
    gradients are compared with; `gradient(which (q,), solution (q, k))` is -∂/∂x of the exact problem;
    `corrections(which, gradient, free)` solves for steps (q, k) that are zero outside `free` columns.
    """
    solution = np.where(allowed, solution, 0.0)
    free = solution > 0.0
    best, best_error = solution.copy(), np.full(len(solution), np.inf)
    open_problems, solves = np.arange(len(solution)), 0
    for number in range(passes + 1):
        slope = gradient(open_problems, solution[open_problems])
        own_free, own_allowed = free[open_problems], allowed[open_problems]
        violation = np.where(own_free, np.abs(slope), np.where(own_allowed, np.maximum(slope, 0.0), 0.0))
        error = np.divide(violation, sizes[open_problems], out=np.zeros_like(violation), where=sizes[open_problems] > 0.0).max(axis=1)
        better = error < best_error[open_problems]
        best[open_problems[better]], best_error[open_problems[better]] = solution[open_problems[better]], error[better]
        unfinished = error > tolerance
        open_problems, slope = open_problems[unfinished], slope[unfinished]
        if number == passes or not len(open_problems):
            break
        free[open_problems] |= (slope > tolerance * sizes[open_problems]) & allowed[open_problems]
        step = corrections(open_problems, slope * free[open_problems], free[open_problems])
        solves += len(open_problems)
        moved = solution[open_problems] + step
        free[open_problems] &= moved > 0.0
        solution[open_problems] = np.maximum(moved, 0.0)
    return best, solves


def bias_corrections(
    circuit: Circuit, load: Load, columns: np.ndarray, rows_of: Callable[[int], np.ndarray], inverse_scale: np.ndarray,
    diagonal: np.ndarray, plan: Plan, offset_bias_amps: np.ndarray,
) -> Corrections:
    """Corrections on loaded matrices: the gradient goes to the column nodes as bias, with dual supply.

    All per problem: `columns` (p, k) on the chip, `rows_of(problem)` its active rows, `inverse_scale` (p, k) of the
    mapping, `diagonal` (p, k) of XᵀX + λ, plan and offset bias (p, k).
    """
    lean_siemens = circuit.maximum_siemens**2 / load.row_sum_siemens

    def corrections(which: np.ndarray, gradient: np.ndarray, free: np.ndarray) -> np.ndarray:
        own_diagonal = diagonal[which]
        # In scaled coefficients x̃ = s·x the circuit's step is dw = κ·dx̃, for a bias of -κ·(G_max²/S)·g̃, g̃ = g/s.
        expected = np.divide(np.abs(gradient), own_diagonal * inverse_scale[which], out=np.zeros_like(gradient), where=free)
        bias = lean_siemens * gradient * inverse_scale[which]
        largest_bias = np.abs(bias).max(axis=1)
        with np.errstate(divide="ignore"):
            kappa = np.minimum(
                circuit.aim_volts / (EXPECTED_OVER_DIAGONAL * expected.max(axis=1)), 0.9 * circuit.bias_max_amps / largest_bias
            )
        kappa = np.where(np.isfinite(kappa), kappa, 0.0)

        def group(job: Job) -> SolveGroup:
            problem, on = which[job.matrix], free[job.matrix]
            rows = rows_of(problem)
            amps = offset_bias_amps[problem, on] - kappa[job.matrix] * job.shrink * bias[job.matrix, on]
            return SolveGroup(
                rows, columns[problem, on], np.zeros((1, len(rows))), job.wait_seconds, circuit.settings.averages, Constraint.NONE,
                plan.feedback_siemens[problem, on], amps,
            )

        jobs = [
            Job(position, np.zeros(1, np.int64), plan.wait_seconds[which[position]])
            for position in np.flatnonzero(free.any(axis=1) & (kappa > 0.0))
        ]
        step = np.zeros_like(gradient)
        for job, output_volts in circuit.solve_clean(jobs, group):
            step[job.matrix, free[job.matrix]] = output_volts[0] / kappa[job.matrix]
        return step * inverse_scale[which]

    return corrections
