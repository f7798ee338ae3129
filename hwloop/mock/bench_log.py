"""The log of a durable bench: what happened since its snapshot, a record a command, each of them whole or not there.

Layout (little-endian): magic "HWLSTLOG", version (uint32), id of the snapshot that it goes on from (16 bytes), CRC-32
of these; then records: length of the body, number from 0 on, CRC-32 of both and the body (uint32 each), body. A log of
another snapshot is none. While a process keeps the bench it holds a lock on this file.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hwloop.errors import CalibrationError, DeviceError
from hwloop.mock.bench_snapshot import ID_BYTES
from hwloop.mock.packing import unpack_columns

MAGIC, VERSION = b"HWLSTLOG", 1
_HEAD, _CRC = struct.Struct(f"<8sI{ID_BYTES}s"), struct.Struct("<I")
_RECORD, _COVERED = struct.Struct("<III"), struct.Struct("<II")
_STEP = struct.Struct("<QIBHBHI")
_LOCK_POLL_SECONDS = 0.01


class PulseList(NamedTuple):
    """Arguments of Bench.pulse: n pulses in order, all (n,) int64."""

    cell: np.ndarray
    polarity: np.ndarray
    amplitude_code: np.ndarray
    gate_code: np.ndarray
    width_ticks: np.ndarray
    start_tick: np.ndarray


@dataclass(frozen=True)
class Step:
    """One record: the pulses of a command (as `pack_columns` makes them of each PulseList), the bench after it, and
    what the board on the bench keeps of it for itself."""

    ticks: int
    boot_counter: int
    last_command: tuple[int, int]
    last_completed: bool
    pulses: tuple[bytes, ...]
    board: bytes

    def pack(self) -> bytes:
        """As the body of a record."""
        head = _STEP.pack(
            self.ticks, self.boot_counter, *self.last_command, self.last_completed, len(self.pulses), len(self.board)
        )
        return b"".join([head, self.board, *self.pulses])

    @classmethod
    def unpack(cls, body: bytes) -> tuple[Step, list[PulseList]]:
        """What `pack` made; the pulses as arrays (the step's own are left out)."""
        ticks, boots, kind, sequence, completed, lists, length = _STEP.unpack_from(body)
        at, found = _STEP.size + length, []
        for _ in range(lists):
            columns, at = unpack_columns(body, at, len(PulseList._fields))
            found.append(PulseList(*columns))
        return cls(ticks, boots, (kind, sequence), bool(completed), (), body[_STEP.size : _STEP.size + length]), found


def log_path(path: Path) -> Path:
    """Where the log of the state `path` is."""
    return path.with_name(path.name + ".log")


def bodies(data: bytes, snapshot_id: bytes) -> Iterator[bytes]:
    """Bodies of the whole records in a log of this snapshot, up to the first that is torn or damaged.

    Raises ValueError where the log is newer than this program.
    """
    head = data[: _HEAD.size]
    if data[_HEAD.size : _HEAD.size + _CRC.size] != _CRC.pack(zlib.crc32(head)) or not snapshot_id:
        return
    magic, version, belongs = _HEAD.unpack(head)
    if magic != MAGIC or belongs != snapshot_id:
        return
    if version != VERSION:
        raise ValueError(f"version {version}, this one reads {VERSION}")
    at, number = _HEAD.size + _CRC.size, 0
    while at + _RECORD.size <= len(data):
        length, found_number, crc = _RECORD.unpack_from(data, at)
        body = data[at + _RECORD.size : at + _RECORD.size + length]
        if len(body) < length or found_number != number or crc != _crc(length, number, body):
            return
        yield body
        at, number = at + _RECORD.size + length, number + 1


class StateLog:
    """The log of the state at `path`, held until `close`. `size_bytes` counts what was written since `begin`.

    Raises DeviceError where another process holds it for `patience_seconds` longer, CalibrationError where its folder
    is not there or it cannot be made.
    """

    def __init__(self, path: Path, patience_seconds: float):
        self.path = log_path(path)
        self.size_bytes = self._number = 0
        deadline = time.monotonic() + patience_seconds
        while not self._take():
            if time.monotonic() >= deadline:
                raise DeviceError(f"{path}: another process holds this board's state; end it, or choose another file")
            time.sleep(_LOCK_POLL_SECONDS)

    def read(self) -> bytes:
        """All that is there."""
        return self.path.read_bytes()

    def begin(self, snapshot_id: bytes) -> None:
        """Forget what is there and go on from this snapshot. Raises OSError."""
        self._file.truncate(0)
        head = _HEAD.pack(MAGIC, VERSION, snapshot_id)
        self.size_bytes = self._number = 0
        self._write(head + _CRC.pack(zlib.crc32(head)))

    def append(self, body: bytes) -> None:
        """Add a record, in one write. Raises OSError where it is not whole in the file; `begin` is due then."""
        self._write(_RECORD.pack(len(body), self._number, _crc(len(body), self._number, body)) + body)
        self._number += 1

    def close(self, remove: bool) -> None:
        """Let go of it; `remove` it first."""
        if remove:
            self.path.unlink(missing_ok=True)
        self._file.close()

    @property
    def was_removed(self) -> bool:
        """Whether nobody will find what is written."""
        return not os.fstat(self._file.fileno()).st_nlink

    def _write(self, data: bytes) -> None:
        if self.was_removed:
            raise FileNotFoundError(f"{self.path} was removed")
        written = self._file.write(data)
        self.size_bytes += written
        if written < len(data):
            raise OSError(f"{self.path}: only {written} of {len(data)} bytes could be written")

    def _take(self) -> bool:
        """Open and lock the file; False where another holds it, or removed it meanwhile."""
        try:
            self._file = open(self.path, "a+b", buffering=0)
        except FileNotFoundError as error:
            raise CalibrationError(
                f"{self.path.parent}: this folder does not exist; make it, or choose another file for the state"
            ) from error
        except OSError as error:
            raise CalibrationError(
                f"{self.path}: cannot be written ({error.strerror}); choose another place for the state"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(self._file.fileno()), os.stat(self.path)):
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        self._file.close()
        return False


def _crc(length: int, number: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(_COVERED.pack(length, number)))
