"""The end of a journal is found without reading the rest, whatever the rest is and wherever the end is torn."""

import os
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.runlog.bodies import Event
from hwloop.runlog.framing import HEADER_BYTES, Header, Kind, encode_record
from hwloop.runlog.journal import Journal, JournalWriter
from hwloop.runlog.tail import read_tail, read_tail_until
from tests.journals import ToldRun, complete_run


def all_records(path):
    with Journal.open(path) as journal:
        return list(journal.records())


def tail_of(path, window_bytes):
    with Journal.open(path) as journal:
        return read_tail(journal.file, journal.header, window_bytes)


@pytest.fixture
def journal(tmp_path):
    complete_run(tmp_path / "a.journal")
    return tmp_path / "a.journal"


def test_a_window_larger_than_the_journal_gives_all_of_it(journal):
    tail = tail_of(journal, 1 << 20)
    assert list(tail.records) == all_records(journal)
    assert tail.from_beginning and tail.is_whole
    assert Event.decode(tail.records[-1].body, with_arrays=False).name == "end"


def test_every_window_gives_the_last_records_that_begin_in_it(journal):
    records, size = all_records(journal), journal.stat().st_size
    for window in range(1, size, 13):
        tail = tail_of(journal, window)
        assert list(tail.records) == [record for record in records if record.offset >= max(size - window, HEADER_BYTES)]
        assert tail.from_beginning == (size - window <= HEADER_BYTES)
        assert tail.is_whole == bool(tail.records)


def test_a_torn_end_gives_what_is_whole_before_it(journal):
    data, records = journal.read_bytes(), all_records(journal)
    for size in range(len(data) - 1, len(data) - 400, -7):
        journal.write_bytes(data[:size])
        tail = tail_of(journal, 600)
        whole = [record for record in records if record.end <= size and record.offset >= size - 600]
        assert list(tail.records) == whole
        assert tail.is_whole == (tail.end == size) and tail.size_bytes == size


def test_damage_in_the_window_gives_what_is_behind_it(journal):
    data, records = bytearray(journal.read_bytes()), all_records(journal)
    damaged = records[-8]
    data[damaged.offset + 25] ^= 1
    journal.write_bytes(data)
    assert list(tail_of(journal, 1 << 20).records) == records[-7:]


def test_records_of_another_journal_are_not_taken_for_its_own(tmp_path):
    # The whole of one journal stands in a record of another.
    complete_run(tmp_path / "inner.journal")
    inner = (tmp_path / "inner.journal").read_bytes()
    header = Header(os.urandom(16), time.time_ns())
    bodies = (inner, b"the end")
    records = [encode_record(header, Kind.REPLY, n, header.created_ns, body) for n, body in enumerate(bodies)]
    (tmp_path / "outer.journal").write_bytes(header.encode() + b"".join(records))
    assert [record.body for record in tail_of(tmp_path / "outer.journal", len(inner)).records] == [b"the end"]


def test_an_event_is_read_without_its_arrays(tmp_path):
    writer = JournalWriter.create(tmp_path / "a.journal")
    writer.event("factors", {"label": "circuit"}, {"w": np.ones((3, 4))})
    writer.close()
    event = Event.decode(all_records(tmp_path / "a.journal")[0].body, with_arrays=False)
    assert (event.name, event.fields, dict(event.arrays)) == ("factors", {"label": "circuit"}, {})


def test_windows_grow_until_there_is_enough(tmp_path):
    told = ToldRun(tmp_path / "a.journal")
    told.iteration(2)
    for _ in range(3):
        told.writer.event("factors", {}, {"w": np.random.default_rng(1).random(100_000)})
    told.die()
    with Journal.open(tmp_path / "a.journal") as journal:
        def knows(name):
            return lambda tail: any(event.name == name for _, event in tail.events())

        assert knows("iteration")(read_tail_until(journal.file, journal.header, knows("iteration")))
        assert read_tail_until(journal.file, journal.header, knows("no such event")).from_beginning
        assert not read_tail_until(journal.file, journal.header, knows("iteration"), most_bytes=1 << 18).records


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=12), st.binary(max_size=60), st.integers(1, 600))
def test_any_bodies_any_rubbish_behind_them_any_window(tmp_path_factory, bodies, rubbish, window):
    path = tmp_path_factory.mktemp("tail") / "a.journal"
    header = Header(os.urandom(16), time.time_ns())
    records = [encode_record(header, Kind.REPLY, n, header.created_ns + n, body) for n, body in enumerate(bodies)]
    path.write_bytes(header.encode() + b"".join(records) + rubbish)
    size = path.stat().st_size
    expected = [record for record in all_records(path) if record.offset >= size - window]
    assert list(tail_of(path, window).records) == expected


def test_a_large_journal_costs_no_more_than_its_end(tmp_path):
    # 100 MB of rubbish that no reader would get through stand before the records.
    header = Header(os.urandom(16), time.time_ns())
    with open(tmp_path / "a.journal", "wb") as file:
        file.write(header.encode())
        file.truncate(100 << 20)
        file.seek(0, os.SEEK_END)
        for number in range(2000):
            file.write(encode_record(header, Kind.REPLY, 7_000_000 + number, header.created_ns, bytes(200)))
    begun = time.perf_counter()
    tail = tail_of(tmp_path / "a.journal", 256 << 10)
    assert time.perf_counter() - begun < 0.5
    assert tail.records[-1].sequence == 7_001_999 and tail.is_whole and not tail.from_beginning
