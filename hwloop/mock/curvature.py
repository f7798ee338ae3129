"""I–V curvature of a memristor cell: I = G V (1 + a V²) / (1 + a 0.2²), one law for the device model and the circuit.

G is the conductance at the read voltage, I(0.2 V)/0.2 V, so curvature never changes what a READ verifies.

Source: ratios G(0.34 V)/G(0.1 V) measured on public 1T1R data, by conductance bin (design notes, device model, "I–V"):
1.37–1.40 at 2–20 µS, 1.22 at 20–40, 1.11 at 40–60, 1.06 at 60–80, 1.037 at 80–100, 1.014 above.
Fit: each ratio r gives a = (r − 1) / (0.34² − 0.1² r), placed at its bin's centre (10, 30, 50, 70, 90 and 110 µS);
between the centres a is linear, outside constant, so it falls monotonically from 3.78 /V² to 0.13 /V².
Valid range: |V| ≤ 0.34 V as measured. The cubic law stays monotone beyond, where it is an extrapolation.
"""

from __future__ import annotations

import numpy as np
from numba import njit, vectorize

READ_VOLTS = 0.2
_LOW_VOLTS, _HIGH_VOLTS = 0.1, 0.34
_FIRST_SIEMENS, _STEP_SIEMENS = 10e-6, 20e-6
_RATIOS = np.array([1.385, 1.22, 1.11, 1.06, 1.037, 1.014])
_CURVATURES = (_RATIOS - 1.0) / (_HIGH_VOLTS**2 - _LOW_VOLTS**2 * _RATIOS)
_LAST = _CURVATURES.size - 1


@njit(cache=True)
def curvature_per_square_volt(conductance_siemens):
    """The coefficient a (1/V²) of one cell of `conductance_siemens` at 0.2 V (scalar)."""
    position = (conductance_siemens - _FIRST_SIEMENS) / _STEP_SIEMENS
    if position <= 0.0:
        return _CURVATURES[0]
    if position >= _LAST:
        return _CURVATURES[_LAST]
    index = int(position)
    return _CURVATURES[index] + (position - index) * (_CURVATURES[index + 1] - _CURVATURES[index])


@vectorize(cache=True)
def cell_current(conductance_siemens, cell_volts, scale):
    """Current (amps) through a cell at `cell_volts`; odd in the voltage, broadcasts, callable from compiled code.

    `scale`: how many times the nominal curvature the chip has, 0.0 for straight cells.
    """
    curvature = scale * curvature_per_square_volt(conductance_siemens)
    slope = conductance_siemens / (1.0 + curvature * READ_VOLTS * READ_VOLTS)
    return slope * cell_volts * (1.0 + curvature * cell_volts * cell_volts)
