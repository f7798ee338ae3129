"""The bytes of a journal: a file header, then records with length, sequence, time and CRC (docs/journal.md).

All integers are little-endian. A reader stops at the first record that is torn or fails its CRC; what is before it is
whole. The CRC starts from that of the run's id, so a record of another file never passes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

from hwloop.errors import DataError

SUFFIX, RUN_FILE_SUFFIX = ".journal", ".h5"
MAGIC = b"\x89HWL\r\n\x1a\n"
VERSION = 1
MOST_BODY_BYTES = 1 << 28

_FILE = struct.Struct("<8sHHI16sQ")             # magic, version, header bytes, 0, run id, created (Unix ns)
_RECORD = struct.Struct("<IBBHIQ")              # body bytes, kind, 0, 0, sequence, time (Unix ns)
_CRC = struct.Struct("<I")
HEADER_BYTES = _FILE.size + _CRC.size
RECORD_OVERHEAD_BYTES = _RECORD.size + _CRC.size


class Kind(IntEnum):
    """What a record holds."""

    EVENT = 1       # a controller event: JSON and arrays
    REQUEST = 2     # frames about to be sent
    REPLY = 3       # frames that came back


_KNOWN = frozenset(Kind)


@dataclass(frozen=True)
class Header:
    """Beginning of a journal: `run_id` (16 random bytes) and the time of creation, Unix ns."""

    run_id: bytes
    created_ns: int

    @property
    def crc(self) -> int:
        """Where the CRC of every record begins."""
        return zlib.crc32(self.run_id)

    def encode(self) -> bytes:
        """The bytes of the file header."""
        fixed = _FILE.pack(MAGIC, VERSION, HEADER_BYTES, 0, self.run_id, self.created_ns)
        return fixed + _CRC.pack(zlib.crc32(fixed))


@dataclass(frozen=True)
class Record:
    """One whole record: where it begins in the file, its number, Unix ns, and what it holds. `kind` is a plain number
    where this version does not know it."""

    offset: int
    kind: Kind | int
    sequence: int
    time_ns: int
    body: bytes

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self.offset + RECORD_OVERHEAD_BYTES + len(self.body)


def encode_record(header: Header, kind: Kind, sequence: int, time_ns: int, body: bytes) -> bytes:
    """The bytes of one record."""
    fixed = _RECORD.pack(len(body), kind, 0, 0, sequence, time_ns)
    return b"".join((fixed, body, _CRC.pack(zlib.crc32(body, zlib.crc32(fixed, header.crc)))))


def read_header(file: BinaryIO, name: str) -> Header:
    """The header at the beginning of `file`. Raises DataError where this is no journal, or of a later version."""
    data = file.read(HEADER_BYTES)
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        raise DataError(f"{name} is no journal of hwloop, or its first bytes are gone; name a .journal of a run")
    magic, version, header_bytes, _, run_id, created_ns = _FILE.unpack_from(data)
    if version > VERSION:
        raise DataError(f"{name} has journal version {version}, this hwloop reads up to {VERSION}; use the newer one")
    if _CRC.unpack_from(data, _FILE.size)[0] != zlib.crc32(data[: _FILE.size]) or header_bytes != HEADER_BYTES:
        raise DataError(f"{name}: the journal's header is damaged (its CRC does not fit)")
    return Header(run_id, created_ns)


def read_records(file: BinaryIO, header: Header, sequence: int = 0) -> Iterator[Record]:
    """Whole records from where `file` stands, the first one with number `sequence`; ends before anything torn or
    damaged. Afterwards the end of the last record given is where the trouble is, or the end of the file."""
    offset = file.tell()
    while True:
        fixed = file.read(_RECORD.size)
        if len(fixed) < _RECORD.size:
            return
        body_bytes, kind, _, _, number, time_ns = _RECORD.unpack(fixed)
        if body_bytes > MOST_BODY_BYTES or number != sequence & 0xFFFFFFFF:
            return
        rest = file.read(body_bytes + _CRC.size)
        if len(rest) < body_bytes + _CRC.size:
            return
        body = rest[:body_bytes]
        if _CRC.unpack_from(rest, body_bytes)[0] != zlib.crc32(body, zlib.crc32(fixed, header.crc)):
            return
        yield Record(offset, Kind(kind) if kind in _KNOWN else kind, sequence, time_ns, body)
        offset += RECORD_OVERHEAD_BYTES + body_bytes
        sequence += 1
