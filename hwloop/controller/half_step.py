"""The analog circuit as a half-step solver of ANLS, with an optional digital shadow beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.anls.exact import exact_half_step
from hwloop.anls.regression import DenseRegression, MaskedRegression, Regression
from hwloop.array.ginv import GinvSolver
from hwloop.config import SolverConfig
from hwloop.controller.counters import HostClock
from hwloop.errors import GoalNotReachedError
from hwloop.report import Report


@dataclass
class ShadowTotals:
    """How far the circuit was from exact NNLS: half-steps compared, largest deviation, regressions beyond the limit."""

    half_steps: int = 0
    largest_deviation: float = 0.0
    beyond_limit: int = 0


class AnalogHalfStep:
    """Solves every regression on the circuit; a HalfStep for `factorize`.

    With a shadow the exact float64 solution is computed beside it, and a regression that deviates by more than
    `shadow_limit` (relative, in the norm of its coefficients) is warned of, replaced, or stops the run. With "refine"
    the solver itself corrects its solutions on the circuit, and what still deviates is warned of.
    """

    def __init__(self, solver: GinvSolver, config: SolverConfig, clock: HostClock, report: Report):
        self._solver, self._config, self._clock, self._report = solver, config, clock, report
        self.shadow = ShadowTotals()

    def __call__(self, regression: Regression) -> np.ndarray:
        """See HalfStep. Raises GoalNotReachedError where the shadow's policy is to stop."""
        coefficients = self._solve(regression)
        if self._config.shadow == "off":
            return coefficients
        if self._config.shadow == "fallback":
            # Here the float64 solution is part of the result, and so of what the controller does.
            return self._compare(regression, coefficients)
        with self._clock.paused():
            return self._compare(regression, coefficients)

    def _solve(self, regression: Regression) -> np.ndarray:
        if isinstance(regression, DenseRegression):
            return self._solver.solve_dense(regression.design, regression.targets, regression.ridge, regression.l1)
        if isinstance(regression, MaskedRegression):
            return self._solver.solve_masked(
                regression.design, regression.indptr, regression.indices, regression.values, regression.ridge,
                regression.l1,
            )
        return self._solver.solve_sparse(regression.design, regression.targets, regression.ridge, regression.l1)

    def _compare(self, regression: Regression, coefficients: np.ndarray) -> np.ndarray:
        exact = exact_half_step(regression)
        norm = np.linalg.norm(exact, axis=-2)
        difference = np.linalg.norm(coefficients - exact, axis=-2)
        deviation = np.divide(difference, norm, out=np.where(difference > 0.0, 1.0, 0.0), where=norm > 0.0)
        beyond = deviation > self._config.shadow_limit
        self.shadow.half_steps += 1
        self.shadow.largest_deviation = max(self.shadow.largest_deviation, float(deviation.max(initial=0.0)))
        self.shadow.beyond_limit += int(beyond.sum())
        if not beyond.any():
            return coefficients
        text = (
            f"half-step {self.shadow.half_steps}: {int(beyond.sum()):,} of {beyond.size:,} regressions deviate from "
            f"exact NNLS by more than {self._config.shadow_limit:g} (largest {deviation.max():.3g})"
        )
        if self._config.shadow == "stop":
            raise GoalNotReachedError(f"{text}; the shadow's policy is to stop")
        if self._config.shadow == "fallback":
            self._report.note(f"{text}; replaced by float64")
            return np.where(beyond[..., None, :], exact, coefficients)
        self._report.note(text)
        return coefficients
