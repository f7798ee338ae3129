"""What each sequenced command does on the simulated board: parse, check every limit, then act on the panel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwloop.link import protocol as wire
from hwloop.link.frames import OVERHEAD_BYTES
from hwloop.link.protocol import (
    BiasDivider,
    Command,
    Constraint,
    Field,
    Layout,
    LimitKind,
    Polarity,
    Status,
    Target,
    TiaRange,
)
from hwloop.mock.panel import Panel
from hwloop.mock.refusal import RefusalError, check_length, check_range
from hwloop.mock.sections import (
    CellList,
    SolveList,
    expand_cells,
    expand_solve,
    fixed_part,
    header_at,
    pack_bits,
    packed_bits_bytes,
    split_sections,
    words_at,
)

BIAS_FOLLOWS = 0x80


def describe(panel: Panel) -> bytes:
    """DESCRIBE: what the board is and what it allows now."""
    bench, geometry, limits = panel.bench, panel.geometry, panel.registers.limits
    return wire.DescribeReply(
        geometry.rows, geometry.columns, geometry.max_frame_bytes, geometry.max_in_flight, bench.reset_cause,
        bench.boot_counter, wire.SCALE_AMPLITUDE_FULL_SCALE_MICROVOLTS, wire.SCALE_GATE_FULL_SCALE_MICROVOLTS,
        wire.SCALE_INPUT_FULL_SCALE_MICROVOLTS, wire.SCALE_OUTPUT_FULL_SCALE_MICROVOLTS, wire.SCALE_OUTPUT_GAIN,
        wire.SCALE_OUTPUT_MAX_MICROVOLTS, wire.SCALE_READ_MICROVOLTS, wire.SCALE_TIA_FINE_NANOAMPS,
        wire.SCALE_TIA_COARSE_NANOAMPS, wire.SCALE_INPUT_NANOSIEMENS, wire.SCALE_COMPENSATION_FULL_SCALE_NANOSIEMENS,
        wire.SCALE_FEEDBACK_FULL_SCALE_NANOSIEMENS, wire.SCALE_BIAS_FULL_SCALE_NANOAMPS,
        wire.SCALE_GAIN_BANDWIDTH_HERTZ, wire.SCALE_UNSETTLED_CODE, wire.SCALE_SATURATED_CODE,
        limits[LimitKind.AMPLITUDE_CODE],
        limits[LimitKind.FORM_CODE], limits[LimitKind.GATE_CODE], limits[LimitKind.WIDTH_TICKS],
        limits[LimitKind.ROW_ON_TICKS], limits[LimitKind.PULSE_ENERGY],
    ).pack()


def pulse(panel: Panel, payload: bytes) -> bytes:
    """PULSE: every section is checked before the first row pulse."""
    rows, columns, limits = panel.geometry.rows, panel.geometry.columns, panel.registers.limits
    on_ticks = np.zeros(2 * rows, np.int64)
    planned: list[tuple[wire.PulseSection, CellList, np.ndarray, np.ndarray]] = []
    pulsed_rows: list[np.ndarray] = []
    first_cell = 0
    for number, (section, words) in enumerate(split_sections(payload, 0, wire.PulseSection)):
        check_range(Field.ARRAY, section.array, 0, 1, number)
        check_range(Field.POLARITY, section.polarity, 0, Polarity.FORM, number)
        check_range(Field.LAYOUT, section.layout, 0, Layout.ROWS, number)
        check_range(Field.TARGET, section.target, 0, Target.AMPLITUDE, number)
        check_range(Field.WIDTH_TICKS, section.width_ticks, 1, limits[LimitKind.WIDTH_TICKS], number)
        cells = expand_cells(words, section.layout, section.target, rows, columns, first_cell)
        n = len(cells.cell)
        amplitude = cells.code if section.target == Target.AMPLITUDE else np.full(n, section.amplitude_code, np.int64)
        gate = cells.code if section.target == Target.GATE else np.full(n, section.gate_code, np.int64)
        _check_pulse_limits(limits, section, amplitude, gate, first_cell)
        pulsed_rows.append(section.array * rows + cells.cell // columns)
        starts = np.diff(cells.group, prepend=-1) > 0
        np.add.at(on_ticks, pulsed_rows[-1][starts], section.width_ticks)
        planned.append((section, cells, amplitude, gate))
        first_cell += n
    for position, on in _running(on_ticks[listed] for listed in pulsed_rows):
        check_range(Field.ROW_ON_TICKS, on, 0, limits[LimitKind.ROW_ON_TICKS], position)
    panel.registers.end_cell_route()
    before = panel.bench.ticks
    for section, cells, amplitude, gate in planned:
        panel.pulse(section.array, section.polarity, cells, amplitude, gate, section.width_ticks)
    return wire.PulseReply(panel.bench.ticks - before, sum(cells.groups for _, cells, _, _ in planned)).pack()


def _check_pulse_limits(
    limits: np.ndarray, section: wire.PulseSection, amplitude: np.ndarray, gate: np.ndarray, first_cell: int
) -> None:
    highest = limits[LimitKind.FORM_CODE if section.polarity == Polarity.FORM else LimitKind.AMPLITUDE_CODE]
    check_range(Field.AMPLITUDE_CODE, amplitude, 0, highest, first_cell)
    check_range(Field.GATE_CODE, gate, 0, limits[LimitKind.GATE_CODE], first_cell)
    energy = amplitude**2 * section.width_ticks >> 20
    check_range(Field.PULSE_ENERGY, energy, 0, limits[LimitKind.PULSE_ENERGY], first_cell)


def read(panel: Panel, payload: bytes) -> bytes:
    """READ: conductance codes at the read voltage."""
    rows, columns = panel.geometry.rows, panel.geometry.columns
    request, offset = header_at(payload, 0, wire.ReadRequest)
    check_range(Field.TIA_RANGE, request.tia_range, 0, TiaRange.COARSE)
    check_range(Field.SAMPLES, request.averages * request.sub_averages, 1, wire.LIMIT_SAMPLES)
    listed: list[tuple[int, CellList]] = []
    count = 0
    for number, (section, words) in enumerate(split_sections(payload, offset, wire.ReadSection)):
        check_range(Field.ARRAY, section.array, 0, 1, number)
        check_range(Field.LAYOUT, section.layout, 0, Layout.ROWS, number)
        cells = expand_cells(words, section.layout, Target.COMMON, rows, columns, count)
        listed.append((section.array, cells))
        count += len(cells.cell)
    _check_reply_bytes(panel, wire.ReadReply.STRUCT.size + 2 * count + packed_bits_bytes(count))
    panel.registers.end_cell_route()
    before = panel.bench.ticks
    readings = [panel.read(array, cells, request) for array, cells in listed]
    codes = np.concatenate([code for code, _ in readings] or [np.zeros(0, np.uint16)])
    steady = np.concatenate([bits for _, bits in readings] or [np.zeros(0, bool)])
    return wire.ReadReply(panel.bench.ticks - before).pack() + codes.astype("<u2").tobytes() + pack_bits(steady)


def solve(panel: Panel, payload: bytes) -> bytes:
    """SOLVE: every section is checked before the first solve."""
    planned: list[tuple[wire.SolveSection, SolveList, int]] = []
    offset, reply_bytes = 0, wire.SolveReply.STRUCT.size
    while offset < len(payload):
        number = len(planned)
        section, offset = header_at(payload, offset, wire.SolveSection)
        check_range(Field.CONSTRAINT, section.constraint, 0, Constraint.NONE, number)
        check_range(Field.FEEDBACK_CODE, section.feedback, 0, 1, number)
        divider, bias = section.bias_divider & ~BIAS_FOLLOWS, bool(section.bias_divider & BIAS_FOLLOWS)
        check_range(Field.BIAS_CODE, divider, 0, BiasDivider.BY_256, number)
        _check_sampling(section, number)
        batch, offset = expand_solve(
            payload, offset, section, panel.geometry.rows, panel.geometry.columns, bool(section.feedback), bias, number
        )
        _check_code(Field.FEEDBACK_CODE, batch.feedback_code, 0, wire.LIMIT_FEEDBACK_CODE, number)
        _check_code(Field.BIAS_CODE, batch.bias_code, -wire.LIMIT_BIAS_CODE, wire.LIMIT_BIAS_CODE, number)
        planned.append((section, batch, divider))
        reply_bytes += _answer_bytes(batch)
    _check_reply_bytes(panel, reply_bytes)
    panel.registers.end_cell_route()
    before, load_ticks, answers = panel.bench.ticks, 0, b""
    for section, batch, divider in planned:
        load_ticks += panel.advance(panel.registers.load_masks(batch.rows, section.column_mask))
        answers += _answers(*panel.solve(section, batch, divider))
    return wire.SolveReply(panel.bench.ticks - before, load_ticks).pack() + answers


def mvm(panel: Panel, payload: bytes) -> bytes:
    """MVM: every section is checked before the first product."""
    planned: list[tuple[wire.MvmSection, SolveList]] = []
    offset, reply_bytes = 0, wire.MvmReply.STRUCT.size
    while offset < len(payload):
        number = len(planned)
        section, offset = header_at(payload, offset, wire.MvmSection)
        check_range(Field.ARRAY, section.array, 0, 1, number)
        check_range(Field.TIA_RANGE, section.tia_range, 0, TiaRange.COARSE, number)
        _check_sampling(section, number)
        batch, offset = expand_solve(
            payload, offset, section, panel.geometry.rows, panel.geometry.columns, False, False, number
        )
        planned.append((section, batch))
        reply_bytes += _answer_bytes(batch)
    _check_reply_bytes(panel, reply_bytes)
    panel.registers.end_cell_route()
    before, load_ticks, answers = panel.bench.ticks, 0, b""
    for section, batch in planned:
        load_ticks += panel.advance(panel.registers.load_masks(batch.rows, section.column_mask))
        answers += _answers(*panel.mvm(section, batch))
    return wire.MvmReply(panel.bench.ticks - before, load_ticks).pack() + answers


def compensate(panel: Panel, payload: bytes) -> bytes:
    """COMPENSATE: row, code pairs; a load may be spread over frames."""
    request, offset = header_at(payload, 0, wire.CompensateRequest)
    pairs = (len(payload) - offset) // 4
    check_length(len(payload), offset + 4 * pairs)
    words, _ = words_at(payload, offset, 2 * pairs)
    row, code = words.reshape(-1, 2).astype(np.int64).T
    check_range(Field.ROW, row, 0, panel.geometry.rows - 1)
    check_range(Field.COMPENSATION_CODE, code, 0, wire.LIMIT_COMPENSATION_CODE)
    return wire.CompensateReply(
        panel.advance(panel.registers.load_compensation(row, code, bool(request.continued)))
    ).pack()


def route(panel: Panel, payload: bytes) -> bytes:
    """ROUTE: which cell, or which pins, the instrument ports see."""
    request = fixed_part(payload, wire.RouteRequest)
    check_range(Field.TARGET, request.route, 0, wire.Route.OUTPUTS_TO_DAQ)
    check_range(Field.ARRAY, request.array, 0, 1)
    check_range(Field.ROW, request.row, 0, panel.geometry.rows - 1)
    check_range(Field.COLUMN, request.column, 0, panel.geometry.columns - 1)
    return wire.RouteReply(panel.advance(panel.registers.route(request))).pack()


def temperature(panel: Panel, payload: bytes) -> bytes:
    """TEMPERATURE: of the array, to 0.01 °C."""
    check_length(len(payload), 0)
    return wire.TemperatureReply(0, centicelsius(panel.bench.temperature_raw())).pack()


def centicelsius(raw: int) -> int:
    """The sensor's 1/128 °C as 0.01 °C, rounded half up."""
    return (100 * raw + 64) // 128


def wait(panel: Panel, payload: bytes) -> bytes:
    """WAIT: bench time passes; nothing sleeps."""
    return wire.WaitReply(panel.advance(fixed_part(payload, wire.WaitRequest).wait_ticks)).pack()


def tighten(panel: Panel, payload: bytes) -> bytes:
    """TIGHTEN: limits only go down."""
    request = fixed_part(payload, wire.TightenRequest)
    check_range(Field.LIMIT, request.limit, 0, LimitKind.PULSE_ENERGY)
    check_range(Field.LIMIT, request.value, 0, panel.registers.limits[request.limit])
    panel.registers.limits[request.limit] = request.value
    return wire.TightenReply(0).pack()


def _running(arrays) -> list[tuple[int, np.ndarray]]:
    """Each array with the number of entries before it."""
    before, found = 0, []
    for array in arrays:
        found.append((before, array))
        before += len(array)
    return found


def _check_code(field: Field, codes: np.ndarray, low: int, high: int, section: int) -> None:
    """As check_range, for codes (k,) of one section: the position is the section's."""
    bad = (codes < low) | (codes > high)
    if bad.any():
        raise RefusalError(Status.OUT_OF_RANGE, field, section, codes[bad][0], low, high)


def _check_sampling(section: wire.SolveSection | wire.MvmSection, number: int) -> None:
    check_range(Field.SAMPLES, section.averages, 1, wire.LIMIT_SAMPLES, number)
    check_range(Field.SETTLE_TICKS, section.settle_ticks, wire.TICKS_SETTLE_MIN, 65535, number)


def _check_reply_bytes(panel: Panel, reply_bytes: int) -> None:
    """A reply has to fit into a frame, as a request does."""
    check_range(Field.ENTRIES, reply_bytes, 0, panel.geometry.max_frame_bytes - OVERHEAD_BYTES)


def _answer_bytes(batch: SolveList) -> int:
    n = len(batch.input_code)
    return 2 * n * len(batch.columns) + packed_bits_bytes(2 * n)


def _answers(codes: np.ndarray, saturated: np.ndarray, unsettled: np.ndarray) -> bytes:
    flags = np.stack([saturated, unsettled], axis=1)
    return codes.astype("<i2").tobytes() + pack_bits(flags)


COMMANDS: dict[int, Callable[[Panel, bytes], bytes]] = {
    Command.PULSE: pulse, Command.READ: read, Command.SOLVE: solve, Command.MVM: mvm, Command.COMPENSATE: compensate,
    Command.ROUTE: route, Command.TEMPERATURE: temperature, Command.WAIT: wait, Command.TIGHTEN: tighten,
}
