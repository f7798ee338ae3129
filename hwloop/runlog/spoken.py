"""Requests and replies as people read them: one line a field, cell or value, codes with what they stand for.

Whatever a payload holds, lines come out: one that ends too early is told up to there, and bytes too many are shown.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import IntEnum
from functools import partial

from hwloop.drivers.board import decoding
from hwloop.drivers.board.cell_frames import SATURATED_CODE
from hwloop.drivers.board.scales import Scales
from hwloop.drivers.board.solving import BIAS_FOLLOWS
from hwloop.link import protocol as wire
from hwloop.link.protocol import Command, Layout, Rows, Status, Target
from hwloop.runlog.exchanges import command_name

_ENUMS: dict[str, type[IntEnum]] = {
    "polarity": wire.Polarity, "layout": Layout, "target": Target, "tia_range": wire.TiaRange, "rows": Rows,
    "constraint": wire.Constraint, "route": wire.Route, "safe_reason": wire.SafeReason,
    "reset_cause": wire.ResetCause, "limit": wire.LimitKind, "last_begun_kind": Command, "field": wire.Field,
    "what": wire.Hold, "source": wire.SampleSource, "bias_divider": wire.BiasDivider,
}
_REPLIES = {
    Command.IDENTIFY: wire.IdentifyReply, Command.DESCRIBE: wire.DescribeReply, Command.OPEN: wire.OpenReply,
    Command.CLOSE: wire.CloseReply, Command.PULSE: wire.PulseReply, Command.READ: wire.ReadReply,
    Command.SOLVE: wire.SolveReply, Command.MVM: wire.MvmReply, Command.COMPENSATE: wire.CompensateReply,
    Command.ROUTE: wire.RouteReply, Command.TEMPERATURE: wire.TemperatureReply, Command.WAIT: wire.WaitReply,
    Command.TIGHTEN: wire.TightenReply, Command.SAFE: wire.SafeReply, Command.STATUS: wire.StatusReply,
    Command.HOLD: wire.HoldReply, Command.SAMPLE: wire.SampleReply,
}
_REQUESTS = {
    Command.OPEN: wire.OpenRequest, Command.READ: wire.ReadRequest, Command.COMPENSATE: wire.CompensateRequest,
    Command.ROUTE: wire.RouteRequest, Command.WAIT: wire.WaitRequest, Command.TIGHTEN: wire.TightenRequest,
    Command.HOLD: wire.HoldRequest, Command.SAMPLE: wire.SampleRequest,
}
# What a code of HOLD is called, what its channel is, and its unit.
_LEVELS = {
    wire.Hold.AMPLITUDE: ("amplitude_code", "column", "V"), wire.Hold.GATE: ("gate_code", "channel", "V"),
    wire.Hold.INPUT: ("input_code", "row", "V"), wire.Hold.FEEDBACK: ("feedback_code", "column", "S"),
    wire.Hold.BIAS: ("bias_code", "column", "A"),
}
_CONVERSIONS = {"V": "volts", "S": "siemens", "A": "amps"}
_TOGETHER = 8               # row numbers a line
_HEX_BYTES = 24             # of what has no meaning, at most


class _TornError(Exception):
    """The payload ends in the middle of something."""


def request_lines(kind: int, payload: bytes, scales: Scales | None = None) -> list[str]:
    """A request. With nominal `scales` codes come with volts, amps or siemens, and cells with row and column."""
    reader = _Reader(payload)
    speak = _SECTIONS.get(kind)

    def told() -> Iterator[str]:
        if kind in _REQUESTS:
            fixed = reader.fixed(_REQUESTS[Command(kind)])
            yield from _fields(fixed, scales)
        if speak is not None:
            yield from speak(reader, scales)

    return [f"{command_name(kind)}, {len(payload)} bytes", *_whole(told(), reader)]


def reply_lines(kind: int, request: bytes, status: int, payload: bytes, scales: Scales | None = None) -> list[str]:
    """The reply to a request, whose payload is needed to know what its values are."""
    reader = _Reader(payload)
    known = status in Status._value2member_map_
    head = f"{command_name(kind)} reply, {Status(status).name if known else status}, {len(payload)} bytes"

    def told() -> Iterator[str]:
        if status != Status.OK:
            yield from _fields(reader.fixed(wire.Refusal), scales)
        elif kind in _REPLIES:
            yield from _fields(reader.fixed(_REPLIES[Command(kind)]), scales)
            if kind == Command.READ and scales is not None:
                yield from _readings(reader, request, scales)
            elif kind in (Command.SOLVE, Command.MVM):
                yield from _outputs(reader, request, kind == Command.MVM, scales)
            elif kind == Command.SAMPLE:
                yield from _sums(reader, request, scales)

    return [head, *_whole(told(), reader)]


class _Reader:
    """Takes fixed parts and words off a payload, one after the other."""

    def __init__(self, payload: bytes):
        self.payload, self.at = payload, 0

    @property
    def left(self) -> int:
        """Bytes that were not taken yet."""
        return len(self.payload) - self.at

    def fixed(self, record: type) -> object:
        """A fixed part of the wire table."""
        if self.left < record.STRUCT.size:
            raise _TornError
        self.at += record.STRUCT.size
        return record.unpack(self.payload, self.at - record.STRUCT.size)

    def word(self, signed: bool = False) -> int:
        """One 16-bit word."""
        if self.left < 2:
            raise _TornError
        self.at += 2
        return struct.unpack_from("<h" if signed else "<H", self.payload, self.at - 2)[0]

    def rest(self) -> bytes:
        """All that is left."""
        left, self.at = self.payload[self.at :], len(self.payload)
        return left


def _whole(told: Iterable[str], reader: _Reader) -> Iterator[str]:
    try:
        yield from told
    except _TornError:
        yield "  the payload ends in the middle of this"
    if rest := reader.rest():
        more = "…" if len(rest) > _HEX_BYTES else ""
        yield f"  {len(rest)} more bytes: {rest[:_HEX_BYTES].hex(' ')}{more}"


def _fields(record: object, scales: Scales | None, **known: str) -> Iterator[str]:
    for name, value in vars(record).items():
        yield f"  {name:<15} {known.get(name) or _value(name, value, scales)}"


def _value(name: str, value: int | bytes, scales: Scales | None) -> str:
    if isinstance(value, bytes):
        return value.rstrip(b"\0").decode("ascii", "backslashreplace")
    if name in _ENUMS:
        kinds = _ENUMS[name]
        return kinds(value).name if value in kinds._value2member_map_ else str(value)
    if name == "array":
        return "AB"[value] if value < 2 else str(value)
    if name == "column_mask":
        return f"{value:#06x} (columns {' '.join(str(bit) for bit in range(16) if value >> bit & 1)})"
    if name == "wire_hash":
        return f"{value:08x}"
    if name.endswith("ticks"):
        return f"{value} ({_si(value / wire.TICK_HERTZ, 's')})"
    if name == "centicelsius":
        return f"{value} ({value / 100:.2f} C)"
    if name in ("amplitude_code", "gate_code"):
        return _code(value, scales and partial(_nominal_volts, scales, name), "V")
    return str(value)


def _nominal_volts(scales: Scales, name: str, code: int) -> float:
    return scales.volts_from_gate_codes(code) if name == "gate_code" else scales.volts_from_amplitude_codes(code, 0)


def _code(code: int, convert: Callable[[int], float] | None, unit: str) -> str:
    if convert is None:
        return str(code)
    try:
        return f"{code} ({_si(float(convert(code)), unit)})"
    except IndexError:
        return str(code)    # a code, a row or a column that the board does not have


def _si(value: float, unit: str) -> str:
    for factor, prefix in ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n")):
        if abs(value) >= factor:
            return f"{value / factor:.5g} {prefix}{unit}"
    return f"0 {unit}" if value == 0.0 else f"{value:.3g} {unit}"


def _cell(cell: int, scales: Scales | None) -> str:
    if scales is None:
        return f"cell {cell}"
    row, column = divmod(cell, scales.describe.columns)
    return f"row {row} column {column}"


def _section_titles(reader: _Reader) -> Iterator[str]:
    """One for every section that follows, as long as anything is left."""
    for number in itertools.count(1):
        if not reader.left:
            return
        yield f" section {number}"


def _row_with_columns(reader: _Reader) -> tuple[str, int]:
    """A row and its columns as they are listed, and how many columns."""
    row, mask = reader.word(), reader.word()
    return f"row {row} columns {' '.join(str(bit) for bit in range(16) if mask >> bit & 1)}", mask.bit_count()


def _pulse(reader: _Reader, scales: Scales | None) -> Iterator[str]:
    for title in _section_titles(reader):
        yield title
        section = reader.fixed(wire.PulseSection)
        yield from _fields(section, scales)
        stop = reader.at + 2 * section.word_count
        name = "gate_code" if section.target == Target.GATE else "amplitude_code"
        while reader.at < stop:
            if section.layout == Layout.CELLS:
                what = _cell(reader.word(), scales)
                codes = 0 if section.target == Target.COMMON else 1
            else:
                what, columns = _row_with_columns(reader)
                codes = {Target.COMMON: 0, Target.GATE: 1}.get(section.target, columns)
            given = ", ".join(_value(name, reader.word(), scales) for _ in range(codes))
            yield f"  {what}" + (f": {name} {given}" if codes else "")


def _read(reader: _Reader, scales: Scales | None) -> Iterator[str]:
    for title in _section_titles(reader):
        yield title
        section = reader.fixed(wire.ReadSection)
        yield from _fields(section, scales)
        stop = reader.at + 2 * section.word_count
        while reader.at < stop:
            if section.layout == Layout.CELLS:
                yield f"  {_cell(reader.word(), scales)}"
            else:
                yield f"  {_row_with_columns(reader)[0]}"


def _solve(reader: _Reader, scales: Scales | None) -> Iterator[str]:
    yield from _solves(reader, scales, wire.SolveSection)


def _mvm(reader: _Reader, scales: Scales | None) -> Iterator[str]:
    yield from _solves(reader, scales, wire.MvmSection)


def _solves(reader: _Reader, scales: Scales | None, record: type) -> Iterator[str]:
    for title in _section_titles(reader):
        yield title
        section = reader.fixed(record)
        is_solve = record is wire.SolveSection
        divider = section.bias_divider & ~BIAS_FOLLOWS if is_solve else 0
        has_bias = is_solve and bool(section.bias_divider & BIAS_FOLLOWS)
        kinds = wire.BiasDivider._value2member_map_
        name = kinds[divider].name if divider in kinds else str(divider)
        yield from _fields(section, scales, bias_divider=f"{name}{', bias follows' if has_bias else ''}")
        rows = _rows(reader, section)
        for first in range(0, len(rows), _TOGETHER):
            listed = " ".join(map(str, rows[first : first + _TOGETHER]))
            yield f"  active rows {first + 1}…: {listed}"
        columns = [bit for bit in range(16) if section.column_mask >> bit & 1]
        if is_solve and section.feedback:
            for column in columns:
                code = _code(reader.word(), scales and partial(scales.siemens_from_feedback_codes, columns=column), "S")
                yield f"  column {column}: feedback_code {code}"
        if has_bias:
            for column in columns:
                amps = scales and partial(scales.amps_from_bias_codes, divider=divider, columns=column)
                yield f"  column {column}: bias_code {_code(reader.word(signed=True), amps, 'A')}"
        for solve in range(section.solve_count):
            for row in rows:
                volts = scales and partial(scales.volts_from_input_codes, rows=row)
                code = _code(reader.word(signed=True), volts, "V")
                yield f"  solve {solve + 1} row {row}: input_code {code}"


def _rows(reader: _Reader, section: wire.SolveSection | wire.MvmSection) -> Sequence[int]:
    if section.rows != Rows.MASK:
        return [reader.word() for _ in range(section.row_count)]
    first, count = reader.word(), reader.word()
    words = [reader.word() for _ in range(count)]
    return [first + 16 * n + bit for n, word in enumerate(words) for bit in range(16) if word >> bit & 1]


def _compensate(reader: _Reader, scales: Scales | None) -> Iterator[str]:
    while reader.left:
        row, code = reader.word(), reader.word()
        siemens = scales and partial(scales.siemens_from_compensation_codes, rows=row)
        yield f"  row {row}: code {_code(code, siemens, 'S')}"


def _hold(reader: _Reader, scales: Scales | None) -> Iterator[str]:
    what, divider = reader.payload[0], reader.payload[1]
    name, channel, unit = _LEVELS.get(what, ("code", "channel", ""))
    convert = getattr(scales, f"{_CONVERSIONS[unit]}_from_{name}s", None) if unit else None
    while reader.left:
        number, code = reader.word(), reader.word(signed=what in (wire.Hold.INPUT, wire.Hold.BIAS))

        def value(code: int, number: int = number) -> float:
            at = {wire.Hold.GATE: (), wire.Hold.BIAS: (divider, number)}.get(what, (number,))
            return convert(code, *at)

        yield f"  {channel} {number}: {name} {_code(code, convert and value, unit)}"


def _sums(reader: _Reader, request: bytes, scales: Scales | None) -> Iterator[str]:
    asked = wire.SampleRequest.unpack(request) if len(request) == wire.SampleRequest.STRUCT.size else None
    for column in itertools.count():
        if reader.left < 4:
            return
        total = reader.word() | reader.word(signed=True) << 16
        mean = f" (mean {total / asked.averages:.6g})" if asked and asked.averages else ""
        yield f"  column {column}: sum {total}{mean}"


def _readings(reader: _Reader, request: bytes, scales: Scales) -> Iterator[str]:
    describe = scales.describe
    cells = decoding.unpack_read_cells(request, describe.rows, describe.columns)
    codes, steady = decoding.unpack_read_codes(reader.payload, len(cells))
    tia_range = request[0] if request else 0
    reader.rest()
    for cell, code, is_steady in zip(cells.tolist(), codes.tolist(), steady.tolist(), strict=False):
        array, index = divmod(cell, describe.rows * describe.columns)
        is_beyond = code == SATURATED_CODE
        column = index % describe.columns
        siemens = _si(float(scales.siemens_from_read_codes(code, tia_range, column)), "S")
        siemens = "beyond the range" if is_beyond else siemens
        unsteady = "" if is_steady else ", not steady"
        yield f"  {'AB'[array & 1]} {_cell(index, scales)}: code {code} ({siemens}){unsteady}"
    if len(codes) < len(cells):
        raise _TornError


def _outputs(reader: _Reader, request: bytes, is_product: bool, scales: Scales | None) -> Iterator[str]:
    found = decoding.unpack_solves(request, reader.payload, is_product)
    reader.rest()
    for number, (_, saturated, unsettled) in enumerate(found.solves.T.tolist(), start=1):
        flags = [name for name, is_set in (("SATURATED", saturated), ("UNSETTLED", unsettled)) if is_set]
        if flags:
            yield f"  solve {number}: {' '.join(flags)}"
    is_converted = scales is not None and not is_product
    for solve, column, code in found.outputs.T.tolist():
        convert = partial(scales.volts_from_output_codes, columns=column) if is_converted else None
        yield f"  solve {solve + 1} column {column}: output_code {_code(code, convert, 'V')}"


_SECTIONS: dict[int, Callable[[_Reader, Scales | None], Iterator[str]]] = {
    Command.PULSE: _pulse, Command.READ: _read, Command.SOLVE: _solve, Command.MVM: _mvm,
    Command.COMPENSATE: _compensate, Command.HOLD: _hold,
}
