"""Characterization "gate": the conductance of every cell after a SET, against the gate voltage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwloop.errors import CalibrationError
from hwloop.procedures.array_cells import READ_AVERAGES, exchange_seconds_of, set_from_low
from hwloop.procedures.array_gate_curve import fit_gate_curve
from hwloop.procedures.characterize_study import LIMITS_TEXT, Study, cells_field
from hwloop.procedures.tools import Plan, Tools
from hwloop.runlog.record import Field, Quantity

_PULSES_A_POINT = 5         # a SET and the most RESETs


@dataclass(frozen=True)
class GateStudy:
    """Cells are RESET and SET at 1.2 V, once at each of `gate_volts`."""

    gate_volts: tuple[float, ...] = (0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.6, 2.8)

    name: ClassVar[str] = "gate"

    @property
    def cycles(self) -> int:
        """One a gate voltage."""
        return len(self.gate_volts)

    def plan(self, cells: int, columns: int) -> Plan:
        """At most four RESETs and a SET a gate voltage."""
        pulses = cells * len(self.gate_volts) * _PULSES_A_POINT
        return Plan(
            (
                f"RESET {cells:,} cells and SET them at 1.2 V with the gate at {self.gate_volts[0]:g} to "
                f"{self.gate_volts[-1]:g} V, {len(self.gate_volts)} times",
                LIMITS_TEXT,
            ),
            ("chip",), 4 * len(self.gate_volts) * exchange_seconds_of(cells, columns, READ_AVERAGES), pulses,
        )

    def run(self, tools: Tools, cells: np.ndarray) -> Study:
        """Conductances by gate voltage, and the curve of each array where enough cells were chosen."""
        chip = tools.need_chip()
        siemens = np.empty((len(self.gate_volts), len(cells)))
        for step, gate_volts in enumerate(self.gate_volts):
            siemens[step] = set_from_low(chip, cells, gate_volts)
            tools.on_step("gate voltages", step + 1, len(self.gate_volts))
        metrics, lines = [], []
        for array, name in enumerate("AB"):
            here = cells // (chip.rows * chip.columns) == array
            try:
                fit = fit_gate_curve(np.array(self.gate_volts), siemens[:, here])
            except CalibrationError:
                continue    # too few cells of this array for a curve; what they read is kept all the same
            metrics += [
                Quantity(f"gate_threshold_{name.lower()}_volts", fit.threshold_volts, "V"),
                Quantity(f"gate_slope_{name.lower()}_siemens_per_volt", fit.siemens_per_volt, "S/V"),
            ]
            lines.append(
                f"array {name}    {fit.siemens_per_volt * 1e6:.2f} uS/V above {fit.threshold_volts:.3f} V, of "
                f"{fit.cells:,} cells"
            )
        answered = int(np.isfinite(siemens).all(axis=0).sum())
        return Study(
            (
                cells_field(cells), Field("gate_volts", np.array(self.gate_volts), "V", "gate voltage of the SET"),
                Field("siemens", siemens, "S", "conductance after SET (gate voltages, cells); nan: was not RESET"),
            ),
            (Quantity("cells_at_every_gate", answered), *metrics),
            (f"gate       {answered:,} of {len(cells):,} cells were RESET and SET at every gate voltage", *lines),
        )
