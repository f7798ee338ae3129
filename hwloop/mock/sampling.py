"""Compiled inner loops of READ, SOLVE and MVM: conductances at their moment, the circuit, noise, and one code a sample.

Samples are wire.TICKS_SAMPLE apart. The noise of a sample follows from its column and its tick alone. Cells change by
the bench millisecond, so solves or products whose first samples fall into one millisecond share their conductances.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from hwloop.link import protocol as wire
from hwloop.mock.circuit import UNCONSTRAINED, mvm, settled_fraction, solve_batch
from hwloop.mock.fluctuations import TICKS_PER_MILLISECOND, conductance_of_rows
from hwloop.mock.randomness import derive, normal, uniform

_TICK_SECONDS = 1.0 / wire.TICK_HERTZ


class CurrentChain(NamedTuple):
    """Transimpedance amplifiers and ADCs of READ and MVM, as numbers for compiled code; (C,) by column."""

    key: np.uint64
    codes_per_amp: np.ndarray
    offset_codes: np.ndarray
    noise_codes: float


class OutputChain(NamedTuple):
    """Amplifiers and output ADCs of SOLVE; (C,) by column. `bend_codes` are per square volt."""

    key: np.uint64
    a0: float
    gain_bandwidth_hertz: float
    output_max_volts: float
    codes_per_volt: np.ndarray
    offset_codes: np.ndarray
    bend_codes: np.ndarray
    noise_codes: float


class Drive(NamedTuple):
    """What one setting of SOLVE puts round the cells: inputs (n, m), and (m,) or (k,) of the others."""

    input_volts: np.ndarray
    input_siemens: np.ndarray
    compensation_siemens: np.ndarray
    feedback_siemens: np.ndarray
    bias_amps: np.ndarray
    offset_volts: np.ndarray
    constraint: int


@njit(cache=True)
def sample_reads(chain, read_volts, conductance, column, first_sample_tick, codes):
    """Fill `codes` (n, samples) uint16 of cells at `conductance` (n,) in `column` (n,)."""
    for i in range(conductance.size):
        ideal = conductance[i] * read_volts * chain.codes_per_amp[column[i]] + chain.offset_codes[column[i]]
        column_key = derive(chain.key, column[i])
        for sample in range(codes.shape[1]):
            value = ideal
            if chain.noise_codes > 0.0:
                tick = first_sample_tick[i] + sample * wire.TICKS_SAMPLE
                value += chain.noise_codes * normal(derive(column_key, tick))
            codes[i, sample] = min(max(np.rint(value), 0.0), 65535.0)


@njit(cache=True)
def sample_solves(
    chain, cell_parts, celsius, curvature, first_a, first_b, columns, all_columns, drive, release_tick,
    first_sample_tick, codes, held_volts,
):  # fmt: skip
    """Fill `codes` (n, samples, k) int16 of solves at one temperature; their outputs leave 0 V at `release_tick` (n,).
    `held_volts` (C,) takes the outputs of the last sample, which stay at the pins; columns not used are at 0 V.

    `cell_parts`: laws, hardware and state of the cells. `first_a`, `first_b` (m,): flat cell of each active row's first
    column. A loop that does not settle is caught anywhere between its rails, elsewhere at each sample.
    """
    laws, hardware, state = cell_parts
    n, samples, k = codes.shape
    conductance_a = np.empty((first_a.size, all_columns))
    conductance_b = np.empty((first_a.size, all_columns))
    held_volts[:] = 0.0
    lowest_volts = -chain.output_max_volts if drive.constraint == UNCONSTRAINED else 0.0
    at = 0
    while at < n:
        stop, tick = _same_millisecond(first_sample_tick, at)
        conductance_of_rows(laws, hardware, state, first_a, tick, celsius, conductance_a)
        conductance_of_rows(laws, hardware, state, first_b, tick, celsius, conductance_b)
        bias_amps = np.empty((stop - at, k))
        bias_amps[:] = drive.bias_amps
        rest = solve_batch(
            conductance_a, conductance_b, columns, drive.input_volts[at:stop], drive.input_siemens,
            drive.compensation_siemens, drive.feedback_siemens, bias_amps, drive.offset_volts, chain.a0,
            chain.gain_bandwidth_hertz, chain.output_max_volts, drive.constraint, curvature,
        )  # fmt: skip
        for s in range(at, stop):
            rate = rest.rate_per_second[s - at]
            settles = rate > 0.0 and rest.solved[s - at]
            for sample in range(samples):
                tick = first_sample_tick[s] + sample * wire.TICKS_SAMPLE
                fraction = settled_fraction(rate, max(tick - release_tick[s], 0) * _TICK_SECONDS)
                for j in range(k):
                    column = columns[j]
                    key = derive(derive(chain.key, column), tick)
                    if settles:
                        volts = rest.w_volts[s - at, j] * fraction
                    else:
                        volts = lowest_volts + (chain.output_max_volts - lowest_volts) * uniform(key)
                    held_volts[column] = volts
                    value = volts * chain.codes_per_volt[column] + chain.offset_codes[column]
                    value += chain.bend_codes[column] * volts * volts
                    if settles and chain.noise_codes > 0.0:
                        value += chain.noise_codes * normal(key)
                    codes[s, sample, j] = min(max(np.rint(value), -32768.0), 32767.0)
        at = stop


@njit(cache=True)
def sample_products(
    chain, cell_parts, celsius, curvature, first_cells, columns, all_columns, input_volts, first_sample_tick, codes,
):  # fmt: skip
    """Fill `codes` (n, samples, k) int16 of products at one temperature: `input_volts` (n, m) on the rows that begin
    with the flat cells `first_cells` (m,)."""
    laws, hardware, state = cell_parts
    n, samples, k = codes.shape
    conductance = np.empty((first_cells.size, all_columns))
    at = 0
    while at < n:
        stop, tick = _same_millisecond(first_sample_tick, at)
        conductance_of_rows(laws, hardware, state, first_cells, tick, celsius, conductance)
        amps = mvm(conductance, input_volts[at:stop], curvature)
        for s in range(at, stop):
            for sample in range(samples):
                tick = first_sample_tick[s] + sample * wire.TICKS_SAMPLE
                for j in range(k):
                    value = amps[s - at, columns[j]] * chain.codes_per_amp[columns[j]] + chain.offset_codes[columns[j]]
                    if chain.noise_codes > 0.0:
                        value += chain.noise_codes * normal(derive(derive(chain.key, columns[j]), tick))
                    codes[s, sample, j] = min(max(np.rint(value), -32768.0), 32767.0)
        at = stop


@njit(cache=True)
def _same_millisecond(ticks, at):
    """Where the run of `ticks` (n,) from `at` on that share a millisecond ends, and the tick it begins with."""
    millisecond = ticks[at] // TICKS_PER_MILLISECOND
    stop = at + 1
    while stop < ticks.size and ticks[stop] // TICKS_PER_MILLISECOND == millisecond:
        stop += 1
    return stop, millisecond * TICKS_PER_MILLISECOND
