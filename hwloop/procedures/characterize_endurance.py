"""Characterization "endurance": what SET and RESET leave behind, cycle after cycle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwloop.array.program.common import RESET_GATE_VOLTS, SET_VOLTS
from hwloop.drivers.cells import Polarity
from hwloop.link.protocol import LIMIT_CYCLES
from hwloop.procedures.array_cells import RESET_VOLTS, exchange_seconds_of, pulse, pulses_of
from hwloop.procedures.characterize_study import LIMITS_TEXT, Study, cells_field, logarithmic_counts, spread_text
from hwloop.procedures.tools import Plan, Tools
from hwloop.runlog.record import Field, Quantity

# A window that is narrower than this between LRS and HRS counts as closed.
OPEN_RATIO = 3.0
_STEPS_TOLD = 200


@dataclass(frozen=True)
class EnduranceStudy:
    """`cycles` times a SET at 1.2 V and a RESET at 2 V; both states are read at cycles spread over the decades."""

    cycles: int = 1000
    gate_volts: float = 1.6
    reset_volts: float = RESET_VOLTS

    name: ClassVar[str] = "endurance"

    def plan(self, cells: int, columns: int) -> Plan:
        """Two pulses a cycle and cell."""
        return Plan(
            (
                f"SET {cells:,} cells at {SET_VOLTS:g} V, gate {self.gate_volts:g} V, and RESET them at "
                f"{self.reset_volts:g} V, {self.cycles:,} times; wears the cells",
                f"{LIMITS_TEXT}; {LIMIT_CYCLES:,} cycles a cell",
            ),
            ("chip",), 2 * self.cycles * exchange_seconds_of(cells, columns, 0), 2 * self.cycles * cells,
        )

    def run(self, tools: Tools, cells: np.ndarray) -> Study:
        """LRS and HRS at the cycles that were looked at."""
        chip = tools.need_chip()
        looked_at = logarithmic_counts(self.cycles)
        lrs_siemens, hrs_siemens = np.full((2, len(looked_at), len(cells)), np.nan)
        for cycle in range(1, self.cycles + 1):
            place = np.searchsorted(looked_at, cycle)
            if looked_at[place] == cycle:
                lrs_siemens[place] = pulse(chip, cells, Polarity.SET, SET_VOLTS, self.gate_volts).conductance_siemens
                hrs_siemens[place] = pulse(
                    chip, cells, Polarity.RESET, self.reset_volts, RESET_GATE_VOLTS
                ).conductance_siemens
            else:
                chip.board.pulse_and_read(
                    pulses_of(cells, Polarity.SET, SET_VOLTS, self.gate_volts), None, 1, 1, 1e-6
                )
                chip.board.pulse_and_read(
                    pulses_of(cells, Polarity.RESET, self.reset_volts, RESET_GATE_VOLTS), None, 1, 1, 1e-6
                )
            if cycle % max(self.cycles // _STEPS_TOLD, 1) == 0 or cycle == self.cycles:
                tools.on_step("cycles", cycle, self.cycles)
        ratio = np.median(lrs_siemens[-3:], axis=0) / np.median(hrs_siemens[-3:], axis=0)
        closed = int((ratio < OPEN_RATIO).sum())
        return Study(
            (
                cells_field(cells), Field("cycle", looked_at, "1", "cycles, from 1, after which was read"),
                Field("lrs_siemens", lrs_siemens, "S", "conductance after SET (cycles, cells)"),
                Field("hrs_siemens", hrs_siemens, "S", "conductance after RESET (cycles, cells)"),
            ),
            (
                Quantity("cycles", self.cycles), Quantity("closed_windows", closed),
                Quantity("last_median_lrs_siemens", float(np.median(lrs_siemens[-1])), "S"),
                Quantity("last_median_hrs_siemens", float(np.median(hrs_siemens[-1])), "S"),
            ),
            (
                f"first      LRS {spread_text(lrs_siemens[0])}; HRS {spread_text(hrs_siemens[0])}",
                f"last       LRS {spread_text(lrs_siemens[-1])}; HRS {spread_text(hrs_siemens[-1])}",
                f"windows    {closed:,} of {len(cells):,} cells end with LRS below {OPEN_RATIO:g} times HRS",
            ),
        )
