"""Incremental step pulse with verify (ISPVA): the amplitude one step up after every reading, at a fixed gate.

A cell below its window gets a SET ramp at the gate of its target, one above it a RESET ramp; whenever it changes sides
or a ramp ends, the next ramp starts from the bottom. Source: Milo et al., IEEE TED 2021, 10.1109/TED.2021.3089995.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hwloop.array.program.common import MAX_GATE_VOLTS, RESET_GATE_VOLTS, Outcome, ProgramResult, Verify, WriteVerify
from hwloop.array.program.curves import GateCurve
from hwloop.array.program.port import ProgrammingPort
from hwloop.drivers.cells import Polarity


@dataclass(frozen=True)
class IspvaSettings:
    """Amplitude ramps of ISPVA."""

    verify: Verify = field(default_factory=Verify)
    gate_curve: GateCurve = field(default_factory=GateCurve)
    start_volts: float = 0.5
    stop_volts: float = 2.0
    step_volts: float = 0.1
    gate_share: float = 0.905           # of the target: the compliance at 1.2 V, so that the ramp ends in fine steps;
                                        # chosen where a cell takes the published 16 pulses
    max_ramps: int = 8
    gate_raise_volts: float = 0.05      # after a SET ramp that ended below the window


def program(
    port: ProgrammingPort, cells: np.ndarray, target_siemens: np.ndarray, settings: IspvaSettings | None = None
) -> ProgramResult:
    """Program `cells` (n,) to `target_siemens` (n,). Raises UnformedError, LimitError and UsageError as WriteVerify."""
    settings = settings or IspvaSettings()
    run = WriteVerify(port, cells, target_siemens, settings.verify)
    n = run.cells.size
    gate_curve = settings.gate_curve.of(run.cells)
    gate_volts = np.minimum(gate_curve.volts(settings.gate_share * run.target_siemens), MAX_GATE_VOLTS)
    direction = np.full(n, -1)          # none yet
    rung, ramps = np.zeros(n, np.int64), np.zeros(n, np.int64)
    last_rung = round((settings.stop_volts - settings.start_volts) / settings.step_volts)
    while True:
        index = run.open
        wanted = np.where(run.conductance_siemens[index] < run.low_siemens[index], Polarity.SET, Polarity.RESET)
        ended = rung[index] > last_rung
        restart = ended | (wanted != direction[index])
        short = index[ended & (wanted == Polarity.SET) & (direction[index] == Polarity.SET)]
        gate_volts[short] = np.minimum(gate_volts[short] + settings.gate_raise_volts, MAX_GATE_VOLTS)
        direction[index] = wanted
        rung[index[restart]] = 0
        ramps[index[restart]] += 1
        spent = ramps[index] > settings.max_ramps
        silent = (ramps[index] > 2) & ~run.moved[index]
        run.give_up(index[spent & run.moved[index]], Outcome.NOT_CONVERGED)
        run.give_up(index[silent], Outcome.NO_RESPONSE)
        index = run.open
        if not index.size:
            return run.finish()
        amplitude_volts = settings.start_volts + rung[index] * settings.step_volts
        reset = direction[index] == Polarity.RESET
        run.step(index, direction[index], amplitude_volts, np.where(reset, RESET_GATE_VOLTS, gate_volts[index]))
        rung[index] += 1
