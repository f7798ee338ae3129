"""Characterization "retention": how programmed conductances drift, against the logarithm of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwloop.procedures.array_cells import READ_AVERAGES, exchange_seconds_of
from hwloop.procedures.characterize_study import LIMITS_TEXT, MICROSIEMENS, Study, cells_field
from hwloop.procedures.tools import Plan, Tools
from hwloop.runlog.record import Field, Quantity

_PULSES_A_CELL = 4
_A_DECADE = 4


@dataclass(frozen=True)
class RetentionStudy:
    """Cells are programmed to `target_siemens` in turn and read from 1 s to `hold_seconds` later, all lines grounded
    in between. A real board takes that long."""

    hold_seconds: float = 1e4
    target_siemens: tuple[float, ...] = (3e-6, 50e-6, 100e-6, 150e-6, 200e-6)

    name: ClassVar[str] = "retention"
    cycles: ClassVar[int] = 4

    def plan(self, cells: int, columns: int) -> Plan:
        """Programming, then waiting."""
        targets = ", ".join(f"{value * MICROSIEMENS:g}" for value in self.target_siemens)
        return Plan(
            (
                f"program {cells:,} cells to {targets} uS in turn, and read them for "
                f"{self.hold_seconds:,.0f} s",
                LIMITS_TEXT,
            ),
            ("chip",), self.hold_seconds + 40 * exchange_seconds_of(cells, columns, READ_AVERAGES),
            cells * _PULSES_A_CELL,
        )

    def run(self, tools: Tools, cells: np.ndarray) -> Study:
        """Conductances over time; cells that were not programmed are left out, as NaN."""
        chip = tools.need_chip()
        targets = np.resize(np.array(self.target_siemens), len(cells))
        accepted = chip.program(cells, targets).accepted
        # What is measured is that they drift: nobody brings them back, not after a pause either.
        chip.release(cells)
        seconds = np.geomspace(1.0, self.hold_seconds, 1 + round(_A_DECADE * np.log10(max(self.hold_seconds, 2.0))))
        seconds = np.concatenate([[0.0], seconds])
        siemens = np.empty((len(seconds), len(cells)))
        for place, pause_seconds in enumerate(np.diff(seconds, prepend=0.0)):
            tools.board.wait(float(pause_seconds))
            siemens[place] = np.where(accepted, chip.read(cells).conductance_siemens, np.nan)
            tools.on_step("readings over time", place + 1, len(seconds))
        metrics, lines = [], []
        for target in self.target_siemens:
            change = (siemens[-1] - siemens[0])[accepted & (targets == target)]
            if change.size < 2:
                continue
            name = f"{target * MICROSIEMENS:g}"
            metrics.append(Quantity(f"change_sigma_{name.replace('.', '_')}_siemens", float(change.std()), "S"))
            lines.append(
                f"{name + ' uS':<10} {change.size:,} cells changed by {change.mean() * MICROSIEMENS:+.3f} uS, sigma "
                f"{change.std() * MICROSIEMENS:.3f} uS, within {seconds[-1]:,.0f} s"
            )
        return Study(
            (
                cells_field(cells), Field("target_siemens", targets, "S", "what each cell was programmed to"),
                Field("seconds", seconds, "s", "time since the first reading after programming"),
                Field("siemens", siemens, "S", "conductance (times, cells); nan: was not programmed"),
            ),
            (Quantity("programmed", int(accepted.sum())), *metrics),
            (f"programmed {int(accepted.sum()):,} of {len(cells):,} cells", *lines),
        )
