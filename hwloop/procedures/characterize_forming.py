"""Characterization "forming": at which voltage pristine cells form, and what they conduct afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from hwloop.array.forming import FormingSettings, form
from hwloop.procedures.array_cells import exchange_seconds_of
from hwloop.procedures.characterize_study import LIMITS_TEXT, Study, cells_field, spread_text
from hwloop.procedures.tools import Plan, Tools
from hwloop.runlog.record import Field, Quantity


@dataclass(frozen=True)
class FormingStudy:
    """Cells that are pristine get rising pulses until they form, and RESETs at once; the others are only read."""

    settings: FormingSettings = field(default_factory=FormingSettings)

    name: ClassVar[str] = "forming"
    cycles: ClassVar[int] = 0

    def plan(self, cells: int, columns: int) -> Plan:
        """At most every attempt on every cell; irreversible."""
        settings = self.settings
        steps = len(settings.amplitudes_volts) + settings.resets
        volts = ", ".join(f"{value:g}" for value in settings.amplitudes_volts)
        return Plan(
            (
                f"form what is pristine of {cells:,} cells at {volts} V, gate {settings.gate_volts:g} V, then RESET at "
                f"{settings.reset_volts:g} V; irreversible",
                LIMITS_TEXT,
            ),
            ("chip",), steps * exchange_seconds_of(cells, columns, 4), cells * steps,
        )

    def run(self, tools: Tools, cells: np.ndarray) -> Study:
        """Forming voltage of each cell, NaN where it was formed before or did not form."""
        chip = tools.need_chip()
        before = chip.read_small(cells).conductance_siemens.copy()
        result = form(chip, cells, self.settings, lambda done, total: tools.on_step("forming", done, total))
        after = chip.conductance_siemens[cells]
        volts = np.full(chip.size, np.nan)
        volts[result.formed] = result.formed_volts
        return Study(
            (
                cells_field(cells),
                Field("forming_volts", volts[cells], "V", "amplitude that formed the cell; nan: none did now"),
                Field("before_siemens", before, "S", "conductance before; on the fine range, which ends at 25 uS"),
                Field("after_siemens", after, "S", "conductance after forming and RESET"),
            ),
            (
                Quantity("formed", len(result.formed)), Quantity("already_formed", len(result.already_formed)),
                Quantity("not_formed", len(result.not_formed)), Quantity("stuck_high", len(result.stuck_high)),
            ),
            (
                f"formed     {len(result.formed):,} of {len(cells):,} cells with {result.pulses:,} pulses, "
                f"{len(result.already_formed):,} were formed before, {len(result.not_formed):,} did not form",
                f"voltage    {spread_text(result.formed_volts, 'V', 1.0)}",
                f"afterwards {spread_text(after)}",
            ),
        )
