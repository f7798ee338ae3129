"""The conventional GINV circuit, the reference to compare with: one transimpedance amplifier a row, k at the columns.

Row i:     its amplifier holds the row of A at virtual ground and drives the row of B with t_i:
           t_i (G_F + S_i/A0) = −(Σ_j A_ij w_j + G_in u_i) + S_i Vr_i,   S_i = Σ A over all columns + G_in + G_F
Column j:  Σ_i B_ij (t_i − c_j) + Ib_j = 0 at the non-inverting input, w_j = clip(A0 (c_j − Vos_j), lower, w_max)

With A0 → ∞: BᵀA w = −Bᵀ G_in u + G_F Ib. Rows are driven, so a blocked column leaks into nothing. Cells are linear.
Source: derived from Kirchhoff's laws for m + k operational amplifiers (design notes, section 2, "Op-amps").
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from hwloop.mock.circuit import UNCONSTRAINED
from hwloop.mock.lcp import AT_LOWER, AT_UPPER, FREE, solve_box_lcp
from hwloop.mock.network import (
    amplifier_input,
    column_input,
    column_volts,
    new_network,
    reduce_network,
    settling_rate,
)


class ConventionalSolves(NamedTuple):
    """Rest points of n solves: `w_volts`, `c_volts` (n, k), row amplifiers `row_volts` (n, m).

    `saturated`, `solved` and `rate_per_second` (n,) as in the compact circuit, row amplifiers taken as fast.
    """

    w_volts: np.ndarray
    c_volts: np.ndarray
    row_volts: np.ndarray
    saturated: np.ndarray
    solved: np.ndarray
    rate_per_second: np.ndarray


@njit(cache=True)
def solve_conventional_batch(
    conductance_a, conductance_b, active_columns, u_volts, g_in_siemens, row_feedback_siemens,
    bias_amps, row_offset_volts, offset_volts, a0, gbw_hertz, w_max_volts, constraint,
):  # fmt: skip
    """Rest points of n solves that share rows and columns.

    Shapes and units as in `circuit.solve_batch`; `row_feedback_siemens` is G_F (scalar), `row_offset_volts` (m,)
    belongs to the row amplifiers. `constraint`: RAIL or UNCONSTRAINED.
    """
    m, columns = conductance_a.shape
    n, k = u_volts.shape[0], active_columns.size
    lower = -w_max_volts if constraint == UNCONSTRAINED else 0.0
    inverse_a0 = 1.0 / a0
    w, c, t = np.zeros((n, k)), np.zeros((n, k)), np.empty((n, m))
    saturated, solved, rate = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_), np.zeros(n)
    network = new_network(k)
    b, gain, offset_source = np.empty((m, k)), np.empty(m), np.empty(m)
    for i in range(m):
        row_sum = g_in_siemens + row_feedback_siemens
        for j in range(columns):
            row_sum += conductance_a[i, j]
        gain[i] = 1.0 / (row_feedback_siemens + row_sum * inverse_a0)
        offset_source[i] = row_sum * row_offset_volts[i]
        for j in range(k):
            b[i, j] = conductance_b[i, active_columns[j]]
            network.k[j, j] += b[i, j]
            for other in range(k):
                network.q[j, other] += b[i, j] * gain[i] * conductance_a[i, active_columns[other]]
    reduce_network(network, False, inverse_a0)
    # the compact circuit's equations hold for −c: this loop closes through the non-inverting input
    source, q, p, state = np.empty(m), np.empty(k), np.empty(k), np.zeros(k, dtype=np.int64)
    for s in range(n):
        state[:] = FREE
        for i in range(m):
            source[i] = g_in_siemens * u_volts[s, i] - offset_source[i]
        column_input(b, gain, source, -bias_amps[s], q)
        amplifier_input(network, q, -offset_volts, False, p)
        solved[s] = solve_box_lcp(network.m, p, lower, w_max_volts, state, w[s])
        column_volts(network, q, -offset_volts, inverse_a0, False, state, w[s], c[s])
        for j in range(k):
            c[s, j] = -c[s, j]
            saturated[s] |= state[j] == AT_UPPER or (constraint == UNCONSTRAINED and state[j] == AT_LOWER)
        for i in range(m):
            current = source[i]
            for j in range(k):
                current += conductance_a[i, active_columns[j]] * w[s, j]
            t[s, i] = -gain[i] * current
        rate[s] = settling_rate(network, state, False, gbw_hertz)
    return ConventionalSolves(w, c, t, saturated, solved, rate)
