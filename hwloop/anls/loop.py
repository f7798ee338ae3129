"""Alternating non-negative least squares: fix one factor, solve the other exactly or on the analog circuit, and swap.

Normalisation: without penalties the scale of a component is free, so before a factor becomes a design each of its
columns is divided by the power of two that brings its maximum into [1, 2), and the partner is multiplied by it. That is
exact: W H does not change by a bit. With a ridge or an l1 penalty the scale is part of what is minimised, and stays.

Dead components: a component whose factor became zero throughout would stay dead, because its partner is then solved
against a zero column. Before a factor becomes a design its zero columns are drawn anew, uniform in (0, largest entry of
that factor); the partner's component is solved next, so an exact solver's residual cannot rise by it. Matrices that are
zero throughout are left alone.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from hwloop.anls.exact import exact_half_step
from hwloop.anls.problem import COLUMNS, ROWS, DenseProblem, Masked, Penalty, Problem, pose
from hwloop.anls.regression import HalfStep, Regression
from hwloop.anls.start import STARTS, Start
from hwloop.errors import UsageError


@dataclass(frozen=True)
class Progress:
    """State after an iteration: number from 1, relative residual, W (…, m, k) and H (…, k, n)."""

    iteration: int
    residual: float
    W: np.ndarray
    H: np.ndarray


@dataclass(frozen=True)
class Factorization:
    """R ≈ W H with W (m, k) and H (k, n), or (b, m, k) and (b, k, n) for a batch.

    residual (iterations,): |R - W H| / |R| after each iteration, over observed entries and whole batch; 0 for R = 0.
    converged: the tolerance was met; reseeded: how many dead components were drawn anew, summed over half-steps.
    """

    W: np.ndarray
    H: np.ndarray
    residual: np.ndarray
    iterations: int
    converged: bool
    reseeded: int


def factorize(
    data: np.ndarray | sp.spmatrix | sp.sparray | Masked,
    rank: int,
    *,
    solver: HalfStep = exact_half_step,
    start: str | Start = "random",
    first: str = "W",
    iterations: int = 100,
    tolerance: float = 0.0,
    ridge: float = 0.0,
    ridge_per_observation: float = 0.0,
    l1: float = 0.0,
    seed: int = 0,
    callback: Callable[[Progress], None] | None = None,
) -> Factorization:
    """Factors of `data`: (m, n), a batch (b, m, n) of independent matrices, scipy.sparse (zeros are data) or Masked.

    first: the factor solved first, "W" or "H"; the other one comes from `start`, a name in start.STARTS or a Start.
    Stops after `iterations`, or once an iteration changes the residual by less than `tolerance` of itself (0: never).
    Each regression h of either factor minimises 1/2 |X h - y|^2 + 1/2 (ridge + ridge_per_observation * observed entries
    of y) |h|^2 + l1 sum(h). `seed` fixes start and reseeding. Raises DataError for data and UsageError for arguments.
    """
    rank, iterations, seed = _count("rank", rank, 1), _count("iterations", iterations, 1), _count("seed", seed, 0)
    penalty = Penalty(
        _amount("ridge", ridge), _amount("ridge_per_observation", ridge_per_observation), _amount("l1", l1)
    )
    tolerance = _amount("tolerance", tolerance)
    if first not in ("W", "H"):
        raise UsageError(f'first is {first!r}; allowed are "W" and "H"')
    problem = pose(data)
    sides = (ROWS, COLUMNS) if first == "W" else (COLUMNS, ROWS)
    loop = _Loop(problem, rank, solver, penalty, seed, _initial_factors(problem, rank, start, sides[0], seed))
    batched = not isinstance(problem, DenseProblem) or np.ndim(data) == 3
    residuals: list[float] = []
    converged = False
    regression = loop.pose(sides[0])
    while len(residuals) < iterations and not converged:
        loop.solve(sides[0], regression)
        loop.solve(sides[1], loop.pose(sides[1]))
        W, H = loop.result(batched)
        regression = loop.pose(sides[0])
        residuals.append(loop.residual(sides[0], regression))
        if callback is not None:
            callback(Progress(len(residuals), residuals[-1], W, H))
        if len(residuals) > 1:
            converged = abs(residuals[-2] - residuals[-1]) < tolerance * residuals[-2]
    W, H = np.ascontiguousarray(W), np.ascontiguousarray(H)
    return Factorization(W, H, np.array(residuals), len(residuals), converged, loop.reseeded)


class _Loop:
    """The two factors, component last, between half-steps."""

    def __init__(self, problem: Problem, rank: int, solver: HalfStep, penalty: Penalty, seed: int, factors: list):
        self.problem, self.rank, self.solver, self.penalty, self.seed = problem, rank, solver, penalty, seed
        self.factors = factors
        self.free_scale = penalty == Penalty()
        self.half_steps = self.reseeded = 0

    def pose(self, side: int) -> Regression:
        """The regression that solves `side`, its design revived and normalised."""
        self._revive(1 - side)
        if self.free_scale:
            self._normalise(1 - side)
        return self.problem.regression(side, self.factors[1 - side], self.penalty, self.factors[side])

    def solve(self, side: int, regression: Regression) -> None:
        """One half-step. Raises UsageError where the solver's answer is not what HalfStep promises."""
        coefficients = np.asarray(self.solver(regression), dtype=np.float64)
        *leading, size = self.problem.factor_shapes[side]
        expected = (*leading, self.rank, size)
        if coefficients.shape != expected:
            raise UsageError(f"the half-step solver returned shape {coefficients.shape}, needed {expected}")
        if not (coefficients.min() >= 0.0 and coefficients.max() < math.inf):
            raise UsageError("the half-step solver returned entries that are negative or not finite; needed are >= 0")
        self.factors[side] = np.swapaxes(coefficients, -1, -2)
        self.half_steps += 1

    def residual(self, side: int, regression: Regression) -> float:
        """Relative residual; `regression` solves `side` with the present other factor as its design."""
        if self.problem.square == 0.0:
            return 0.0
        square = self.problem.residual_square((self.factors[ROWS], self.factors[COLUMNS]), regression, side)
        return math.sqrt(max(square, 0.0) / self.problem.square)

    def result(self, batched: bool) -> tuple[np.ndarray, np.ndarray]:
        """W and H in their public shapes; later half-steps make new arrays and leave these as they are."""
        W, H = self.factors[ROWS], np.swapaxes(self.factors[COLUMNS], -1, -2)
        return (W, H) if batched else (W[0], H[0])

    def _revive(self, side: int) -> None:
        factor = self.factors[side]
        dead = ~factor.any(axis=-2) & ~self.problem.empty[..., None]
        if not dead.any():
            return
        # keyed by seed and half-step, so it does not matter which components died before
        fresh = np.random.default_rng([self.seed, 3, self.half_steps]).random(factor.shape)
        largest = factor.max(axis=(-1, -2), keepdims=True)
        fresh *= np.where(largest > 0.0, largest, 1.0)
        self.factors[side] = np.where(dead[..., None, :], fresh, factor)
        if self.factors[1 - side] is not None:
            self.factors[1 - side] = np.where(dead[..., None, :], 0.0, self.factors[1 - side])
        self.reseeded += int(dead.sum())

    def _normalise(self, side: int) -> None:
        largest = self.factors[side].max(axis=-2, keepdims=True)
        exponent = np.where(largest > 0.0, np.frexp(largest)[1] - 1, 0)
        self.factors[side] = np.ldexp(self.factors[side], -exponent)
        if self.factors[1 - side] is not None:
            self.factors[1 - side] = np.ldexp(self.factors[1 - side], exponent)


def _initial_factors(problem: Problem, rank: int, start: str | Start, solved_first: int, seed: int) -> list:
    if isinstance(start, str):
        if start not in STARTS:
            raise UsageError(f"start is {start!r}; allowed are {', '.join(STARTS)}, or a Start")
        start = STARTS[start](problem, rank, seed)
    given = (start.W, None if start.H is None else np.swapaxes(start.H, -1, -2))[1 - solved_first]
    name = "WH"[1 - solved_first]
    if given is None:
        raise UsageError(f"start has no {name}, which the first half-step keeps fixed; give it, or solve {name} first")
    factor = np.array(given, dtype=np.float64)
    expected = (*problem.factor_shapes[1 - solved_first], rank)
    if isinstance(problem, DenseProblem) and factor.ndim == 2 and expected[0] == 1:
        factor = factor[None]
    if factor.shape != expected:
        raise UsageError(f"start {name} has (rows, components) {factor.shape}, needed {expected}")
    if not (np.isfinite(factor) & (factor >= 0.0)).all():
        raise UsageError(f"start {name} has entries that are negative or not finite; allowed are finite numbers >= 0")
    factors = [None, None]
    factors[1 - solved_first] = factor
    return factors


def _count(name: str, value: int, least: int) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        raise UsageError(f"{name} is {value!r}; give a whole number >= {least}") from None
    if count < least:
        raise UsageError(f"{name} is {count}; allowed are whole numbers >= {least}")
    return count


def _amount(name: str, value: float) -> float:
    amount = float(value)
    if not (math.isfinite(amount) and amount >= 0.0):
        raise UsageError(f"{name} is {amount:g}; allowed are finite numbers >= 0")
    return amount
