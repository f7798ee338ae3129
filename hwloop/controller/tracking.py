"""A factorization, watched: how good it is after each iteration, which does not count as the controller's work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwloop import signals
from hwloop.anls.loop import Factorization, Progress
from hwloop.controller.counters import HostClock
from hwloop.controller.run import Run


@dataclass(frozen=True)
class Tracked:
    """Factors, and the figure of merit (iterations,) float64 after each iteration."""

    factors: Factorization
    quality: np.ndarray


@dataclass(frozen=True)
class Watch:
    """Tells a `run` of each of `of` iterations of `label`; `quantity` in `unit` is the figure of merit."""

    label: str
    of: int
    quantity: str
    unit: str
    run: Run

    def __call__(self, progress: Progress, quality: float | None) -> None:
        """After an iteration."""
        report = self.run.report
        report.iteration(
            self.label, progress.iteration, self.of, float(progress.residual), quality, self.quantity, self.unit
        )
        report.step(f"{self.label}, iterations", progress.iteration, self.of)
        self.run.factors(self.label, progress.iteration, progress.W, progress.H)


def tracked(
    factorize: Callable[[Callable[[Progress], None]], Factorization],
    quality: Callable[[np.ndarray, np.ndarray], float],
    watch: Watch,
    clock: HostClock | None = None,
) -> Tracked:
    """Run `factorize(callback)` and take `quality(W, H)` after each iteration.

    With a `clock` the factorization is timed as the controller's own work. Stop requests are taken after each
    iteration, so that they do not wait for the end of a float64 reference.
    """
    values: list[float] = []

    def after(progress: Progress) -> None:
        with clock.paused() if clock else contextlib.nullcontext():
            values.append(float(quality(progress.W, progress.H)))
            watch(progress, values[-1])
        signals.check()

    with clock.running() if clock else contextlib.nullcontext():
        factors = factorize(after)
    return Tracked(factors, np.array(values))
