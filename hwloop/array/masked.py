"""Regressions that each see only their observed rows: one matrix on the chip, the other rows switched off a solve.

Mapping as in `dense`; ridge and so feedback, offset bias and settle wait are those of each solve's own rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.array.circuit import Circuit, Solves
from hwloop.array.loading import Load, load_banks
from hwloop.array.observations import Observations
from hwloop.array.placement import Banks, place_banks
from hwloop.array.planning import Plan, plan_masked
from hwloop.array.ranging import fit_ridge, input_gain, largest_coefficients
from hwloop.array.refine import bias_corrections, refine
from hwloop.array.rounds import MOST_ATTEMPTS
from hwloop.drivers.board import SolveGroup


def solve_masked(circuit: Circuit, design: np.ndarray, seen: Observations, l1: float) -> np.ndarray | None:
    """Coefficients (k, n) on the design (m, k); None where the chip has no place for it."""
    if not seen.observed.any() or not design.any():
        return np.zeros((design.shape[1], seen.count))
    loaded = LoadedMasked.place(circuit, design, float(seen.ridge[seen.live].max()))
    return None if loaded is None else loaded.solve(seen, l1)


@dataclass(frozen=True)
class LoadedMasked:
    """One design (m, k) on the chip, scaled by `scale` (k,)."""

    circuit: Circuit
    design: np.ndarray
    scaled: np.ndarray
    scale: np.ndarray
    load: Load

    @classmethod
    def place(cls, circuit: Circuit, design: np.ndarray, ridge: float) -> LoadedMasked | None:
        """Write the design where it was last time, if anywhere, so that only cells that changed are pulsed."""
        scaled, scale, least_siemens = fit_ridge(circuit, design, ridge)
        conductances = circuit.chip.settings.range.targets(scaled)[None]
        for attempt in range(MOST_ATTEMPTS):
            banks = _home(circuit, *design.shape)
            if not len(banks):
                return None
            load = load_banks(circuit.board, circuit.chip, banks, conductances, conductances, least_siemens)
            circuit.totals.rounds += 1
            circuit.totals.rows_moved += load.rows_moved
            circuit.totals.matrices_placed_again += attempt > 0
            if load.written.all():
                circuit.homes[design.shape] = load.banks
                return cls(circuit, design, scaled, scale, load)
        return None

    @property
    def inverse_scale(self) -> np.ndarray:
        """1/s (k,), 0 for zero columns."""
        return np.divide(1.0, self.scale, out=np.zeros_like(self.scale), where=self.scale > 0.0)

    def solve(self, seen: Observations, l1: float) -> np.ndarray:
        """Coefficients (k, n)."""
        circuit, load = self.circuit, self.load
        seen = seen.sorted_by(load.banks.rows[0])
        lean_siemens = circuit.maximum_siemens**2 / load.row_sum_siemens
        feedback = lean_siemens * seen.ridge[:, None] * self.inverse_scale**2
        plan = plan_masked(circuit, load, seen.indptr, seen.indices, feedback, self.scale > 0.0)
        if circuit.settings.auto_zero:
            circuit.auto_zero.measure(circuit.board, load, circuit.settings.averages)
        offset_bias = circuit.auto_zero.masked_bias_amps(load, seen, plan.feedback_siemens)
        input_siemens = circuit.board.scales.input_siemens
        l1_bias = circuit.maximum_siemens * input_siemens * l1 / load.row_sum_siemens * self.inverse_scale
        beta = self._input_gain(seen, l1, l1_bias)
        outputs_volts = self._outputs(seen, plan, beta, offset_bias, l1_bias)
        gain = np.divide(circuit.maximum_siemens / input_siemens, beta, out=np.zeros_like(beta), where=beta > 0.0)
        coefficients = np.maximum(outputs_volts * gain[:, None] * self.inverse_scale, 0.0)
        if circuit.settings.refinement_passes:
            coefficients = self._refined(coefficients, seen, l1, plan, offset_bias)
        circuit.on_round(1, 1)
        return coefficients.T

    def _input_gain(self, seen: Observations, l1: float, l1_bias_amps: np.ndarray) -> np.ndarray:
        """β (n,)."""
        norms = seen.sum_rows(self.scaled**2) + seen.ridge[:, None] * self.inverse_scale**2
        moments = seen.sum_entries(self.scaled[seen.indices] * seen.values[:, None]) - l1 * self.inverse_scale
        bounds = largest_coefficients(np.where(self.scale > 0.0, norms, 0.0), moments)
        return input_gain(
            self.circuit, bounds, seen.largest(), self.load.row_sum_siemens, l1_bias_amps.max()
        )

    def _outputs(
        self, seen: Observations, plan: Plan, beta: np.ndarray, offset_bias_amps: np.ndarray, l1_bias_amps: np.ndarray
    ) -> np.ndarray:
        """Outputs in volts (n, k)."""
        circuit, columns = self.circuit, self.load.banks.columns[0]
        rows = self.load.banks.rows[0][seen.indices]
        inputs_volts = -np.repeat(beta, seen.observed) * seen.values

        def group(solves: Solves) -> SolveGroup:
            problem, shrink = solves.problem, solves.shrink
            own = [seen.entries(solve) for solve in problem.tolist()]
            l1_share = (shrink * beta[problem])[:, None] * l1_bias_amps
            return SolveGroup(
                [rows[entries] for entries in own], np.broadcast_to(columns, (len(own), len(columns))),
                [inputs_volts[entries] * factor for entries, factor in zip(own, shrink.tolist(), strict=True)],
                solves.wait_seconds, circuit.settings.averages, circuit.settings.constraint,
                plan.feedback_siemens[problem], offset_bias_amps[problem] + l1_share, solves.counts,
                plan.active[problem], omit_zero=True,
            )

        problem = np.flatnonzero((beta > 0.0) & plan.active.any(axis=1))
        output_volts = np.zeros(plan.active.shape)
        circuit.solve_clean(Solves.of(problem, problem, plan.wait_seconds[problem]), group, output_volts)
        return output_volts

    def _refined(
        self, coefficients: np.ndarray, seen: Observations, l1: float, plan: Plan, offset_bias_amps: np.ndarray
    ) -> np.ndarray:
        """Coefficients (n, k) after iterative refinement, every regression on its own."""
        circuit, n, rows = self.circuit, seen.count, self.load.banks.rows[0][seen.indices]
        own, regression = self.design[seen.indices], seen.regression

        def gradient(which: np.ndarray, solution: np.ndarray) -> np.ndarray:
            every = np.zeros_like(coefficients)
            every[which] = solution
            residual = seen.values - np.einsum("ek,ek->e", own, every[regression])
            return seen.sum_entries(own * residual[:, None])[which] - seen.ridge[which, None] * solution - l1

        def rows_of(problems: np.ndarray) -> list[np.ndarray]:
            return [rows[seen.entries(problem)] for problem in problems.tolist()]

        diagonal = seen.sum_rows(self.design**2) + seen.ridge[:, None]
        corrections = bias_corrections(
            circuit, self.load, np.repeat(self.load.banks.columns, n, axis=0), rows_of,
            np.tile(self.inverse_scale, (n, 1)), diagonal, plan, offset_bias_amps,
        )
        lengths = np.sqrt(np.bincount(regression, seen.values**2, minlength=n))
        refined, solves = refine(
            coefficients, plan.active & seen.live[:, None], np.sqrt(diagonal) * lengths[:, None], gradient, corrections,
            circuit.settings.refinement_passes, circuit.settings.refinement_tolerance,
        )
        circuit.totals.refinement_solves += solves
        return refined


def _home(circuit: Circuit, m: int, k: int) -> Banks:
    """One bank: the last one of this shape if it is still usable, else one apart from those of other shapes if there is
    room, so that the two factors of one factorization do not overwrite each other."""
    usable = circuit.chip.map.usable()
    known = circuit.homes.get((m, k))
    if known is not None and known.usable(usable).all():
        return known
    circuit.homes.pop((m, k), None)
    places = circuit.places(m, k)
    kept = usable.copy()
    for home in circuit.homes.values():
        kept[:, home.rows[0]] = False
    apart = place_banks(kept, m, k)
    return (apart if len(apart) else places).first(1)
