"""The journal: what is written is read again, whatever happens to the file; one writer; nothing half-written."""

import errno
import io
import os
import random
import resource
import signal
import time

import numpy as np
import pytest

from hwloop.errors import DataError, DeviceError, JournalError, UsageError
from hwloop.runlog.bodies import Event, Replies, ReplyFrame, Requests
from hwloop.runlog.framing import HEADER_BYTES, RECORD_OVERHEAD_BYTES, Kind, read_records
from hwloop.runlog.journal import Journal, JournalWriter

LAST_BYTES = 64 << 10


def filled(path, exchanges=300):
    """A journal with exchanges and events of all sizes."""
    rng = np.random.default_rng(0)
    writer = JournalWriter.create(path)
    writer.event("run", {"name": "µ", "seed": 1}, {"values": rng.random(500), "cells": np.arange(1000)})
    for number in range(exchanges):
        payload = rng.bytes(int(rng.integers(0, 600)))
        writer.requests(Requests(number, 7, number, [(4, payload), (5, b"")]))
        writer.replies(Replies(number, 40, 30, 160 * number, [ReplyFrame(0, 0, payload[::-1]), ReplyFrame(1, 0, b"x")]))
    writer.event("end")
    writer.close()
    return path


def bodies_of(data):
    """Bodies of the records that a reader gives for these bytes."""
    return [record.body for record in Journal(io.BytesIO(data), "journal").records()]


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "run.journal"
    arrays = {"w": np.random.default_rng(0).random((3, 4)), "cells": np.arange(5, 900, dtype=np.uint32)[::-1],
              "outcome": np.array([0, -1, 3], np.int8), "none": np.zeros(0)}
    asked = Requests(3, 9, 65535, [(4, b"abc"), (5, b"")], first=2, recovery=True)
    came = Replies(3, 10, 20, 1 << 40, [ReplyFrame(2, 0, b"xyz"), ReplyFrame(3, 0, b"", unknown=True)], recovery=True)
    writer = JournalWriter.create(path)
    writer.event("factors", {"label": "fold µ", "nothing": None, "nan": float("nan")}, arrays)
    writer.requests(asked)
    writer.replies(came)
    writer.close()
    with Journal.open(path) as journal:
        event, requests, replies = list(journal.records())
        assert journal.check().ok and journal.check().records == 3
    found = Event.decode(event.body)
    assert found.fields["label"] == "fold µ" and np.isnan(found.fields["nan"])
    for name, values in arrays.items():
        assert found.arrays[name].dtype == values.dtype and np.array_equal(found.arrays[name], values)
    assert Requests.decode(requests.body) == asked and Replies.decode(replies.body) == came
    assert [record.kind for record in (event, requests, replies)] == [Kind.EVENT, Kind.REQUEST, Kind.REPLY]


def test_cut_at_every_byte_of_its_last_64_kib(tmp_path):
    data = filled(tmp_path / "run.journal").read_bytes()
    journal = Journal(io.BytesIO(data), "journal")
    ends = np.array([HEADER_BYTES, *(record.end for record in journal.records())])
    whole = bodies_of(data)
    assert len(data) > LAST_BYTES
    for length in range(len(data) - LAST_BYTES, len(data)):
        count = int(np.searchsorted(ends, length, "right")) - 1
        # Only the records near the cut can be read wrongly; those before them are read in the full file too.
        first = max(count - 2, 0)
        file = io.BytesIO(data[:length])
        reader = Journal(file, "journal")
        file.seek(int(ends[first]))
        assert [record.body for record in read_records(file, reader.header, first)] == whole[first:count]
    for length in (HEADER_BYTES, len(data) // 2, len(data) - 1):
        check = Journal(io.BytesIO(data[:length]), "journal").check()
        count = int(np.searchsorted(ends, length, "right")) - 1
        assert check.records == count and check.first_bad_offset == (None if ends[count] == length else ends[count])


def test_a_thousand_flipped_bits(tmp_path):
    data = filled(tmp_path / "run.journal", 40).read_bytes()
    whole, chance = bodies_of(data), random.Random(1)
    for _ in range(1000):
        at = chance.randrange(len(data))
        damaged = bytearray(data)
        damaged[at] ^= 1 << chance.randrange(8)
        if at < HEADER_BYTES:
            with pytest.raises(DataError):
                Journal(io.BytesIO(damaged), "journal")
            continue
        journal = Journal(io.BytesIO(damaged), "journal")
        found = [record.body for record in journal.records()]
        check = journal.check()
        assert found == whole[: len(found)] and len(found) < len(whole)
        assert check.first_bad_offset <= at < check.first_bad_offset + len(whole[len(found)]) + RECORD_OVERHEAD_BYTES


def test_something_else_and_a_later_version_are_refused(tmp_path):
    with pytest.raises(DataError, match="no journal"):
        Journal(io.BytesIO(b"hello"), "notes.txt")
    data = bytearray(filled(tmp_path / "run.journal", 1).read_bytes())
    data[8] = 2
    with pytest.raises(DataError, match="version 2"):
        Journal(io.BytesIO(data), "run.journal")


def test_a_record_of_another_run_never_passes(tmp_path):
    one, other = (filled(tmp_path / name, 2).read_bytes() for name in ("one.journal", "other.journal"))
    assert bodies_of(one[:HEADER_BYTES] + other[HEADER_BYTES:]) == []


def test_there_is_one_writer_and_a_dead_one_leaves_no_lock(tmp_path):
    path = filled(tmp_path / "run.journal", 2)
    child = os.fork()
    if not child:
        JournalWriter.go_on(path)
        signal.pause()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            JournalWriter.go_on(path).close()
        except DeviceError as refused:
            assert "another process" in str(refused)
            break
        time.sleep(0.01)
    else:
        pytest.fail("the other writer never held it")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    writer = JournalWriter.go_on(path)
    writer.event("resumed")
    writer.close()
    with Journal.open(path) as journal:
        assert journal.check().ok


def test_going_on_cuts_off_a_torn_end_but_not_a_damaged_middle(tmp_path):
    path = filled(tmp_path / "run.journal", 5)
    data = path.read_bytes()
    path.write_bytes(data[:-5])
    writer = JournalWriter.go_on(path)
    writer.event("again")
    writer.close()
    with Journal.open(path) as journal:
        assert journal.check().ok and [event.name for _, event in journal.events()] == ["run", "again"]
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="in its middle"):
        JournalWriter.go_on(path)
    assert path.read_bytes() == damaged


def test_times_never_go_back_with_the_clock(tmp_path, monkeypatch):
    path = tmp_path / "run.journal"
    writer = JournalWriter.create(path)
    writer.event("one")
    writer.close()
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 3600 * 10**9)
    writer = JournalWriter.go_on(path)
    writer.event("two")
    writer.close()
    with Journal.open(path) as journal:
        times = [record.time_ns for record in journal.records()]
    assert times == sorted(times)


def test_a_file_that_may_not_grow_is_cut_back_to_whole_records(tmp_path):
    path = tmp_path / "run.journal"
    child = os.fork()
    if not child:
        code = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            writer = JournalWriter.create(path)
            writer.event("one")
            resource.setrlimit(resource.RLIMIT_FSIZE, (writer.size_bytes + 100, resource.RLIM_INFINITY))
            for _ in range(2):
                try:
                    writer.event("two", {"text": "x" * 1000})
                except JournalError as failure:
                    code = 0 if os.strerror(errno.EFBIG) in str(failure) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with Journal.open(path) as journal:
        assert journal.check().ok and journal.check().records == 1


def test_a_journal_that_was_removed_is_noticed_and_saved(tmp_path):
    path = tmp_path / "run.journal"
    writer = JournalWriter.create(path)
    writer.event("one")
    path.unlink()
    with pytest.raises(JournalError, match="removed or replaced") as failure:
        writer.sync()
    saved = str(failure.value).split("saved as ")[1].split(";")[0].strip()
    with Journal.open(saved) as journal:
        assert [event.name for _, event in journal.events()] == ["one"]
    os.unlink(saved)
    with pytest.raises(JournalError):
        writer.event("two")
    writer.close()


def test_an_existing_journal_is_not_overwritten(tmp_path):
    path = filled(tmp_path / "run.journal", 1)
    with pytest.raises(UsageError, match="not overwritten"):
        JournalWriter.create(path)
