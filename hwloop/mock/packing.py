"""Columns of integers as bytes: each by its lowest value and as few bytes an entry as its range needs."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numba import njit

_COUNT = struct.Struct("<I")
_COLUMN = struct.Struct("<qB")      # lowest value, bytes an entry (0: all are the lowest)


def pack_columns(columns: Sequence[np.ndarray]) -> bytes:
    """`columns` of integers, all (n,), in the range of int64."""
    parts = [_COUNT.pack(len(columns[0]))]
    for column in columns:
        column = np.ascontiguousarray(column, np.int64)
        lowest, highest = _ends(column)
        width = _bytes_for(highest - lowest)
        parts.append(_COLUMN.pack(lowest, width))
        if width:
            parts.append((column - lowest).astype(f"<u{width}").tobytes())
    return b"".join(parts)


def unpack_columns(data: bytes, offset: int, columns: int) -> tuple[list[np.ndarray], int]:
    """So many columns (n,) int64 that begin at `offset`, and where they end."""
    (count,) = _COUNT.unpack_from(data, offset)
    offset += _COUNT.size
    found = []
    for _ in range(columns):
        lowest, width = _COLUMN.unpack_from(data, offset)
        offset += _COLUMN.size
        if width:
            found.append(np.frombuffer(data, f"<u{width}", count, offset).astype(np.int64) + lowest)
            offset += count * width
        else:
            found.append(np.full(count, lowest, np.int64))
    return found, offset


def _bytes_for(span: int) -> int:
    for width in (0, 1, 2, 4):
        if span < 1 << 8 * width:
            return width
    return 8


@njit(cache=True)
def _ends(values):
    """The lowest and the highest of `values` (n,) int64; zeros where there are none."""
    if not values.size:
        return 0, 0
    lowest = highest = values[0]
    for value in values:
        lowest, highest = min(lowest, value), max(highest, value)
    return lowest, highest
