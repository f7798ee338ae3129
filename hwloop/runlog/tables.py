"""Exchanges of a run as tables: every pulse, reading, solve and product, raw codes beside physical values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import h5py
import numpy as np

from hwloop.drivers.board.cell_frames import SATURATED_CODE
from hwloop.drivers.board.decoding import unpack_pulses, unpack_read_cells, unpack_read_codes, unpack_solves
from hwloop.drivers.board.scales import Scales
from hwloop.drivers.board.solving import BIAS_FOLLOWS
from hwloop.link.protocol import (
    TICK_HERTZ,
    Command,
    CompensateRequest,
    Constraint,
    Polarity,
    TemperatureReply,
    TiaRange,
)
from hwloop.runlog.exchanges import Exchange
from hwloop.runlog.layout import CODES, NOTHING, TICKS, Column, Table, new_group, plot

_EXCHANGE = Column("exchange", "u4", NOTHING, "number of the exchange in the run")
_ROUND = Column("round", "u4", NOTHING, "programming round, from 1; behind the last finished round the next number")
_STEP = Column("step", "u4", NOTHING, "exchanges with pulses so far in this round, this one included")
_CELL = Column("cell", "u4", NOTHING, "flat cell index (array x rows + row) x columns + column, array 0 = A, 1 = B")
_ANSWERED = Column(
    "answered", "u1", NOTHING, "1: the board confirmed it; 0: no reply, so nobody knows whether it was carried out"
)


@dataclass(frozen=True)
class CellReadings:
    """What one exchange did to cells: pulses that it gave, and flat `cells` (n,) with what they read, in siemens."""

    pulses: int
    cells: np.ndarray
    siemens: np.ndarray


class ExchangeTables:
    """The tables of one entry. `started_ns`, Unix ns, is where times in seconds begin."""

    def __init__(self, entry: h5py.Group, scales: Scales, started_ns: int):
        self._scales, self._started_ns = scales, started_ns
        self._exchanges = _table(
            entry, "exchanges", _exchange_columns(), "wall_seconds", ["begun_seconds"], "duration of exchanges",
            description="one row an exchange of the host with the board",
        )
        self._pulses = _table(
            entry, "pulses", _pulse_columns(scales), "amplitude_volts", ["exchange"], "pulses", ["gate_volts"],
            "one row a pulse of a cell, in the order given",
        )
        self._reads = _table(
            entry, "reads", _read_columns(scales), "conductance_siemens", ["exchange"], "readings",
            description="one row a reading of a cell at the read voltage",
        )
        self._compensation = _table(
            entry, "compensation", _compensation_columns(scales), "conductance_siemens", ["exchange"],
            "compensation conductances", description="one row a compensation conductance set",
        )
        self._temperature = _table(
            entry, "temperature", _temperature_columns(), "temperature_celsius", ["begun_seconds"],
            "temperature at the array", description="one row a measurement",
        )
        self._solves = _SolveTables(entry, "solves", scales, False)
        self._products = _SolveTables(entry, "products", scales, True)

    def take(self, exchange: Exchange, round_number: int, step: int) -> CellReadings:
        """Append everything that an exchange did."""
        first = [self._pulses.rows, self._reads.rows, self._solves.solves, self._products.solves]
        begun_seconds = (exchange.begun_ns - self._started_ns) * 1e-9
        place = {"exchange": exchange.number, "round": round_number, "step": step}
        cells, codes, ranges = [], [], []
        for kind, payload, reply in exchange.answered:
            if kind == Command.PULSE:
                self._take_pulses(payload, reply is not None, place)
            elif kind == Command.READ:
                found = self._take_reads(payload, reply or b"", place)
                cells.append(found[0])
                codes.append(found[1])
                ranges.append(np.full(len(found[0]), payload[0], np.uint8))
            elif kind == Command.SOLVE:
                self._solves.take(exchange.number, payload, reply or b"")
            elif kind == Command.MVM:
                self._products.take(exchange.number, payload, reply or b"")
            elif kind == Command.COMPENSATE:
                pairs = np.frombuffer(payload, "<u2", -1, CompensateRequest.STRUCT.size).reshape(-1, 2)
                self._compensation.append(len(pairs), exchange=exchange.number, row=pairs[:, 0], code=pairs[:, 1])
            elif kind == Command.TEMPERATURE and reply is not None:
                self._temperature.append(
                    1, exchange=exchange.number, begun_seconds=begun_seconds,
                    temperature_celsius=TemperatureReply.unpack(reply).centicelsius / 100,
                )
        self._exchanges.append(
            1, exchange=exchange.number, recovery=exchange.recovery, command=exchange.frames[0][0],
            frames=len(exchange.frames), replies=len(exchange.replies), begun_seconds=begun_seconds,
            wall_seconds=(exchange.ended_ns - exchange.begun_ns) * 1e-9, elapsed_ticks=exchange.elapsed_ticks(),
            bench_ticks=exchange.ticks, sent_bytes=exchange.bytes_sent, received_bytes=exchange.bytes_received,
            first_pulse=first[0], first_read=first[1], first_solve=first[2], first_product=first[3],
        )
        pulses = self._pulses.rows - first[0]
        if not cells:
            return CellReadings(pulses, np.zeros(0, np.int32), np.zeros(0))
        siemens = _siemens_from_read_codes(self._scales, np.concatenate(codes), np.concatenate(ranges))
        return CellReadings(pulses, np.concatenate(cells), siemens)

    def close(self) -> None:
        """Write what is left."""
        for table in (self._exchanges, self._pulses, self._reads, self._compensation, self._temperature):
            table.close()
        for tables in (self._solves, self._products):
            tables.close()

    def _take_pulses(self, payload: bytes, answered: bool, place: dict[str, int]) -> None:
        describe = self._scales.describe
        cell, polarity, amplitude_code, gate_code, width_ticks = unpack_pulses(payload, describe.rows, describe.columns)
        self._pulses.append(
            len(cell), **place, cell=cell, polarity=polarity, amplitude_code=amplitude_code, gate_code=gate_code,
            width_ticks=width_ticks, answered=answered,
        )

    def _take_reads(self, payload: bytes, reply: bytes, place: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
        describe = self._scales.describe
        cells = unpack_read_cells(payload, describe.rows, describe.columns)
        codes, steady = unpack_read_codes(reply, len(cells))
        cells = cells[: len(codes)]
        self._reads.append(len(cells), **place, cell=cells, code=codes, tia_range=payload[0], steady=steady)
        return cells, codes


class _SolveTables:
    """Sections (solves that share rows, columns and settings), solves, and one row an input and an output voltage."""

    def __init__(self, entry: h5py.Group, name: str, scales: Scales, is_product: bool):
        self._is_product = is_product
        groups: list[h5py.Group] = []

        def parent() -> h5py.Group:
            if not groups:
                what = "products of row voltages with the conductances" if is_product else "regressions on the circuit"
                groups.append(new_group(entry, name, "NXcollection", f"{what}, in the order asked for"))
                groups[0].attrs["default"] = "inputs"
            return groups[0]

        output = "current_amps" if is_product else "output_volts"
        self._sections = _table(
            parent, "sections", _section_columns(is_product), "settle_seconds", ["exchange"], "settle times",
            description="one row for solves that share rows, columns and settings",
        )
        self._columns = _table(
            parent, "columns", _column_columns(scales), "feedback_siemens", ["section"], "feedback of columns",
            ["bias_amps"], "one row a column of a section that has a feedback or a bias",
        )
        self._solves = _table(
            parent, "solves", _solve_columns(), "saturated", ["exchange"], "flags", ["unsettled"], "one row a solve"
        )
        self._inputs = _table(
            parent, "inputs", _input_columns(scales), "input_volts", ["solve"], "row voltages",
            description="one row an active row of a solve",
        )
        self._outputs = _table(
            parent, "outputs", _output_columns(scales, is_product), output, ["solve"],
            "column currents" if is_product else "output voltages",
            description="one row an active column of an answered solve",
            on_made=lambda: parent().attrs.modify("default", "outputs"),
        )

    @property
    def solves(self) -> int:
        """Solves so far."""
        return self._solves.rows

    def take(self, exchange: int, payload: bytes, reply: bytes) -> None:
        """Append a frame's solves."""
        found = unpack_solves(payload, reply, self._is_product)
        section, solve = self._sections.rows, self._solves.rows
        kind, follows, divider, averages, mask, settle_ticks, rows, solves = found.sections
        if self._is_product:
            settings = {"array": kind, "tia_range": follows}
        else:
            settings = {
                "constraint": kind, "has_feedback": follows, "has_bias": divider & BIAS_FOLLOWS != 0,
                "bias_divider": divider & ~BIAS_FOLLOWS,
            }
        self._sections.append(
            len(kind), exchange=exchange, **settings, averages=averages, column_mask=mask, settle_ticks=settle_ticks,
            rows=rows, solves=solves, first_solve=solve + np.cumsum(solves) - solves,
        )
        of, column, feedback_code, bias_code = found.columns
        self._columns.append(
            len(of), section=section + of.astype(np.int64), column=column, feedback_code=feedback_code,
            bias_code=bias_code, bias_divider=divider[of] & ~BIAS_FOLLOWS,
        )
        of, saturated, unsettled = found.solves
        self._solves.append(
            len(of), exchange=exchange, section=section + of.astype(np.int64), saturated=saturated,
            unsettled=unsettled, answered=len(reply) > 0,
        )
        of, row, code = found.inputs
        self._inputs.append(len(of), solve=solve + of.astype(np.int64), row=row, code=code)
        of, column, code = found.outputs
        ranges = {"tia_range": follows[found.solves[0][of]]} if self._is_product else {}
        self._outputs.append(len(of), solve=solve + of.astype(np.int64), column=column, code=code, **ranges)

    def close(self) -> None:
        """Write what is left."""
        for table in (self._sections, self._columns, self._solves, self._inputs, self._outputs):
            table.close()


def _table(
    parent, name: str, columns: Sequence[Column], signal: str, axes: Sequence[str], title: str,
    auxiliary: Sequence[str] = (), description: str = "", on_made=lambda: None,
) -> Table:
    """A table in an NXdata group `name` of `parent`, a group or what gives one when the first row comes."""

    def make() -> h5py.Group:
        group = new_group(parent() if callable(parent) else parent, name, "NXdata", description)
        plot(group, signal, axes, title, auxiliary)
        on_made()
        return group

    return Table(columns, make)


def _siemens_from_read_codes(scales: Scales, codes: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """Conductances of readings, each on its own range."""
    fine = ranges == TiaRange.FINE
    if not fine.any():
        return scales.siemens_from_read_codes(codes, TiaRange.COARSE)
    on_fine, on_coarse = (scales.siemens_from_read_codes(codes, kind) for kind in TiaRange)
    return np.where(fine, on_fine, on_coarse)


def _named(kinds: type) -> str:
    return ", ".join(f"{kind.value} {kind.name}" for kind in kinds)


def _seconds(name: str, ticks: str, description: str, dtype: str = "f8") -> Column:
    return Column(name, dtype, "s", description, lambda block: block[ticks] / TICK_HERTZ)


def _exchange_columns() -> list[Column]:
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


def _pulse_columns(scales: Scales) -> list[Column]:
    return [
        _EXCHANGE, _ROUND, _STEP, _CELL,
        Column("polarity", "u1", NOTHING, _named(Polarity)),
        Column("amplitude_code", "u2", CODES, "code of the column DAC"),
        Column("amplitude_volts", "f4", "V", "amplitude on the driven line, from its code and the board's scale",
               lambda block: scales.volts_from_amplitude_codes(block["amplitude_code"])),
        Column("gate_code", "u2", CODES, "code of the gate DAC"),
        Column("gate_volts", "f4", "V", "gate voltage of the row, from its code and the board's scale",
               lambda block: scales.volts_from_gate_codes(block["gate_code"])),
        Column("width_ticks", "u2", TICKS, "width"),
        _seconds("width_seconds", "width_ticks", "width", "f4"),
        _ANSWERED,
    ]


def _read_columns(scales: Scales) -> list[Column]:
    return [
        _EXCHANGE, _ROUND, _STEP, _CELL,
        Column("tia_range", "u1", NOTHING, f"range of the amplifier: {_named(TiaRange)}"),
        Column("code", "u2", CODES, "mean code of the reading"),
        Column("conductance_siemens", "f4", "S", "current at the read voltage by that voltage, from code and scale",
               lambda block: _siemens_from_read_codes(scales, block["code"], block["tia_range"])),
        Column("steady", "u1", NOTHING, "1: every part of the reading lay close to its mean"),
        Column("saturated", "u1", NOTHING, "1: beyond the range", lambda block: block["code"] == SATURATED_CODE),
    ]


def _compensation_columns(scales: Scales) -> list[Column]:
    return [
        _EXCHANGE,
        Column("row", "u2", NOTHING, "row"),
        Column("code", "u2", CODES, "code of the row's ladder"),
        Column("conductance_siemens", "f4", "S", "compensation conductance, from code and scale",
               lambda block: scales.siemens_from_compensation_codes(block["code"])),
    ]


def _temperature_columns() -> list[Column]:
    return [
        _EXCHANGE,
        Column("begun_seconds", "f8", "s", "wall time since the run began"),
        Column("temperature_celsius", "f8", "degC", "temperature at the array"),
    ]


def _section_columns(is_product: bool) -> list[Column]:
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


def _column_columns(scales: Scales) -> list[Column]:
    return [
        Column("section", "u8", NOTHING, "row of sections"),
        Column("column", "u1", NOTHING, "column"),
        Column("feedback_code", "u2", CODES, "code of the feedback ladder"),
        Column("feedback_siemens", "f4", "S", "feedback conductance (the ridge), from code and scale",
               lambda block: scales.siemens_from_feedback_codes(block["feedback_code"])),
        Column("bias_code", "i2", CODES, "code of the bias current"),
        Column("bias_divider", "u1", NOTHING, "power of 1/16 that scales the bias current"),
        Column("bias_amps", "f4", "A", "bias current, from code, divider and scale",
               lambda block: scales.amps_from_bias_codes(block["bias_code"], block["bias_divider"])),
    ]


def _solve_columns() -> list[Column]:
    return [
        _EXCHANGE,
        Column("section", "u8", NOTHING, "row of sections"),
        Column("saturated", "u1", NOTHING, "1: an output went beyond its range"),
        Column("unsettled", "u1", NOTHING, "1: an output still moved while it was sampled"),
        _ANSWERED,
    ]


def _input_columns(scales: Scales) -> list[Column]:
    return [
        Column("solve", "u8", NOTHING, "row of solves"),
        Column("row", "u2", NOTHING, "active row"),
        Column("code", "i2", CODES, "code of the row DAC"),
        Column("input_volts", "f4", "V", "row voltage, from code and scale",
               lambda block: scales.volts_from_input_codes(block["code"])),
    ]


def _output_columns(scales: Scales, is_product: bool) -> list[Column]:
    place = [
        Column("solve", "u8", NOTHING, "row of solves"),
        Column("column", "u1", NOTHING, "active column"),
        Column("code", "i2", CODES, "mean code of the output"),
    ]
    if not is_product:
        return [*place, Column("output_volts", "f4", "V", "amplifier output, from code and scale",
                               lambda block: scales.volts_from_output_codes(block["code"]))]

    def amps(block):
        fine = block["tia_range"] == TiaRange.FINE
        on_fine, on_coarse = (scales.amps_from_current_codes(block["code"], kind) for kind in TiaRange)
        return np.where(fine, on_fine, on_coarse)

    return [
        *place, Column("tia_range", "u1", NOTHING, f"range of the amplifier: {_named(TiaRange)}"),
        Column("current_amps", "f4", "A", "column current, from code and scale", amps),
    ]
