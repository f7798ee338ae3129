"""Characterization "disturb": what pulses too small to program do to cells, when there are many of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwloop.array.program.common import RESET_GATE_VOLTS
from hwloop.drivers.cells import Polarity
from hwloop.procedures.array_cells import exchange_seconds_of, pulses_of
from hwloop.procedures.characterize_study import (
    LIMITS_TEXT,
    MICROSIEMENS,
    Study,
    cells_field,
    logarithmic_counts,
)
from hwloop.procedures.tools import Plan, Tools
from hwloop.runlog.record import Field, Quantity

_PULSES_A_CELL = 4


@dataclass(frozen=True)
class DisturbStudy:
    """Cells are programmed to `target_siemens` in turn and get `pulses` of `stress_volts`, the first half of them in
    SET direction, the others in RESET direction; they are read at counts spread over the decades."""

    pulses: int = 1000
    stress_volts: float = 0.4
    target_siemens: tuple[float, ...] = (3e-6, 50e-6, 150e-6)

    name: ClassVar[str] = "disturb"
    cycles: ClassVar[int] = 5

    def plan(self, cells: int, columns: int) -> Plan:
        """Programming, then the stress."""
        targets = ", ".join(f"{value * MICROSIEMENS:g}" for value in self.target_siemens)
        return Plan(
            (
                f"program {cells:,} cells to {targets} uS in turn, then {self.pulses:,} pulses of "
                f"{self.stress_volts:g} V each, half of the cells in SET and half in RESET direction",
                LIMITS_TEXT,
            ),
            ("chip",), self.pulses * exchange_seconds_of(cells, columns, 0), cells * (self.pulses + _PULSES_A_CELL),
        )

    def run(self, tools: Tools, cells: np.ndarray) -> Study:
        """Conductances against the number of pulses."""
        chip = tools.need_chip()
        targets = np.resize(np.array(self.target_siemens), len(cells))
        accepted = chip.program(cells, targets).accepted
        chip.release(cells)
        polarity = np.where(np.arange(len(cells)) < len(cells) // 2, int(Polarity.SET), int(Polarity.RESET))
        counts = np.concatenate([[0], logarithmic_counts(self.pulses)])
        siemens, given = np.empty((len(counts), len(cells))), 0
        for place, count in enumerate(counts.tolist()):
            while given < count:
                stress = pulses_of(cells, polarity, self.stress_volts, RESET_GATE_VOLTS)
                chip.board.pulse_and_read(stress, None, 1, 1, 1e-6)
                given += 1
            siemens[place] = np.where(accepted, chip.read(cells).conductance_siemens, np.nan)
            tools.on_step("stress", given, self.pulses)
        metrics, lines = [], []
        for direction in (Polarity.SET, Polarity.RESET):
            change = (siemens[-1] - siemens[0])[(polarity == direction) & accepted]
            if change.size:
                metrics.append(Quantity(f"change_{direction.name.lower()}_siemens", float(change.mean()), "S"))
                lines.append(
                    f"{direction.name:<10} {change.size:,} cells changed by {change.mean() * MICROSIEMENS:+.3f} uS, "
                    f"sigma {change.std() * MICROSIEMENS:.3f} uS, after {self.pulses:,} pulses"
                )
        return Study(
            (
                cells_field(cells), Field("target_siemens", targets, "S", "what each cell was programmed to"),
                Field("polarity", polarity, "1", "0: pulses in SET direction, 1: in RESET direction"),
                Field("pulses", counts, "1", "pulses so far"),
                Field("siemens", siemens, "S", "conductance (counts, cells); nan: was not programmed"),
            ),
            (Quantity("stress_volts", self.stress_volts, "V"), *metrics), tuple(lines),
        )
