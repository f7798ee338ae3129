"""How fast the compact circuit settles, from what was programmed: λ_min(K⁻¹Q)·2π·GBW, for a batch of loads at once.

Q = BᵀDA + Gf, K = diag(Σ_i B_ij + Gf) − BᵀDB, D = diag(1/S): linear regime of dw/dt = −2π·GBW·K⁻¹(Q w + q), all columns
free and A0 infinite (design notes, section 2, "Dynamics"). S counts grounded neighbours and compensation, so the caller
gives it. A rate ≤ 0 is an unstable loop. A column without any conductance has no loop and is left out; with none left
the rate is infinite.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from hwloop.eigenvalues import smallest_pencil_eigenvalue, smallest_real_part

SETTLED_REMAINDER = 3e-4        # of a step that may be left when sampling begins
SETTLE_LIMIT_SECONDS = 5e-4     # the longest wait for that; slower loops are changed


def settling_rate_per_second(
    conductance_a_siemens: np.ndarray,
    conductance_b_siemens: np.ndarray,
    row_sum_siemens: np.ndarray | float,
    feedback_siemens: np.ndarray,
    gbw_hertz: float,
) -> np.ndarray:
    """Slowest settling rates (batch,), per second.

    `conductance_a_siemens`, `conductance_b_siemens` (batch, m, k) of the active cells, 0 for rows that are off;
    `row_sum_siemens` S, (batch, m) or one number; `feedback_siemens` (batch, k).
    """
    a = np.ascontiguousarray(conductance_a_siemens, dtype=np.float64)
    b = np.ascontiguousarray(conductance_b_siemens, dtype=np.float64)
    batch, m, k = a.shape
    row_sum = np.ascontiguousarray(np.broadcast_to(np.asarray(row_sum_siemens, dtype=np.float64), (batch, m)))
    feedback = np.ascontiguousarray(np.broadcast_to(np.asarray(feedback_siemens, dtype=np.float64), (batch, k)))
    return 2.0 * math.pi * gbw_hertz * _smallest_eigenvalues(a, b, row_sum, feedback)


def masked_settling_rate_per_second(
    design_siemens: np.ndarray,
    row_pointers: np.ndarray,
    row_indices: np.ndarray,
    row_sum_siemens: float,
    feedback_siemens: np.ndarray,
    gbw_hertz: float,
) -> np.ndarray:
    """Slowest settling rates (n,) per second of n solves on one matrix A = B, each with its own rows switched on.

    `design_siemens` (rows, k); solve s uses rows `row_indices[row_pointers[s]:row_pointers[s + 1]]` (CSR, int64);
    `row_sum_siemens` the compensated S, one number; `feedback_siemens` (n, k).
    """
    return 2.0 * math.pi * gbw_hertz * _smallest_masked_eigenvalues(
        np.ascontiguousarray(design_siemens, dtype=np.float64),
        np.ascontiguousarray(row_pointers, dtype=np.int64),
        np.ascontiguousarray(row_indices, dtype=np.int64),
        1.0 / row_sum_siemens,
        np.ascontiguousarray(feedback_siemens, dtype=np.float64),
    )


def settle_seconds(rate_per_second: np.ndarray, remainder: float) -> np.ndarray:
    """Seconds (same shape) until `remainder` (such as 1e-3) of a step is left; infinite where it never settles."""
    rate = np.asarray(rate_per_second, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.where(rate > 0.0, -math.log(remainder) / np.maximum(rate, 0.0), math.inf)


def warm_up() -> None:
    """Compile what this file needs. Do it before a board is open: compiling may outlast the board's dead-man."""
    ones = np.ones((1, 2, 1))
    settling_rate_per_second(ones, ones, 4.0, np.zeros((1, 1)), 1.0)
    masked_settling_rate_per_second(ones[0], np.array([0, 2]), np.array([0, 1]), 4.0, np.zeros((1, 1)), 1.0)


@njit(cache=True)
def _smallest_eigenvalues(a, b, row_sum, feedback):
    batch, m, k = a.shape
    smallest = np.empty(batch)
    weights = np.empty((m, k))
    for s in range(batch):
        for i in range(m):
            for j in range(k):
                weights[i, j] = b[s, i, j] / row_sum[s, i]
        q, big_k = np.zeros((k, k)), np.zeros((k, k))
        for i in range(m):
            for j in range(k):
                for other in range(k):
                    q[j, other] += weights[i, j] * a[s, i, other]
                    big_k[j, other] -= weights[i, j] * b[s, i, other]
                big_k[j, j] += b[s, i, j]
        for j in range(k):
            q[j, j] += feedback[s, j]
            big_k[j, j] += feedback[s, j]
        live = _drop_dead(q, big_k)
        if live == 0:
            smallest[s] = np.inf
        else:
            _eliminate(big_k, q, live)
            smallest[s] = smallest_real_part(q[:live, :live])
    return smallest


@njit(cache=True)
def _smallest_masked_eigenvalues(design, pointers, rows, inverse_sum, feedback):
    n, k = feedback.shape
    smallest = np.empty(n)
    gram, big_k, total = np.empty((k, k)), np.empty((k, k)), np.empty(k)
    for s in range(n):
        gram[:] = 0.0
        total[:] = 0.0
        for position in range(pointers[s], pointers[s + 1]):
            i = rows[position]
            for j in range(k):
                weight = design[i, j] * inverse_sum
                total[j] += design[i, j]
                for other in range(k):
                    gram[j, other] += weight * design[i, other]
        for j in range(k):
            for other in range(k):
                big_k[j, other] = -gram[j, other]
            big_k[j, j] += total[j] + feedback[s, j]
            gram[j, j] += feedback[s, j]
        live = _drop_dead(gram, big_k)
        smallest[s] = smallest_pencil_eigenvalue(gram[:live, :live], big_k[:live, :live]) if live > 0 else np.inf
    return smallest


@njit(cache=True)
def _drop_dead(q, big_k):
    """Close up `q` and `big_k` over the columns whose input sees a conductance; returns how many there are."""
    k = q.shape[0]
    live = 0
    for j in range(k):
        if big_k[j, j] <= 0.0:
            continue
        if live != j:
            q[live], big_k[live] = q[j], big_k[j]
            q[:, live], big_k[:, live] = q[:, j], big_k[:, j]
        live += 1
    return live


@njit(cache=True)
def _eliminate(big_k, q, size):
    """q ← K⁻¹q in place; K, a diagonally dominant M-matrix, needs no pivoting."""
    for p in range(size):
        inverse = 1.0 / big_k[p, p]
        for i in range(p + 1, size):
            factor = big_k[i, p] * inverse
            for j in range(p + 1, size):
                big_k[i, j] -= factor * big_k[p, j]
            for j in range(size):
                q[i, j] -= factor * q[p, j]
    for p in range(size - 1, -1, -1):
        for j in range(size):
            for other in range(p + 1, size):
                q[p, j] -= big_k[p, other] * q[other, j]
            q[p, j] /= big_k[p, p]
