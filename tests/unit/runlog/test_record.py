"""Records of runs as events of a journal: out and back, exactly."""

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwloop.runlog.bodies import Event
from hwloop.runlog.record import Quantity, RunRecord, journal_of_record, record_from_event
from tests.unit.runlog.results import full_record


def through_the_journal(record):
    return record_from_event(Event.decode(record.to_event().encode()))


def test_everything_comes_back_exactly():
    record = full_record()
    np.testing.assert_equal(dataclasses.asdict(through_the_journal(record)), dataclasses.asdict(record))


def test_a_bare_record_comes_back_too():
    record = RunRecord("form", 3, {})
    assert through_the_journal(record) == record
    assert through_the_journal(record).conductance is None


@given(st.lists(st.floats(width=64) | st.integers(-(2**63), 2**63 - 1), max_size=5))
def test_quantities_come_back_whatever_they_are(values):
    record = RunRecord("matrix", 0, {}, metrics=tuple(Quantity(f"q{n}", value) for n, value in enumerate(values)))
    for value, found in zip(values, through_the_journal(record).metrics, strict=True):
        assert type(found.value) is type(value)
        np.testing.assert_equal(found.value, value)


def test_the_journal_of_a_record_is_whole_and_always_the_same():
    one, other = journal_of_record(full_record()), journal_of_record(full_record())
    assert one.check().ok and one.file.getvalue() == other.file.getvalue()
    assert [event.name for _, event in one.events()] == ["run", "result", "end"]
