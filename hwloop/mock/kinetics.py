"""What one pulse does to one cell: forming, gate-limited SET, amplitude-limited RESET (HfO2 1T1R).

Source of the numbers: design notes, section 4 (device table). SET compliance 98 µS/V of gate above 0.6 V and the
write error σ = max(0, 4.782 - 0.009107 G) µS, 50…225 µS: Milo, IRPS and IEEE TED 2021 (10.1109/TED.2021.3089995);
10 % failed RESET pulses: public 1T1R data. The laws that tie the numbers together are this model's own:

* SET (and FORM) grows the filament in exponential steps until the transistor limits it, so the last step overshoots the
  compliance by an exponential amount of mean σ(G); a cell at or above the compliance does nothing. A bit-line
  amplitude scales what the compliance allows: nothing at 0.5 V, all of it at 1.2 V, 6 % more at most.
* RESET falls towards an equilibrium that is linear in the source-line amplitude: 225 µS at 0.6 V, 3 µS at 1.8 V,
  beyond that further overdrive; a pulse leaves an exponential share (mean 15 %) of the distance, never passing
  the cell's HRS. The transistor passes at most gate - threshold.
* Width counts as 60 mV of amplitude a decade, relative to 1 µs.

Valid range: amplitude 0…3.5 V, gate 0…3.5 V, width 0.1 µs…1 ms (checked by CellArray.pulse).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from hwloop.mock.fluctuations import relaxed
from hwloop.mock.randomness import derive, exponential, normal, uniform

RESET = 1
COMPLIANCE_SIEMENS_PER_VOLT = 98e-6
GATE_THRESHOLD_VOLTS = 0.6
OVERSHOOT_SIEMENS = 4.782e-6
OVERSHOOT_SLOPE = -0.009107
RESET_START_VOLTS = 0.6
RESET_START_SIEMENS = 225e-6
RESET_SIEMENS_PER_VOLT = 185e-6
RESET_REMAINING = 0.15
RESET_FAILURE = 0.10
HRS_CYCLE_SPREAD = 0.12
WIDTH_VOLTS_PER_DECADE = 0.060
_RAMP_START_VOLTS, _RAMP_VOLTS = 0.5, 0.25
_RAMP_NORM = 1.0 - math.exp(-(1.2 - _RAMP_START_VOLTS) / _RAMP_VOLTS)
_TICK_SECONDS = 1e-7


@njit(cache=True)
def set_reach(amplitude_volts):
    """Share of the compliance that a bit-line amplitude (1 µs) reaches: 0 below 0.5 V, 1 at 1.2 V, at most 1.065."""
    if amplitude_volts <= _RAMP_START_VOLTS:
        return 0.0
    return (1.0 - math.exp((_RAMP_START_VOLTS - amplitude_volts) / _RAMP_VOLTS)) / _RAMP_NORM


@njit(cache=True)
def _set_landing(laws, siemens_per_volt, threshold_volts, amplitude_volts, gate_volts, key):
    """Where a SET ends (siemens) and the compliance that it has to pass to happen at all."""
    compliance = siemens_per_volt * (gate_volts - threshold_volts) * set_reach(amplitude_volts)
    overshoot = max(0.0, OVERSHOOT_SIEMENS + OVERSHOOT_SLOPE * compliance) if laws.stochastic else 0.0
    return compliance, compliance + overshoot * exponential(derive(key, 0))


@njit(cache=True)
def _reset_landing(laws, volts, conductance, key):
    """Where a RESET of effective amplitude `volts` would take a cell of `conductance` (siemens) that has no HRS."""
    equilibrium = RESET_START_SIEMENS - RESET_SIEMENS_PER_VOLT * (volts - RESET_START_VOLTS)
    if equilibrium >= conductance:
        return conductance
    remaining = 0.0
    if laws.stochastic:
        if uniform(derive(key, 1)) < RESET_FAILURE:
            return conductance
        remaining = exponential(derive(key, 0)) * RESET_REMAINING
    return equilibrium + remaining * (conductance - equilibrium)


@njit(cache=True)
def pulse_cells(laws, hardware, state, cells, polarity, amplitude_volts, gate_volts, width_seconds, start_tick):
    """Pulse `cells` one after the other, in the order given; arguments as `CellArray.pulse`, all (n,)."""
    for i in range(cells.size):
        cell = cells[i]
        key = derive(hardware.pulse_key[cell], state.pulse_count[cell])
        state.pulse_count[cell] += 1
        response = hardware.response[cell]
        if response == 0.0:
            continue
        volts = amplitude_volts[i] + WIDTH_VOLTS_PER_DECADE * math.log10(width_seconds[i] * 1e6)
        threshold_volts = hardware.threshold_volts[cell]
        conductance = relaxed(
            laws, state.conductance_siemens[cell], state.relaxation[cell], start_tick[i] - state.moved_tick[cell]
        )
        if polarity[i] == RESET:
            if not state.formed[cell]:
                continue
            hrs = hardware.hrs_siemens[cell]
            if laws.stochastic:
                hrs *= math.exp(HRS_CYCLE_SPREAD * normal(derive(key, 2)))
            volts = min(volts, gate_volts[i] - threshold_volts) - hardware.reset_offset_volts[cell]
            landing = _reset_landing(laws, volts, conductance, key)
            after = max(conductance + response * (landing - conductance), hrs)
            if after >= conductance:
                continue
        else:
            compliance, landing = _set_landing(
                laws, hardware.siemens_per_volt[cell], threshold_volts, volts, gate_volts[i], key
            )
            if compliance <= conductance:
                continue
            if not state.formed[cell]:
                if volts < hardware.forming_volts[cell]:
                    continue
                state.formed[cell] = True
            after = conductance + response * (landing - conductance)
        state.conductance_siemens[cell] = after
        state.relaxation[cell] = hardware.relaxation_scale[cell] * normal(derive(key, 3))
        state.moved_tick[cell] = start_tick[i] + np.int64(width_seconds[i] / _TICK_SECONDS + 0.5)
