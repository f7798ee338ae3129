"""Acceptance of a board without instruments: supply, loop back, reference resistors, leakage, continuity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hwloop.array.forming import PRISTINE_SIEMENS
from hwloop.calibration.constants import BoardConstants
from hwloop.drivers.board import Board
from hwloop.drivers.board.ports import HoldLevels, PortRequest, RoutePort, SampleAdcs
from hwloop.link.protocol import TICK_HERTZ, TICKS_SAMPLE, Hold, Reference, Route, SampleSource, TiaRange
from hwloop.procedures.selftest_limits import (
    Known,
    knows_currents,
    knows_loop_back,
    loop_back_limit_volts,
    reference_limit_siemens,
    rest_limit_amps,
)
from hwloop.procedures.tools import Plan

SUPPLY_VOLTS, SUPPLY_FRACTION = 5.0, 0.05
# Nominal levels of the column DACs; output chains reach to 0.3 V, and a DAC without calibration may be off by 12 mV.
LOOP_BACK_VOLTS = (0.02, 0.08, 0.15, 0.21, 0.28)
# What may flow into an amplifier with nothing routed to it: 10 nS at the read voltage, a tenth of a pristine cell.
LEAKAGE_AMPS = 2e-9
SAMPLES, READ_SAMPLES = 1024, 16
# Resistors with the ranges that hold their current.
REFERENCES = (
    (Reference.HIGH, TiaRange.FINE), (Reference.HIGH, TiaRange.COARSE), (Reference.LOW, TiaRange.COARSE),
)  # fmt: skip
# Where less of an array's lines conduct, most of its cells are not formed, and an open switch does not show.
FORMED_SHARE = 0.5
_SHOWN_LINES = 8


@dataclass(frozen=True)
class Check:
    """One figure with its limits, both in `unit`. `passed` is None where it cannot be told; `detail` says where the
    figure is from, or why not."""

    name: str
    value: float
    low: float
    high: float
    unit: str
    passed: bool | None
    detail: str


def _no_steps(phase: str, done: int, total: int) -> None:
    """Nobody looks."""


class SelfTest:
    """Checks of one open board by what is `known` of it: parameters of calibrations by name, none of a new board.

    The board converts by these constants from here on. Where they are not known the nominal ones are taken, with limits
    for parts that were never calibrated. Cells are read only. Methods raise LinkError and BoardError.
    """

    def __init__(self, board: Board, known: Known, on_step: Callable[[str, int, int], None] = _no_steps):
        self._board, self._known, self._on_step = board, known, on_step
        constants = BoardConstants.nominal(board.describe)
        board.use(constants.calibrated({name: parameter.value for name, parameter in known.items()}))
        self._columns = np.arange(board.columns)

    def run(self) -> tuple[Check, ...]:
        """All checks."""
        parts = (
            ("supply", self.supply), ("loop back", self.loop_back), ("reference resistors", self.references),
            ("leakage", self.leakage), ("continuity", self.continuity),
        )  # fmt: skip
        checks: list[Check] = []
        for number, (name, part) in enumerate(parts, 1):
            checks += part()
            self._on_step(f"self-test, {name}", number, len(parts))
        return tuple(checks)

    def supply(self) -> list[Check]:
        """The analog supply."""
        volts, margin = self._board.ports.supply_volts(SAMPLES), SUPPLY_FRACTION * SUPPLY_VOLTS
        low, high = SUPPLY_VOLTS - margin, SUPPLY_VOLTS + margin
        return [Check("supply", volts, low, high, "V", low <= volts <= high, "analog supply")]

    def loop_back(self) -> list[Check]:
        """Every column's amplitude DAC into its output ADC: what the ADC sees, less what the DAC gives."""
        board, columns, scales = self._board, self._columns, self._board.scales
        full_scales = scales.constants.amplitude_dac.full_scale, scales.constants.output_adc.full_scale
        codes = [round(volts / full_scales[0] * 65536) for volts in LOOP_BACK_VOLTS]
        requests: list[PortRequest] = [RoutePort(Route.LOOPBACK)]
        for code in codes:
            requests.append(HoldLevels(Hold.AMPLITUDE, columns, np.full(len(columns), code)))
            requests.append(SampleAdcs(SampleSource.OUTPUTS, averages=SAMPLES))
        found = [seen for seen in board.ports.run([*requests, RoutePort(Route.NOTHING)]) if seen is not None]
        checks, how = [], _by(knows_loop_back(self._known))
        for level, code, seen in zip(LOOP_BACK_VOLTS, codes, found, strict=True):
            given = scales.volts_from_amplitude_codes(np.full(len(columns), code), columns)
            limit = loop_back_limit_volts(
                self._known, given, full_scales, full_scales[1] / 32768, board.describe.output_gain, SAMPLES
            )
            off = scales.volts_from_output_codes(seen, columns) - given
            checks.append(_worst(f"loop back at {level:g} V", off, 0.0, limit, "V", how))
        return checks

    def references(self) -> list[Check]:
        """Resistors of the board in place of a cell, through every column's transimpedance amplifier."""
        describe, scales, known = self._board.describe, self._board.scales, self._known
        nominal_ohms = np.array([describe.reference_low_ohms, describe.reference_high_ohms], float)
        ohms = known["reference_ohms"].value if "reference_ohms" in known else nominal_ohms
        checks, how = [], _by(knows_currents(known))
        for reference, tia_range in REFERENCES:
            requests: list[PortRequest] = []
            for column in self._columns.tolist():
                requests.append(RoutePort(Route.REFERENCE_TO_TIA, row=reference, column=column))
                requests.append(SampleAdcs(SampleSource.CURRENTS, tia_range, SAMPLES))
            found = self._board.ports.run([*requests, RoutePort(Route.NOTHING)])
            codes = np.array([seen for seen in found if seen is not None])[self._columns, self._columns]
            siemens = scales.siemens_from_read_codes(codes, tia_range, self._columns)
            expected = float(1.0 / ohms[reference])
            limit = reference_limit_siemens(
                known, expected, reference, tia_range, scales.range_siemens(tia_range), scales.read_volts, SAMPLES
            )
            name = f"resistor {nominal_ohms[reference] / 1e3:.3g} kohm, {tia_range.name.lower()} range"
            checks.append(_worst(name, siemens, expected, limit, "S", how))
        return checks

    def leakage(self, allowed_amps: float = LEAKAGE_AMPS) -> list[Check]:
        """What the transimpedance amplifiers show with nothing routed to them, their known offsets taken away."""
        checks, scales = [], self._board.scales
        how = _by(knows_currents(self._known), "offsets of the amplifiers included")
        for tia_range in TiaRange:
            limit = rest_limit_amps(
                self._known, tia_range, scales.range_siemens(tia_range) * scales.read_volts, allowed_amps, SAMPLES
            )
            amps = self._rest_siemens(tia_range) * scales.read_volts
            checks.append(_worst(f"current at rest, {tia_range.name.lower()} range", amps, 0.0, limit, "A", how))
        return checks

    def continuity(self) -> list[Check]:
        """One READ of all cells on each range: a row or column of which no cell conducts has an open switch."""
        board, checks = self._board, []
        shape = (2, board.rows, board.columns)
        for tia_range in TiaRange:
            # Offsets that nobody calibrated would look like a cell.
            rest_siemens = self._rest_siemens(tia_range)
            cells = np.arange(np.prod(shape))
            reads = board.pulse_and_read(None, cells, READ_SAMPLES, 1, tia_range=tia_range)
            siemens = np.where(reads.saturated, np.inf, reads.conductance_siemens).reshape(shape) - rest_siemens
            reach = float(board.scales.range_siemens(tia_range))
            for array, name in enumerate("AB"):
                lines = [("row", siemens[array].max(axis=1)), ("column", siemens[array].max(axis=0))]
                is_formed = all((best >= PRISTINE_SIEMENS).mean() >= FORMED_SHARE for _, best in lines)
                checks += [_continuous(name, line, best, is_formed, tia_range, reach) for line, best in lines]
        return checks

    def _rest_siemens(self, tia_range: TiaRange) -> np.ndarray:
        """What the amplifiers show without a current, (columns,), as READ would give it."""
        requests = [RoutePort(Route.NOTHING), SampleAdcs(SampleSource.CURRENTS, tia_range, SAMPLES)]
        codes = self._board.ports.run(requests)[1]
        return self._board.scales.siemens_from_read_codes(codes, tia_range, self._columns)


def plan(rows: int, columns: int) -> Plan:
    """What a self-test of a board of two arrays of rows × columns does."""
    samples = SAMPLES * (1 + len(LOOP_BACK_VOLTS) + len(REFERENCES) * columns + 4) + 4 * rows * READ_SAMPLES
    levels = ", ".join(f"{volts:g}" for volts in LOOP_BACK_VOLTS)
    return Plan(
        (
            f"analog supply; {columns} column DACs at {levels} V into their output ADCs",
            f"both reference resistors and no current into {columns} transimpedance amplifiers, on both ranges",
            f"read all {2 * rows * columns:,} cells on both ranges; no cell is pulsed",
        ),
        (), samples * TICKS_SAMPLE / TICK_HERTZ,
    )  # fmt: skip


def _by(is_calibrated: bool, otherwise: str = "") -> str:
    if is_calibrated:
        return "by the calibration"
    return f"not calibrated{', ' if otherwise else ''}{otherwise}"


def _worst(name: str, values: np.ndarray, expected: float, limit: np.ndarray | float, unit: str, how: str) -> Check:
    """One check of all columns: the one that comes nearest to its limit, or goes furthest beyond."""
    limits = np.broadcast_to(limit, values.shape)
    part = np.abs(values - expected) / limits
    column = int(part.argmax())
    beyond = np.flatnonzero(part > 1.0)
    told = f"{_listed('column', beyond)} beyond" if len(beyond) else f"column {column} is furthest off"
    value, allowed = float(values[column]), float(limits[column])
    return Check(name, value, expected - allowed, expected + allowed, unit, not len(beyond), f"{told}; {how}")


def _continuous(
    array: str, line: str, best: np.ndarray, is_formed: bool, tia_range: TiaRange, reach_siemens: float
) -> Check:
    """Whether every line conducts somewhere; `best` (lines,) is each one's best cell."""
    weakest, is_open = int(best.argmin()), np.flatnonzero(best < PRISTINE_SIEMENS)
    passed: bool | None = not len(is_open)
    detail = f"{line} {weakest} conducts least"
    if len(is_open):
        passed = False if is_formed else None
        detail = f"{_listed(line, is_open)}: open switch, or no formed cell there"
        if not is_formed:
            detail = "cannot be told: most cells are not formed"
    # Beyond the range nobody knows by how much.
    value = min(float(best[weakest]), reach_siemens)
    name = f"array {array}, each {line} conducts, {tia_range.name.lower()} range"
    return Check(name, value, PRISTINE_SIEMENS, float("inf"), "S", passed, detail)


def _listed(line: str, numbers: Sequence[int] | np.ndarray) -> str:
    shown = ", ".join(str(number) for number in numbers[:_SHOWN_LINES])
    more = f" and {len(numbers) - _SHOWN_LINES} more" if len(numbers) > _SHOWN_LINES else ""
    return f"{line}{'s' if len(numbers) > 1 else ''} {shown}{more}"
