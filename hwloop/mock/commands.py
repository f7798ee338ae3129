"""What each sequenced command does on the simulated board: parse, check every limit, then act on the bench."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwloop.link import protocol as wire
from hwloop.link.protocol import BiasDivider, Command, Constraint, Field, LimitKind, Polarity, Status, Target, TiaRange
from hwloop.mock.bench import Bench
from hwloop.mock.refusal import Refused, check_range
from hwloop.mock.sections import expand_cells, expand_solve, pack_bits, split_sections, words_at

BIAS_FOLLOWS = 0x80


def describe(bench: Bench) -> bytes:
    """DESCRIBE: what the board is and what it allows now."""
    geometry, limits = bench.geometry, bench.limits
    return wire.DescribeReply(
        geometry.rows, geometry.columns, geometry.max_frame_bytes, geometry.max_in_flight, bench.reset_cause,
        bench.boot_counter, wire.SCALE_AMPLITUDE_FULL_SCALE_MICROVOLTS, wire.SCALE_GATE_FULL_SCALE_MICROVOLTS,
        wire.SCALE_INPUT_FULL_SCALE_MICROVOLTS, wire.SCALE_OUTPUT_FULL_SCALE_MICROVOLTS, wire.SCALE_OUTPUT_GAIN,
        wire.SCALE_OUTPUT_MAX_MICROVOLTS, wire.SCALE_READ_MICROVOLTS, wire.SCALE_TIA_FINE_NANOAMPS,
        wire.SCALE_TIA_COARSE_NANOAMPS, wire.SCALE_INPUT_NANOSIEMENS, wire.SCALE_COMPENSATION_FULL_SCALE_NANOSIEMENS,
        wire.SCALE_FEEDBACK_FULL_SCALE_NANOSIEMENS, wire.SCALE_BIAS_FULL_SCALE_NANOAMPS, wire.SCALE_GAIN_BANDWIDTH_HERTZ,
        wire.SCALE_UNSETTLED_CODE, limits[LimitKind.AMPLITUDE_CODE], limits[LimitKind.FORM_CODE],
        limits[LimitKind.GATE_CODE], limits[LimitKind.WIDTH_TICKS], limits[LimitKind.ROW_ON_TICKS],
        limits[LimitKind.PULSE_ENERGY],
    ).pack()


def pulse(bench: Bench, payload: bytes) -> bytes:
    """PULSE: every section is checked before the first row pulse."""
    rows, columns = bench.geometry.rows, bench.geometry.columns
    on_ticks = np.zeros(2 * rows, np.int64)
    planned = []
    for section, words in split_sections(payload, 0, wire.PulseSection):
        check_range(Field.ARRAY, section.array, 0, 1)
        check_range(Field.POLARITY, section.polarity, 0, Polarity.FORM)
        common = section.gate_code if section.target == Target.GATE else section.amplitude_code
        cells = expand_cells(words, section.layout, section.target, common, rows, columns)
        amplitude = cells.code if section.target != Target.GATE else np.full(len(cells.cell), section.amplitude_code)
        gate = cells.code if section.target == Target.GATE else np.full(len(cells.cell), section.gate_code)
        _check_pulse_limits(bench.limits, section, amplitude, gate)
        first = np.searchsorted(cells.group, np.arange(cells.groups))
        np.add.at(on_ticks, section.array * rows + cells.cell[first] // columns, section.width_ticks)
        planned.append((section, cells, amplitude, gate))
    check_range(Field.ROW_ON_TICKS, on_ticks, 0, bench.limits[LimitKind.ROW_ON_TICKS])
    before = bench.ticks
    for section, cells, amplitude, gate in planned:
        bench.pulse(section.array, section.polarity, cells, amplitude, gate, section.width_ticks)
    return wire.PulseReply(bench.ticks - before, sum(cells.groups for _, cells, _, _ in planned) & 0xFFFF).pack()


def _check_pulse_limits(limits: np.ndarray, section: wire.PulseSection, amplitude: np.ndarray, gate: np.ndarray) -> None:
    highest = limits[LimitKind.FORM_CODE if section.polarity == Polarity.FORM else LimitKind.AMPLITUDE_CODE]
    check_range(Field.AMPLITUDE_CODE, amplitude, 0, highest)
    check_range(Field.GATE_CODE, gate, 0, limits[LimitKind.GATE_CODE])
    check_range(Field.WIDTH_TICKS, section.width_ticks, 1, limits[LimitKind.WIDTH_TICKS])
    energy = amplitude.astype(np.int64) ** 2 * section.width_ticks >> 20
    check_range(Field.PULSE_ENERGY, energy, 0, limits[LimitKind.PULSE_ENERGY])


def read(bench: Bench, payload: bytes) -> bytes:
    """READ: conductance codes at the read voltage."""
    rows, columns = bench.geometry.rows, bench.geometry.columns
    request = wire.ReadRequest.unpack(payload)
    check_range(Field.TIA_RANGE, request.tia_range, 0, TiaRange.COARSE)
    check_range(Field.SAMPLES, request.sub_averages, 1, 255)
    check_range(Field.SAMPLES, request.averages * request.sub_averages, 1, wire.LIMIT_SAMPLES)
    listed = []
    for section, words in split_sections(payload, wire.ReadRequest.STRUCT.size, wire.ReadSection):
        check_range(Field.ARRAY, section.array, 0, 1)
        listed.append((section.array, expand_cells(words, section.layout, Target.COMMON, 0, rows, columns)))
    before = bench.ticks
    readings = [bench.read(array, cells, request) for array, cells in listed]
    codes = np.concatenate([code for code, _ in readings] or [np.zeros(0, np.uint16)])
    steady = np.concatenate([bits for _, bits in readings] or [np.zeros(0, bool)])
    return wire.ReadReply(bench.ticks - before).pack() + codes.astype("<u2").tobytes() + pack_bits(steady)


def solve(bench: Bench, payload: bytes) -> bytes:
    """SOLVE: every section is checked before the first solve."""
    planned, offset = [], 0
    while offset < len(payload):
        section = wire.SolveSection.unpack(payload, offset)
        check_range(Field.CONSTRAINT, section.constraint, 0, Constraint.NONE)
        check_range(Field.FEEDBACK_CODE, section.feedback, 0, 1)
        divider, bias = section.bias_divider & ~BIAS_FOLLOWS, bool(section.bias_divider & BIAS_FOLLOWS)
        check_range(Field.BIAS_CODE, divider, 0, BiasDivider.BY_256)
        _check_sampling(section)
        batch, offset = expand_solve(
            payload, offset + section.STRUCT.size, section, bench.geometry.rows, bench.geometry.columns,
            bool(section.feedback), bias,
        )
        check_range(Field.FEEDBACK_CODE, batch.feedback_code, 0, wire.LIMIT_FEEDBACK_CODE)
        check_range(Field.BIAS_CODE, batch.bias_code, -wire.LIMIT_BIAS_CODE, wire.LIMIT_BIAS_CODE)
        planned.append((section, batch, divider))
    before = bench.ticks
    replies = b"".join(_answers(*bench.solve(section, batch, divider)) for section, batch, divider in planned)
    return wire.SolveReply(bench.ticks - before).pack() + replies


def mvm(bench: Bench, payload: bytes) -> bytes:
    """MVM: every section is checked before the first product."""
    planned, offset = [], 0
    while offset < len(payload):
        section = wire.MvmSection.unpack(payload, offset)
        check_range(Field.ARRAY, section.array, 0, 1)
        check_range(Field.TIA_RANGE, section.tia_range, 0, TiaRange.COARSE)
        _check_sampling(section)
        batch, offset = expand_solve(
            payload, offset + section.STRUCT.size, section, bench.geometry.rows, bench.geometry.columns, False, False
        )
        planned.append((section, batch))
    before = bench.ticks
    replies = b"".join(_answers(*bench.mvm(section, batch)) for section, batch in planned)
    return wire.MvmReply(bench.ticks - before).pack() + replies


def _check_sampling(section: wire.SolveSection | wire.MvmSection) -> None:
    check_range(Field.SAMPLES, section.averages, 1, wire.LIMIT_SAMPLES)
    check_range(Field.SETTLE_TICKS, section.settle_ticks, wire.TICKS_SETTLE_MIN, 65535)


def _answers(codes: np.ndarray, saturated: np.ndarray, unsettled: np.ndarray) -> bytes:
    flags = np.stack([saturated, unsettled], axis=1)
    return codes.astype("<i2").tobytes() + pack_bits(flags)


def compensate(bench: Bench, payload: bytes) -> bytes:
    """COMPENSATE: row, code pairs; a load may be spread over frames."""
    request = wire.CompensateRequest.unpack(payload)
    size = wire.CompensateRequest.STRUCT.size
    if (len(payload) - size) % 4:
        raise Refused(Status.BAD_LENGTH, Field.ENTRIES, 0, len(payload))
    pairs = words_at(payload, size, (len(payload) - size) // 2).reshape(-1, 2).astype(np.int64)
    check_range(Field.ROW, pairs[:, 0], 0, bench.geometry.rows - 1)
    check_range(Field.COMPENSATION_CODE, pairs[:, 1], 0, wire.LIMIT_COMPENSATION_CODE)
    return wire.CompensateReply(bench.compensate(pairs[:, 0], pairs[:, 1], bool(request.continued))).pack()


def route(bench: Bench, payload: bytes) -> bytes:
    """ROUTE: which cell, or which pins, the instrument ports see."""
    request = wire.RouteRequest.unpack(payload)
    check_range(Field.TARGET, request.route, 0, wire.Route.OUTPUTS_TO_DAQ)
    check_range(Field.ARRAY, request.array, 0, 1)
    check_range(Field.ROW, request.row, 0, bench.geometry.rows - 1)
    check_range(Field.COLUMN, request.column, 0, bench.geometry.columns - 1)
    bench.routed = request
    return wire.RouteReply(bench.advance(wire.TICKS_LOAD)).pack()


def temperature(bench: Bench, payload: bytes) -> bytes:
    """TEMPERATURE: of the array, to 0.01 °C."""
    return wire.TemperatureReply(0, round(bench.cells.temperature_celsius * 100)).pack()


def wait(bench: Bench, payload: bytes) -> bytes:
    """WAIT: bench time passes; nothing sleeps."""
    return wire.WaitReply(bench.advance(wire.WaitRequest.unpack(payload).wait_ticks)).pack()


def tighten(bench: Bench, payload: bytes) -> bytes:
    """TIGHTEN: limits only go down."""
    request = wire.TightenRequest.unpack(payload)
    check_range(Field.LIMIT, request.limit, 0, LimitKind.PULSE_ENERGY)
    check_range(Field.LIMIT, request.value, 0, bench.limits[request.limit])
    bench.limits[request.limit] = request.value
    return wire.TightenReply(0).pack()


COMMANDS: dict[int, Callable[[Bench, bytes], bytes]] = {
    Command.PULSE: pulse, Command.READ: read, Command.SOLVE: solve, Command.MVM: mvm, Command.COMPENSATE: compensate,
    Command.ROUTE: route, Command.TEMPERATURE: temperature, Command.WAIT: wait, Command.TIGHTEN: tighten,
}

