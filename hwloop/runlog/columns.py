"""Columns of the tables of a run file: names, types, units, and how codes become physical values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwloop.drivers.board.cell_frames import SATURATED_CODE
from hwloop.drivers.board.scales import Scales
from hwloop.link.protocol import TICK_HERTZ, Command, Constraint, Polarity, TiaRange
from hwloop.runlog.layout import CODES, NOTHING, TICKS, Column

_EXCHANGE = Column("exchange", "u4", NOTHING, "number of the exchange in the run")
_ROUND = Column("round", "u4", NOTHING, "programming round, from 1; behind the last finished round the next number")
_STEP = Column("step", "u4", NOTHING, "exchanges with pulses so far in this round, this one included")
_CELL = Column("cell", "u4", NOTHING, "flat cell index (array x rows + row) x columns + column, array 0 = A, 1 = B")
_ANSWERED = Column(
    "answered", "u1", NOTHING, "1: the board confirmed it; 0: no reply, so nobody knows whether it was carried out"
)


def _named(kinds: type) -> str:
    return ", ".join(f"{kind.value} {kind.name}" for kind in kinds)


def _seconds(name: str, ticks: str, description: str, dtype: str = "f8") -> Column:
    return Column(name, dtype, "s", description, lambda block: block[ticks] / TICK_HERTZ)


def exchange_columns() -> list[Column]:
    """One row an exchange."""
    return [
        _EXCHANGE,
        Column("recovery", "u1", NOTHING, "1: sent to find out where the board stood when the run was gone on with"),
        Column("command", "u1", NOTHING, f"command of the first frame: {_named(Command)}"),
        Column("frames", "u2", NOTHING, "requests"),
        Column("replies", "u2", NOTHING, "replies, refusals included"),
        Column("begun_seconds", "f8", "s", "wall time since the run began"),
        Column("wall_seconds", "f8", "s", "wall time until the last reply"),
        Column("elapsed_ticks", "u8", TICKS, "bench time that it took"),
        _seconds("elapsed_seconds", "elapsed_ticks", "bench time that it took"),
        Column("bench_ticks", "u8", TICKS, "bench clock afterwards; 0 where not known"),
        _seconds("bench_seconds", "bench_ticks", "bench clock afterwards; 0 where not known"),
        Column("sent_bytes", "u4", "byte", "bytes sent, repeats included"),
        Column("received_bytes", "u4", "byte", "bytes received"),
        Column("first_pulse", "u8", NOTHING, "where its rows in pulses begin"),
        Column("first_read", "u8", NOTHING, "where its rows in reads begin"),
        Column("first_solve", "u8", NOTHING, "where its rows in solves/solves begin"),
        Column("first_product", "u8", NOTHING, "where its rows in products/solves begin"),
    ]


def pulse_columns(scales: Scales) -> list[Column]:
    """One row a pulse of a cell."""
    column_of = _column_of(scales)
    return [
        _EXCHANGE, _ROUND, _STEP, _CELL,
        Column("polarity", "u1", NOTHING, _named(Polarity)),
        Column("amplitude_code", "u2", CODES, "code of the column DAC"),
        Column("amplitude_volts", "f4", "V", "amplitude on the driven line, from its code and the board's scale",
               lambda block: scales.volts_from_amplitude_codes(block["amplitude_code"], column_of(block["cell"]))),
        Column("gate_code", "u2", CODES, "code of the gate DAC"),
        Column("gate_volts", "f4", "V", "gate voltage of the row, from its code and the board's scale",
               lambda block: scales.volts_from_gate_codes(block["gate_code"])),
        Column("width_ticks", "u2", TICKS, "width"),
        _seconds("width_seconds", "width_ticks", "width", "f4"),
        _ANSWERED,
    ]


def read_columns(scales: Scales) -> list[Column]:
    """One row a reading of a cell."""
    column_of = _column_of(scales)
    return [
        _EXCHANGE, _ROUND, _STEP, _CELL,
        Column("tia_range", "u1", NOTHING, f"range of the amplifier: {_named(TiaRange)}"),
        Column("code", "u2", CODES, "mean code of the reading"),
        Column("conductance_siemens", "f4", "S", "current at the read voltage by that voltage, from code and scale",
               lambda block: siemens_from_read_codes(
                   scales, block["code"], block["tia_range"], column_of(block["cell"]))),
        Column("steady", "u1", NOTHING, "1: every part of the reading lay close to its mean"),
        Column("saturated", "u1", NOTHING, "1: beyond the range", lambda block: block["code"] == SATURATED_CODE),
    ]


def compensation_columns(scales: Scales) -> list[Column]:
    """One row a compensation conductance set."""
    return [
        _EXCHANGE,
        Column("row", "u2", NOTHING, "row"),
        Column("code", "u2", CODES, "code of the row's ladder"),
        Column("conductance_siemens", "f4", "S", "compensation conductance, from code and scale",
               lambda block: scales.siemens_from_compensation_codes(block["code"], block["row"])),
    ]


def temperature_columns() -> list[Column]:
    """One row a measurement."""
    return [
        _EXCHANGE,
        Column("begun_seconds", "f8", "s", "wall time since the run began"),
        Column("temperature_celsius", "f8", "degC", "temperature at the array"),
    ]


def section_columns(is_product: bool) -> list[Column]:
    """One row for solves (or products) that share rows, columns and settings."""
    own = [
        Column("array", "u1", NOTHING, "0 A, 1 B"),
        Column("tia_range", "u1", NOTHING, f"range of the amplifiers: {_named(TiaRange)}"),
    ] if is_product else [
        Column("constraint", "u1", NOTHING, f"what keeps outputs at 0 or above: {_named(Constraint)}"),
        Column("has_feedback", "u1", NOTHING, "1: its columns have a feedback conductance"),
        Column("has_bias", "u1", NOTHING, "1: its columns have a bias current"),
        Column("bias_divider", "u1", NOTHING, "power of 1/16 that scales the bias currents"),
    ]
    return [
        _EXCHANGE, *own,
        Column("averages", "u2", NOTHING, "samples of each output"),
        Column("column_mask", "u2", NOTHING, "bit c set: column c is active"),
        Column("settle_ticks", "u2", TICKS, "wait before the first sample"),
        _seconds("settle_seconds", "settle_ticks", "wait before the first sample", "f4"),
        Column("rows", "u2", NOTHING, "active rows; which, say the inputs"),
        Column("solves", "u2", NOTHING, "solves"),
        Column("first_solve", "u8", NOTHING, "where its rows in solves begin"),
    ]


def column_columns(scales: Scales) -> list[Column]:
    """One row a column of a section."""
    return [
        Column("section", "u8", NOTHING, "row of sections"),
        Column("column", "u1", NOTHING, "column"),
        Column("feedback_code", "u2", CODES, "code of the feedback ladder"),
        Column("feedback_siemens", "f4", "S", "feedback conductance (the ridge), from code and scale",
               lambda block: scales.siemens_from_feedback_codes(block["feedback_code"], block["column"])),
        Column("bias_code", "i2", CODES, "code of the bias current"),
        Column("bias_divider", "u1", NOTHING, "power of 1/16 that scales the bias current"),
        Column("bias_amps", "f4", "A", "bias current, from code, divider and scale",
               lambda block: scales.amps_from_bias_codes(
                   block["bias_code"], block["bias_divider"], block["column"])),
    ]


def solve_columns() -> list[Column]:
    """One row a solve or product."""
    return [
        _EXCHANGE,
        Column("section", "u8", NOTHING, "row of sections"),
        Column("saturated", "u1", NOTHING, "1: an output went beyond its range"),
        Column("unsettled", "u1", NOTHING, "1: an output still moved while it was sampled"),
        _ANSWERED,
    ]


def input_columns(scales: Scales) -> list[Column]:
    """One row an active row of a solve."""
    return [
        Column("solve", "u8", NOTHING, "row of solves"),
        Column("row", "u2", NOTHING, "active row"),
        Column("code", "i2", CODES, "code of the row DAC"),
        Column("input_volts", "f4", "V", "row voltage, from code and scale",
               lambda block: scales.volts_from_input_codes(block["code"], block["row"])),
    ]


def output_columns(scales: Scales, is_product: bool) -> list[Column]:
    """One row an active column of a solve."""
    place = [
        Column("solve", "u8", NOTHING, "row of solves"),
        Column("column", "u1", NOTHING, "active column"),
        Column("code", "i2", CODES, "mean code of the output"),
    ]
    if not is_product:
        return [*place, Column("output_volts", "f4", "V", "amplifier output, from code and scale",
                               lambda block: scales.volts_from_output_codes(block["code"], block["column"]))]

    def amps(block):
        fine = block["tia_range"] == TiaRange.FINE
        on_fine, on_coarse = (
            scales.amps_from_current_codes(block["code"], kind, block["column"]) for kind in TiaRange
        )
        return np.where(fine, on_fine, on_coarse)

    return [
        *place, Column("tia_range", "u1", NOTHING, f"range of the amplifier: {_named(TiaRange)}"),
        Column("current_amps", "f4", "A", "column current, from code and scale", amps),
    ]


def siemens_from_read_codes(
    scales: Scales, codes: np.ndarray, ranges: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Conductances of readings, each on its own range and column."""
    fine = ranges == TiaRange.FINE
    if not fine.any():
        return scales.siemens_from_read_codes(codes, TiaRange.COARSE, columns)
    on_fine, on_coarse = (scales.siemens_from_read_codes(codes, kind, columns) for kind in TiaRange)
    return np.where(fine, on_fine, on_coarse)


def _column_of(scales: Scales) -> Callable[[np.ndarray], np.ndarray]:
    """From flat cells to their columns."""
    return lambda cells: cells % scales.describe.columns
