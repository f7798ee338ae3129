"""Exchanges of a run as tables: every pulse, reading, solve and product, raw codes beside physical values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import h5py
import numpy as np

from hwloop.drivers.board.decoding import (
    unpack_compensation,
    unpack_pulses,
    unpack_read_cells,
    unpack_read_codes,
    unpack_solves,
)
from hwloop.drivers.board.scales import Scales
from hwloop.drivers.board.solving import BIAS_FOLLOWS
from hwloop.link.protocol import (
    Command,
    TemperatureReply,
)
from hwloop.runlog.columns import (
    column_columns,
    compensation_columns,
    exchange_columns,
    input_columns,
    output_columns,
    pulse_columns,
    read_columns,
    section_columns,
    siemens_from_read_codes,
    solve_columns,
    temperature_columns,
)
from hwloop.runlog.exchanges import Exchange
from hwloop.runlog.layout import Column, Table, new_group, plot


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
            entry, "exchanges", exchange_columns(), "wall_seconds", ["begun_seconds"], "duration of exchanges",
            description="one row an exchange of the host with the board",
        )
        self._pulses = _table(
            entry, "pulses", pulse_columns(scales), "amplitude_volts", ["exchange"], "pulses", ["gate_volts"],
            "one row a pulse of a cell, in the order given",
        )
        self._reads = _table(
            entry, "reads", read_columns(scales), "conductance_siemens", ["exchange"], "readings",
            description="one row a reading of a cell at the read voltage",
        )
        self._compensation = _table(
            entry, "compensation", compensation_columns(scales), "conductance_siemens", ["exchange"],
            "compensation conductances", description="one row a compensation conductance set",
        )
        self._temperature = _table(
            entry, "temperature", temperature_columns(), "temperature_celsius", ["begun_seconds"],
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
            elif kind == Command.READ and payload:
                found = self._take_reads(payload, reply or b"", place)
                cells.append(found[0])
                codes.append(found[1])
                ranges.append(np.full(len(found[0]), payload[0], np.uint8))
            elif kind == Command.SOLVE:
                self._solves.take(exchange.number, payload, reply or b"")
            elif kind == Command.MVM:
                self._products.take(exchange.number, payload, reply or b"")
            elif kind == Command.COMPENSATE:
                rows, row_codes = unpack_compensation(payload)
                self._compensation.append(len(rows), exchange=exchange.number, row=rows, code=row_codes)
            elif kind == Command.TEMPERATURE and len(reply or b"") >= TemperatureReply.STRUCT.size:
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
        read = np.concatenate(cells)
        siemens = siemens_from_read_codes(
            self._scales, np.concatenate(codes), np.concatenate(ranges), read % self._scales.describe.columns
        )
        return CellReadings(pulses, read, siemens)

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
            parent, "sections", section_columns(is_product), "settle_seconds", ["exchange"], "settle times",
            description="one row for solves that share rows, columns and settings",
        )
        self._columns = _table(
            parent, "columns", column_columns(scales), "feedback_siemens", ["section"], "feedback of columns",
            ["bias_amps"], "one row a column of a section that has a feedback or a bias",
        )
        self._solves = _table(
            parent, "solves", solve_columns(), "saturated", ["exchange"], "flags", ["unsettled"], "one row a solve"
        )
        self._inputs = _table(
            parent, "inputs", input_columns(scales), "input_volts", ["solve"], "row voltages",
            description="one row an active row of a solve",
        )
        self._outputs = _table(
            parent, "outputs", output_columns(scales, is_product), output, ["solve"],
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
