"""Calibration of the GINV amplifiers: their offsets, by outputs without input, and how fast they are."""

from __future__ import annotations

import numpy as np
from scipy.optimize import curve_fit

from hwloop.calibration.record import Parameter, Residual
from hwloop.drivers.board import SolveGroup
from hwloop.errors import CalibrationError
from hwloop.link.protocol import Constraint
from hwloop.procedures.board_cells import CellRows, planned_pulses, planned_rows, read_rows, write_rows
from hwloop.procedures.fitting import parameter, pooled_sigma
from hwloop.procedures.tools import Findings, Plan, Tools, Trace

_PULSE_SECONDS = 50e-6          # about, with the reading after it
# Offsets: single samples, many of them, as answers are whole codes.
_REST_SOLVES, _REST_SECONDS = 128, 30e-6
_CELL_SIGMA = 3e-3              # of the share of a column's conductances in S: cells fluctuate between readings
_LIMIT_VOLTS = 50e-6            # no zero-drift amplifier is off by more
# Settling: waits, in the order in which they are taken again and again, so that cells fluctuate alike in all of them.
_WAITS_SECONDS = np.array([5e-6, 50e-6, 5.5e-6, 6e-6, 50e-6, 7e-6, 8e-6, 50e-6, 10e-6, 13e-6])
_ROUNDS, _SOLVES = 12, 6
# At this output the slope of the cells' bent I–V curve is what they read: 0.2 V / sqrt(3), however bent it is.
_OUTPUT_VOLTS = 0.115
# What cells that fluctuate and bend, and an open-loop gain that is only typical, leave open of the rate.
_CELLS_95, _OPEN_LOOP_GAIN = 1e-3, 1e5
_SETTLE_LIMIT_FRACTION = 1e-2   # of the output


class AmplifierCalibration:
    """See Procedure."""

    kind = "amplifiers"

    def plan(self, tools: Tools) -> Plan:
        """See Procedure."""
        solves = _REST_SOLVES * tools.board.columns
        return Plan(
            (_writing(tools), f"{solves} solves without input, every column by itself"), ("chip",),
            planned_pulses(tools) * _PULSE_SECONDS + solves * 2 * _REST_SECONDS, planned_pulses(tools),
        )

    def run(self, tools: Tools) -> Findings:
        """See Procedure."""
        board, scales = tools.board, tools.board.scales
        # What a bias source gives at code 0 would pass for an offset.
        tools.found("bias_offset_amps", "bias")
        written = write_rows(tools)
        rows, columns = written.rows, np.arange(board.columns)
        board.compensate(rows, np.zeros(len(rows)))
        groups = [
            SolveGroup(rows, np.array([column]), np.zeros((_REST_SOLVES, len(rows))), _REST_SECONDS, 1, Constraint.NONE)
            for column in columns.tolist()
        ]
        outputs = np.column_stack([answer.output_volts[:, 0] for answer in board.solve(groups)])
        tools.on_step("amplifiers", 1, 1)
        input_siemens = scales.input_siemens_of(rows)
        sums = written.row_sums_siemens(input_siemens)
        q, k = written.loop(written.small_siemens[0], sums)
        # Neither inputs nor bias sources come to nothing by whole codes.
        left_volts = scales.volts_from_input_codes(scales.solve_input_codes(np.zeros(len(rows)), rows), rows)
        divider = np.full(len(columns), int(scales.bias_divider(np.array(0.0))))
        bias_codes = scales.bias_codes(np.zeros(len(columns)), divider, columns)
        left_amps = scales.amps_from_bias_codes(bias_codes, divider, columns)
        left_amps = left_amps + written.driven(sums, input_siemens * left_volts)
        offset_volts = (q * outputs.mean(axis=0) + left_amps) / k
        sigma = np.hypot(q / k * pooled_sigma(outputs) / np.sqrt(_REST_SOLVES), _CELL_SIGMA * offset_volts)
        inputs_95 = _found_95(tools, "input_dac_offset_volts", "dac").max() * written.driven(sums, input_siemens) / k
        adc_95 = _found_95(tools, "output_adc_offset_volts", "adc") * q / k
        found = parameter("amplifier_offset_volts", "V", offset_volts, np.hypot(sigma, 0.5 * adc_95), inputs_95)
        return Findings(
            (found,), Residual(float(np.abs(offset_volts).max()), _LIMIT_VOLTS, "V"),
            f"outputs of every column by itself on {len(rows)} rows of like conductance, no input, dual supply",
            (Trace(
                "amplifiers", "column", "offset (V)", columns, offset_volts, found.uncertainty_95, "V (95 %)"
            ),),
        )  # fmt: skip


class SettleCalibration:
    """See Procedure."""

    kind = "settle"

    def plan(self, tools: Tools) -> Plan:
        """See Procedure."""
        solves = _ROUNDS * _SOLVES * len(_WAITS_SECONDS) * tools.board.columns
        waits = np.unique(_WAITS_SECONDS) * 1e6
        return Plan(
            (
                _writing(tools),
                f"{solves} solves, every column by itself, waits of {waits[0]:g} to {waits[-1]:g} us",
            ),
            ("chip",), planned_pulses(tools) * _PULSE_SECONDS + solves * 100e-6, planned_pulses(tools),
        )  # fmt: skip

    def run(self, tools: Tools) -> Findings:
        """See Procedure."""
        board, scales = tools.board, tools.board.scales
        before = write_rows(tools)
        rows, columns = before.rows, np.arange(board.columns)
        compensation = np.full(len(rows), scales.compensation_max_siemens)
        board.compensate(rows, compensation)
        codes = scales.compensation_codes(compensation, rows)
        fixed = scales.siemens_from_compensation_codes(codes, rows) + scales.input_siemens_of(rows)
        outputs = np.empty((_ROUNDS, len(_WAITS_SECONDS), len(columns)))
        for number in range(_ROUNDS):
            answers = iter(board.solve(_groups(tools, before, fixed)))
            for column in columns:
                outputs[number, :, column] = [next(answers).output_volts.mean() for _ in _WAITS_SECONDS]
            tools.on_step("settling", number + 1, _ROUNDS)
        after = read_rows(tools, rows)
        q, k = before.loop(
            0.5 * (before.read_siemens[0] + after.read_siemens[0]),
            0.5 * (before.row_sums_siemens(fixed) + after.row_sums_siemens(fixed)),
        )
        points = outputs.mean(axis=0).T
        fits = np.array([_settling_fit(of_column, float(rate)) for of_column, rate in zip(
            points, 2 * np.pi * board.describe.gain_bandwidth_hertz * q / k, strict=True
        )])  # fmt: skip
        residual = points - fits[:, :1] * -np.expm1(-fits[:, 1:] * _WAITS_SECONDS)
        hertz = fits[:, 1] / (2 * np.pi * (q / k + 1.0 / _OPEN_LOOP_GAIN))
        gains_95 = np.hypot(
            tools.found("tia_coarse_gain", "tia").uncertainty_95.max(),
            _relative_95(tools.found("compensation_step_siemens", "compensation")),
        )
        value = float(hertz.mean())
        found = parameter(
            "gain_bandwidth_hertz", "Hz", np.array(value), float(hertz.std(ddof=1)) / np.sqrt(len(hertz)),
            value * float(np.hypot(gains_95, _CELLS_95)),
        )
        worst = float(np.abs(residual / fits[:, :1]).max())
        return Findings(
            (found,), Residual(worst, _SETTLE_LIMIT_FRACTION, "of the output"),
            f"outputs of every column by itself on {len(rows)} rows, compensation at its largest, against the settle "
            "time; the rate over what the conductances make it for 1 Hz",
            (Trace("settling", "wait (s)", "output (V)", _WAITS_SECONDS, points, residual, "V"),),
        )


def _writing(tools: Tools) -> str:
    return f"{planned_rows(tools)} rows of both arrays are written to a like conductance; what they held is lost"


def _groups(tools: Tools, written: CellRows, fixed_siemens: np.ndarray) -> list[SolveGroup]:
    """Every column by itself with every wait, driven to one output."""
    rows = written.rows
    sums = written.row_sums_siemens(fixed_siemens)
    q, _ = written.loop(written.read_siemens[0], sums)
    one_volt_amps = np.full(len(rows), tools.board.scales.input_siemens)
    input_volts = -_OUTPUT_VOLTS * q / written.driven(sums, one_volt_amps)
    return [
        SolveGroup(
            rows, np.array([column]), np.full((_SOLVES, len(rows)), volts), wait_seconds, 1, Constraint.NONE
        )
        for column, volts in enumerate(input_volts.tolist()) for wait_seconds in _WAITS_SECONDS.tolist()
    ]


def _settling_fit(points: np.ndarray, rate_per_second: float) -> np.ndarray:
    """Rest point and rate of one column's outputs (waits,). Raises CalibrationError where they do not settle so."""
    try:
        fitted, _ = curve_fit(
            lambda wait, rest, rate: rest * -np.expm1(-rate * wait), _WAITS_SECONDS, points,
            p0=(points[_WAITS_SECONDS.argmax()], rate_per_second),
        )
    except RuntimeError as error:
        raise CalibrationError(
            "outputs do not approach a rest point as amplifiers do; check the supply (`hwloop board selftest`)"
        ) from error
    return fitted


def _found_95(tools: Tools, name: str, kind: str) -> np.ndarray:
    return tools.found(name, kind).uncertainty_95


def _relative_95(found: Parameter) -> float:
    """Of the largest steps, which make up most of a ladder."""
    return float((found.uncertainty_95 / found.value)[..., -1].max())
