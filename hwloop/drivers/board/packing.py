"""Cells and codes into the words of PULSE and READ sections, and sections into frames. Whole arrays at once.

The kernels' signatures are given, so they are compiled on import, before any board listens for a heartbeat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numba import njit

from hwloop.drivers.board.ragged import Ragged
from hwloop.link.frames import OVERHEAD_BYTES
from hwloop.link.protocol import Layout, Polarity, Target

BYTES_A_WORD = 2
# A READ reply carries a code and a steady bit a cell, and at most this much besides.
REPLY_BITS_A_CELL, REPLY_FIXED_BYTES = 17, 32
_CELLS, _ROWS = int(Layout.CELLS), int(Layout.ROWS)
_COMMON, _AMPLITUDE, _GATE = int(Target.COMMON), int(Target.AMPLITUDE), int(Target.GATE)


@dataclass(frozen=True)
class SortedCells:
    """Cells of sections as they are sent: `index` (n,), row x columns + column in their array, and `code` (n,).

    Section j is `starts`[j] to `starts`[j + 1], its codes are for `target`[j] (Target); it is sorted by row, then
    (target GATE) by gate code, then by column.
    """

    index: np.ndarray
    code: np.ndarray
    starts: np.ndarray
    target: np.ndarray


@dataclass(frozen=True)
class PackedCells:
    """Payloads of frames, and the number of cells that each speaks of; `payload_words` without headers; `rows` (s,):
    how many row pulses (row reads) each section became."""

    payloads: list[bytes]
    cells: list[int]
    payload_words: int
    rows: np.ndarray


def pack_cells(
    listed: SortedCells, columns: int, max_frame_bytes: int, header: Callable[[int, int, int], bytes],
    prefix: bytes = b"", replies: bool = False,
) -> PackedCells:
    """Sections in whichever layout is shorter, one index a cell, or row and column mask; cut between row pulses (row
    reads) where a frame is full.

    `header(section, layout, words)` gives the header of a part of a section, `prefix` begins every frame. `replies`:
    the reply, with a code and a bit a cell, has to fit into a frame too.
    """
    room = max_frame_bytes - OVERHEAD_BYTES
    reply_cells = (room - REPLY_FIXED_BYTES) * 8 // REPLY_BITS_A_CELL if replies else len(listed.index)
    words, pieces, rows = _pack(
        listed.index, listed.code, listed.starts, listed.target, columns, (room - len(prefix)) // BYTES_A_WORD,
        len(header(0, 0, 0)) // BYTES_A_WORD, reply_cells,
    )
    frames, cells, at = [], [], 0
    for section, layout, frame, count, cell_count in pieces.tolist():
        if frame == len(frames):
            frames.append(bytearray(prefix))
            cells.append(0)
        frames[frame] += header(section, layout, count) + words[at : at + count].tobytes()
        cells[frame] += cell_count
        at += count
    return PackedCells([bytes(frame) for frame in frames], cells, len(words), rows)


def sorting_order(*keys: np.ndarray) -> np.ndarray:
    """The order (n,) by keys (n,) of 16 bits, the first one counts most. Such keys sort in the time of a few passes."""
    return np.lexsort([key.astype(np.uint16) for key in reversed(keys)])


def sort_pulses(
    width: np.ndarray, array: np.ndarray, polarity: np.ndarray, index: np.ndarray, amplitude: np.ndarray,
    gate: np.ndarray, columns: int,
) -> tuple[SortedCells, np.ndarray]:
    """Pulses (n,) in the sections of PULSE frames, and which pulse each section begins with.

    A section is of one width, array and polarity, and has one amplitude, or one gate, for all of its cells.
    """
    lines = array * len(Polarity) + polarity
    by_kind = sorting_order(width, lines, index)
    kind = (width << 16 | lines)[by_kind]
    order, code, starts, target = _sort(kind, index[by_kind] // columns, amplitude[by_kind], gate[by_kind])
    order = by_kind[order]
    return SortedCells(index[order], code, starts, target), order[starts[:-1]]


def header_words(section: Any, *values: np.ndarray | int) -> Ragged:
    """Headers of n sections of one kind, in words: `values` (n,), or one number for all, in the order of its fields."""
    names, codes = [field.name for field in fields(section)], section.STRUCT.format[1:]
    kind = np.dtype([(name, f"<{code}") for name, code in zip(names, codes, strict=True)])
    headers = np.empty(np.broadcast(*values).shape, kind)
    for name, value in zip(names, values, strict=True):
        headers[name] = value
    return Ragged(headers.view("<u2"), np.full(len(headers), kind.itemsize // BYTES_A_WORD))


@njit("Tuple((i8[::1], i8[::1], i8[::1], i8[::1]))(i8[::1], i8[::1], i8[::1], i8[::1])", cache=True)
def _sort(kind, row, amplitude, gate):
    """From pulses by kind, row and column: their order in sections, their codes, where sections start, and targets."""
    n = len(kind)
    order, code = np.arange(n), np.empty(n, np.int64)
    starts, target = np.zeros(n + 1, np.int64), np.empty(n, np.int64)
    sections, at = 0, 0
    while at < n:
        end, same_amplitude, same_gate = at, True, True
        while end < n and kind[end] == kind[at]:
            same_amplitude &= amplitude[end] == amplitude[at]
            same_gate &= gate[end] == gate[at]
            end += 1
        if same_amplitude and not same_gate:
            for i in range(at + 1, end):
                j = i
                while j > at and row[order[j - 1]] == row[i] and gate[order[j - 1]] > gate[i]:
                    order[j] = order[j - 1]
                    j -= 1
                order[j] = i
            target[sections] = _GATE
            sections += 1
            starts[sections] = end
        elif same_gate:
            target[sections] = _COMMON if same_amplitude else _AMPLITUDE
            sections += 1
            starts[sections] = end
        else:
            # Neither is common: a section for each gate, ascending.
            done, least = at, -1
            while done < end:
                least_left = 1 << 62
                for i in range(at, end):
                    if least < gate[i] < least_left:
                        least_left = gate[i]
                least = least_left
                for i in range(at, end):
                    if gate[i] == least:
                        order[done] = i
                        done += 1
                target[sections] = _AMPLITUDE
                sections += 1
                starts[sections] = done
        at = end
    for section in range(sections):
        for i in range(starts[section], starts[section + 1]):
            code[i] = gate[order[i]] if target[section] == _GATE else amplitude[order[i]]
    return order, code, starts[: sections + 1].copy(), target[:sections].copy()


@njit("Tuple((u2[::1], i8[:, ::1], i8[::1]))(i8[::1], i8[::1], i8[::1], i8[::1], i8, i8, i8, i8)", cache=True)
def _pack(index, code, starts, target, columns, room, header, most_cells):
    """Words, pieces (section, layout, frame, words, cells), and row pulses of each section; lengths are in words."""
    sections = len(target)
    row = index // columns
    words, at = np.empty(3 * len(row), np.uint16), 0
    pieces, count = np.empty((len(row), 5), np.int64), 0
    rows = np.zeros(sections, np.int64)
    frame, left, cells_left = 0, room, most_cells
    for section in range(sections):
        first, end = starts[section], starts[section + 1]
        by_gate, coded = target[section] == _GATE, target[section] != _COMMON
        for i in range(first, end):
            if i == first or row[i] != row[i - 1] or (by_gate and code[i] != code[i - 1]):
                rows[section] += 1
        in_rows = 2 * rows[section]
        if coded:
            in_rows += rows[section] if by_gate else end - first
        in_cells = (end - first) * (2 if coded else 1)
        layout = _CELLS if in_cells <= in_rows else _ROWS
        is_open, i = False, first
        while i < end:
            stop = i + 1
            while stop < end and row[stop] == row[i] and not (by_gate and code[stop] != code[i]):
                stop += 1
            if layout == _CELLS:
                size = (stop - i) * (2 if coded else 1)
            elif coded:
                size = 3 if by_gate else 2 + stop - i
            else:
                size = 2
            if size + (0 if is_open else header) > left or stop - i > cells_left:
                frame, left, cells_left, is_open = frame + 1, room, most_cells, False
                assert size + header <= left and stop - i <= cells_left, "one row does not fit into a frame"
            if not is_open:
                pieces[count, 0], pieces[count, 1], pieces[count, 2] = section, layout, frame
                pieces[count, 3] = pieces[count, 4] = 0
                count, left, is_open = count + 1, left - header, True
            pieces[count - 1, 3] += size
            pieces[count - 1, 4] += stop - i
            left, cells_left = left - size, cells_left - (stop - i)
            if layout == _CELLS:
                for j in range(i, stop):
                    words[at] = index[j]
                    at += 1
                    if coded:
                        words[at] = code[j]
                        at += 1
            else:
                mask = 0
                for j in range(i, stop):
                    mask |= 1 << (index[j] - row[j] * columns)
                words[at], words[at + 1] = row[i], mask
                at += 2
                if by_gate:
                    words[at] = code[i]
                    at += 1
                elif coded:
                    for j in range(i, stop):
                        words[at] = code[j]
                        at += 1
            i = stop
    return words[:at].copy(), pieces[:count].copy(), rows
