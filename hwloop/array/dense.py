"""Regressions whose every entry counts: matrices in banks, each with its right sides (design notes, section 2).

A design X is scaled column by column, written into both arrays as A = B = G_max·X/s, compensated so that every active
row has the same sum S, and each right side y becomes row voltages u = -β·y. Then x = w·G_max/(G_in·β·s), with a ridge λ
as feedback Gf = G_max²·λ/(S·s²) and an l1 penalty as bias Ib = G_max·G_in·β·l1/(S·s).
"""

from __future__ import annotations

import numpy as np

from hwloop.array.circuit import Circuit, Solves
from hwloop.array.loading import load_banks
from hwloop.array.placement import Banks
from hwloop.array.planning import plan_matrices
from hwloop.array.ranging import fit_ridge, input_gain, largest_coefficients
from hwloop.array.refine import bias_corrections, refine
from hwloop.array.rounds import solve_in_rounds
from hwloop.drivers.board import SolveGroup


def solve_dense(
    circuit: Circuit, design: np.ndarray, targets: np.ndarray, ridge: float, l1: float
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (b, k, n) of b designs (b, m, k) with right sides (b, m, n), and the matrices (left,) that the chip
    has no place for."""
    b, m, k = design.shape
    coefficients = np.zeros((b, k, targets.shape[2]))

    def solve_round(banks: Banks, batch: np.ndarray) -> np.ndarray:
        loaded = LoadedMatrices(circuit, banks, design[batch], ridge, l1)
        solved = loaded.solve(targets[batch])
        coefficients[batch[loaded.load.written]] = solved[loaded.load.written]
        return loaded.load.written

    waiting = np.flatnonzero(design.any(axis=(1, 2)) & targets.any(axis=(1, 2)))
    return coefficients, solve_in_rounds(circuit, m, k, waiting, solve_round)


class LoadedMatrices:
    """n designs (n, m, k) on the chip, ready for right sides. `load.written` tells which ones are."""

    def __init__(self, circuit: Circuit, banks: Banks, design: np.ndarray, ridge: float, l1: float):
        self.circuit, self.design, self.ridge, self.l1 = circuit, design, ridge, l1
        self.scaled, self.scale, least_siemens = fit_ridge(circuit, design, ridge)
        conductances = circuit.chip.settings.range.targets(self.scaled)
        self.load = load_banks(circuit.board, circuit.chip, banks, conductances, conductances, least_siemens)
        circuit.totals.rows_moved += self.load.rows_moved
        self._inverse_scale = np.divide(1.0, self.scale, out=np.zeros_like(self.scale), where=self.scale > 0.0)
        feedback = ridge * circuit.maximum_siemens**2 / self.load.row_sum_siemens * self._inverse_scale**2
        active = (self.scale > 0.0) & self.load.written[:, None]
        self.plan = plan_matrices(
            circuit, self.load.a_siemens, self.load.b_siemens, self.load.row_sum_siemens, feedback, active
        )
        if circuit.settings.auto_zero:
            circuit.auto_zero.measure(circuit.board, self.load, circuit.settings.averages)
        self._offset_bias = circuit.auto_zero.bias_amps(self.load, self.plan.feedback_siemens, self.plan.active)
        # The wire wants rows in ascending order; rows that have moved are out of it.
        self._order = np.argsort(self.load.banks.rows, axis=1)
        self._rows = np.take_along_axis(self.load.banks.rows, self._order, axis=1)

    def solve(self, targets: np.ndarray) -> np.ndarray:
        """Coefficients (n, k, r) of right sides (n, m, r); zero where a matrix is not written."""
        circuit, (n, m, r), k = self.circuit, targets.shape, self.scale.shape[1]
        beta, l1_bias = self._input_gain(targets)
        inputs = -beta[:, :, None] * np.take_along_axis(targets.transpose(0, 2, 1), self._order[:, None, :], axis=2)
        inputs = inputs.reshape(n * r, m)

        def group(solves: Solves) -> SolveGroup:
            matrix, shrink = solves.problem[solves.first] // r, solves.shrink[solves.first]
            return SolveGroup(
                self._rows[matrix], self.load.banks.columns[matrix], inputs[solves.problem] * solves.shrink[:, None],
                solves.wait_seconds[solves.first], circuit.settings.averages, circuit.settings.constraint,
                self.plan.feedback_siemens[matrix], self._offset_bias[matrix] + shrink[:, None] * l1_bias[matrix],
                solves.counts, self.plan.active[matrix], omit_zero=True,
            )

        problem = np.flatnonzero((beta > 0.0) & self.plan.active.any(axis=1)[:, None])
        volts = np.zeros((n * r, k))
        circuit.solve_clean(Solves.of(problem, problem // r, self.plan.wait_seconds[problem // r]), group, volts)
        volts = volts.reshape(n, r, k)
        full_gain = circuit.maximum_siemens / circuit.board.scales.input_siemens
        gain = np.divide(full_gain, beta, out=np.zeros_like(beta), where=beta > 0.0)
        coefficients = np.maximum(volts * gain[:, :, None] * self._inverse_scale[:, None, :], 0.0).transpose(0, 2, 1)
        if circuit.settings.refinement_passes:
            coefficients = self._refined(coefficients, targets)
        return coefficients

    def _input_gain(self, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """β (n, r), and the bias (n, k) of the l1 penalty, which the right sides of a matrix share: so do they β."""
        circuit = self.circuit
        norms = np.einsum("nmk,nmk->nk", self.scaled, self.scaled) + self.ridge * self._inverse_scale**2
        moments = np.einsum("nmk,nmr->nrk", self.scaled, targets) - self.l1 * self._inverse_scale[:, None, :]
        bounds = largest_coefficients(np.where(self.scale > 0.0, norms, 0.0)[:, None, :], moments)
        largest = np.abs(targets).max(axis=1)
        if not self.l1:
            return input_gain(circuit, bounds, largest, self.load.row_sum_siemens), np.zeros_like(self.scale)
        full_bias = circuit.maximum_siemens * circuit.board.scales.input_siemens * self.l1 / self.load.row_sum_siemens
        bias = full_bias * self._inverse_scale
        row_sum_siemens = self.load.row_sum_siemens
        beta = input_gain(circuit, bounds.max(axis=1), largest.max(axis=1), row_sum_siemens, bias.max(axis=1))
        return np.where(bounds > 0.0, beta[:, None], 0.0), bias * beta[:, None]

    def _refined(self, coefficients: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Coefficients (n, k, r) after iterative refinement, every right side on its own."""
        n, k, r = coefficients.shape
        matrix = np.repeat(np.arange(n), r)
        flat_targets = targets.transpose(0, 2, 1).reshape(n * r, -1)

        def gradient(which: np.ndarray, solution: np.ndarray) -> np.ndarray:
            own = self.design[matrix[which]]
            residual = flat_targets[which] - np.einsum("pmk,pk->pm", own, solution)
            return np.einsum("pmk,pm->pk", own, residual) - self.ridge * solution - self.l1

        norms = np.linalg.norm(self.design, axis=1)
        corrections = bias_corrections(
            self.circuit, self.load, self.load.banks.columns[matrix], lambda problems: self._rows[matrix[problems]],
            self._inverse_scale[matrix], (norms**2 + self.ridge)[matrix], self.plan.of(matrix),
            self._offset_bias[matrix],
        )
        sizes = norms[matrix] * np.linalg.norm(flat_targets, axis=1)[:, None]
        refined, solves = refine(
            coefficients.transpose(0, 2, 1).reshape(n * r, k), self.plan.active[matrix], sizes, gradient, corrections,
            self.circuit.settings.refinement_passes, self.circuit.settings.refinement_tolerance,
        )
        self.circuit.totals.refinement_solves += solves
        return refined.reshape(n, r, k).transpose(0, 2, 1)
