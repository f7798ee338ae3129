"""Incremental gate voltage with verify (IGVVA): SET at 1.2 V, the gate one step up after every reading.

One pass upwards from HRS; what overshoots the window is given up, so the result shows the device's own write error.
Source: Milo et al., IEEE TED 2021, 10.1109/TED.2021.3089995.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hwloop.array.program.common import (
    MAX_GATE_VOLTS,
    MAX_RESET_VOLTS,
    RESET_GATE_VOLTS,
    SET_VOLTS,
    Outcome,
    ProgramResult,
    Verify,
    WriteVerify,
)
from hwloop.array.program.port import ProgrammingPort
from hwloop.drivers.cells import Polarity


@dataclass(frozen=True)
class IgvvaSettings:
    """Gate ramp of IGVVA."""

    verify: Verify = field(default_factory=Verify)
    start_gate_volts: float = 0.5
    gate_step_volts: float = 0.010
    max_reset_pulses: int = 8       # for cells that start above their window


def program(
    port: ProgrammingPort, cells: np.ndarray, target_siemens: np.ndarray, settings: IgvvaSettings | None = None
) -> ProgramResult:
    """Program `cells` (n,) to `target_siemens` (n,). Raises UnformedError, LimitError and UsageError as WriteVerify."""
    settings = settings or IgvvaSettings()
    run = WriteVerify(port, cells, target_siemens, settings.verify)
    resets = np.zeros(run.cells.size, np.int64)
    set_started = np.zeros(run.cells.size, bool)
    gate_volts = np.full(run.cells.size, settings.start_gate_volts)
    while True:
        index = run.open
        above = run.conductance_siemens[index] > run.high_siemens[index]
        run.give_up(index[above & set_started[index]], Outcome.NOT_CONVERGED)
        stubborn = above & (resets[index] >= settings.max_reset_pulses)
        run.give_up(index[stubborn & ~run.moved[index]], Outcome.NO_RESPONSE)
        run.give_up(index[stubborn & run.moved[index]], Outcome.NOT_CONVERGED)
        spent = gate_volts[index] > MAX_GATE_VOLTS
        run.give_up(index[spent & run.moved[index]], Outcome.NOT_CONVERGED)
        run.give_up(index[spent & ~run.moved[index]], Outcome.NO_RESPONSE)
        index = run.open
        if not index.size:
            return run.finish()
        above = run.conductance_siemens[index] > run.high_siemens[index]
        run.step(
            index,
            np.where(above, Polarity.RESET, Polarity.SET),
            np.where(above, MAX_RESET_VOLTS, SET_VOLTS),
            np.where(above, RESET_GATE_VOLTS, gate_volts[index]),
        )
        resets[index[above]] += 1
        set_started[index[~above]] = True
        gate_volts[index[~above]] += settings.gate_step_volts
