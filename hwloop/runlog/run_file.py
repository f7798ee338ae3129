"""The run file of a run, from its journal: read once, in constant memory; the same journal gives the same bytes.

The layout is described in schema.json. Nothing of it depends on the file's name, the clock or the process.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import h5py
import numpy as np

from hwloop.drivers.board.scales import Scales
from hwloop.link.protocol import Command, DescribeReply, Status
from hwloop.runlog.bodies import Event, told_by
from hwloop.runlog.contents import Story, choose_default, write_contents, write_end, write_head
from hwloop.runlog.exchanges import Assembler, Exchange
from hwloop.runlog.framing import HEADER_BYTES
from hwloop.runlog.journal import Journal
from hwloop.runlog.layout import NOTHING, new_group, write_numbers, write_text
from hwloop.runlog.programming import Programming, Window
from hwloop.runlog.publish import publish
from hwloop.runlog.reading import StoredRun, journal_of, newest_run, read_run
from hwloop.runlog.record import RunRecord, journal_of_record
from hwloop.runlog.sink import Sink
from hwloop.runlog.tables import ExchangeTables

# What users of run files need, in one place; who only reads imports `reading`, which needs no compiled kernels.
__all__ = [
    "StoredRun", "journal_of", "newest_run", "read_run", "upgrade_run", "write_hdf5", "write_run", "write_run_file",
]
JOURNAL_TYPE = "application/x-hwloop-journal"
_CHUNK_BYTES = 1 << 20
# Commands with codes that mean volts, amps or siemens.
_CONVERTED = frozenset({Command.PULSE, Command.READ, Command.SOLVE, Command.MVM, Command.COMPENSATE})


def write_run_file(journal: Journal, target: Path | str) -> None:
    """Write the run file `target` of `journal`, which may be that of a killed run, or cut off anywhere.

    Raises UsageError where `target` exists or cannot be written (disk full); nothing half-written stays behind.
    """
    with publish(target) as out:
        write_hdf5(journal, out.raw)


def write_hdf5(journal: Journal, file: io.RawIOBase) -> None:
    """The run file of `journal` into `file`, empty and readable too. Raises the OSError of the first failed write."""
    sink = Sink(file)
    # Chunks are written whole, one after the other, so a cache of them would only hold memory.
    with h5py.File(sink, "w", libver=("earliest", "v110"), rdcc_nbytes=0) as stored:
        _Writer(journal, stored, sink).write()
    sink.check()


def write_run(path: Path | str, record: RunRecord) -> None:
    """Write a run file of nothing but its result. Raises UsageError as `write_run_file`."""
    write_run_file(journal_of_record(record), path)


def upgrade_run(path: Path | str, target: Path | str) -> None:
    """Write the run file `path`, of any layout that can be read, as `target` of this one: all that is in it.

    Raises DataError where `path` cannot be read, UsageError where `target` cannot be written.
    """
    run = read_run(path)
    if run.layout > 1:
        with journal_of(path) as journal:
            write_run_file(journal, target)
        return
    write_run(target, RunRecord(
        kind=run.kind, seed=run.seed, configuration=run.configuration, inputs=run.inputs, board=run.board,
        array=run.array, factors=run.factors(), convergence=run.convergence(), metrics=run.metrics,
        counters=run.counters, conductance=run.conductance(), fields=tuple(map(run.field, run.field_names)),
        created=run.created, code_version=run.code_version,
    ))


class _Writer:
    def __init__(self, journal: Journal, file: h5py.File, sink: Sink):
        self._journal, self._file, self._sink = journal, file, sink
        self._entry = new_group(file, "entry", "NXentry")
        self._started_ns = journal.header.created_ns
        self._story = Story(self._started_ns)
        self._assembler = Assembler()
        self._tables: ExchangeTables | None = None
        self._programming: Programming | None = None
        self._early: list[Exchange] = []

    def write(self) -> None:
        journal, entry, story = self._journal, self._entry, self._story
        # A journal may grow meanwhile: what is there now is taken.
        size = journal.file.seek(0, io.SEEK_END)
        last_ns, records, end = self._started_ns, 0, HEADER_BYTES
        for record in journal.records():
            if record.end > size:
                break
            last_ns, records, end = record.time_ns, record.sequence + 1, record.end
            told = told_by(record)
            if isinstance(told, Event):
                self._take_event(told, record.time_ns)
            else:
                for exchange in self._assembler.take(told, record.time_ns):
                    self._take_exchange(exchange)
            self._sink.check()
        for exchange in self._assembler.rest():
            self._take_exchange(exchange)
        if self._tables is None:
            self._begin_tables()
        write_head(self._file, story, journal.header)
        write_end(entry, story, last_ns)
        write_contents(entry, story, None if self._programming is None else self._programming.siemens)
        if self._tables is not None:
            self._tables.close()
            self._programming.close()
        self._embed(size, records, end)
        choose_default(entry)

    def _take_event(self, event: Event, time_ns: int) -> None:
        self._story.take(event, time_ns)
        if event.name == "programmed" and self._programming is not None:
            self._programming.end_round(event, (time_ns - self._started_ns) * 1e-9)

    def _take_exchange(self, exchange: Exchange) -> None:
        if self._tables is None and any(kind in _CONVERTED for kind, _ in exchange.frames):
            self._begin_tables()
        if self._tables is None:
            self._early.append(exchange)
            return
        has_pulses = any(kind == Command.PULSE for kind, _ in exchange.frames)
        self._programming.begin_exchange(has_pulses)
        self._programming.take(self._tables.take(exchange, self._programming.round, self._programming.step))

    def _begin_tables(self) -> None:
        """Codes are to be converted now: the board has described itself, and its calibrations were told."""
        described = [one for one in self._early if one.frames[0][0] == Command.DESCRIBE and one.replies]
        replies = [one.replies[0] for one in described]
        found = [reply.payload for reply in replies if reply.status == Status.OK]
        if not found or len(found[0]) < DescribeReply.STRUCT.size:
            return
        describe = DescribeReply.unpack(found[0])
        scales = Scales(describe, self._story.constants(describe))
        self._tables = ExchangeTables(self._entry, scales, self._started_ns)
        window = Window.of(self._story.run.get("rig") or {})
        self._programming = Programming(self._entry, describe.rows, describe.columns, window)
        early, self._early = self._early, []
        for one in early:
            self._take_exchange(one)

    def _embed(self, size: int, records: int, end: int) -> None:
        """The journal itself, byte for byte."""
        group = new_group(self._entry, "journal", "NXnote", "the journal that this file was written from, verbatim")
        stored = group.create_dataset(
            "bytes", shape=(size,), chunks=(min(size, _CHUNK_BYTES),), dtype=np.uint8, track_times=False,
            compression="gzip", compression_opts=1,
        )
        stored.attrs.update(units=NOTHING, description="the bytes of the journal")
        digest, file = hashlib.sha256(), self._journal.file
        file.seek(0)
        for first in range(0, size, _CHUNK_BYTES):
            block = file.read(min(_CHUNK_BYTES, size - first))
            digest.update(block)
            stored[first : first + len(block)] = np.frombuffer(block, np.uint8)
            self._sink.check()
        write_text(group, "type", JOURNAL_TYPE)
        write_text(group, "sha256", digest.hexdigest(), "of the bytes")
        write_numbers(group, "records", np.uint64(records), NOTHING, "whole records")
        write_numbers(group, "whole_bytes", np.uint64(end), "byte", "bytes up to the end of the last whole record")
