"""What a cell's conductance does between pulses: relaxation, temperature, 1/f floor and telegraph noise.

Sources: design notes, section 4. Relaxation σ(t) = max(0, 0.4 + 0.04 ln(t/1 s)) µS, 2 % of cells ×4 (fits of Wan
2022). Temperature G(T) = G25 (1 + a (T - 25 °C)), a ~ N(0, 0.08 %/K). Noise: a floor of 0.4 % that averaging does not
remove (one public cell, 94 µS); telegraph noise of 1…5 % between two levels on 10 % of cells (share assumed).

The floor is a sum of values that are held for 1, 4, 16 … ms and are equally large, which makes a 1/f spectrum from
1 mHz to 500 Hz. Both noises depend on (serial, seed, cell, bench millisecond) alone, so READ and SOLVE see the same.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from hwloop.mock.randomness import derive, mix, signed_uniform

TICKS_PER_MILLISECOND = 10_000
NOISE_FLOOR = 0.004
NOISE_OCTAVES = 10          # held for 1 ms … 262 s
REFERENCE_CELSIUS = 25.0
_TICK_SECONDS = 1e-7
_NOISE_STREAM = np.uint64(0x6E6F697365)
_RTN_STREAM = np.uint64(0x72746E)


@njit(cache=True)
def relaxed(laws, start_siemens, relaxation, ticks):
    """Conductance (siemens, at 25 °C) of one cell `ticks` after the pulse that left it at `start_siemens`.

    A cell never relaxes below half of where it started.
    """
    if ticks <= laws.relaxation_onset_ticks:
        return start_siemens
    sigma = laws.relaxation_at_1_second_siemens + laws.relaxation_per_e_fold_siemens * math.log(ticks * _TICK_SECONDS)
    return max(0.5 * start_siemens, start_siemens + sigma * relaxation)


@njit(cache=True)
def _floor_words(millisecond):
    """What the held values of the 1/f floor are drawn from in this millisecond, (NOISE_OCTAVES,) uint64."""
    words = np.empty(NOISE_OCTAVES, np.uint64)
    for octave in range(NOISE_OCTAVES):
        words[octave] = derive(derive(_NOISE_STREAM, octave), millisecond >> (2 * octave))
    return words


@njit(cache=True)
def _telegraph(noise_key, depth, hold_shift, millisecond):
    """Relative telegraph noise of one cell: ± half its depth, drawn anew every 2**hold_shift ms."""
    held = derive(noise_key ^ _RTN_STREAM, millisecond >> hold_shift)
    return 0.5 * depth if held & np.uint64(1) else -0.5 * depth


@njit(cache=True)
def conductance_of_cells(laws, hardware, state, cells, ticks, celsius, noisy, conductance):
    """Fill `conductance` (n,) (siemens at 0.2 V) of `cells` (n,) at `ticks` (n,), with noise where `noisy`.

    Whole rows are quickest given in order: what depends on the millisecond alone is worked out once for each.
    """
    start_siemens, relaxation, moved_tick = state.conductance_siemens, state.relaxation, state.moved_tick
    temperature_per_kelvin, noise_key = hardware.temperature_per_kelvin, hardware.noise_key
    rtn_depth, rtn_hold_shift = hardware.rtn_depth, hardware.rtn_hold_shift
    known, words = np.int64(-1), _floor_words(0)
    for i in range(cells.size):
        cell = cells[i]
        value = relaxed(laws, start_siemens[cell], relaxation[cell], ticks[i] - moved_tick[cell])
        value *= 1.0 + temperature_per_kelvin[cell] * (celsius - REFERENCE_CELSIUS)
        if noisy:
            millisecond = ticks[i] // TICKS_PER_MILLISECOND
            if millisecond != known:
                known, words = millisecond, _floor_words(millisecond)
            key, total = noise_key[cell], 0.0
            if laws.noise_scale > 0.0:
                for octave in range(NOISE_OCTAVES):
                    total += signed_uniform(mix(key ^ words[octave]))
            noise = laws.noise_scale * total
            if rtn_depth[cell] > 0.0:
                noise += _telegraph(key, rtn_depth[cell], rtn_hold_shift[cell], millisecond)
            value *= 1.0 + noise
        conductance[i] = value


@njit(cache=True)
def conductance_of_rows(laws, hardware, state, first_cells, tick, celsius, conductance):
    """Fill `conductance` (n, C): the C cells from each of `first_cells` (n,) on, at one `tick`, with noise."""
    columns = conductance.shape[1]
    cells = np.empty(conductance.size, np.int64)
    for i in range(cells.size):
        cells[i] = first_cells[i // columns] + i % columns
    ticks = np.full(cells.size, tick)
    conductance_of_cells(laws, hardware, state, cells, ticks, celsius, True, conductance.reshape(-1))
