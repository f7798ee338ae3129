"""Row pulses: cells that share a gate line share a pulse where polarity, gate and width agree."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwloop.array.program.grouping import count_row_pulses, row_pulses
from hwloop.drivers.cells import CellPulses, Polarity

COLUMNS = 4


def pulses(cells, polarity=Polarity.SET, amplitude_volts=1.2, gate_volts=1.0, width_seconds=1e-6) -> CellPulses:
    cells = np.asarray(cells)
    rest = (np.broadcast_to(values, cells.shape) for values in (polarity, amplitude_volts, gate_volts, width_seconds))
    return CellPulses(cells, *rest)


def test_amplitudes_may_differ_within_a_row_pulse_gates_may_not():
    assert row_pulses(pulses([0, 1, 2, 3], amplitude_volts=np.array([1.0, 1.1, 1.2, 1.3])), COLUMNS).count == 1
    assert row_pulses(pulses([0, 1, 2, 3], gate_volts=np.array([1.0, 1.1, 1.0, 1.3])), COLUMNS).count == 3
    assert row_pulses(pulses([0, 1, 4, 8]), COLUMNS).count == 3
    assert row_pulses(pulses([]), COLUMNS).count == 0


def test_resets_come_before_sets_and_low_gates_before_high_ones():
    given_pulses = pulses(
        [0, 1, 2, 3], polarity=np.array([0, 1, 0, 1]), gate_volts=np.array([1.5, 2.7, 1.2, 2.7])
    )
    grouped = row_pulses(given_pulses, COLUMNS)
    assert grouped.order.tolist() == [1, 3, 2, 0] and grouped.group.tolist() == [0, 0, 1, 2]


CELL_PULSES = st.tuples(st.integers(0, 11), st.sampled_from([0, 1]), st.sampled_from([1.0, 1.5]))


@given(st.lists(CELL_PULSES, max_size=30))
def test_every_pulse_is_given_once_and_a_cells_pulses_keep_their_order(listed):
    cells, polarity, gate_volts = (np.array(column) for column in zip(*listed, strict=True)) if listed else ([], [], [])
    cells, polarity = np.asarray(cells, np.int64), np.asarray(polarity, np.int64)
    given_pulses = pulses(cells, polarity, gate_volts=np.asarray(gate_volts, float))
    grouped = row_pulses(given_pulses, COLUMNS)
    assert sorted(grouped.order) == list(range(len(listed)))
    assert grouped.count == len(set(grouped.group))
    ordered = given_pulses.cells[grouped.order]
    for cell in set(cells):
        positions = grouped.order[ordered == cell]
        assert list(positions) == sorted(positions)
    for group in set(grouped.group):
        members = grouped.order[grouped.group == group]
        assert np.unique(given_pulses.cells[members]).size == members.size
        assert np.unique(given_pulses.cells[members] // COLUMNS).size == 1
        assert np.unique(given_pulses.gate_volts[members]).size == np.unique(given_pulses.polarity[members]).size == 1


@given(st.dictionaries(st.integers(0, 31), st.tuples(st.sampled_from([0, 1]), st.sampled_from([1.0, 1.5, 2.0]))))
def test_counting_row_pulses_gives_as_many_as_forming_them(listed):
    polarity, gate_volts = zip(*listed.values(), strict=True) if listed else ((), ())
    given_pulses = pulses(
        np.array(list(listed), np.int64), np.array(polarity, np.int64), gate_volts=np.array(gate_volts, float)
    )
    assert count_row_pulses(given_pulses, COLUMNS) == row_pulses(given_pulses, COLUMNS).count
