"""A solve as one value, and references that share nothing with the compiled code: dense nodal equations in numpy."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import numpy as np

from hwloop.mock.circuit import RECTIFIER, UNCONSTRAINED, Solves, solve_batch
from hwloop.mock.curvature import curvature_per_square_volt

G_IN_SIEMENS = 100e-6
GBW_HERTZ = 10e6


@dataclass(frozen=True)
class Bench:
    """Inputs of `solve_batch`, by name; the defaults are an ideal circuit."""

    a: np.ndarray
    b: np.ndarray
    columns: np.ndarray
    u: np.ndarray
    compensation: np.ndarray
    feedback: np.ndarray
    bias: np.ndarray
    offset: np.ndarray
    a0: float = np.inf
    w_max: float = 1e6
    constraint: int = RECTIFIER
    curvature: bool = False
    g_in: float = field(default=G_IN_SIEMENS)

    def solve(self) -> Solves:
        return solve_batch(
            self.a, self.b, self.columns, self.u, np.full(len(self.a), self.g_in), self.compensation, self.feedback,
            self.bias, self.offset, self.a0, GBW_HERTZ, self.w_max, self.constraint, float(self.curvature),
        )  # fmt: skip

    def but(self, **changes) -> Bench:
        return replace(self, **changes)


def compensated(conductance: np.ndarray, k: int, u: np.ndarray, **changes) -> Bench:
    """Columns 0…k−1 of A = B = `conductance` (m, C), inputs u (n, m), every row compensated to the largest S."""
    row_sum = 2 * conductance.sum(axis=1) + G_IN_SIEMENS
    bench = Bench(
        conductance, conductance.copy(), np.arange(k), np.ascontiguousarray(u), row_sum.max() - row_sum, np.zeros(k),
        np.zeros((u.shape[0], k)), np.zeros(k),
    )  # fmt: skip
    return bench.but(**changes)


def draw(rng: np.random.Generator, m: int, k: int, columns: int = 16, n: int = 1, **changes) -> Bench:
    """A random bench: k of `columns` columns in any order, inputs of about a volt or less, compensated."""
    conductance = rng.uniform(3e-6, 225e-6, (m, columns))
    bench = compensated(conductance, k, -rng.uniform(-0.2, 1.0, (n, m)))
    return bench.but(columns=rng.permutation(columns)[:k]).but(**changes)


def cell(conductance: np.ndarray, volts: np.ndarray, curvature: bool) -> tuple[np.ndarray, np.ndarray]:
    """Current and its derivative, straight from the definition."""
    a = np.vectorize(curvature_per_square_volt)(conductance) if curvature else np.zeros_like(conductance)
    slope = conductance / (1 + a * 0.04)
    return slope * volts * (1 + a * volts**2), slope * (1 + 3 * a * volts**2)


def column_residuals(bench: Bench, w: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Net current (k,) into each column node of one solve, each row's Kirchhoff equation solved to rounding."""
    m, columns = bench.a.shape
    output, node = np.zeros(columns), np.zeros(columns)
    output[bench.columns], node[bench.columns] = w, c
    v = np.zeros((m, 1))
    for _ in range(60):
        current_a, slope_a = cell(bench.a, output - v, bench.curvature)
        current_b, slope_b = cell(bench.b, node - v, bench.curvature)
        net = (current_a + current_b).sum(1) + bench.g_in * (bench.u[0] - v[:, 0]) - bench.compensation * v[:, 0]
        v = v + (net / ((slope_a + slope_b).sum(1) + bench.g_in + bench.compensation))[:, None]
    current_b, _ = cell(bench.b[:, bench.columns], v - c, bench.curvature)
    return current_b.sum(0) + bench.feedback * (w - c) + bench.bias[0]


def enumerate_rest_points(bench: Bench) -> list[np.ndarray]:
    """All rest points w (k,) of one linear solve: every combination of amplifier states on the whole nodal matrix."""
    m, k = bench.u.shape[1], bench.columns.size
    a, b = bench.a[:, bench.columns], bench.b[:, bench.columns]
    row_sum = bench.a.sum(1) + bench.b.sum(1) + bench.g_in + bench.compensation
    lower = -bench.w_max if bench.constraint == UNCONSTRAINED else 0.0
    # unknowns: v (m), c (k), w (k), diode currents (k)
    kirchhoff = np.zeros((m + k, m + 3 * k))
    kirchhoff[:m, :m], kirchhoff[:m, m : m + k], kirchhoff[:m, m + k : m + 2 * k] = np.diag(row_sum), -b, -a
    kirchhoff[m:, :m], kirchhoff[m:, m : m + k] = b.T, -np.diag(b.sum(0) + bench.feedback)
    kirchhoff[m:, m + k : m + 2 * k], kirchhoff[m:, m + 2 * k :] = np.diag(bench.feedback), -np.eye(k)
    found = []
    for states in itertools.product((-1, 0, 1), repeat=k):
        amplifier = np.zeros((2 * k, m + 3 * k))
        right = np.zeros(2 * k)
        for j, state in enumerate(states):
            c, w, diode = m + j, m + k + j, m + 2 * k + j
            if state:
                amplifier[j, w], right[j] = 1.0, lower if state < 0 else bench.w_max
            else:
                amplifier[j, c], amplifier[j, w], right[j] = 1.0, 1.0 / bench.a0, bench.offset[j]
            if state and bench.constraint == RECTIFIER:
                amplifier[k + j, c], right[k + j] = 1.0, bench.offset[j] - right[j] / bench.a0
            else:
                amplifier[k + j, diode] = 1.0
        full_right = np.concatenate([bench.g_in * bench.u[0], -bench.bias[0], right])
        x = np.linalg.solve(np.vstack([kirchhoff, amplifier]), full_right)
        c, w, diode = x[m : m + k], x[m + k : m + 2 * k], x[m + 2 * k :]
        # what pushes an output against its stop: its input voltage, or the current that the diode takes over
        push = -diode if bench.constraint == RECTIFIER else -(c - bench.offset) - w / bench.a0
        if all(lower <= w[j] <= bench.w_max if s == 0 else s * push[j] >= 0 for j, s in enumerate(states)):
            found.append(w)
    return found
