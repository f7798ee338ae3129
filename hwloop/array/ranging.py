"""Auto-ranging: scales and S that a ridge asks for, and β, the volts a unit of the right side.

A coefficient of a non-negative matrix is at most x_j ≤ (Xᵀy - l1)_j / (|X_j|² + λ): in (XᵀX + λ)x = Xᵀy - l1 every
term of row j is ≥ 0, and blocked coefficients only take away. So no output can exceed its aim by more than programming
errors make it, whatever the data; ranging by the last solutions would give larger outputs, and saturate where the data
change. What the bound is too large by (k at most, for equal columns) costs output codes of 10 µV, out of 24,000.
"""

from __future__ import annotations

import numpy as np

from hwloop.array.circuit import Circuit
from hwloop.array.mapping import scale_columns, widen_scales

DISTURB_VOLTS = 0.3             # across a cell in compute mode: more would disturb it (design notes, section 2)
BIAS_SHARE = 0.9                # of the bias range, for the l1 penalty: the offsets need a little as well
FEEDBACK_MARGIN = 1.02          # a ridge is mapped to this much less than the feedback ladder has
COMPENSATION_SHARE = 0.98       # of the compensation ladder that a ridge may ask for


def fit_ridge(circuit: Circuit, design: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Scaled designs (…, m, k), scales (…, k), and the least S with which the feedback Gf = G_max²·λ/(S·s²) of every
    column fits onto the ladder.

    A column so small that compensation cannot raise S that far is mapped to less than the full range.
    """
    scaled, scale = scale_columns(design)
    if not ridge or not scale.any():
        return scaled, scale, 0.0
    scales = circuit.board.scales
    needed = FEEDBACK_MARGIN * circuit.maximum_siemens**2 * ridge / scales.feedback_max_siemens
    least_scale = np.sqrt(needed / (COMPENSATION_SHARE * scales.compensation_max_siemens))
    scaled, scale = widen_scales(scaled, scale, least_scale)
    return scaled, scale, needed / scale[scale > 0.0].min() ** 2


def largest_coefficients(norms: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Bound (…) of any coefficient, from |X_j|² + λ (…, k) and (Xᵀy - l1)_j (…, k); 0 where the solution is zero."""
    bounds = np.zeros(np.broadcast_shapes(norms.shape, moments.shape))
    return np.divide(moments, norms, out=bounds, where=norms > 0.0).max(axis=-1, initial=0.0)


def input_gain(
    circuit: Circuit, bounds: np.ndarray, largest: np.ndarray, row_sum_siemens: float,
    bias_amps: np.ndarray | float = 0.0,
) -> np.ndarray:
    """β (…) for coefficients up to `bounds` and right sides up to `largest` (…); `row_sum_siemens` is S of the load,
    `bias_amps` (…) the largest bias at β = 1. 0 where the solution is zero and nothing has to be solved.

    No cell sees more than DISTURB_VOLTS: a row node that only its input pulls goes to G_in·u/S, away from the outputs.
    """
    scales = circuit.board.scales
    with np.errstate(divide="ignore"):
        by_output = circuit.aim_volts * circuit.maximum_siemens / (scales.input_siemens * bounds)
        by_input = scales.input_max_volts / largest
        by_bias = BIAS_SHARE * circuit.bias_max_amps / np.asarray(bias_amps)
        volts_a_gain = scales.input_siemens * (bounds / circuit.maximum_siemens + largest / row_sum_siemens)
        by_cells = DISTURB_VOLTS / volts_a_gain
    smallest = np.minimum(np.minimum(by_output, by_input), np.minimum(by_bias, by_cells))
    return np.where(bounds > 0.0, smallest, 0.0)
