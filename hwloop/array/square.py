"""Small non-negative systems Q x = c on the circuit as square INV: A holds Q, B the identity (design notes, section 2).

With B = g·1 column node j sees row j alone: at rest v_j = 0, so A w = -G_in u whatever the row sums are; a blocked
column leaves only its own equation. So the rest point fulfils x ≥ 0, Q x - c ≥ 0, xᵀ(Q x - c) = 0, the KKT conditions
of non-negative least squares with the Gram matrix Q = XᵀX + λ and c = XᵀY - l1. Errors of Q count as often as its
condition number says, so the solution is refined: digital residual c - Q x, analog correction.
"""

from __future__ import annotations

import numpy as np

from hwloop.array.circuit import Circuit, Solves
from hwloop.array.loading import load_banks
from hwloop.array.placement import Banks
from hwloop.array.planning import plan_matrices
from hwloop.array.ranging import largest_coefficients
from hwloop.array.refine import EXPECTED_OVER_DIAGONAL, refine
from hwloop.array.rounds import solve_in_rounds
from hwloop.drivers.board import SolveGroup
from hwloop.errors import UsageError
from hwloop.link.protocol import Constraint

LEAST_PASSES = 4            # corrections a system, whatever the settings say
RESIDUAL_TOLERANCE = 1e-5   # of the largest entry of c; the products that Q and c are made of are no better


def solve_square(circuit: Circuit, gram: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """x (b, k, r) ≥ 0 of b systems (b, k, k) with right sides (b, k, r). Zero columns have x = 0.

    The diagonal of `gram` is scaled to 1 before the mapping. Raises UsageError where the chip has no k×k place.
    """
    k = gram.shape[1]
    diagonal = np.einsum("bjj->bj", gram)
    unit = np.divide(1.0, np.sqrt(np.abs(diagonal)), out=np.zeros_like(diagonal), where=diagonal > 0.0)
    q, c = gram * unit[:, :, None] * unit[:, None, :], moments * unit[:, :, None]
    solutions = np.zeros_like(c)

    def solve_round(banks: Banks, batch: np.ndarray) -> np.ndarray:
        loaded = LoadedSystems(circuit, banks, q[batch])
        written = loaded.load.written
        solutions[batch[written]] = loaded.solve(c[batch])[written]
        return written

    waiting = np.flatnonzero((c > 0.0).any(axis=(1, 2)))
    if len(solve_in_rounds(circuit, k, k, waiting, solve_round)):
        raise UsageError(
            f"no place for a {k}x{k} matrix on a {circuit.chip.rows}x{circuit.chip.columns} chip with "
            f"{len(circuit.chip.map.status)} bad cells; use another chip or a lower rank"
        )
    return solutions * unit[:, :, None]


class LoadedSystems:
    """n systems (n, k, k) with unit diagonal on the chip. `load.written` tells which ones are."""

    def __init__(self, circuit: Circuit, banks: Banks, q: np.ndarray):
        n, k, _ = q.shape
        self.circuit, self.q = circuit, q
        conductance_range, largest = circuit.chip.settings.range, q.max(axis=(1, 2))
        target_a = conductance_range.targets(np.maximum(q, 0.0) / largest[:, None, None])
        target_b = np.broadcast_to(conductance_range.targets(np.eye(k)), (n, k, k))
        self.load = load = load_banks(circuit.board, circuit.chip, banks, target_a, target_b)
        circuit.totals.rows_moved += load.rows_moved
        live = (np.einsum("njj->nj", q) > 0.0) & load.written[:, None]
        self.plan = plan_matrices(
            circuit, load.a_siemens, load.b_siemens, load.row_sum_siemens, np.zeros((n, k)), live
        )
        self._offset_bias = circuit.auto_zero.bias_amps(load, self.plan.feedback_siemens, self.plan.active)
        # The wire wants rows in ascending order; rows that have moved are out of it.
        self._order = np.argsort(load.banks.rows, axis=1)
        self._rows = np.take_along_axis(load.banks.rows, self._order, axis=1)
        # Row voltage a unit of right side, at one volt of output a unit of solution.
        self._row_volts = circuit.maximum_siemens / (largest * circuit.board.scales.input_siemens)

    def solve(self, right_sides: np.ndarray) -> np.ndarray:
        """x (n, k, r) for right sides (n, k, r); zero where a system is not written."""
        n, k, r = right_sides.shape
        system, flat = np.repeat(np.arange(n), r), right_sides.transpose(0, 2, 1).reshape(n * r, k)
        settings, active = self.circuit.settings, self.plan.active[system]
        bounds = largest_coefficients(np.einsum("njj->nj", self.q)[system], flat)
        solution = self._run(system, flat, active & (bounds > 0.0)[:, None], bounds, settings.constraint)

        def gradient(which: np.ndarray, solution: np.ndarray) -> np.ndarray:
            return flat[which] - np.einsum("pjl,pl->pj", self.q[system[which]], solution)

        def corrections(which: np.ndarray, gradient: np.ndarray, free: np.ndarray) -> np.ndarray:
            expected = EXPECTED_OVER_DIAGONAL * np.abs(gradient).max(axis=1)
            return self._run(system[which], gradient, free, expected, Constraint.NONE)

        sizes = np.repeat(np.abs(flat).max(axis=1)[:, None], k, axis=1)
        solution, solves = refine(
            np.maximum(solution, 0.0), active, sizes, gradient, corrections,
            max(settings.refinement_passes, LEAST_PASSES), max(settings.refinement_tolerance, RESIDUAL_TOLERANCE),
        )
        self.circuit.totals.refinement_solves += solves
        return solution.reshape(n, r, k).transpose(0, 2, 1)

    def _run(
        self, system: np.ndarray, right_sides: np.ndarray, active: np.ndarray, expected: np.ndarray, constraint: int
    ) -> np.ndarray:
        """x (p, k) of right sides (p, k) of systems (p,) on `active` columns (p, k), x being about `expected` (p,)."""
        circuit, banks = self.circuit, self.load.banks
        needed_volts = np.abs(right_sides).max(axis=1) * self._row_volts[system]
        with np.errstate(divide="ignore"):
            kappa = np.minimum(circuit.aim_volts / expected, circuit.board.scales.input_max_volts / needed_volts)
        kappa = np.where(np.isfinite(kappa), kappa, 0.0)

        def group(solves: Solves) -> SolveGroup:
            problem, own = solves.problem, system[solves.problem]
            volts_a_unit = -kappa[problem] * solves.shrink * self._row_volts[own]
            return SolveGroup(
                self._rows[own], banks.columns[own],
                volts_a_unit[:, None] * np.take_along_axis(right_sides[problem], self._order[own], axis=1),
                solves.wait_seconds, circuit.settings.averages, constraint, self.plan.feedback_siemens[own],
                self._offset_bias[own], solves.counts, active[problem], omit_zero=True,
            )

        problem = np.flatnonzero(active.any(axis=1) & (kappa > 0.0))
        due = Solves.of(problem, problem, self.plan.wait_seconds[system[problem]])
        volts = np.zeros_like(right_sides)
        # A correction may fail: refinement keeps what it has then. The first solution may not.
        if constraint == Constraint.NONE:
            circuit.totals.corrections_given_up += circuit.solve_what_settles(due, group, volts)
        else:
            circuit.solve_clean(due, group, volts)
        return np.divide(volts, kappa[:, None], out=volts, where=kappa[:, None] > 0.0)
