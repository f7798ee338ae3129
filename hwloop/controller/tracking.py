"""A factorization and how good it is after each iteration, the figure of merit not counted as the controller's work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwloop import signals
from hwloop.anls.loop import Factorization, Progress
from hwloop.controller.counters import HostClock


@dataclass(frozen=True)
class Tracked:
    """Factors, and the figure of merit (iterations,) float64 after each iteration."""

    factors: Factorization
    quality: np.ndarray


def tracked(
    factorize: Callable[[Callable[[Progress], None]], Factorization],
    quality: Callable[[np.ndarray, np.ndarray], float],
    on_iteration: Callable[[int], None],
    clock: HostClock | None = None,
) -> Tracked:
    """Run `factorize(callback)` and take `quality(W, H)` after each iteration.

    With a `clock` the factorization is timed as the controller's own work. `on_iteration` is told each number, from 1.
    Stop requests are taken after each iteration, so that they do not wait for the end of a float64 reference.
    """
    values: list[float] = []

    def after(progress: Progress) -> None:
        with clock.paused() if clock else contextlib.nullcontext():
            values.append(quality(progress.W, progress.H))
            on_iteration(progress.iteration)
        signals.check()

    with clock.running() if clock else contextlib.nullcontext():
        factors = factorize(after)
    return Tracked(factors, np.array(values))
