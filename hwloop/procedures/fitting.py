"""Straight and bent lines through measured points; what an instrument may be off is kept apart from what scatters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from hwloop.calibration.record import Parameter
from hwloop.errors import CalibrationError

# Scatter that nobody saw, in parts of the largest point: a converter's last digit, so that weights stay finite.
_LEAST_SCATTER = 1e-9
_LARGEST_GAIN_ERROR = 0.1


@dataclass(frozen=True)
class LinearFit:
    """Fits of n channels with q coefficients to p points each.

    `value` (n, q); `sigma` (q,) from scatter; `common_95` (q,) half-width from errors that channels share; `residual`
    (n, p) points minus fit.
    """

    value: np.ndarray
    sigma: np.ndarray
    common_95: np.ndarray
    residual: np.ndarray

    def gain(self, name: str, unit: str) -> Parameter:
        """The first coefficient of all channels as a parameter. Raises CalibrationError where no channel that is
        connected could have it."""
        off = np.abs(self.value[:, 0] - 1.0)
        if off.max() > _LARGEST_GAIN_ERROR:
            channel = int(off.argmax())
            raise CalibrationError(
                f"{name}[{channel}] comes out as {self.value[channel, 0]:.4g}, where 1 ± {_LARGEST_GAIN_ERROR:g} "
                "is possible; check the leads between the instrument and the board's port, and which channel each pin "
                "is on"
            )
        return self.parameter(name, unit, 0)

    def parameter(self, name: str, unit: str, column: int) -> Parameter:
        """Coefficient number `column` of all channels as a parameter."""
        return parameter(name, unit, self.value[:, column], self.sigma[column], self.common_95[column])


def parameter(
    name: str, unit: str, value: np.ndarray, sigma: np.ndarray | float, common_95: np.ndarray | float
) -> Parameter:
    """A parameter whose values scatter with `sigma` and share an error within ± `common_95`; both broadcast.

    Parameter.common_95 is what all values have in common: the least of `common_95`.
    """
    value = np.asarray(value, float)
    spread = np.broadcast_to(np.hypot(2.0 * np.asarray(sigma), common_95), value.shape)
    return Parameter(name, unit, value, spread.copy(), float(np.min(common_95)))


def fit_linear(design: np.ndarray, points: np.ndarray, sigma: np.ndarray, shared_95: np.ndarray) -> LinearFit:
    """Generalised least squares of `points` (n, p) by `design` (p, q), one estimator for all channels.

    `sigma` (p,): scatter of each point. `shared_95` (p, s): by how much each of s errors that all channels share moves
    the points, at the end of its 95 % interval; they are weighed like scatter that is correlated, never averaged away.
    """
    sigma = np.maximum(sigma, _LEAST_SCATTER * np.abs(points).max())
    scale = 1.0 / np.abs(design).max(axis=0)
    scaled = design * scale
    covariance = np.diag(sigma**2) + 0.25 * shared_95 @ shared_95.T
    weighted = cho_solve(cho_factor(covariance), scaled).T
    estimator = np.linalg.solve(weighted @ scaled, weighted) * scale[:, None]
    value = points @ estimator.T
    residual = points - value @ design.T
    return LinearFit(
        value, np.sqrt(((estimator * sigma) ** 2).sum(axis=1)), np.sqrt(((estimator @ shared_95) ** 2).sum(axis=1)),
        residual,
    )


def bent_line(x: np.ndarray, full_scale: float) -> np.ndarray:
    """Design (p, 3) of gain, offset and bend: gain × x + offset + bend × (x / full scale)²."""
    return np.stack([x, np.ones_like(x), (x / full_scale) ** 2], axis=1)


def pooled_sigma(repeats: np.ndarray) -> float:
    """Scatter of one reading from repeated ones, (repeats, …), each place with a mean of its own."""
    degrees = (repeats.shape[0] - 1) * max(int(np.prod(repeats.shape[1:])), 1)
    return float(np.sqrt(((repeats - repeats.mean(axis=0)) ** 2).sum() / degrees))
