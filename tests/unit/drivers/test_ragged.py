"""Rows of different lengths, handled all at once, against the same done row by row."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwloop.drivers.board.ragged import Ragged, interleave, ranges

lengths = st.lists(st.integers(0, 5), max_size=12)


def ragged(counts) -> Ragged:
    return Ragged(np.arange(sum(counts)) * 3 + 1, np.array(counts, np.int64))


def rows_of(listed: Ragged) -> list[list[int]]:
    return [part.tolist() for part in np.split(listed.values, np.cumsum(listed.counts))[:-1]]


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 5)), max_size=12))
def test_ranges(pairs):
    starts, counts = np.array(pairs, np.int64).reshape(-1, 2).T
    assert ranges(starts, counts).tolist() == [i for start, count in pairs for i in range(start, start + count)]


@given(lengths)
def test_whose_each_value_is(counts):
    listed = ragged(counts)
    assert listed.owner.tolist() == [row for row, count in enumerate(counts) for _ in range(count)]
    assert listed.starts.tolist() == [sum(counts[:row]) for row in range(len(counts))]


@given(lengths, st.data())
def test_rows_can_be_taken_in_any_order_and_more_than_once(counts, data):
    listed = ragged(counts)
    wanted = data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=8)) if counts else []
    assert rows_of(listed.take(np.array(wanted, np.int64))) == [rows_of(listed)[row] for row in wanted]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12))
def test_fields_go_one_after_the_other_in_every_row(counts):
    first, second = (ragged([pair[i] for pair in counts]) for i in (0, 1))
    both = interleave(first, Ragged(-second.values, second.counts))
    wanted = [a + [-value for value in b] for a, b in zip(rows_of(first), rows_of(second), strict=True)]
    assert rows_of(both) == wanted
