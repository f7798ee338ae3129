"""Compiled inner loops of READ and SOLVE: conductances at their moment, the circuit, converter noise and averaging."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from hwloop.link import protocol as wire
from hwloop.mock.circuit import settled_fraction, solve_batch
from hwloop.mock.fluctuations import TICKS_PER_MILLISECOND, conductance_of_rows
from hwloop.mock.randomness import derive, normal

_TICK_SECONDS = 1.0 / wire.TICK_HERTZ


class ReadChain(NamedTuple):
    """Row voltage, transimpedance amplifier and ADC of READ, as numbers for compiled code."""

    key: np.uint64
    codes_per_siemens: float
    noise_codes: float
    sub_averages: int
    averages: int
    spread_code: int


class SolveChain(NamedTuple):
    """Amplifiers and output ADC of SOLVE; `averages` samples after `settle_ticks`, `input_ticks` after the start."""

    key: np.uint64
    a0: float
    gain_bandwidth_hertz: float
    input_siemens: float
    output_max_volts: float
    noise_volts: float
    unsettled_volts: float
    curvature: bool
    constraint: int
    input_ticks: int
    settle_ticks: int
    averages: int


@njit(cache=True)
def sample_reads(chain, conductance, column, start_tick, codes, steady):
    """Mean code (n,) of averages × sub_averages samples of `conductance` (n,), and whether every part stayed near it.

    A part's white noise is drawn at once, by column and by the tick at which the part begins.
    """
    part_ticks = chain.averages * wire.TICKS_SAMPLE
    noise_codes = chain.noise_codes / math.sqrt(chain.averages)
    parts = np.empty(chain.sub_averages)
    for i in range(conductance.size):
        ideal = conductance[i] * chain.codes_per_siemens
        mean = 0.0
        for part in range(chain.sub_averages):
            value = ideal
            if noise_codes > 0.0:
                tick = start_tick[i] + wire.TICKS_READ_SETTLE + part * part_ticks
                value += noise_codes * normal(derive(derive(chain.key, column[i]), tick))
            parts[part] = min(max(value, 0.0), 65535.0)
            mean += parts[part]
        mean = np.rint(mean / chain.sub_averages)
        codes[i] = mean
        steady[i] = True
        for part in range(chain.sub_averages):
            steady[i] &= abs(np.rint(parts[part]) - mean) <= chain.spread_code


@njit(cache=True)
def sample_solves(
    chain, laws, hardware, state, celsius, first_a, first_b, columns, all_columns, input_volts, compensation_siemens,
    feedback_siemens, bias_amps, offset_volts, start_tick,
):  # fmt: skip
    """Output volts (n, k), saturated (n,), unsettled (n,) of n solves one after another from `start_tick` on.

    `first_a`, `first_b` (m,) flat cell of each active row's first column. Cells change by the bench millisecond, so
    solves that sample in one millisecond share their conductances and go through the circuit together.
    """
    n, m, k = input_volts.shape[0], first_a.size, columns.size
    duration = chain.input_ticks + chain.settle_ticks + chain.averages * wire.TICKS_SAMPLE
    volts, saturated, unsettled = np.empty((n, k)), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    conductance_a, conductance_b = np.empty((m, all_columns)), np.empty((m, all_columns))
    noise_volts = chain.noise_volts / math.sqrt(chain.averages)
    at = 0
    while at < n:
        first_sample = start_tick + at * duration + chain.input_ticks + chain.settle_ticks
        millisecond = first_sample // TICKS_PER_MILLISECOND
        stop = at + 1
        while stop < n and (first_sample + (stop - at) * duration) // TICKS_PER_MILLISECOND == millisecond:
            stop += 1
        conductance_of_rows(laws, hardware, state, first_a, millisecond * TICKS_PER_MILLISECOND, celsius, conductance_a)
        conductance_of_rows(laws, hardware, state, first_b, millisecond * TICKS_PER_MILLISECOND, celsius, conductance_b)
        bias = np.empty((stop - at, k))
        bias[:] = bias_amps
        rest = solve_batch(
            conductance_a, conductance_b, columns, input_volts[at:stop], chain.input_siemens, compensation_siemens,
            feedback_siemens, bias, offset_volts, chain.a0, chain.gain_bandwidth_hertz, chain.output_max_volts,
            chain.constraint, chain.curvature,
        )  # fmt: skip
        for s in range(at, stop):
            rate = rest.rate_per_second[s - at]
            first = settled_fraction(rate, chain.settle_ticks * _TICK_SECONDS)
            last, mean = first, 0.0
            for sample in range(chain.averages):
                last = settled_fraction(rate, (chain.settle_ticks + sample * wire.TICKS_SAMPLE) * _TICK_SECONDS)
                mean += last
            mean /= chain.averages
            saturated[s] = rest.saturated[s - at]
            # A loop that never settles differs from sample to sample on a bench; here it has no value at all.
            unsettled[s] = chain.averages > 1 and (rate <= 0.0 or not rest.solved[s - at])
            tick = start_tick + s * duration + chain.input_ticks + chain.settle_ticks
            for j in range(k):
                output = rest.w_volts[s - at, j]
                unsettled[s] |= abs(output) * (last - first) > chain.unsettled_volts
                volts[s, j] = output * mean
                if noise_volts > 0.0:
                    volts[s, j] += noise_volts * normal(derive(derive(chain.key, columns[j]), tick))
        at = stop
    return volts, saturated, unsettled
