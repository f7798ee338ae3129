"""The journal of a run: one writer appends, anybody reads, also while it grows."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hwloop import signals
from hwloop.errors import DataError, DeviceError, JournalError, UsageError
from hwloop.runlog.bodies import Event, Replies, Requests
from hwloop.runlog.framing import Header, Kind, Record, encode_record, read_header, read_records
from hwloop.runlog.publish import refuse_existing
from hwloop.runlog.tail import read_tail

# What is not on disk after this long is brought there; every programming step does so too.
SYNC_SECONDS = 1.0
_LOCK_TRIES, _LOCK_PAUSE_SECONDS = 10, 0.01


class JournalWriter:
    """The only writer of a journal, which is locked while it lives: the kernel takes the lock of a dead process away.

    Every record goes to the operating system whole, with one write, before the call returns. Where that fails the file
    is cut back to its last whole record, and JournalError is raised, then and from then on. `spent_seconds` is the wall
    time that journaling took; `saved_as` is where the records are when the file was removed under the writer.
    """

    def __init__(self, path: Path, descriptor: int, header: Header, sequence: int, end: int, last_ns: int):
        self.path, self.header = path, header
        self._descriptor, self._sequence, self._end = descriptor, sequence, end
        # Times never go back, whatever becomes of the clock on the wall.
        self._offset_ns = max(time.time_ns(), last_ns) - time.monotonic_ns()
        self._synced_seconds = time.monotonic()
        self._failure: JournalError | None = None
        self._beside = ThreadPoolExecutor(1, "journal")
        self._pending: Future[None] | None = None
        self._has_made_folder = False
        self.spent_seconds = 0.0
        self.saved_as: Path | None = None

    @property
    def size_bytes(self) -> int:
        """Length of the file."""
        return self._end

    @classmethod
    def create(cls, path: Path) -> JournalWriter:
        """Begin the journal `path`. Raises UsageError where it exists or cannot be made."""
        header, is_new_folder = Header(os.urandom(16), time.time_ns()), not path.parent.exists()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            refuse_existing(path)
            raise UsageError(f"cannot write the journal {path}: {error.strerror}; choose another place") from error
        _lock(descriptor, path)
        writer = cls(path, descriptor, header, 0, 0, header.created_ns)
        writer._has_made_folder = is_new_folder
        try:
            writer._write(header.encode())
        except JournalError:
            writer.discard()
            raise
        return writer

    @classmethod
    def go_on(cls, path: Path) -> JournalWriter:
        """Append to the journal `path`, behind its last whole record; what is torn behind that is cut off.

        Raises DataError where it is none or damaged in its middle, DeviceError where another process writes it.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError(f"cannot write the journal {path}: {error.strerror}; choose another place") from error
        try:
            _lock(descriptor, path)
            with open(path, "rb") as file:
                header = read_header(file, str(path))
                sequence, end, last_ns = 0, file.tell(), header.created_ns
                for record in read_records(file, header):
                    sequence, end, last_ns = record.sequence + 1, record.end, record.time_ns
                if read_tail(file, header).end > end:
                    raise DataError(
                        f"{path} is damaged at byte {end:,}, in its middle: what follows would be lost; "
                        "`hwloop logs recover` saves what comes before"
                    )
            os.ftruncate(descriptor, end)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor, header, sequence, end, last_ns)

    def event(
        self, name: str, fields: Mapping[str, Any] | None = None, arrays: Mapping[str, np.ndarray] | None = None
    ) -> None:
        """Append a controller event."""
        self._append(Kind.EVENT, Event(name, fields or {}, arrays or {}))

    def requests(self, requests: Requests) -> None:
        """Append what is about to be sent."""
        self._append(Kind.REQUEST, requests)

    def replies(self, replies: Replies) -> None:
        """Append what has arrived."""
        self._append(Kind.REPLY, replies)

    def sync(self) -> None:
        """Wait until everything is on disk. Raises JournalError, also where the file is not at its place any more."""
        self._finish_sync()
        self._begin_sync()
        self._finish_sync()
        self._check_place()

    def sync_beside(self) -> None:
        """Begin to bring everything to disk, beside what the program does, once what was begun before is there. Raises
        as `sync`, of the disk for what was begun before."""
        begun_seconds = time.perf_counter()
        self._finish_sync()
        self._check_place()
        self._begin_sync()
        self.spent_seconds += time.perf_counter() - begun_seconds

    def _begin_sync(self) -> None:
        self._synced_seconds = time.monotonic()
        self._pending = self._beside.submit(os.fdatasync, self._descriptor)

    def _finish_sync(self) -> None:
        pending, self._pending = self._pending, None
        if pending is None:
            return
        try:
            pending.result()
        except OSError as error:
            raise self._failed(error.strerror or str(error)) from error

    def _check_place(self) -> None:
        try:
            ours, there = os.fstat(self._descriptor), self._stat()
        except OSError as error:
            raise self._failed(error.strerror or str(error)) from error
        is_there = there is not None and os.path.samestat(ours, there)
        if not is_there and self.saved_as is None:
            raise self._failed(f"it was removed or replaced while the run was going on; {self._rescue()}")

    def close(self) -> None:
        """Bring everything to disk as far as that is possible, and give the lock back; may be called twice."""
        if self._descriptor >= 0:
            self._beside.shutdown()
            with contextlib.suppress(OSError):
                os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def discard(self) -> None:
        """Close the journal and remove it, with the folder that was made for it where that is empty then."""
        self.close()
        self.path.unlink(missing_ok=True)
        if self._has_made_folder:
            with contextlib.suppress(OSError):
                self.path.parent.rmdir()

    def _append(self, kind: Kind, told: Event | Requests | Replies) -> None:
        begun_seconds = time.perf_counter()
        now_ns = time.monotonic_ns() + self._offset_ns
        body = told.encode()
        # A signal that raises may come before or after, not in between.
        with signals.shielded():
            self._write(encode_record(self.header, kind, self._sequence, now_ns, body))
            self._sequence += 1
        if time.monotonic() - self._synced_seconds > SYNC_SECONDS:
            self.sync_beside()
        self.spent_seconds += time.perf_counter() - begun_seconds

    def _write(self, data: bytes) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            written = os.write(self._descriptor, data)
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._end)
            raise self._failed(error.strerror or str(error)) from error
        self._end += len(data)

    def _failed(self, why: str) -> JournalError:
        self._failure = JournalError(self.path, why)
        return self._failure

    def _stat(self) -> os.stat_result | None:
        try:
            return os.stat(self.path)
        except FileNotFoundError:
            return None

    def _rescue(self) -> str:
        """The file has no name any more and would end with this process: what it holds goes to another place."""
        try:
            target, name = tempfile.mkstemp(prefix=f"{self.path.stem}-", suffix=self.path.suffix)
            with os.fdopen(target, "wb") as file:
                offset = 0
                while block := os.pread(self._descriptor, 1 << 20, offset):
                    file.write(block)
                    offset += len(block)
        except OSError as error:
            return f"what it held could not be saved ({error.strerror})"
        self.saved_as = Path(name)
        return f"what it held was saved as {name}"


def _lock(descriptor: int, path: Path) -> None:
    """Lock a journal for writing. Whoever only looks whether it is locked holds the lock for microseconds."""
    for _ in range(_LOCK_TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_LOCK_PAUSE_SECONDS)
    raise DeviceError(f"{path} is being written by another process: that run still goes on")


@dataclass(frozen=True)
class Check:
    """A journal read from end to end: whole `records`, and where the first bad byte stands (None: nowhere)."""

    records: int
    first_bad_offset: int | None
    bytes: int

    @property
    def ok(self) -> bool:
        """Whether every record is whole."""
        return self.first_bad_offset is None


class Journal:
    """A journal to be read, record by record; nothing of it is kept in memory. `file` stands at its beginning."""

    def __init__(self, file: BinaryIO, name: str):
        self.file, self.name = file, name
        self.header = read_header(file, name)
        self._begin = file.tell()

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path | str) -> Iterator[Journal]:
        """The journal in the file `path`. Raises DataError where there is none."""
        try:
            file = open(path, "rb")
        except OSError as error:
            raise DataError(f"{path} cannot be read as a journal: {error.strerror}") from error
        with file:
            yield cls(file, str(path))

    def records(self) -> Iterator[Record]:
        """Every whole record from the first one on, up to anything torn or damaged."""
        self.file.seek(self._begin)
        return read_records(self.file, self.header)

    def events(self, *names: str) -> Iterator[tuple[Record, Event]]:
        """The events with one of `names` (any where none is given), in order."""
        for record in self.records():
            if record.kind is Kind.EVENT:
                if not names or Event.decode(record.body, with_arrays=False).name in names:
                    yield record, Event.decode(record.body)

    def first_event(self, name: str) -> Event | None:
        """The first event of that name, None where there is none."""
        return next((event for _, event in self.events(name)), None)

    def check(self) -> Check:
        """Read everything and say whether it is whole; of a journal that grows meanwhile, all that is there now."""
        records, end, size = 0, self._begin, self.file.seek(0, os.SEEK_END)
        for record in self.records():
            records, end = records + 1, record.end
            if end >= size:
                break
        return Check(records, None if end >= size else end, size)
