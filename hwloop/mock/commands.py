"""What each sequenced command does on the simulated board: parse, check every limit, then act on the panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from hwloop.link import protocol as wire
from hwloop.link.frames import OVERHEAD_BYTES
from hwloop.link.protocol import (
    BiasDivider,
    Command,
    Constraint,
    Field,
    Hold,
    Layout,
    LimitKind,
    Polarity,
    Reference,
    Route,
    SampleSource,
    Status,
    Target,
    TiaRange,
)
from hwloop.mock.connection import FIRST_INSTRUMENT_ROUTE, REFERENCE_ROUTES
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
ROWS_ON_PINS = 16       # of ROUTE INPUTS_TO_DAQ
T = TypeVar("T")


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
        limits[LimitKind.ROW_ON_TICKS], limits[LimitKind.PULSE_ENERGY], wire.SCALE_REFERENCE_LOW_OHMS,
        wire.SCALE_REFERENCE_HIGH_OHMS, wire.SCALE_SUPPLY_FULL_SCALE_MICROVOLTS,
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
    panel.end_route()
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
    panel.end_route()
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
    panel.end_route()
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
    panel.end_route()
    before, load_ticks, answers = panel.bench.ticks, 0, b""
    for section, batch in planned:
        load_ticks += panel.advance(panel.registers.load_masks(batch.rows, section.column_mask))
        answers += _answers(*panel.mvm(section, batch))
    return wire.MvmReply(panel.bench.ticks - before, load_ticks).pack() + answers


def compensate(panel: Panel, payload: bytes) -> bytes:
    """COMPENSATE: row, code pairs; a load may be spread over frames."""
    request, words = _pairs(payload, wire.CompensateRequest)
    row, code = words.astype(np.int64).T
    check_range(Field.ROW, row, 0, panel.geometry.rows - 1)
    check_range(Field.COMPENSATION_CODE, code, 0, wire.LIMIT_COMPENSATION_CODE)
    return wire.CompensateReply(panel.compensate(row, code, bool(request.continued))).pack()


def route(panel: Panel, payload: bytes) -> bytes:
    """ROUTE: what the instrument ports see."""
    request = fixed_part(payload, wire.RouteRequest)
    check_range(Field.TARGET, request.route, 0, Route.LOOPBACK)
    check_range(Field.ARRAY, request.array, 0, 1)
    check_range(Field.ROW, request.row, 0, panel.geometry.rows - 1)
    check_range(Field.COLUMN, request.column, 0, panel.geometry.columns - 1)
    if request.route in REFERENCE_ROUTES:
        check_range(Field.ROW, request.row, 0, Reference.HIGH)
    if request.route == Route.INPUTS_TO_DAQ:
        check_range(Field.ROW, request.row, 0, request.row - request.row % ROWS_ON_PINS)
    return wire.RouteReply(panel.route(request)).pack()


def hold(panel: Panel, payload: bytes) -> bytes:
    """HOLD: static levels for instruments, channel, code pairs."""
    request, words = _pairs(payload, wire.HoldRequest)
    check_range(Field.LEVEL, request.what, 0, Hold.BIAS)
    check_range(Field.BIAS_CODE, request.bias_divider, 0, BiasDivider.BY_256 if request.what == Hold.BIAS else 0)
    check_range(Field.TARGET, panel.registers.routed[0], FIRST_INSTRUMENT_ROUTE, Route.LOOPBACK)
    channel, code = words.astype(np.int64).T
    rows, columns, limits = panel.geometry.rows, panel.geometry.columns, panel.registers.limits
    signed_code = words[:, 1].astype(np.int16).astype(np.int64)
    match request.what:
        case Hold.AMPLITUDE:
            check_range(Field.COLUMN, channel, 0, columns - 1)
            check_range(Field.AMPLITUDE_CODE, code, 0, limits[LimitKind.FORM_CODE])
        case Hold.GATE:
            check_range(Field.COLUMN, channel, 0, 0)
            check_range(Field.GATE_CODE, code, 0, limits[LimitKind.GATE_CODE])
        case Hold.INPUT:
            check_range(Field.ROW, channel, 0, rows - 1)
            code = signed_code
        case Hold.FEEDBACK:
            check_range(Field.COLUMN, channel, 0, columns - 1)
            check_range(Field.FEEDBACK_CODE, code, 0, wire.LIMIT_FEEDBACK_CODE)
        case Hold.BIAS:
            check_range(Field.COLUMN, channel, 0, columns - 1)
            check_range(Field.BIAS_CODE, signed_code, -wire.LIMIT_BIAS_CODE, wire.LIMIT_BIAS_CODE)
            code = signed_code
    return wire.HoldReply(panel.hold(request.what, channel, code, request.bias_divider)).pack()


def sample(panel: Panel, payload: bytes) -> bytes:
    """SAMPLE: sums of codes of what stands at the ADCs."""
    request = fixed_part(payload, wire.SampleRequest)
    check_range(Field.SAMPLE_SOURCE, request.source, 0, SampleSource.SUPPLY)
    check_range(Field.TIA_RANGE, request.tia_range, 0, TiaRange.COARSE)
    check_range(Field.SAMPLES, request.averages, 1, wire.LIMIT_SAMPLES)
    before = panel.bench.ticks
    sums = panel.sample(request)
    return wire.SampleReply(panel.bench.ticks - before).pack() + sums.astype("<i4").tobytes()


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


def _pairs(payload: bytes, header: type[T]) -> tuple[T, np.ndarray]:
    """The fixed part, and the words behind it as pairs (n, 2) uint16."""
    request, offset = header_at(payload, 0, header)
    pairs = (len(payload) - offset) // 4
    check_length(len(payload), offset + 4 * pairs)
    words, _ = words_at(payload, offset, 2 * pairs)
    return request, words.reshape(-1, 2)


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
    Command.HOLD: hold, Command.SAMPLE: sample,
}
