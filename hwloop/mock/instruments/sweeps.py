"""Source levels of a sweep: linear, logarithmic."""

from __future__ import annotations

import numpy as np


def linear_levels(start: float, stop: float, points: int) -> np.ndarray:
    """(points,) evenly spaced from `start` to `stop`, both of them in it."""
    return np.linspace(start, stop, points)


def log_levels(start: float, stop: float, points: int, asymptote: float = 0.0) -> np.ndarray:
    """(points,) spaced evenly in the logarithm of the distance from `asymptote`.

    Raises ValueError where the asymptote lies at or between the ends.
    """
    first, last = start - asymptote, stop - asymptote
    if first * last <= 0:
        raise ValueError("a logarithmic sweep whose ends are not on one side of its asymptote")
    return asymptote + np.sign(first) * np.geomspace(abs(first), abs(last), points)
