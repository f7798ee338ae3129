"""Calibration "gate-curve": how the conductance after a SET at 1.2 V goes with the gate voltage, array by array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwloop.array.program.curves import GateCurve
from hwloop.calibration.record import Parameter, Residual
from hwloop.procedures.array_cells import (
    READ_AVERAGES,
    exchange_seconds,
    require_cells,
    sample_cells,
    sample_size,
    set_from_low,
    shared_95,
)
from hwloop.procedures.tools import Findings, Plan, Tools, Trace

ARRAYS = 2
_LEAST_CELLS = 16
# A cell whose slope is below this share of the usual one is slow; one further from its line than so many of the usual
# scatters is a case of its own. Both are faults of single cells, not of the array.
_SLOW_SHARE, _FAR_SCATTERS = 0.7, 6.0
_PULSES_A_POINT = 2.3       # a SET, a RESET, and what failed RESETs take


@dataclass(frozen=True)
class GateCurveProcedure:
    """About `cells` cells an array are RESET and SET once at each of `gate_volts`.

    A SET lands above its compliance, slope × (gate − threshold), by an exponential overshoot whose mean falls with the
    compliance (Milo 2021, CrossSim's fit), so that landings are linear in the gate, too. Every cell has a line of its
    own; the array's is their mean, and what they differ by says how well it is known.
    """

    gate_volts: tuple[float, ...] = (0.9, 1.2, 1.5, 1.9, 2.3, 2.7)
    cells: int = 256
    limit_siemens: float = 2e-6

    kind: ClassVar[str] = "gate-curve"

    def plan(self, tools: Tools) -> Plan:
        """Cells, voltages, pulses."""
        cells = ARRAYS * sample_size(tools.board, self.cells)
        pulses = round(cells * len(self.gate_volts) * _PULSES_A_POINT)
        steps = len(self.gate_volts) * 3
        volts = ", ".join(f"{value:g}" for value in self.gate_volts)
        return Plan(
            (
                f"RESET {cells:,} cells of both arrays and SET them at 1.2 V with the gate at {volts} V",
                f"about {pulses:,} pulses; the cells are left RESET or SET, what they held is lost",
            ),
            ("chip",), steps * exchange_seconds(tools.board, cells, READ_AVERAGES), pulses,
        )

    def run(self, tools: Tools) -> Findings:
        """Measure and fit. Raises CalibrationError where too few cells answer."""
        chip = tools.need_chip()
        of_array = [sample_cells(chip, array, self.cells) for array in range(ARRAYS)]
        cells = np.concatenate(of_array)
        landed = np.empty((len(self.gate_volts), len(cells)))
        for step, gate_volts in enumerate(self.gate_volts):
            landed[step] = set_from_low(chip, cells, gate_volts)
            tools.on_step("gate curve", step + 1, len(self.gate_volts))
        fits = [
            fit_gate_curve(np.array(self.gate_volts), part)
            for part in np.split(landed, [len(of_array[0])], axis=1)
        ]
        return _findings(self, tools, fits)


@dataclass(frozen=True)
class GateFit:
    """One array's curve: threshold and slope with their standard deviations, mean landings and residuals (gates,), and
    how many cells they are of."""

    threshold_volts: float
    siemens_per_volt: float
    threshold_sigma: float
    slope_sigma: float
    mean_siemens: np.ndarray
    residual_siemens: np.ndarray
    cells: int


def fit_gate_curve(gate_volts: np.ndarray, landed_siemens: np.ndarray) -> GateFit:
    """The curve of landings (gates, cells) after a SET at each of `gate_volts` (gates,), NaN where there was none.

    Raises CalibrationError where fewer than 16 cells behave.
    """
    landed = landed_siemens[:, np.isfinite(landed_siemens).all(axis=0)]
    require_cells(landed.shape[1], _LEAST_CELLS, "were RESET and SET at every gate voltage")
    middle = gate_volts.mean()
    design = np.stack([np.ones_like(gate_volts), gate_volts - middle], axis=1)
    lines = np.linalg.lstsq(design, landed, rcond=None)[0]      # of every cell: height in the middle, and slope
    behaves = _usual(lines[0]) & _usual(lines[1]) & (lines[1] > _SLOW_SHARE * np.median(lines[1]))
    lines, landed = lines[:, behaves], landed[:, behaves]
    require_cells(lines.shape[1], _LEAST_CELLS, "follow the gate voltage")
    height, slope = lines.mean(axis=1)
    covariance = np.cov(lines) / lines.shape[1]
    # Mean landing = (1 + overshoot_slope) × compliance + overshoot of a small one.
    law = GateCurve()
    kept = 1.0 + law.overshoot_slope
    threshold_volts = middle + (law.overshoot_siemens - height) / slope
    gradient = np.array([-1.0, middle - threshold_volts]) / slope
    mean_siemens = landed.mean(axis=1)
    return GateFit(
        threshold_volts=float(threshold_volts), siemens_per_volt=float(slope / kept),
        threshold_sigma=float(np.sqrt(gradient @ covariance @ gradient)),
        slope_sigma=float(np.sqrt(covariance[1, 1]) / kept), mean_siemens=mean_siemens,
        residual_siemens=mean_siemens - design @ np.array([height, slope]), cells=lines.shape[1],
    )


def _usual(values: np.ndarray) -> np.ndarray:
    """Which of (n,) values are not far from the others."""
    away = np.abs(values - np.median(values))
    return away <= _FAR_SCATTERS * 1.4826 * max(np.median(away), np.finfo(float).tiny)


def _findings(procedure: GateCurveProcedure, tools: Tools, fits: list[GateFit]) -> Findings:
    """Parameters, with uncertainties from the scatter of cells and from what the board's own constants are known to:
    readings go by the transimpedance amplifiers and the read voltage, the gate by its DAC.
    """
    scales, known = tools.board.scales, tools.known
    slopes = np.array([fit.siemens_per_volt for fit in fits])
    thresholds = np.array([fit.threshold_volts for fit in fits])
    relative = np.hypot(shared_95(known, "tia_coarse_gain"), shared_95(known, "read_volts") / scales.read_volts)
    gate_gain = shared_95(known, "gate_dac_gain")
    slope_common = float(slopes.mean() * np.hypot(relative, gate_gain))
    reading_siemens = shared_95(known, "tia_coarse_offset_amps") / scales.read_volts
    threshold_common = float(np.sqrt(
        shared_95(known, "gate_dac_offset_volts") ** 2 + (thresholds.mean() * gate_gain) ** 2
        + (np.hypot(reading_siemens, GateCurve().overshoot_siemens * relative) / slopes.mean()) ** 2
    ))
    residual_siemens = np.array([fit.residual_siemens for fit in fits])
    return Findings(
        parameters=(
            Parameter(
                "gate_threshold_volts", "V", thresholds,
                np.hypot(2.0 * np.array([fit.threshold_sigma for fit in fits]), threshold_common), threshold_common,
            ),
            Parameter(
                "gate_siemens_per_volt", "S/V", slopes,
                np.hypot(2.0 * np.array([fit.slope_sigma for fit in fits]), slope_common), slope_common,
            ),
        ),
        residual=Residual(float(np.abs(residual_siemens).max()), procedure.limit_siemens, "S"),
        method=(
            f"SET at 1.2 V from RESET at {len(procedure.gate_volts)} gate voltages, a line a cell, mean over "
            f"{' and '.join(str(fit.cells) for fit in fits)} cells of arrays A and B"
        ),
        traces=(Trace(
            "gate curve of arrays A and B", "gate voltage (V)", "mean conductance after SET (S)",
            np.array(procedure.gate_volts), np.array([fit.mean_siemens for fit in fits]), residual_siemens, "S",
        ),),
    )
