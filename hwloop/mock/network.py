"""The k×k algebra of one set of rows: conductances to the amplifiers' problem, node voltages and the settling rate."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from hwloop.eigenvalues import smallest_real_part
from hwloop.mock.lcp import FREE, solve_linear


class Network(NamedTuple):
    """Q and K (siemens), K⁻¹ and the matrix M of the amplifiers' problem, all (k, k); `dead` (k,): no conductance.

    Filled by `assemble`, then `reduce_network`.
    """

    q: np.ndarray
    k: np.ndarray
    inverse_k: np.ndarray
    m: np.ndarray
    dead: np.ndarray


@njit(cache=True)
def new_network(k):
    """An empty network of k columns."""
    return Network(np.zeros((k, k)), np.zeros((k, k)), np.zeros((k, k)), np.zeros((k, k)), np.zeros(k, dtype=np.bool_))


@njit(cache=True)
def assemble(a, b, inverse_sum, feedback_siemens, network):
    """Q and K from conductances `a`, `b` (m, k) of the active cells and `inverse_sum` (m,), one pass over the rows."""
    m, k = a.shape
    big_q, big_k = network.q, network.k
    big_q[:] = 0.0
    big_k[:] = 0.0
    for i in range(m):
        for j in range(k):
            weight = b[i, j] * inverse_sum[i]
            for other in range(k):
                big_q[j, other] += weight * a[i, other]
            for other in range(k):
                big_k[j, other] -= weight * b[i, other]
            big_k[j, j] += b[i, j]
    for j in range(k):
        big_q[j, j] += feedback_siemens[j]
        big_k[j, j] += feedback_siemens[j]


@njit(cache=True)
def reduce_network(network, rectifier, inverse_a0):
    """K⁻¹ and M from Q and K.

    Rail: F = c − Vos + w/A0, so M = K⁻¹Q + 1/A0. Rectifier: F is the column's own current, so M = Q + K/A0.
    """
    big_q, big_k, inverse, matrix, dead = network.q, network.k, network.inverse_k, network.m, network.dead
    k = big_q.shape[0]
    for j in range(k):
        dead[j] = big_k[j, j] <= 0.0
        if dead[j]:
            big_k[j, j] = 1.0
    if rectifier:
        for j in range(k):
            for other in range(k):
                matrix[j, other] = big_q[j, other] + big_k[j, other] * inverse_a0
    else:
        _invert(big_k, inverse)
        for j in range(k):
            for other in range(k):
                matrix[j, other] = 0.0
            for inner in range(k):
                for other in range(k):
                    matrix[j, other] += inverse[j, inner] * big_q[inner, other]
            matrix[j, j] += inverse_a0
    for j in range(k):
        if dead[j]:
            matrix[j, :] = 0.0
            matrix[j, j] = 1.0


@njit(cache=True)
def _invert(matrix, inverse):
    """Gauss–Jordan without pivoting: K is a diagonally dominant M-matrix."""
    k = matrix.shape[0]
    inverse[:] = matrix
    for p in range(k):
        reciprocal = 1.0 / inverse[p, p]
        inverse[p, p] = 1.0
        for j in range(k):
            inverse[p, j] *= reciprocal
        for i in range(k):
            if i != p:
                factor = inverse[i, p]
                inverse[i, p] = 0.0
                for j in range(k):
                    inverse[i, j] -= factor * inverse[p, j]


@njit(cache=True)
def column_input(b, inverse_sum, source, column_source, q):
    """q (k,) amps: what `source` (m,) on the rows and `column_source` (k,), in amps, put into columns at w = c = 0."""
    m, k = b.shape
    q[:] = column_source
    for i in range(m):
        volts = source[i] * inverse_sum[i]
        for j in range(k):
            q[j] += b[i, j] * volts


@njit(cache=True)
def amplifier_input(network, q, offset_volts, rectifier, p):
    """p (k,) of the box problem F = M w + p, from q (k,) amps."""
    k = q.size
    for j in range(k):
        if network.dead[j]:
            p[j] = 0.0
        elif rectifier:
            p[j] = q[j]
            for other in range(k):
                p[j] -= network.k[j, other] * offset_volts[other]
        else:
            p[j] = -offset_volts[j]
            for other in range(k):
                p[j] += network.inverse_k[j, other] * q[other]


@njit(cache=True)
def column_volts(network, q, offset_volts, inverse_a0, rectifier, state, w, c):
    """Set the column nodes c (k,) that belong to w (k,); returns the largest change of one, in volts."""
    k = w.size
    change = 0.0
    for j in range(k):
        if network.dead[j]:
            volts = 0.0
        elif rectifier or state[j] == FREE:
            volts = offset_volts[j] - w[j] * inverse_a0
        else:
            volts = 0.0
            for other in range(k):
                current = q[other]
                for inner in range(k):
                    current += network.q[other, inner] * w[inner]
                volts += network.inverse_k[j, other] * current
        change = max(change, abs(volts - c[j]))
        c[j] = volts
    return change


@njit(cache=True)
def row_volts(a, b, inverse_sum, source, w, c, v):
    """Set the row nodes v (m,) that belong to w and c (k,); returns the largest change of one, in volts."""
    m, k = a.shape
    change = 0.0
    for i in range(m):
        current = source[i]
        for j in range(k):
            current += a[i, j] * w[j] + b[i, j] * c[j]
        volts = current * inverse_sum[i]
        change = max(change, abs(volts - v[i]))
        v[i] = volts
    return change


@njit(cache=True)
def settling_rate(network, state, rectifier, gbw_hertz):
    """2π·GBW times the smallest real part of the free columns' loop matrix, per second; infinite where none is free.

    dw/dt = −2π·GBW (c − Vos + w/A0). Rail: blocked inputs float, so the free part of M rules; rectifier: they are held,
    so K⁻¹M of the free columns alone does.
    """
    k = state.size
    free = np.empty(k, dtype=np.int64)
    size = 0
    for j in range(k):
        if state[j] == FREE and not network.dead[j]:
            free[size] = j
            size += 1
    if size == 0:
        return np.inf
    loop = np.empty((size, size))
    held = np.empty((size, size))
    column, scales = np.empty(size), np.empty(size)
    for other in range(size):
        for j in range(size):
            column[j] = network.m[free[j], free[other]]
        if rectifier:
            for j in range(size):
                for inner in range(size):
                    held[j, inner] = network.k[free[j], free[inner]]
            solve_linear(held, column, size, scales)
        loop[:, other] = column
    smallest = smallest_real_part(loop)
    return 2.0 * math.pi * gbw_hertz * smallest if smallest == smallest else 0.0
