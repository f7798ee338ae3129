"""Characterization "iv": switching loops of cells, pulse by pulse, and currents at low voltages in both states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwloop.array.program.common import RESET_GATE_VOLTS
from hwloop.drivers.cells import Polarity
from hwloop.procedures.array_cells import LOW_SIEMENS, READ_AVERAGES, exchange_seconds_of, pulse, reset_low
from hwloop.procedures.array_currents import read_amps
from hwloop.procedures.characterize_smu import SweepCells
from hwloop.procedures.characterize_study import LIMITS_TEXT, Study, cells_field, spread_text
from hwloop.procedures.tools import Plan, Tools
from hwloop.runlog.record import Field, Quantity

STATES = ("LRS", "HRS")
READ_VOLTS = 0.2


@dataclass(frozen=True)
class IvStudy:
    """From HRS, rising SET pulses and then rising RESET pulses, with a reading after each; at both ends the currents at
    `low_volts`, either sign, with the board's own DACs or by sweeps of a source meter (`sweep`) on one cell at a time.
    """

    gate_volts: float = 1.6
    set_volts: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
    reset_volts: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0)
    low_volts: tuple[float, ...] = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
    averages: int = 16
    sweep: SweepCells | None = None

    name: ClassVar[str] = "iv"
    cycles: ClassVar[int] = 2

    def plan(self, cells: int, columns: int) -> Plan:
        """Four RESETs at most to begin with, then both ramps."""
        steps = 4 + len(self.set_volts) + len(self.reset_volts)
        low = f"{len(self.low_volts)} voltages up to {self.low_volts[-1]:g} V"
        seconds = steps * exchange_seconds_of(cells, columns, READ_AVERAGES) + 4e-3 * 2 * -(-cells // columns)
        needs, how = ("chip",), f"read their currents at {low}, either sign"
        if self.sweep is not None:
            needs, how = ("chip", "smu"), f"sweep them with the source meter at {low}, either sign, one by one"
            seconds += 2 * cells * self.sweep.seconds(2 * len(self.low_volts))
        return Plan(
            (
                f"SET {cells:,} cells at {self.set_volts[0]:g} to {self.set_volts[-1]:g} V, gate {self.gate_volts:g} "
                f"V, then RESET them at {self.reset_volts[0]:g} to {self.reset_volts[-1]:g} V; {how}",
                LIMITS_TEXT,
            ),
            needs, seconds, cells * steps,
        )

    def run(self, tools: Tools, cells: np.ndarray) -> Study:
        """Conductance along the loop (steps, cells), and currents in both states (2, voltages, cells)."""
        chip = tools.need_chip()
        ramps = (
            (Polarity.SET, self.set_volts, self.gate_volts), (Polarity.RESET, self.reset_volts, RESET_GATE_VOLTS),
        )
        total = len(self.set_volts) + len(self.reset_volts)
        signed = np.sort(np.concatenate([-np.array(self.low_volts), self.low_volts]))
        loop_volts, loop_siemens = [0.0], [reset_low(chip, cells)]
        low_volts, low_amps, at_read = [], [], []
        for polarity, ramp, gate_volts in ramps:
            for volts in ramp:
                loop_siemens.append(pulse(chip, cells, polarity, volts, gate_volts).conductance_siemens)
                loop_volts.append(volts if polarity == Polarity.SET else -volts)
                tools.on_step("switching loop", len(loop_volts) - 1, total)
            if self.sweep is None:
                volts, amps = read_amps(tools, cells, signed, self.averages)
            else:
                volts, amps = self.sweep.amps(tools, cells, signed)
            low_volts.append(volts)
            low_amps.append(amps)
            at_read.append(chip.read(cells).conductance_siemens)
        siemens, amps = np.array(loop_siemens), np.array(low_amps)
        lrs, hrs = siemens[len(self.set_volts)], siemens[-1]
        deviation = _deviation(np.array(low_volts), amps, np.array(at_read))
        switched = int(((lrs > 3 * hrs) & (hrs < LOW_SIEMENS)).sum())
        return Study(
            (
                cells_field(cells),
                Field("loop_volts", np.array(loop_volts), "V", "amplitude: positive SET, negative RESET, 0 at first"),
                Field("loop_siemens", siemens, "S", "conductance after the pulse (steps, cells)"),
                Field("low_volts", np.array(low_volts), "V", "voltage (LRS and HRS, voltages, cells)"),
                Field("low_amps", amps, "A", "current (LRS and HRS, voltages, cells)"),
            ),
            (
                Quantity("switched", switched), Quantity("median_lrs_siemens", float(np.median(lrs)), "S"),
                Quantity("median_hrs_siemens", float(np.median(hrs)), "S"),
                Quantity("median_deviation_from_read", float(np.nanmedian(np.abs(deviation)))),
            ),
            (
                f"switched   {switched:,} of {len(cells):,} cells; LRS {spread_text(lrs)}; HRS {spread_text(hrs)}",
                f"currents   at {READ_VOLTS:g} V {100 * np.nanmedian(np.abs(deviation[0])):.2f} % (LRS) and "
                f"{100 * np.nanmedian(np.abs(deviation[1])):.2f} % (HRS) off what READ says, median",
            ),
        )


def _deviation(volts: np.ndarray, amps: np.ndarray, read_siemens: np.ndarray) -> np.ndarray:
    """(2, cells): conductance at ± 0.2 V over what READ said, minus 1."""
    with np.errstate(invalid="ignore", divide="ignore"):
        near = np.isclose(np.abs(volts), READ_VOLTS, atol=2e-3)
        siemens = np.where(near, amps / volts, np.nan)
        return np.nanmean(siemens, axis=1) / read_siemens - 1.0
