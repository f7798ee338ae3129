"""Calibration "temperature": the mean relative temperature coefficient of the conductance, array by array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwloop.calibration.record import Parameter, Residual
from hwloop.errors import CalibrationError
from hwloop.procedures.array_cells import READ_AVERAGES, exchange_seconds, require_cells, sample_cells, sample_size
from hwloop.procedures.tools import Findings, Plan, Tools, Trace

ARRAYS = 2
REFERENCE_CELSIUS = 25.0
_LEAST_CELLS = 16
# Two sensor readings differ by what they are uncertain by, 95 %: ADT7320 data sheet, accuracy ± 0.25 °C.
_SENSOR_CELSIUS = 0.25
_STILL_CELSIUS = 0.1
_FAR_SCATTERS = 6.0
_PULSES_A_CELL = 3


@dataclass(frozen=True)
class TemperatureProcedure:
    """About `cells` cells an array are programmed to `target_siemens` and read while the chip warms up or cools down:
    `readings` times, over `span_celsius` in all, `longest_seconds` at the most.

    G(T) = G25 (1 + a (T − 25 °C)): every cell has a line of its own, the array's coefficient is their mean.
    A temperature that does not move within `settle_seconds` is not waited for any longer.
    """

    target_siemens: float = 150e-6
    cells: int = 1024
    span_celsius: float = 10.0
    readings: int = 5
    settle_seconds: float = 600.0
    longest_seconds: float = 8 * 3600.0
    limit_relative: float = 0.005

    kind: ClassVar[str] = "temperature"

    def plan(self, tools: Tools) -> Plan:
        """Cells, pulses, waiting."""
        cells = ARRAYS * sample_size(tools.board, self.cells)
        reading = self.readings * exchange_seconds(tools.board, cells, READ_AVERAGES)
        return Plan(
            (
                f"program {cells:,} cells of both arrays to {self.target_siemens * 1e6:g} uS and read them "
                f"{self.readings} times while the temperature changes by {self.span_celsius:g} C",
                "the chip has to be warmed or cooled meanwhile: how long that takes is not known beforehand",
                f"about {cells * _PULSES_A_CELL:,} pulses; what these cells held is lost",
            ),
            ("chip",), reading + self.settle_seconds, cells * _PULSES_A_CELL,
        )

    def run(self, tools: Tools) -> Findings:
        """Measure and fit. Raises CalibrationError where the temperature does not move, or too few cells answer."""
        chip = tools.need_chip()
        of_array = [sample_cells(chip, array, self.cells) for array in range(ARRAYS)]
        cells = np.concatenate(of_array)
        accepted = chip.program(cells, np.full(len(cells), self.target_siemens)).accepted
        celsius, siemens = self._readings(tools, cells)
        siemens[:, ~accepted] = np.nan
        fits = [fit_temperature(celsius, part) for part in np.split(siemens, [len(of_array[0])], axis=1)]
        return _findings(self, celsius, fits)

    def _readings(self, tools: Tools, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Temperatures (readings,) and conductances (readings, n) over the whole span."""
        board, chip = tools.board, tools.need_chip()
        begun = board.temperature_celsius()
        celsius, siemens = [begun], [chip.read(cells).conductance_siemens]
        step, waited = self.span_celsius / (self.readings - 1), 0.0
        pause_seconds = self.settle_seconds / 10
        while len(celsius) < self.readings:
            tools.on_step("temperature", len(celsius), self.readings)
            board.wait(pause_seconds)
            waited += pause_seconds
            now = board.temperature_celsius()
            moved = abs(now - begun)
            if waited >= self.settle_seconds and moved < _STILL_CELSIUS or waited > self.longest_seconds:
                raise CalibrationError(
                    f"the temperature at the array went from {begun:.2f} to {now:.2f} C in {waited:.0f} s, "
                    f"{self.span_celsius:g} C are needed; warm or cool the chip while it is measured (a simulated one: "
                    "[environment] temperature_drift_per_hour, such as \"20 C\")"
                )
            if moved >= step * len(celsius):
                celsius.append(now)
                siemens.append(chip.read(cells).conductance_siemens)
            elif waited >= self.settle_seconds:
                # Slower than was hoped for: looked at as often as a step takes, nearly.
                pause_seconds = min(max(pause_seconds, 0.5 * step * waited / moved), 0.1 * self.longest_seconds)
        tools.on_step("temperature", len(celsius), self.readings)
        return np.array(celsius), np.array(siemens)


@dataclass(frozen=True)
class TemperatureFit:
    """One array: mean coefficient with its standard deviation, mean relative conductance (readings,) and residuals."""

    per_kelvin: float
    sigma: float
    mean_relative: np.ndarray
    residual: np.ndarray
    cells: int


def fit_temperature(celsius: np.ndarray, siemens: np.ndarray) -> TemperatureFit:
    """The mean coefficient of conductances (readings, cells) at temperatures (readings,), NaN for cells left out.

    Raises CalibrationError where fewer than 16 cells are left.
    """
    siemens = siemens[:, np.isfinite(siemens).all(axis=0)]
    require_cells(siemens.shape[1], _LEAST_CELLS, "took the conductance that they are measured at")
    design = np.stack([np.ones_like(celsius), celsius - REFERENCE_CELSIUS], axis=1)
    at_reference, slope = np.linalg.lstsq(design, siemens, rcond=None)[0]
    per_kelvin = slope / at_reference
    away = np.abs(per_kelvin - np.median(per_kelvin))
    is_usual = away <= _FAR_SCATTERS * 1.4826 * max(np.median(away), np.finfo(float).tiny)
    per_kelvin = per_kelvin[is_usual]
    mean_relative = (siemens[:, is_usual] / at_reference[is_usual]).mean(axis=1)
    mean = per_kelvin.mean()
    return TemperatureFit(
        float(mean), float(per_kelvin.std(ddof=1) / np.sqrt(len(per_kelvin))), mean_relative,
        mean_relative - design @ np.array([1.0, mean]), int(is_usual.sum()),
    )


def _findings(procedure: TemperatureProcedure, celsius: np.ndarray, fits: list[TemperatureFit]) -> Findings:
    per_kelvin, sigma = (np.array([getattr(fit, name) for fit in fits]) for name in ("per_kelvin", "sigma"))
    # Wrong by the sensor: as the span is.
    common_95 = float(np.abs(per_kelvin).max() * _SENSOR_CELSIUS / np.ptp(celsius))
    residual = np.array([fit.residual for fit in fits])
    return Findings(
        parameters=(Parameter(
            "temperature_per_kelvin", "1/K", per_kelvin, np.hypot(2.0 * sigma, common_95), common_95
        ),),
        residual=Residual(float(np.abs(residual).max()), procedure.limit_relative, "1"),
        method=(
            f"{len(celsius)} readings from {celsius.min():.1f} to {celsius.max():.1f} C, a line a cell, mean over "
            f"{' and '.join(str(fit.cells) for fit in fits)} cells of arrays A and B"
        ),
        traces=(Trace(
            "conductance against temperature", "temperature (C)", "conductance over that at 25 C (1)", celsius,
            np.array([fit.mean_relative for fit in fits]), residual, "1",
        ),),
    )
