"""The compact GINV circuit of the simulated board: the rest point of rows, columns and k amplifiers, without wires.

Row node i (passive):     v_i S_i = Σ_j A_ij w_j + Σ_j B_ij c_j + G_in u_i,   S_i = Σ (A + B) + G_in + Gc_i, all columns
Column node j (an input): Σ_i B_ij (v_i − c_j) + Gf_j (w_j − c_j) + Ib_j = 0
Amplifier j:              w_j = clip(−A0 (c_j − Vos_j), lower, w_max)

Eliminating v with D = diag(1/S) leaves K c = Q w + q, with Q = BᵀDA + Gf, q = BᵀD G_in u + Ib and
K = diag(Σ_i B_ij + Gf) − BᵀDB, and the amplifiers turn it into a k×k box complementarity problem (`lcp`). With I–V
curvature each cell is replaced by its tangent at the present voltages (a conductance and a current source) and the same
step is repeated: Newton's method on the whole network.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from hwloop.mock.curvature import READ_VOLTS, cell_current, curvature_per_square_volt
from hwloop.mock.lcp import AT_LOWER, AT_UPPER, FREE, solve_box_lcp, solve_free
from hwloop.mock.network import (
    amplifier_input,
    assemble,
    column_input,
    column_volts,
    new_network,
    reduce_network,
    row_volts,
    settling_rate,
)

RAIL = 0  # single supply: w ≥ 0, a blocked column leaves its virtual ground and leaks into the rows
RECTIFIER = 1  # w ≥ 0, and a diode keeps every column at its virtual ground (a saturated one too): exact NNLS
UNCONSTRAINED = 2  # dual supply: |w| ≤ w_max

_NEWTON_VOLTS = 1e-6  # a last step of this size leaves an error near 1e-12 V, the convergence being quadratic
_NEWTON_PASSES = 25


class Solves(NamedTuple):
    """Rest points of n solves with k active columns (a named tuple, since compiled code returns it).

    `w_volts` (n, k) amplifier outputs, `c_volts` (n, k) column nodes; `saturated` (n,) an output stands at ±w_max;
    `solved` (n,) a rest point was found (curvature: to the tolerance); `rate_per_second` (n,) slowest settling rate of
    the columns that are free, ≤ 0 unstable, infinite where none is free.
    """

    w_volts: np.ndarray
    c_volts: np.ndarray
    saturated: np.ndarray
    solved: np.ndarray
    rate_per_second: np.ndarray


@njit(cache=True)
def solve_batch(
    conductance_a, conductance_b, active_columns, u_volts, g_in_siemens, compensation_siemens,
    feedback_siemens, bias_amps, offset_volts, a0, gbw_hertz, w_max_volts, constraint, curvature,
):  # fmt: skip
    """Rest points of n solves that share their active rows and columns; each is bit-identical to the same solve alone.

    `conductance_a`, `conductance_b` (m, C): the active rows, all columns, siemens at 0.2 V and at this moment.
    `active_columns` (k,) int64: the others are grounded. `u_volts` (n, m) behind `g_in_siemens` (m,).
    `compensation_siemens` (m,), `feedback_siemens` (k,), `bias_amps` (n, k), `offset_volts` (k,).
    `a0` may be infinite; `w_max_volts` is finite. `constraint`: RAIL, RECTIFIER or UNCONSTRAINED.
    `curvature`: how many times the nominal I–V curvature the chip has, 0.0 for straight cells.
    All arrays C-contiguous. A column without any conductance at its input stays at 0 V.
    """
    m, columns = conductance_a.shape
    n, k = u_volts.shape[0], active_columns.size
    lower = -w_max_volts if constraint == UNCONSTRAINED else 0.0
    rectifier = constraint == RECTIFIER
    inverse_a0 = 1.0 / a0
    w = np.zeros((n, k))
    c = np.zeros((n, k))
    saturated = np.zeros(n, dtype=np.bool_)
    solved = np.zeros(n, dtype=np.bool_)
    rate = np.zeros(n)
    a, b, inverse_sum = np.empty((m, k)), np.empty((m, k)), np.empty(m)
    for i in range(m):
        total = g_in_siemens[i] + compensation_siemens[i]
        for j in range(columns):
            total += conductance_a[i, j] + conductance_b[i, j]
        inverse_sum[i] = 1.0 / total
        for j in range(k):
            a[i, j] = conductance_a[i, active_columns[j]]
            b[i, j] = conductance_b[i, active_columns[j]]
    network = new_network(k)
    assemble(a, b, inverse_sum, feedback_siemens, network)
    reduce_network(network, rectifier, inverse_a0)
    if curvature > 0.0:
        slope_a, bend_a = _tangent_coefficients(conductance_a, curvature)
        slope_b, bend_b = _tangent_coefficients(conductance_b, curvature)
        tangent_a, tangent_b, tangent_inverse_sum = np.empty((m, k)), np.empty((m, k)), np.empty(m)
        tangent_network = new_network(k)
    source, v = np.empty(m), np.empty(m)
    column_source, q, p, force = np.empty(k), np.empty(k), np.empty(k), np.empty(k)
    state, rated_state = np.zeros(k, dtype=np.int64), np.full(k, 2, dtype=np.int64)
    last_rate = 0.0
    for s in range(n):
        state[:] = FREE
        column_source[:] = bias_amps[s]
        for i in range(m):
            source[i] = g_in_siemens[i] * u_volts[s, i]
        column_input(b, inverse_sum, source, column_source, q)
        amplifier_input(network, q, offset_volts, rectifier, p)
        good = solve_box_lcp(network.m, p, lower, w_max_volts, state, w[s])
        column_volts(network, q, offset_volts, inverse_a0, rectifier, state, w[s], c[s])
        if not curvature > 0.0:
            _residual(a, b, inverse_sum, source, column_source, feedback_siemens, w[s], c[s], q)
            _refine(network, q, offset_volts, inverse_a0, rectifier, lower, w_max_volts, state, w[s], c[s], force)
            rated = network
        else:
            row_volts(a, b, inverse_sum, source, w[s], c[s], v)
            good = False
            for _ in range(_NEWTON_PASSES):
                for i in range(m):
                    source[i] = g_in_siemens[i] * u_volts[s, i]
                column_source[:] = bias_amps[s]
                _linearise(
                    slope_a, bend_a, slope_b, bend_b, active_columns, w[s], c[s], v, g_in_siemens, compensation_siemens,
                    tangent_a, tangent_b, tangent_inverse_sum, source, column_source,
                )  # fmt: skip
                assemble(tangent_a, tangent_b, tangent_inverse_sum, feedback_siemens, tangent_network)
                reduce_network(tangent_network, rectifier, inverse_a0)
                column_input(tangent_b, tangent_inverse_sum, source, column_source, q)
                amplifier_input(tangent_network, q, offset_volts, rectifier, p)
                found = solve_box_lcp(tangent_network.m, p, lower, w_max_volts, state, w[s])
                step = column_volts(tangent_network, q, offset_volts, inverse_a0, rectifier, state, w[s], c[s])
                step = max(step, row_volts(tangent_a, tangent_b, tangent_inverse_sum, source, w[s], c[s], v))
                if not found or step <= _NEWTON_VOLTS:
                    good = found
                    break
            rated = tangent_network
        solved[s] = good
        for j in range(k):
            saturated[s] |= state[j] == AT_UPPER or (constraint == UNCONSTRAINED and state[j] == AT_LOWER)
        if curvature > 0.0 or not np.array_equal(state, rated_state):
            last_rate = settling_rate(rated, state, rectifier, gbw_hertz)
            rated_state[:] = state
        rate[s] = last_rate
    return Solves(w, c, saturated, solved, rate)


@njit(cache=True)
def settled_fraction(rate_per_second, wait_seconds):
    """The part of the rest point that an output from 0 V has reached: 1 − exp(−rate·t); 0 where it never settles."""
    if rate_per_second == math.inf:
        return 1.0
    if not rate_per_second > 0.0:
        return 0.0
    return -math.expm1(-rate_per_second * wait_seconds)


@njit(cache=True)
def mvm(conductance, volts, curvature):
    """Column currents (n, C) amps of one array: `volts` (n, m) straight on its rows, all columns at virtual ground.

    `conductance` (m, C) siemens at 0.2 V, of the driven rows; `curvature` as in `solve_batch`.
    """
    m, columns = conductance.shape
    n = volts.shape[0]
    currents = np.zeros((n, columns))
    for s in range(n):
        for i in range(m):
            row = volts[s, i]
            for j in range(columns):
                currents[s, j] += cell_current(conductance[i, j], row, curvature)
    return currents


@njit(cache=True)
def _residual(a, b, inverse_sum, source, column_source, feedback_siemens, w, c, residual):
    """Currents (k,) that the columns are out of balance by, summed row by row and so without the rounding of Q."""
    m, k = a.shape
    for j in range(k):
        residual[j] = column_source[j] + feedback_siemens[j] * (w[j] - c[j])
    for i in range(m):
        current = source[i]
        for j in range(k):
            current += a[i, j] * w[j] + b[i, j] * c[j]
        volts = current * inverse_sum[i]
        for j in range(k):
            residual[j] += b[i, j] * (volts - c[j])


@njit(cache=True)
def _refine(network, residual, offset_volts, inverse_a0, rectifier, lower, upper, state, w, c, force):
    """One step of iterative refinement on the free columns: with a good fit the error is of cond(X), not cond(X)²."""
    k = w.size
    correction = np.zeros(k)
    for j in range(k):
        if rectifier:
            force[j] = residual[j]
        else:
            force[j] = 0.0
            for other in range(k):
                force[j] += network.inverse_k[j, other] * residual[other]
        if network.dead[j]:
            force[j] = 0.0
    if not solve_free(network.m, force, state, correction, np.empty((k, k)), np.empty(k), np.empty(k)):
        return
    for j in range(k):
        if state[j] == FREE:
            w[j] = min(max(w[j] + correction[j], lower), upper)
            c[j] = 0.0 if network.dead[j] else offset_volts[j] - w[j] * inverse_a0
        elif not rectifier:
            c[j] += force[j]
            for other in range(k):
                if state[other] == FREE:
                    c[j] += network.m[j, other] * correction[other]


@njit(cache=True)
def _tangent_coefficients(conductance, scale):
    """`slope`, `bend` (m, C) with I = slope V + bend V³/3, so that the tangent at V is slope + bend V²."""
    m, columns = conductance.shape
    slope, bend = np.empty((m, columns)), np.empty((m, columns))
    for i in range(m):
        for j in range(columns):
            cubic = scale * curvature_per_square_volt(conductance[i, j])
            slope[i, j] = conductance[i, j] / (1.0 + cubic * READ_VOLTS * READ_VOLTS)
            bend[i, j] = 3.0 * cubic * slope[i, j]
    return slope, bend


@njit(cache=True)
def _linearise(
    slope_a, bend_a, slope_b, bend_b, active_columns, w, c, v, g_in_siemens, compensation_siemens,
    tangent_a, tangent_b, inverse_sum, source, column_source,
):  # fmt: skip
    """Tangents (m, k) of the active cells and 1/S (m,) at the present w, c and v; adds the cells' companion currents to
    `source` (m,) and `column_source` (k,), which hold the inputs and the bias."""
    m, columns = slope_a.shape
    k = active_columns.size
    output, node = np.zeros(columns), np.zeros(columns)
    for j in range(k):
        output[active_columns[j]] = w[j]
        node[active_columns[j]] = c[j]
    for i in range(m):
        sum_a = g_in_siemens[i] + compensation_siemens[i]
        sum_b = 0.0
        current_a, current_b = source[i], 0.0
        for j in range(columns):
            volts_a, volts_b = output[j] - v[i], node[j] - v[i]
            curved_a = bend_a[i, j] * volts_a * volts_a
            curved_b = bend_b[i, j] * volts_b * volts_b
            sum_a += slope_a[i, j] + curved_a
            sum_b += slope_b[i, j] + curved_b
            current_a -= curved_a * volts_a * (2.0 / 3.0)
            current_b -= curved_b * volts_b * (2.0 / 3.0)
        inverse_sum[i] = 1.0 / (sum_a + sum_b)
        source[i] = current_a + current_b
        for j in range(k):
            column = active_columns[j]
            volts_a, volts_b = w[j] - v[i], c[j] - v[i]
            curved_b = bend_b[i, column] * volts_b * volts_b
            tangent_a[i, j] = slope_a[i, column] + bend_a[i, column] * volts_a * volts_a
            tangent_b[i, j] = slope_b[i, column] + curved_b
            column_source[j] += curved_b * volts_b * (2.0 / 3.0)
