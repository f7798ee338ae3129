"""Small non-negative systems Q x = c on the circuit as square INV: A holds Q, B the identity (design notes, section 2).

With B = g·1 column node j sees row j alone: at rest v_j = 0, so A w = -G_in u whatever the row sums are; a blocked
column leaves only its own equation. So the rest point fulfils x ≥ 0, Q x - c ≥ 0, xᵀ(Q x - c) = 0, the KKT conditions
of non-negative least squares with the Gram matrix Q = XᵀX + λ and c = XᵀY - l1. Errors of Q count as often as its
condition number says, so the solution is refined: digital residual c - Q x, analog correction.
"""

from __future__ import annotations

import numpy as np

from hwloop.array.circuit import Circuit, Job, nonzero
from hwloop.array.loading import load_banks
from hwloop.array.placement import Banks
from hwloop.array.planning import plan_matrices
from hwloop.array.ranging import largest_coefficients
from hwloop.array.refine import refine
from hwloop.array.rounds import solve_in_rounds
from hwloop.drivers.board import SolveGroup
from hwloop.errors import UsageError
from hwloop.link.protocol import Constraint

LEAST_PASSES = 4        # corrections a system, whatever the settings say
EXPECTED_OVER_DIAGONAL = 2.0


def solve_square(circuit: Circuit, gram: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """x (b, k, r) ≥ 0 of b systems (b, k, k) with right sides (b, k, r). Zero columns have x = 0.

    The diagonal of `gram` is scaled to 1 before the mapping. Raises UsageError where the chip has no k×k place.
    """
    b, k, _ = gram.shape
    diagonal = np.einsum("bjj->bj", gram)
    unit = np.divide(1.0, np.sqrt(diagonal), out=np.zeros_like(diagonal), where=diagonal > 0.0)
    q, c = gram * unit[:, :, None] * unit[:, None, :], moments * unit[:, :, None]
    solutions = np.zeros_like(c)

    def solve_round(banks: Banks, batch: np.ndarray) -> np.ndarray:
        written, solutions_of_round = _solve_round(circuit, banks, q[batch], c[batch])
        solutions[batch[written]] = solutions_of_round[written]
        return written

    waiting = np.flatnonzero((c > 0.0).any(axis=(1, 2)))
    if len(solve_in_rounds(circuit, k, k, waiting, solve_round)):
        raise UsageError(
            f"no place for a {k}x{k} matrix on a {circuit.chip.rows}x{circuit.chip.columns} chip with "
            f"{len(circuit.chip.map.status)} bad cells; use another chip or a lower rank"
        )
    return solutions * unit[:, :, None]


def _solve_round(circuit: Circuit, banks: Banks, q: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n, k, r = c.shape
    largest = q.max(axis=(1, 2))
    conductance_range = circuit.chip.settings.range
    target_b = np.broadcast_to(conductance_range.targets(np.eye(k)), (n, k, k))
    load = load_banks(circuit.board, circuit.chip, banks, conductance_range.targets(np.maximum(q, 0.0) / largest[:, None, None]), target_b)
    circuit.totals.rows_moved += load.rows_moved
    live = (np.einsum("njj->nj", q) > 0.0) & load.written[:, None]
    plan = plan_matrices(circuit, load.a_siemens, load.b_siemens, load.row_sum_siemens, np.zeros((n, k)), live)
    bias = circuit.auto_zero.bias_amps(load, plan.feedback_siemens, plan.active)
    order = np.argsort(load.banks.rows, axis=1)
    # Row voltage a unit of right side, at one volt of output a unit of solution.
    volts_a_unit = circuit.maximum_siemens / (largest * circuit.board.scales.input_siemens)

    def run(matrix: np.ndarray, right_sides: np.ndarray, active: np.ndarray, expected: np.ndarray, constraint: int) -> np.ndarray:
        """Outputs per unit (p, k) for right sides (p, k) of matrices (p,), solutions being about `expected` (p,)."""
        needed = np.abs(right_sides).max(axis=1) * volts_a_unit[matrix]
        with np.errstate(divide="ignore"):
            kappa = np.minimum(circuit.aim_volts / expected, circuit.board.scales.input_max_volts / needed)
        kappa = np.where(np.isfinite(kappa), kappa, 0.0)
        on_rows = active if constraint == Constraint.NONE else np.ones_like(active)

        def group(job: Job) -> SolveGroup:
            problem = job.matrix
            own, on = matrix[problem], active[problem]
            rows = order[own][on_rows[problem][order[own]]]
            return SolveGroup(
                load.banks.rows[own, rows], load.banks.columns[own, on],
                -(kappa[problem] * job.shrink * volts_a_unit[own]) * right_sides[None, problem, rows], job.wait_seconds,
                circuit.settings.averages, constraint, nonzero(plan.feedback_siemens[own, on]), nonzero(bias[own, on]),
            )

        jobs = [
            Job(problem, np.zeros(1, np.int64), plan.wait_seconds[matrix[problem]])
            for problem in np.flatnonzero(active.any(axis=1) & (kappa > 0.0)).tolist()
        ]
        outputs = np.zeros_like(right_sides)
        for job, output_volts in circuit.solve_clean(jobs, group):
            outputs[job.matrix, active[job.matrix]] = output_volts[0] / kappa[job.matrix]
        return outputs

    matrix, flat = np.repeat(np.arange(n), r), c.transpose(0, 2, 1).reshape(n * r, k)
    diagonal = np.einsum("njj->nj", q)
    bounds = largest_coefficients(diagonal[matrix], flat)
    solution = np.maximum(run(matrix, flat, plan.active[matrix] & (bounds > 0.0)[:, None], bounds, circuit.settings.constraint), 0.0)

    def gradient(which: np.ndarray, solution: np.ndarray) -> np.ndarray:
        return flat[which] - np.einsum("pjl,pl->pj", q[matrix[which]], solution)

    def corrections(which: np.ndarray, gradient: np.ndarray, free: np.ndarray) -> np.ndarray:
        return run(matrix[which], gradient, free, EXPECTED_OVER_DIAGONAL * np.abs(gradient).max(axis=1), Constraint.NONE)

    settings = circuit.settings
    solution, solves = refine(
        solution, plan.active[matrix], np.repeat(np.abs(flat).max(axis=1)[:, None], k, axis=1), gradient, corrections,
        max(settings.refinement_passes, LEAST_PASSES), max(settings.refinement_tolerance, 1e-5),
    )
    circuit.totals.refinement_solves += solves
    return load.written, solution.reshape(n, r, k).transpose(0, 2, 1)
