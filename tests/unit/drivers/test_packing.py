"""What the driver packs is what the board unpacks: the same cells, codes and row pulses; frames fit both ways."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.drivers.board.cell_frames import pack_pulses, pack_reads
from hwloop.drivers.board.scales import Scales
from hwloop.drivers.board.solving import SolveGroup, pack_products, pack_solves, unpack_answers
from hwloop.drivers.cells import CellPulses
from hwloop.errors import UsageError
from hwloop.link import protocol as wire
from hwloop.link.frames import OVERHEAD_BYTES
from hwloop.link.protocol import Polarity, Target
from hwloop.mock.sections import expand_cells, expand_solve, header_at, packed_bits_bytes, split_sections
from tests.unit.drivers.describing import scales_of

SCALES = {name: scales_of(name) for name in wire.BOARDS}
boards = st.sampled_from(sorted(wire.BOARDS))
thorough = settings(max_examples=60, deadline=None)


def some_cells(draw, geometry) -> np.ndarray:
    """Distinct cells in any order: scattered ones, whole rows, or everything from somewhere on."""
    size, rng = 2 * geometry.rows * geometry.columns, np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(1, min(size, 3000)))
    if draw(st.booleans()):
        return rng.choice(size, count, replace=False)
    return rng.permutation((draw(st.integers(0, size - 1)) + np.arange(count)) % size)


@given(boards, st.data())
@thorough
def test_pulses(name, data):
    geometry, scales = wire.BOARDS[name], SCALES[name]
    cells = some_cells(data.draw, geometry)
    rng = np.random.default_rng(len(cells))
    few = data.draw(st.sampled_from([1, 2, 40]))
    amplitude = rng.choice(rng.uniform(0.5, 2.5, few), len(cells))
    gate = rng.choice(rng.uniform(0.5, 3.0, data.draw(st.sampled_from([1, 2, 40]))), len(cells))
    polarity = rng.choice(3, len(cells)) if data.draw(st.booleans()) else np.full(len(cells), Polarity.SET)
    width = rng.choice([1e-6, 1e-5], len(cells)) if data.draw(st.booleans()) else np.full(len(cells), 1e-6)
    packed = pack_pulses(scales, CellPulses(cells, polarity, amplitude, gate, width))
    wanted = {
        (cell, kind, a, g, w)
        for cell, kind, a, g, w in zip(
            cells.tolist(), polarity.tolist(), scales.amplitude_codes(amplitude, True, 0).tolist(),
            scales.gate_codes(gate).tolist(), np.rint(width * 1e7).astype(int).tolist(), strict=True,
        )
    }
    found, row_ticks = [], 0
    for payload in packed.payloads:
        assert len(payload) + OVERHEAD_BYTES <= geometry.max_frame_bytes
        for section, words in split_sections(payload, 0, wire.PulseSection):
            listed = expand_cells(words, section.layout, section.target, geometry.rows, geometry.columns)
            n = len(listed.cell)
            a = listed.code if section.target == Target.AMPLITUDE else np.full(n, section.amplitude_code)
            g = listed.code if section.target == Target.GATE else np.full(n, section.gate_code)
            flat = listed.cell + section.array * geometry.rows * geometry.columns
            found += zip(flat.tolist(), [section.polarity] * n, a.tolist(), g.tolist(), [section.width_ticks] * n,
                         strict=True)
            # A row pulse is one row with one gate, and no column twice.
            for group in range(listed.groups):
                of_group = listed.group == group
                assert len(np.unique(listed.cell[of_group] // geometry.columns)) == 1
                assert len(np.unique(g[of_group])) == 1
                assert len(np.unique(listed.cell[of_group])) == of_group.sum()
            row_ticks += listed.groups * (section.width_ticks + 17 * 10 + 100 + 50)
    assert len(found) == len(cells) and set(found) == wanted
    assert packed.seconds * wire.TICK_HERTZ == pytest.approx(row_ticks)


@given(boards, st.data())
@thorough
def test_reads(name, data):
    geometry, scales = wire.BOARDS[name], SCALES[name]
    cells = some_cells(data.draw, geometry)
    packed = pack_reads(scales, cells, 4, 3, 1e-6, wire.TiaRange.COARSE)
    found = []
    for payload, count in zip(packed.payloads, packed.counts, strict=True):
        assert len(payload) + OVERHEAD_BYTES <= geometry.max_frame_bytes
        reply_bytes = wire.ReadReply.STRUCT.size + 2 * count + packed_bits_bytes(count)
        assert reply_bytes + OVERHEAD_BYTES <= geometry.max_frame_bytes
        request, offset = header_at(payload, 0, wire.ReadRequest)
        assert (request.averages, request.sub_averages) == (4, 3)
        before = len(found)
        for section, words in split_sections(payload, offset, wire.ReadSection):
            listed = expand_cells(words, section.layout, Target.COMMON, geometry.rows, geometry.columns)
            found += (listed.cell + section.array * geometry.rows * geometry.columns).tolist()
        assert len(found) - before == count
    assert np.array_equal(cells[packed.order], found)


def some_group(draw, geometry) -> SolveGroup:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    m, k = draw(st.integers(1, min(geometry.rows, 60))), draw(st.integers(1, geometry.columns))
    rows = np.sort(rng.choice(geometry.rows, m, replace=False))
    if draw(st.booleans()):
        rows = np.arange(m) + draw(st.integers(0, geometry.rows - m))
    columns = np.sort(rng.choice(geometry.columns, k, replace=False))
    feedback = rng.uniform(0, 2e-4, k) if draw(st.booleans()) else None
    bias = rng.uniform(-1, 1, k) * draw(st.sampled_from([1e-7, 1e-6, 4e-5])) if draw(st.booleans()) else None
    volts = rng.uniform(-2.4, 2.4, (draw(st.integers(0, 40)), m))
    return SolveGroup(rows, columns, volts, draw(st.sampled_from([0.0, 1e-5])), 4, wire.Constraint.RAIL, feedback, bias)


@given(boards, st.data())
@thorough
def test_solves(name, data):
    geometry, scales = wire.BOARDS[name], SCALES[name]
    groups = [some_group(data.draw, geometry) for _ in range(data.draw(st.integers(1, 8)))]
    packed = pack_solves(scales, groups)
    inputs = [np.zeros((0, len(group.rows)), np.int64) for group in groups]
    owners = iter([i for i, group in enumerate(groups) for _ in group.input_volts])
    for payload, first, stop in zip(packed.payloads, packed.frames, packed.frames[1:], strict=False):
        assert len(payload) + OVERHEAD_BYTES <= geometry.max_frame_bytes
        offset, reply_bytes = 0, wire.SolveReply.STRUCT.size
        for solves, columns in zip(packed.solves[first:stop], packed.columns[first:stop], strict=True):
            (owner,) = {next(owners) for _ in range(solves)}
            group = groups[owner]
            section, offset = header_at(payload, offset, wire.SolveSection)
            batch, offset = expand_solve(
                payload, offset, section, geometry.rows, geometry.columns, bool(section.feedback),
                bool(section.bias_divider & 128), 0,
            )
            assert np.array_equal(batch.rows, group.rows) and np.array_equal(batch.columns, group.columns)
            assert columns == len(group.columns)
            if group.feedback_siemens is not None:
                assert np.array_equal(batch.feedback_code, scales.feedback_codes(group.feedback_siemens, 0))
            if group.bias_amps is not None:
                divider = scales.bias_divider(np.abs(group.bias_amps).max())
                assert section.bias_divider & 127 == divider
                assert np.array_equal(batch.bias_code, scales.bias_codes(group.bias_amps, divider, 0))
            inputs[owner] = np.concatenate([inputs[owner], batch.input_code])
            reply_bytes += 2 * solves * columns + packed_bits_bytes(2 * solves)
        assert offset == len(payload) and reply_bytes + OVERHEAD_BYTES <= geometry.max_frame_bytes
    for group, codes in zip(groups, inputs, strict=True):
        assert np.array_equal(codes, scales.solve_input_codes(group.input_volts, 0))


@given(boards, st.data())
@thorough
def test_banks_of_one_size_are_packed_as_if_each_were_a_group(name, data):
    """Ragged numbers of solves, columns left out, and feedback and bias left out where they are zero."""
    geometry, scales = wire.BOARDS[name], SCALES[name]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    g, m, k = rng.integers(1, 20), rng.integers(1, 9), rng.integers(1, geometry.columns + 1)
    rows = np.sort(np.stack([rng.choice(geometry.rows, m, replace=False) for _ in range(g)]), axis=1)
    columns = np.sort(np.stack([rng.choice(geometry.columns, k, replace=False) for _ in range(g)]), axis=1)
    solves, active = rng.integers(0, 5, g), rng.random((g, k)) < 0.7
    active[:, 0] = True
    volts, settle = rng.uniform(-2, 2, (solves.sum(), m)), rng.uniform(0, 1e-3, g)
    feedback, bias = rng.uniform(0, 2e-4, (g, k)), rng.uniform(-1, 1, (g, k)) * rng.choice([1e-7, 1e-6, 4e-5], (g, 1))
    feedback, bias = (values * (rng.random((g, 1)) < 0.5) for values in (feedback, bias))
    ends = np.cumsum(solves)

    def one(i: int) -> SolveGroup:
        on = active[i]
        sent = [values[i, on] if values[i, on].any() else None for values in (feedback, bias)]
        return SolveGroup(
            rows[i], columns[i, on], volts[ends[i] - solves[i] : ends[i]], settle[i], 4, wire.Constraint.RAIL, *sent
        )

    together = pack_solves(scales, [SolveGroup(
        rows, columns, volts, settle, 4, wire.Constraint.RAIL, feedback, bias, solves, active, omit_zero=True
    )])
    apart = pack_solves(scales, [one(i) for i in range(g)])
    assert together.payloads == apart.payloads
    assert (together.payload_bytes, together.seconds) == (apart.payload_bytes, apart.seconds)
    replies = [bytes(8) + rng.bytes(2 * int(words)) for words in np.diff(_reply_ends(together)[together.frames])]
    (joined,), single = unpack_answers(together, replies, 8), unpack_answers(apart, replies, 8)
    every = np.repeat(active, solves, axis=0)
    assert np.array_equal(joined.codes[every], np.concatenate([answer.codes.ravel() for answer in single]))
    assert not joined.codes[~every].any()
    for flag in ("saturated", "unsettled"):
        assert np.array_equal(getattr(joined, flag), np.concatenate([getattr(answer, flag) for answer in single]))


@given(boards, st.integers(0, 2**32))
@thorough
def test_banks_with_their_own_number_of_rows_are_packed_as_if_each_were_a_group(name, seed):
    geometry, scales, rng = wire.BOARDS[name], SCALES[name], np.random.default_rng(seed)
    g, k = rng.integers(1, 20), rng.integers(1, geometry.columns + 1)
    rows = [np.sort(rng.choice(geometry.rows, rng.integers(1, 17), replace=False)) for _ in range(g)]
    volts, columns = [rng.uniform(-2, 2, len(own)) for own in rows], np.tile(np.arange(k), (g, 1))
    together = pack_solves(scales, [SolveGroup(rows, columns, volts, 1e-5, 4, solves=np.ones(g, np.int64))])
    apart = pack_solves(
        scales, [SolveGroup(own, np.arange(k), v[None], 1e-5, 4) for own, v in zip(rows, volts, strict=True)]
    )
    assert together.payloads == apart.payloads and together.payload_bytes == apart.payload_bytes


def test_inputs_that_do_not_match_their_banks_rows():
    rows, columns = [np.arange(2), np.arange(3)], np.zeros((2, 1), np.int64)
    with pytest.raises(UsageError, match="input voltages of shape .* active rows"):
        pack_solves(SCALES["hwloop-16x4"], [
            SolveGroup(rows, columns, [np.zeros(3), np.zeros(2)], 1e-5, 4, solves=np.ones(2, np.int64))
        ])


def _reply_ends(packed) -> np.ndarray:
    """Where the answer to each section begins, in words, and the end."""
    words = packed.solves * packed.columns + [packed_bits_bytes(2 * n) // 2 for n in packed.solves]
    return np.concatenate([[0], np.cumsum(words)])


@given(boards, st.data())
@settings(max_examples=20, deadline=None)
def test_products(name, data):
    geometry, scales = wire.BOARDS[name], SCALES[name]
    group = some_group(data.draw, geometry)
    packed = pack_products(scales, 1, group.rows, group.columns, group.input_volts, 1, 4, 5e-6)
    found = np.zeros((0, len(group.rows)), np.int64)
    for payload in packed.payloads:
        assert len(payload) + OVERHEAD_BYTES <= geometry.max_frame_bytes
        offset = 0
        while offset < len(payload):
            section, offset = header_at(payload, offset, wire.MvmSection)
            assert section.array == 1
            batch, offset = expand_solve(
                payload, offset, section, geometry.rows, geometry.columns, False, False, 0
            )
            found = np.concatenate([found, batch.input_code])
    assert np.array_equal(found, scales.solve_input_codes(group.input_volts, 0))


def test_a_solve_that_no_frame_holds():
    scales = SCALES["hwloop-16x4"]
    small = Scales.nominal(type(scales.describe)(**{**vars(scales.describe), "max_frame_bytes": 40}))
    with pytest.raises(UsageError, match="16 active rows does not fit into the board's frames of 40 bytes"):
        pack_solves(small, [SolveGroup(np.arange(16), np.arange(2), np.zeros((1, 16)), 0.0, 1)])


def test_whole_arrays_cost_little_more_than_their_payload():
    """The overhead of headers, CRC and COBS on a full write-verify step of the default board is below 6 %."""
    scales = SCALES["hwloop-128x16"]
    cells = np.arange(2 * 128 * 16)
    gate = np.random.default_rng(0).uniform(0.7, 3.0, len(cells))
    one = np.ones(len(cells))
    pulses = pack_pulses(scales, CellPulses(cells, 0 * cells, 1.2 * one, gate, 1e-6 * one))
    reads = pack_reads(scales, cells, 4, 3, 1e-6, wire.TiaRange.COARSE)
    frames = pulses.payloads + reads.payloads
    sent = sum(len(payload) + OVERHEAD_BYTES + 2 + len(payload) // 254 for payload in frames)
    received = sum(2 * count + count // 8 + 18 for count in reads.counts) + 18 * len(pulses.payloads)
    assert (sent + received) / (pulses.payload_bytes + reads.payload_bytes) < 1.06
    assert pulses.payload_bytes == 4 * len(cells)
