"""The last records of a journal without reading the rest: records have no back pointers, so they are searched for."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from hwloop.runlog.bodies import Event
from hwloop.runlog.framing import HEADER_BYTES, RECORD_OVERHEAD_BYTES, Header, Kind, Record, read_records

WINDOW_BYTES = 256 << 10
MOST_WINDOW_BYTES = 16 << 20
# Where a record begins (framing.py): body bytes (4), kind, three zero bytes, number (4), Unix ns (8).
_FIXED_BYTES, _KIND_AT, _NUMBER_AT, _TIME_AT = 20, 4, 8, 12
_MOST_KIND = max(Kind)
_CHUNK = 64 << 10
# Times of a run's records lie within this of its creation, in units of 2^48 ns (3.26 days): ten years.
_MOST_AGE = 1200


@dataclass(frozen=True)
class Tail:
    """Consecutive whole `records` at the end of a journal of `size_bytes`, none where nothing whole was found there.

    `from_beginning`: they are all that the journal has.
    """

    records: tuple[Record, ...]
    size_bytes: int
    from_beginning: bool

    @property
    def end(self) -> int:
        """Where the last whole record ends; before `size_bytes` where something torn or damaged follows."""
        return self.records[-1].end if self.records else HEADER_BYTES

    @property
    def is_whole(self) -> bool:
        """Whether the last whole record ends the file."""
        return self.end == self.size_bytes

    def events(self) -> list[tuple[Record, Event]]:
        """The events among the records, in order, without their arrays."""
        return [
            (record, Event.decode(record.body, with_arrays=False)) for record in self.records
            if record.kind is Kind.EVENT
        ]


def read_tail(file: BinaryIO, header: Header, window_bytes: int = WINDOW_BYTES) -> Tail:
    """The last records of a journal that begin in its last `window_bytes`; where the file stands does not matter.

    The earliest position is taken from which records with right CRC and consecutive numbers follow each other; where
    they stop before the end of the file, records are searched for behind that again, and the last ones found are given.
    """
    size = file.seek(0, os.SEEK_END)
    start = max(HEADER_BYTES, size - window_bytes)
    file.seek(start)
    data = file.read(size - start)
    window = _Window(data, start)
    found: tuple[Record, ...] = ()
    behind = 0
    for first in range(0, len(data), _CHUNK):
        for at in _candidates(data, first, header) if first + _CHUNK > behind else ():
            records = _records_from(window, at, header) if at >= behind else ()
            if records:
                found, behind = records, records[-1].end - start
    return Tail(found, size, bool(found) and found[0].offset == HEADER_BYTES)


def read_tail_until(
    file: BinaryIO, header: Header, is_enough: Callable[[Tail], bool], most_bytes: int = MOST_WINDOW_BYTES
) -> Tail:
    """As `read_tail`, with windows four times as large until `is_enough(tail)`, the beginning, or `most_bytes`."""
    window = WINDOW_BYTES
    while True:
        tail = read_tail(file, header, window)
        if is_enough(tail) or window >= min(most_bytes, tail.size_bytes):
            return tail
        window *= 4


class _Window(io.BytesIO):
    """Part of a file that begins at offset `start` there, and says so."""

    def __init__(self, data: bytes, start: int):
        super().__init__(data)
        self._start = start

    def tell(self) -> int:
        return super().tell() + self._start


def _records_from(window: _Window, at: int, header: Header) -> tuple[Record, ...]:
    """Whole records of consecutive numbers from position `at` of the window on."""
    window.seek(at + _NUMBER_AT)
    number = int.from_bytes(window.read(_TIME_AT - _NUMBER_AT), "little")
    window.seek(at)
    return tuple(read_records(window, header, number))


def _candidates(data: bytes, first: int, header: Header) -> list[int]:
    """Positions of `data` from `first` on, in one chunk, where a record may begin that ends inside `data`."""
    view = np.frombuffer(data, np.uint8, min(_CHUNK + _FIXED_BYTES - 1, len(data) - first), first)
    count = len(view) - _FIXED_BYTES + 1
    if count <= 0:
        return []

    def seen(offset: int) -> np.ndarray:
        return view[offset : offset + count]

    # Few positions have a kind with three zeros behind it; only those are looked at closely. 0 - 1 wraps to 255.
    is_kind = seen(_KIND_AT) - np.uint8(1) < _MOST_KIND
    at = np.flatnonzero(is_kind & ((seen(_KIND_AT + 1) | seen(_KIND_AT + 2) | seen(_KIND_AT + 3)) == 0))
    fixed = view[at[:, None] + np.arange(_FIXED_BYTES)]
    body_bytes = np.ascontiguousarray(fixed[:, :_KIND_AT]).view("<u4")[:, 0].astype(np.int64)
    age = np.ascontiguousarray(fixed[:, _TIME_AT + 6 :]).view("<u2")[:, 0].astype(np.int64) - (header.created_ns >> 48)
    is_inside = first + at + RECORD_OVERHEAD_BYTES + body_bytes <= len(data)
    return (first + at[is_inside & (age >= 0) & (age <= _MOST_AGE)]).tolist()
