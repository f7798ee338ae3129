"""Calibration "curvature": how many times the published I–V curvature the cells of a chip have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import least_squares

from hwloop.calibration.record import Parameter, Residual
from hwloop.procedures.array_cells import require_cells, sample_cells, sample_size, shared_95
from hwloop.procedures.array_currents import read_amps
from hwloop.procedures.tools import Findings, Plan, Tools, Trace

ARRAYS = 2
READ_VOLTS = 0.2
# Ratios G(0.34 V)/G(0.1 V) measured on public 1T1R data (design notes, section 4), and the middle of each range of
# conductances that they are given for.
_LAW_SIEMENS = np.array([10e-6, 30e-6, 50e-6, 70e-6, 90e-6, 110e-6])
_LAW_RATIOS = np.array([1.385, 1.22, 1.11, 1.06, 1.037, 1.014])
_LAW_LOW_VOLTS, _LAW_HIGH_VOLTS = 0.1, 0.34
_LEAST_CELLS = 16
_LEAST_SIEMENS = 1e-6       # less is an unformed or stuck cell, of which noise alone would be read
_PULSES_A_CELL = 6
_STEP = 1e-4                # of the scale, to differentiate by it


@dataclass(frozen=True)
class CurvatureProcedure:
    """About `cells` cells of each array are programmed to `target_siemens` in turn, and their currents are read, row by
    row, at ± `volts`, `repeats` times in turn.

    I = G V (1 + a V²)/(1 + a 0.2²): the odd part of the current is taken, which offsets and bends of DACs and
    amplifiers have no share in, and only ratios of it, which no gain has a share in.
    """

    volts: tuple[float, ...] = (0.1, 0.2, 0.34)
    target_siemens: tuple[float, ...] = (3e-6, 10e-6, 20e-6, 30e-6, 45e-6)
    cells: int = 128
    repeats: int = 16
    averages: int = 16
    limit_relative: float = 0.01

    kind: ClassVar[str] = "curvature"

    def plan(self, tools: Tools) -> Plan:
        """Cells, voltages, pulses."""
        cells = ARRAYS * sample_size(tools.board, self.cells)
        rows = -(-cells // tools.board.columns)
        volts = ", ".join(f"{value:g}" for value in self.volts)
        targets = ", ".join(f"{value * 1e6:g}" for value in self.target_siemens)
        reading = 2 * rows * (2 * len(self.volts) * self.repeats * (5e-6 + self.averages * 16e-6) + 2e-3)
        return Plan(
            (
                f"program {cells:,} cells of both arrays to {targets} uS and read them at plus and minus {volts} V",
                f"about {cells * _PULSES_A_CELL:,} pulses; what these cells held is lost",
            ),
            ("chip",), reading + 0.5, cells * _PULSES_A_CELL,
        )

    def run(self, tools: Tools) -> Findings:
        """Measure and fit. Raises CalibrationError where too few cells conduct."""
        chip = tools.need_chip()
        cells = np.concatenate([sample_cells(chip, array, self.cells) for array in range(ARRAYS)])
        chip.program(cells, np.resize(np.array(self.target_siemens), len(cells)))
        volts, siemens = read_odd_siemens(tools, cells, np.array(self.volts), self.repeats, self.averages)
        return _findings(self, tools, fit_curvature(volts, siemens))


@dataclass(frozen=True)
class CurvatureFit:
    """`scale` of the law with its standard deviation; of the cells used their `siemens` (n,) at 0.2 V, and the ratio of
    conductances at the highest and lowest voltage (n,), measured and by the law."""

    scale: float
    sigma: float
    siemens: np.ndarray
    ratio: np.ndarray
    fitted_ratio: np.ndarray


def nominal_curvature(siemens: np.ndarray) -> np.ndarray:
    """The coefficient a (1/V²) that published ratios give a cell of `siemens` (any shape) at 0.2 V; linear between the
    middles of their ranges, constant outside."""
    ratios = (_LAW_RATIOS - 1.0) / (_LAW_HIGH_VOLTS**2 - _LAW_LOW_VOLTS**2 * _LAW_RATIOS)
    return np.interp(siemens, _LAW_SIEMENS, ratios)


def read_odd_siemens(
    tools: Tools, cells: np.ndarray, volts: np.ndarray, repeats: int, averages: int
) -> tuple[np.ndarray, np.ndarray]:
    """Voltage and conductance of `cells` (n,) near each of `volts`, both (voltages, n): half of what lies between both
    signs, of voltages as the DACs give them."""
    signed = np.stack([volts, -volts], axis=1).ravel()
    given_volts, amps = (
        0.5 * (pairs[:, 0] - pairs[:, 1])
        for pairs in (read.reshape(len(volts), 2, -1) for read in read_amps(tools, cells, signed, averages, repeats))
    )
    return given_volts, amps / given_volts


def fit_curvature(volts: np.ndarray, siemens: np.ndarray) -> CurvatureFit:
    """How many times the law fits conductances at voltages, both (voltages, n), of which one row is near 0.2 V.

    Robust: cells whose noise moved them in between count little. Raises CalibrationError where few cells conduct.
    """
    at_read = int(np.argmin(np.abs(volts.mean(axis=1) - READ_VOLTS)))
    others = np.delete(np.arange(len(volts)), at_read)
    conducts = siemens[at_read] > _LEAST_SIEMENS
    volts, siemens = volts[:, conducts], siemens[:, conducts]
    require_cells(siemens.shape[1], _LEAST_CELLS, "conduct")
    curvature = nominal_curvature(siemens[at_read])
    ratios = siemens[others] / siemens[at_read]

    def law(scale: float) -> np.ndarray:
        scaled = scale * curvature
        return (1.0 + scaled * volts[others] ** 2) / (1.0 + scaled * volts[at_read] ** 2)

    def misfit(scale: np.ndarray) -> np.ndarray:
        return ratios / law(scale[0]) - 1.0

    # How far cells scatter depends on how much they conduct; each is weighed by those that conduct about as much.
    first = least_squares(lambda scale: misfit(scale).ravel(), [1.0], loss="soft_l1", f_scale=1e-3).x
    scatter = _scatter(siemens[at_read], misfit(first))
    fit = least_squares(lambda scale: (misfit(scale) / scatter).ravel(), first, loss="soft_l1")
    residuals = misfit(fit.x) / scatter
    by_scale = (misfit(fit.x + _STEP) - misfit(fit.x - _STEP)) / (2.0 * _STEP * scatter)
    # What varies independently are cells: the points of one share its noise. Their pulls on the fit say how well it is
    # known, given how much the fit gives way (derivatives of the robust loss, first and second).
    pull = (residuals / np.sqrt(1.0 + residuals**2) * by_scale).sum(axis=0)
    sigma = np.sqrt(np.sum(pull**2)) / np.sum(by_scale**2 / (1.0 + residuals**2) ** 1.5)
    lowest, highest = np.argmin(volts[others].mean(axis=1)), np.argmax(volts[others].mean(axis=1))
    fitted = law(fit.x[0])
    return CurvatureFit(
        float(fit.x[0]), float(sigma), siemens[at_read], ratios[highest] / ratios[lowest],
        fitted[highest] / fitted[lowest],
    )


def _scatter(siemens: np.ndarray, misfits: np.ndarray) -> np.ndarray:
    """(n,) robust standard deviation of the misfits (voltages, n) of cells that conduct about as much."""
    order = np.argsort(siemens)
    scatter = np.empty(len(siemens))
    for part in np.array_split(order, max(len(order) // 24, 1)):
        scatter[part] = 1.4826 * np.median(np.abs(misfits[:, part]))
    return np.maximum(scatter, 1e-9)


def _findings(procedure: CurvatureProcedure, tools: Tools, fit: CurvatureFit) -> Findings:
    """The one parameter. The voltage enters squared, the conductance by which the law is looked up about by its
    root."""
    known, scales = tools.known, tools.board.scales
    volts_95 = 2.0 * fit.scale * shared_95(known, "input_dac_gain")
    siemens_95 = np.hypot(shared_95(known, "tia_coarse_gain"), shared_95(known, "read_volts") / scales.read_volts)
    common_95 = float(np.hypot(volts_95, 0.5 * fit.scale * siemens_95))
    # By conductance, so many cells together that the law shows, and no single one that jumped.
    order = np.argsort(fit.siemens)
    groups = np.array_split(order, min(8, len(order)))
    x, y, fitted = (
        np.array([np.median(values[group]) for group in groups])
        for values in (fit.siemens, fit.ratio, fit.fitted_ratio)
    )
    return Findings(
        parameters=(Parameter(
            "curvature_scale", "1", np.array(fit.scale), np.hypot(2.0 * fit.sigma, common_95), common_95
        ),),
        residual=Residual(float(np.abs(y - fitted).max()), procedure.limit_relative, "1"),
        method=(
            f"currents of {len(fit.siemens)} cells, row by row, at plus and minus "
            f"{', '.join(f'{value:g}' for value in procedure.volts)} V; ratios against the published ones"
        ),
        traces=(Trace(
            "I-V curvature", "conductance at 0.2 V (S)",
            f"G({max(procedure.volts):g} V)/G({min(procedure.volts):g} V)", x, y, y - fitted, "1",
        ),),
    )
