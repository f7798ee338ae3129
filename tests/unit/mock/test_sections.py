"""Words of PULSE, READ and SOLVE as lists of cells, rows and codes, and when each row pulse begins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.link import protocol as wire
from hwloop.link.protocol import Layout, Target
from hwloop.mock.refusal import RefusalError
from hwloop.mock.sections import expand_cells, expand_solve, pack_bits, packed_bits_bytes, schedule_row_pulses

ROWS, COLUMNS = 16, 4


def listed(*words, layout=Layout.CELLS, target=Target.COMMON):
    cells = expand_cells(np.array(words, np.uint16), layout, target, ROWS, COLUMNS)
    return cells.cell.tolist(), cells.code.tolist(), cells.group.tolist(), cells.groups


@pytest.mark.parametrize(
    ("words", "layout", "target", "expected"),
    [
        ((), Layout.CELLS, Target.COMMON, ([], [], [], 0)),
        ((0, 1, 3, 4, 5), Layout.CELLS, Target.COMMON, ([0, 1, 3, 4, 5], [0] * 5, [0, 0, 0, 1, 1], 2)),
        # going back within a row, or naming a cell again, begins another row pulse
        ((1, 0, 0), Layout.CELLS, Target.COMMON, ([1, 0, 0], [0] * 3, [0, 1, 2], 3)),
        ((0, 9, 1, 9, 2, 8), Layout.CELLS, Target.GATE, ([0, 1, 2], [9, 9, 8], [0, 0, 1], 2)),
        ((0, 9, 1, 8, 2, 7), Layout.CELLS, Target.AMPLITUDE, ([0, 1, 2], [9, 8, 7], [0, 0, 0], 1)),
        ((2, 0b1010, 0, 0b0001), Layout.ROWS, Target.COMMON, ([9, 11, 0], [0] * 3, [0, 0, 1], 2)),
        ((2, 0b1010, 5, 2, 0b1000, 6), Layout.ROWS, Target.GATE, ([9, 11, 11], [5, 5, 6], [0, 0, 1], 2)),
        ((2, 0b1010, 5, 6), Layout.ROWS, Target.AMPLITUDE, ([9, 11], [5, 6], [0, 0], 1)),
        ((), Layout.ROWS, Target.AMPLITUDE, ([], [], [], 0)),
    ],
)
def test_lists_of_cells(words, layout, target, expected):
    assert listed(*words, layout=layout, target=target) == expected


@given(st.lists(st.integers(0, 65535), max_size=40), st.sampled_from(Layout), st.sampled_from(Target))
@settings(max_examples=300, deadline=None)
def test_any_words_are_cells_that_exist_or_refused(words, layout, target):
    try:
        cell, _, group, groups = listed(*words, layout=layout, target=target)
    except RefusalError:
        return
    assert all(0 <= index < ROWS * COLUMNS for index in cell)
    assert sorted(set(group)) == list(range(groups))


def test_when_row_pulses_begin():
    """Three row pulses of 30 ticks from tick 1000 on: 2, 0 and 1 changed words, by the tick rules."""
    column, group = np.array([0, 0, 0]), np.array([0, 1, 2])
    amplitude, gate = np.array([500, 500, 501]), np.array([9, 9, 9])
    held, start = np.zeros(17, np.int64), np.empty(3, np.int64)
    clock = schedule_row_pulses(column, amplitude, gate, group, 30, held, start, 1000)
    assert start.tolist() == [1120, 1300, 1490]
    assert clock == 1490 + 30 + 50
    assert held[0] == 501 and held[16] == 9


@given(st.sets(st.integers(0, ROWS - 1), min_size=1), st.booleans(), st.booleans(), st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_solves_by_indices_and_by_mask_are_the_same(rows, feedback, bias, n):
    rows = sorted(rows)
    first = rows[0]
    mask = sum(1 << (row - first) for row in rows)
    rest = [*([11, 12] if feedback else []), *([65535, 3] if bias else []), *range(n * len(rows))]
    section = wire.SolveSection(0, 0, feedback, 128 * bias, 1, 0b1010, 50, len(rows), n)
    batches = []
    for kind, head in ((0, rows), (1, [first, 1, mask])):
        section = wire.SolveSection(0, kind, feedback, 128 * bias, 1, 0b1010, 50, len(rows), n)
        payload = b"ab" + np.array([*head, *rest], "<u2").tobytes() + b"next"
        batch, end = expand_solve(payload, 2, section, ROWS, COLUMNS, feedback, bias, 0)
        assert payload[end:] == b"next"
        batches.append(batch)
    for batch in batches:
        assert batch.rows.tolist() == rows and batch.columns.tolist() == [1, 3]
        assert batch.feedback_code.tolist() == ([11, 12] if feedback else [0, 0])
        assert batch.bias_code.tolist() == ([-1, 3] if bias else [0, 0])
        assert batch.input_code.tolist() == np.arange(n * len(rows)).reshape(n, -1).tolist()


@given(st.lists(st.booleans(), max_size=70))
def test_bits_come_in_whole_words_bit_0_first(bits):
    packed = pack_bits(np.array(bits, bool))
    assert len(packed) == packed_bits_bytes(len(bits)) == 2 * -(-len(bits) // 16)
    assert int.from_bytes(packed, "little") == sum(1 << i for i, bit in enumerate(bits) if bit)
