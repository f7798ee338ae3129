"""Regressions that each see only their observed rows: one matrix on the chip, the other rows switched off a solve.

Mapping as in `dense`; ridge and so feedback, offset bias and settle wait are those of each solve's own rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.array.autozero import sum_rows
from hwloop.array.circuit import Circuit, Job, nonzero
from hwloop.array.loading import Load, load_banks
from hwloop.array.placement import Banks, place_banks
from hwloop.array.planning import plan_masked
from hwloop.array.ranging import fit_ridge, input_gain, largest_coefficients
from hwloop.array.refine import bias_corrections, refine
from hwloop.array.rounds import MOST_ATTEMPTS
from hwloop.drivers.board import SolveGroup


@dataclass(frozen=True)
class Observations:
    """n right sides on a design of m rows: regression j observed values[indptr[j]:indptr[j+1]] in the rows
    indices[indptr[j]:indptr[j+1]], and has the ridge `ridge`[j]."""

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    ridge: np.ndarray

    @property
    def count(self) -> int:
        """How many regressions."""
        return len(self.indptr) - 1

    @property
    def observed(self) -> np.ndarray:
        """Entries of each regression, (n,)."""
        return np.diff(self.indptr)

    @property
    def regression(self) -> np.ndarray:
        """Which regression each entry belongs to."""
        return np.repeat(np.arange(self.count), self.observed)


def solve_masked(circuit: Circuit, design: np.ndarray, seen: Observations, l1: float) -> np.ndarray | None:
    """Coefficients (k, n) on the design (m, k); None where the chip has no place for it."""
    if not seen.observed.any() or not design.any():
        return np.zeros((design.shape[1], seen.count))
    loaded = LoadedMasked.place(circuit, design, float(seen.ridge[seen.observed > 0].max()))
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

    def solve(self, seen: Observations, l1: float) -> np.ndarray:
        """Coefficients (k, n)."""
        circuit, load, n = self.circuit, self.load, seen.count
        seen, physical = self._sorted(seen)
        inverse_scale = np.divide(1.0, self.scale, out=np.zeros_like(self.scale), where=self.scale > 0.0)
        lean_siemens = circuit.maximum_siemens**2 / load.row_sum_siemens
        feedback = lean_siemens * seen.ridge[:, None] * inverse_scale**2
        plan = plan_masked(circuit, load, seen.indptr, seen.indices, feedback, self.scale > 0.0)
        if circuit.settings.auto_zero:
            circuit.auto_zero.measure(circuit.board, load, circuit.settings.averages)
        norms = sum_rows(self.scaled**2, seen.indptr, seen.indices) + seen.ridge[:, None] * inverse_scale**2
        moments = np.zeros((n, len(self.scale)))
        live = np.flatnonzero(seen.observed)
        moments[live] = np.add.reduceat(self.scaled[seen.indices] * seen.values[:, None], seen.indptr[:-1][live])
        bounds = largest_coefficients(np.where(self.scale > 0.0, norms, 0.0), moments - l1 * inverse_scale)
        largest = np.zeros(n)
        largest[live] = np.maximum.reduceat(np.abs(seen.values), seen.indptr[:-1][live])
        l1_bias = circuit.maximum_siemens * circuit.board.scales.input_siemens * l1 / load.row_sum_siemens * inverse_scale
        beta = input_gain(circuit, bounds, largest, l1_bias.max())
        offset_bias = circuit.auto_zero.masked_bias_amps(load, seen.indptr, seen.indices, plan.feedback_siemens)
        columns, inputs = load.banks.columns[0], -np.repeat(beta, seen.observed) * seen.values
        every_column = plan.active.all(axis=1)

        def group(job: Job) -> SolveGroup:
            solve = job.matrix
            own, feedback, bias = slice(seen.indptr[solve], seen.indptr[solve + 1]), plan.feedback_siemens[solve], offset_bias[solve]
            if l1:
                bias = bias + job.shrink * beta[solve] * l1_bias
            active = slice(None) if every_column[solve] else plan.active[solve]
            return SolveGroup(
                physical[own], columns[active], inputs[None, own] * job.shrink, job.wait_seconds, circuit.settings.averages,
                circuit.settings.constraint, nonzero(feedback[active]), nonzero(bias[active]),
            )

        first = np.zeros(1, np.int64)
        jobs = [
            Job(solve, first, plan.wait_seconds[solve]) for solve in np.flatnonzero((beta > 0.0) & plan.active.any(axis=1)).tolist()
        ]
        coefficients = np.zeros((n, len(self.scale)))
        for job, output_volts in circuit.solve_clean(jobs, group):
            coefficients[job.matrix, plan.active[job.matrix]] = output_volts[0]
        gain = np.divide(circuit.maximum_siemens / circuit.board.scales.input_siemens, beta, out=np.zeros(n), where=beta > 0.0)
        coefficients = np.maximum(coefficients * gain[:, None] * inverse_scale, 0.0)
        if circuit.settings.refinement_passes:
            coefficients = self._refined(coefficients, seen, physical, l1, norms, plan, offset_bias, inverse_scale)
        circuit.on_round(1, 1)
        return coefficients.T

    def _sorted(self, seen: Observations) -> tuple[Observations, np.ndarray]:
        """The observations with the rows of each regression ascending on the chip, and those rows."""
        physical = self.load.banks.rows[0][seen.indices]
        order = np.lexsort((physical, seen.regression))
        return Observations(seen.indptr, seen.indices[order], seen.values[order], seen.ridge), physical[order]

    def _refined(self, coefficients, seen, physical, l1, norms, plan, offset_bias, inverse_scale) -> np.ndarray:
        """Coefficients (n, k) after iterative refinement, every regression on its own."""
        n = seen.count
        regression = seen.regression

        def gradient(which: np.ndarray, solution: np.ndarray) -> np.ndarray:
            full = np.zeros_like(coefficients)
            full[which] = solution
            own = self.design[seen.indices]
            residual = seen.values - np.einsum("ek,ek->e", own, full[regression])
            slopes = np.zeros_like(full)
            live = np.flatnonzero(seen.observed)
            slopes[live] = np.add.reduceat(own * residual[:, None], seen.indptr[:-1][live])
            return slopes[which] - seen.ridge[which, None] * solution - l1

        def rows_of(solve: int) -> np.ndarray:
            return physical[seen.indptr[solve] : seen.indptr[solve + 1]]

        diagonal = norms * self.scale**2
        corrections = bias_corrections(
            self.circuit, self.load, np.repeat(self.load.banks.columns, n, axis=0), rows_of, np.tile(inverse_scale, (n, 1)),
            diagonal, plan, offset_bias,
        )
        lengths = np.sqrt(np.bincount(regression, seen.values**2, minlength=n))
        settings = self.circuit.settings
        allowed = plan.active & (seen.observed > 0)[:, None]
        refined, solves = refine(
            coefficients, allowed, np.sqrt(diagonal) * lengths[:, None], gradient, corrections, settings.refinement_passes,
            settings.refinement_tolerance,
        )
        self.circuit.totals.refinement_solves += solves
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
