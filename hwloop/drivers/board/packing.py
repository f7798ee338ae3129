"""Cells and codes into the words of PULSE and READ sections, and sections into frames. Vectorised over cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwloop.link.frames import OVERHEAD_BYTES
from hwloop.link.protocol import Layout, Target

BYTES_A_WORD = 2


@dataclass(frozen=True)
class Section:
    """Words of one section that have not been put into frames yet.

    `words` uint16; `starts` (g + 1,) word index where each row pulse or row read begins, and the end: a frame may be
    cut there only; `cells` (g + 1,) the same in cells.
    """

    layout: int
    words: np.ndarray
    starts: np.ndarray
    cells: np.ndarray


def pack_cells(row: np.ndarray, column: np.ndarray, columns: int, code: np.ndarray | None, target: int) -> Section:
    """A section for sorted cells: by row, then (target GATE) by gate code, then by column.

    Takes whichever layout is shorter: one index a cell, or row and column mask.
    """
    new_row = np.ones(len(row), bool)
    new_row[1:] = row[1:] != row[:-1]
    if target == Target.GATE:
        new_row[1:] |= code[1:] != code[:-1]
    first = np.flatnonzero(new_row)
    groups = len(first)
    bounds = np.append(first, len(row))
    coded = target != Target.COMMON
    cells_words = len(row) * (2 if coded else 1)
    rows_words = 2 * groups + (groups if target == Target.GATE else len(row) if target == Target.AMPLITUDE else 0)
    if cells_words <= rows_words:
        index = row * columns + column
        words = np.stack([index, code], axis=1).ravel() if coded else index
        return Section(Layout.CELLS, words.astype("<u2"), bounds * (2 if coded else 1), bounds)
    mask = np.add.reduceat(1 << column, first) if groups else np.zeros(0, np.int64)
    if target == Target.AMPLITUDE:
        words = np.empty(rows_words, np.int64)
        starts = bounds + 2 * np.arange(groups + 1)
        words[starts[:-1]] = row[first]
        words[starts[:-1] + 1] = mask
        words[np.arange(len(row)) + 2 * np.cumsum(new_row)] = code
        return Section(Layout.ROWS, words.astype("<u2"), starts, bounds)
    parts = [row[first], mask] + ([code[first]] if target == Target.GATE else [])
    words = np.stack(parts, axis=1).ravel().astype("<u2")
    return Section(Layout.ROWS, words, np.arange(groups + 1) * len(parts), bounds)


@dataclass(frozen=True)
class PackedFrame:
    """Payload of one frame and the number of cells that it speaks of."""

    payload: bytes
    cells: int


class FramePacker:
    """Fills payloads with sections, cutting between row pulses where a frame is full."""

    def __init__(
        self, max_frame_bytes: int, prefix: bytes = b"", reply_bytes_a_cell: float = 0.0, reply_fixed_bytes: int = 32
    ):
        self._limit = max_frame_bytes - OVERHEAD_BYTES
        self._prefix = prefix
        self._reply_a_cell = reply_bytes_a_cell
        self._reply_room = max_frame_bytes - OVERHEAD_BYTES - reply_fixed_bytes
        self._payload, self._cells = bytearray(prefix), 0
        self._frames: list[PackedFrame] = []

    def add(self, section: Section, header: Callable[[int], bytes]) -> None:
        """Append a section; `header(word_count)` gives the header of a part of it."""
        header_bytes = len(header(0))
        at, end = 0, len(section.starts) - 1
        while at < end:
            room = (self._limit - len(self._payload) - header_bytes) // BYTES_A_WORD
            stop = int(np.searchsorted(section.starts, section.starts[at] + room, "right")) - 1
            if self._reply_a_cell:
                cells_room = int((self._reply_room - self._cells * self._reply_a_cell) / self._reply_a_cell)
                stop = min(stop, int(np.searchsorted(section.cells, section.cells[at] + cells_room, "right")) - 1)
            if stop <= at:
                assert len(self._payload) > len(self._prefix), "one row does not fit into a frame"
                self._finish()
                continue
            words = section.words[section.starts[at] : section.starts[stop]]
            self._payload += header(len(words)) + words.tobytes()
            self._cells += int(section.cells[stop] - section.cells[at])
            at = stop

    def frames(self) -> list[PackedFrame]:
        """All payloads; the packer is empty afterwards."""
        if len(self._payload) > len(self._prefix):
            self._finish()
        frames, self._frames = self._frames, []
        return frames

    def _finish(self) -> None:
        self._frames.append(PackedFrame(bytes(self._payload), self._cells))
        self._payload, self._cells = bytearray(self._prefix), 0
