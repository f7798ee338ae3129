"""The journal: what is written is read again, what is torn or damaged is never given, and named; one writer."""

import io
import os
import random
import resource
import shutil
import signal
import subprocess
import time
import tracemalloc
from bisect import bisect_right
from contextlib import closing, contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.errors import DataError, DeviceError, JournalError, UsageError
from hwloop.link.protocol import Command
from hwloop.runlog.bodies import Event, Replies, ReplyFrame, Requests
from hwloop.runlog.framing import HEADER_BYTES, Kind, read_records
from hwloop.runlog.journal import Journal, JournalWriter
from hwloop.runlog.opened import open_run
from hwloop.runlog.recorded import Recording
from hwloop.runlog.run_file import write_run_file
from tests.journals import complete_run

ARRAYS = {
    "cells": np.arange(5000, dtype="u4"), "siemens": np.linspace(0, 1, 300, dtype="f4"), "bytes": np.array([], "u1"),
    "grid": np.ones((3, 4, 5)),
}
FRAMES = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), min_size=1, max_size=6)
TAIL_BYTES = 64 << 10


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs" / "x.journal"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Bytes of a journal of more than 64 KiB, and its records."""
    path = tmp_path_factory.mktemp("whole") / "20260501-120000-image-1.journal"
    complete_run(path)
    with closing(JournalWriter.go_on(path)) as writer:
        for number in range(40):
            payload = random.Random(number).randbytes(900)
            writer.requests(Requests(100 + number, 1, number, [(7, payload)]))
            writer.replies(Replies(100 + number, 900, 900, number, [ReplyFrame(0, 0, payload)]))
    with Journal.open(path) as journal:
        return path.read_bytes(), list(journal.records())


def read(data):
    """Records and check of the bytes of a journal."""
    journal = Journal(io.BytesIO(data), "x")
    return list(journal.records()), journal.check()


def test_an_event_comes_back_with_its_arrays(path):
    with closing(JournalWriter.create(path)) as writer:
        writer.event("note", {"text": "µ\udcff", "number": np.float64(1.5), "path": path})
        writer.event("arrays", arrays=ARRAYS)
    with Journal.open(path) as journal:
        (_, note), (record, told) = journal.events()
    assert note.fields == {"text": "µ\udcff", "number": 1.5, "path": str(path)}
    for name, values in ARRAYS.items():
        assert told.arrays[name].dtype == values.dtype and np.array_equal(told.arrays[name], values)
    assert record.kind is Kind.EVENT and record.sequence == 1
    assert len(record.body) < 2000      # even steps and repetition cost nearly nothing


@given(st.integers(0, 2**32 - 1), st.integers(0, 65535), FRAMES, st.booleans())
def test_requests_and_replies_come_back(exchange, sequence, frames, recovery):
    asked = Requests(exchange, 3, sequence, frames, len(frames), recovery)
    assert Requests.decode(asked.encode()) == asked
    listed = [ReplyFrame(index, kind, payload, recovery) for index, (kind, payload) in enumerate(frames)]
    came = Replies(exchange, 1, 2, 2**40, listed, recovery)
    assert Replies.decode(came.encode()) == came


@given(st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False) | st.text() | st.none() | st.booleans()))
def test_fields_come_back(fields):
    assert Event.decode(Event("x", fields).encode()).fields == pytest.approx(fields)


def test_times_never_go_back_when_the_clock_does(path, monkeypatch):
    with closing(JournalWriter.create(path)) as writer:
        writer.event("a")
        real_ns = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real_ns() - 10**13)
        writer.event("b")
    with closing(JournalWriter.go_on(path)) as writer:      # another process, with the clock set back
        writer.event("c")
    with Journal.open(path) as journal:
        times = [record.time_ns for record in journal.records()]
        assert journal.header.created_ns <= times[0] and times == sorted(times) and len(times) == 3


def test_truncated_at_every_byte_of_its_end(whole):
    """Only whole records are given, and `check` says where they end. (A reader that has come so far goes on from there;
    from the beginning it reads every 64th.)"""
    data, records = whole
    assert len(data) > TAIL_BYTES
    header, ends = Journal(io.BytesIO(data), "x").header, [record.end for record in records]
    for size in range(len(data) - TAIL_BYTES, len(data)):
        count = bisect_right(ends, size)
        file = io.BytesIO(data[:size])
        file.seek(records[count - 2].offset)
        assert list(read_records(file, header, count - 2)) == records[count - 2 : count]
        if size % 64 == 0 or ends[count - 1] in (size, size - 1):
            found, check = read(data[:size])
            assert found == records[:count]
            assert check.records == count and check.first_bad_offset == (None if check.ok else ends[count - 1])
            assert check.ok == (size == ends[count - 1])


def test_a_run_file_comes_of_any_part(whole, tmp_path):
    data, records = whole
    chance = random.Random(1)
    for number, size in enumerate([*chance.sample(range(records[4].end, len(data)), 8), len(data)]):
        target = tmp_path / f"{number}.h5"
        write_run_file(Journal(io.BytesIO(data[:size]), "x"), target)
        with open_run(target) as run:
            assert run.status == ("partial" if size < result_end(records) else "complete")


def result_end(records):
    """Where the record of the result ends."""
    return next(
        record.end for record in records if record.kind is Kind.EVENT and Event.decode(record.body).name == "result"
    )


def test_single_bits_that_flip(whole):
    """A flipped bit is never part of what is given; what comes before it is; its record is named."""
    data, records = whole
    chance = random.Random(2)
    for _ in range(1000):
        place = chance.randrange(len(data))
        damaged = bytearray(data)
        damaged[place] ^= 1 << chance.randrange(8)
        if place < HEADER_BYTES:
            with pytest.raises(DataError):
                read(bytes(damaged))
            continue
        hit = next(number for number, record in enumerate(records) if place < record.end)
        found, check = read(bytes(damaged))
        assert found == records[:hit]
        assert (check.ok, check.records, check.first_bad_offset) == (False, hit, records[hit].offset)


@pytest.mark.parametrize("place", range(HEADER_BYTES))
def test_a_damaged_header_is_refused(whole, place):
    damaged = bytearray(whole[0])
    damaged[place] ^= 0x40
    with pytest.raises(DataError, match="^x"):
        read(bytes(damaged))


@pytest.mark.parametrize("data", [b"", b"hello", bytes(100)])
def test_something_else_is_refused(data):
    with pytest.raises(DataError, match="x is no journal of hwloop, or its first bytes are gone"):
        read(data)


def test_a_later_version_is_refused(whole):
    later = bytearray(whole[0])
    later[8] += 1
    with pytest.raises(DataError, match="x has journal version 2, this hwloop reads up to 1; use the newer one"):
        read(bytes(later))


def test_a_record_of_another_journal_is_none_of_this_one(whole, tmp_path):
    JournalWriter.create(tmp_path / "other.journal").close()
    other = (tmp_path / "other.journal").read_bytes()
    found, check = read(other + whole[0][HEADER_BYTES:])
    assert found == [] and check.first_bad_offset == HEADER_BYTES


def test_what_is_torn_is_cut_off_when_the_run_goes_on(whole, path):
    data, records = whole
    path.parent.mkdir()
    path.write_bytes(data[:-5])
    with closing(JournalWriter.go_on(path)) as writer:
        writer.event("resumed")
    with Journal.open(path) as journal:
        *before, last = journal.records()
        assert before == records[:-1] and last.sequence == records[-1].sequence and journal.check().ok


def test_a_damaged_middle_is_not_cut_off(whole, path):
    data = bytearray(whole[0])
    data[len(data) // 2] ^= 1
    path.parent.mkdir()
    path.write_bytes(data)
    with pytest.raises(DataError, match="damaged at byte .*, in its middle"):
        JournalWriter.go_on(path)
    assert path.read_bytes() == data


def test_one_writer_at_a_time_which_a_dead_process_is_not(path):
    ready, tell = os.pipe()
    child = os.fork()
    if not child:
        writer = JournalWriter.create(path)
        writer.event("a")
        os.write(tell, b"x")
        time.sleep(60)
        os._exit(writer.size_bytes)     # keeps it open until then
    os.read(ready, 1)
    with pytest.raises(DeviceError, match="is being written by another process"):
        JournalWriter.go_on(path)
    with Journal.open(path) as journal:     # whoever reads does not disturb
        assert journal.first_event("a")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with closing(JournalWriter.go_on(path)) as writer:
        writer.event("b")
    with Journal.open(path) as journal:
        assert [event.name for _, event in journal.events()] == ["a", "b"]


@contextmanager
def limited(size_bytes):
    """No file of this process may grow beyond this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_limit_on_files_keeps_what_is_whole(path):
    with closing(JournalWriter.create(path)) as writer:
        with limited(2000):
            check_full(writer, "File too large")
        with pytest.raises(JournalError):
            writer.event("later")       # not even where there is room again: a record would be missing
    with closing(JournalWriter.go_on(path)) as writer:
        writer.event("resumed")


def test_a_full_disk_keeps_what_is_whole(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        with closing(JournalWriter.create(disk / "x.journal")) as writer:
            check_full(writer, "No space left on device")
    finally:
        subprocess.run(["umount", disk], check=True)


def check_full(writer, reason):
    """It is full after some records, which are whole."""
    written = 0
    with pytest.raises(JournalError, match=f"cannot write the journal .*: {reason}; the run has stopped"):
        while written < 100:
            writer.event("filler", {"text": "x" * 500})
            written += 1
    with Journal.open(writer.path) as journal:
        assert journal.check().ok and journal.check().records == written > 1


def test_a_journal_that_cannot_even_begin_leaves_nothing(path):
    with limited(10), pytest.raises(JournalError):
        JournalWriter.create(path)
    assert not path.parent.exists()


def test_places_where_no_journal_can_be(path):
    JournalWriter.create(path).close()
    with pytest.raises(UsageError, match="exists and is not overwritten"):
        JournalWriter.create(path)
    with pytest.raises(UsageError, match="cannot write the journal .*: File exists"):
        JournalWriter.create(path / "y.journal")
    with pytest.raises(UsageError, match="cannot write the journal"):
        JournalWriter.go_on(path.with_name("absent.journal"))
    with pytest.raises(DataError, match="cannot be read as a journal"), Journal.open(path.with_name("absent.journal")):
        pass


@pytest.mark.parametrize("what", ["removed", "replaced", "vanished folder"])
def test_a_journal_that_is_taken_away_is_saved(path, what):
    with closing(JournalWriter.create(path)) as writer:
        writer.event("a")
        if what == "vanished folder":
            shutil.rmtree(path.parent)
        else:
            path.unlink()
        if what == "replaced":
            path.write_text("something else")
        with pytest.raises(JournalError, match="removed or replaced .*; what it held was saved as"):
            writer.sync()
    try:
        with Journal.open(writer.saved_as) as journal:
            assert journal.first_event("a") and journal.check().ok
    finally:
        writer.saved_as.unlink()


def test_that_is_noticed_within_a_second_or_so(path):
    with closing(JournalWriter.create(path)) as writer:
        path.unlink()
        begun_seconds = time.monotonic()
        with pytest.raises(JournalError):
            while time.monotonic() - begun_seconds < 1.5:
                writer.event("tick")
                time.sleep(0.05)
    writer.saved_as.unlink()


def test_a_long_journal_is_read_in_little_memory(path):
    """Reading takes what one exchange takes, however many there are."""
    with closing(JournalWriter.create(path)) as writer:
        for number in range(4000):
            writer.requests(Requests(number, 1, number & 0xFFFF, [(Command.READ, bytes(500))]))
            writer.replies(Replies(number, 500, 500, number, [ReplyFrame(0, 0, bytes(500))]))
    assert path.stat().st_size > 4_000_000
    tracemalloc.start()
    try:
        with Journal.open(path) as journal:
            recording = Recording(journal)
            assert sum(1 for _ in iter(recording.next, None)) == 4000
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()
