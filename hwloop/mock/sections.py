"""Payload words of the simulated board ↔ arrays of cells, rows and codes. Structure only: no limits, no physics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numba import njit

from hwloop.link import protocol as wire
from hwloop.link.protocol import Field, Layout, Rows, Status, Target
from hwloop.mock.refusal import RefusalError, check_length, check_range

_FITS, _CUT_SHORT, _BAD_MASK = 0, 1, 2
GATE_DAC = wire.MAX_COLUMNS     # behind the column DACs in `dac_words`
T = TypeVar("T")


@dataclass(frozen=True)
class CellList:
    """Cells of one PULSE or READ section in the order listed; all arrays have one entry a cell.

    `cell` is row × columns + column within the section's array; cells of one row pulse or row read share `group`,
    counted from 0; `code` is the listed code, 0 where none is listed.
    """

    cell: np.ndarray
    code: np.ndarray
    group: np.ndarray

    @property
    def groups(self) -> int:
        """Row pulses or row reads."""
        return int(self.group[-1]) + 1 if len(self.group) else 0


@dataclass(frozen=True)
class SolveList:
    """One SOLVE or MVM section: active rows (m,), columns (k,), codes (k,) and input codes (n, m)."""

    rows: np.ndarray
    columns: np.ndarray
    feedback_code: np.ndarray
    bias_code: np.ndarray
    input_code: np.ndarray


def fixed_part(payload: bytes, header: type[T]) -> T:
    """The whole payload of a command without words."""
    check_length(len(payload), header.STRUCT.size)
    return header.unpack(payload)


def header_at(payload: bytes, offset: int, header: type[T]) -> tuple[T, int]:
    """A fixed part at `offset`, and where it ends."""
    end = offset + header.STRUCT.size
    if end > len(payload):
        check_length(len(payload), end)
    return header.unpack(payload, offset), end


def words_at(payload: bytes, offset: int, count: int) -> tuple[np.ndarray, int]:
    """`count` 16-bit words (uint16) from `offset`, and where they end."""
    end = offset + 2 * count
    if end > len(payload):
        check_length(len(payload), end)
    return np.frombuffer(payload, "<u2", count, offset), end


def split_sections(payload: bytes, offset: int, header: type[T]) -> list[tuple[T, np.ndarray]]:
    """(section header, its words as uint16) of a payload whose sections carry `word_count`."""
    sections = []
    while offset < len(payload):
        section, offset = header_at(payload, offset, header)
        words, offset = words_at(payload, offset, section.word_count)
        sections.append((section, words))
    return sections


def expand_cells(
    words: np.ndarray, layout: int, target: int, rows: int, columns: int, first_cell: int = 0
) -> CellList:
    """The cells that a PULSE or READ section lists; READ has target COMMON. Refusals count from `first_cell` on."""
    if layout == Layout.CELLS:
        return _listed_cells(words, target, rows, columns, first_cell)
    most = len(words) * wire.MAX_COLUMNS // 2
    cell, code, group = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    outcome, count, mask = _expand_rows(words, target, columns, cell, code, group)
    cell, code, group = cell[:count], code[:count], group[:count]
    check_range(Field.ROW, cell // columns, 0, rows - 1, first_cell)
    if outcome == _BAD_MASK:
        raise RefusalError(Status.OUT_OF_RANGE, Field.COLUMN, first_cell + count, mask, 1, (1 << columns) - 1)
    if outcome == _CUT_SHORT:
        raise RefusalError(Status.BAD_LENGTH, Field.ENTRIES, 0, len(words))
    return CellList(cell, code, group)


def _listed_cells(words: np.ndarray, target: int, rows: int, columns: int, first_cell: int) -> CellList:
    step = 1 if target == Target.COMMON else 2
    if len(words) % step:
        raise RefusalError(Status.BAD_LENGTH, Field.ENTRIES, 0, len(words))
    cell = words[::step].astype(np.int64)
    code = words[1::2].astype(np.int64) if step == 2 else np.zeros(len(cell), np.int64)
    check_range(Field.CELL, cell, 0, rows * columns - 1, first_cell)
    row = cell // columns
    new = np.ones(len(cell), bool)
    new[1:] = row[1:] != row[:-1]
    if target == Target.GATE:
        new[1:] |= code[1:] != code[:-1]
    # A column listed twice in one row pulse would need two amplitudes at once: it starts the next one.
    new[1:] |= cell[1:] <= cell[:-1]
    return CellList(cell, code, np.cumsum(new) - 1)


@njit(cache=True)
def _expand_rows(words, target, columns, cell, code, group):
    """Fill `cell`, `code` and `group`; gives (outcome, number of cells, column mask looked at last)."""
    count, groups, at, mask = 0, 0, 0, np.int64(0)
    while at < len(words):
        head = 3 if target == Target.GATE else 2
        if at + head > len(words):
            return _CUT_SHORT, count, mask
        row, mask = np.int64(words[at]), np.int64(words[at + 1])
        if mask == 0 or mask >> columns:
            return _BAD_MASK, count, mask
        shared = np.int64(words[at + 2]) if target == Target.GATE else np.int64(0)
        at += head
        for column in range(columns):
            if mask >> column & 1:
                cell[count], code[count], group[count] = row * columns + column, shared, groups
                if target == Target.AMPLITUDE:
                    if at >= len(words):
                        return _CUT_SHORT, count, mask
                    code[count] = words[at]
                    at += 1
                count += 1
        groups += 1
    return _FITS, count, mask


@njit(cache=True)
def schedule_row_pulses(column, amplitude_code, gate_code, group, width_ticks, dac_words, start_ticks, clock):
    """When each row pulse begins, by the tick rules. `dac_words` (17,) is what the column DACs and the gate DAC hold
    and is carried on; `start_ticks` (n,) is filled in; gives the clock after the last pulse."""
    i = 0
    while i < len(column):
        stop, changed = i, 0
        while stop < len(column) and group[stop] == group[i]:
            if dac_words[column[stop]] != amplitude_code[stop]:
                dac_words[column[stop]] = amplitude_code[stop]
                changed += 1
            stop += 1
        if dac_words[GATE_DAC] != gate_code[i]:
            dac_words[GATE_DAC] = gate_code[i]
            changed += 1
        clock += changed * wire.TICKS_PULSE_CHANGED_WORD + wire.TICKS_PULSE_DAC_SETTLE
        start_ticks[i:stop] = clock
        clock += width_ticks + wire.TICKS_PULSE_RECOVERY
        i = stop
    return clock


def expand_solve(
    payload: bytes, offset: int, section: wire.SolveSection | wire.MvmSection, rows: int, columns: int, feedback: bool,
    bias: bool, position: int,
) -> tuple[SolveList, int]:
    """One SOLVE or MVM section whose words begin at `offset`; gives it and where the next section begins."""
    check_range(Field.LAYOUT, section.rows, 0, Rows.MASK, position)
    check_range(Field.ENTRIES, section.row_count, 1, rows, position)
    check_range(Field.ENTRIES, section.solve_count, 1, 65535, position)
    check_range(Field.COLUMN, section.column_mask, 1, (1 << columns) - 1, position)
    active_columns = np.flatnonzero(section.column_mask >> np.arange(columns) & 1)
    active_rows, offset = _active_rows(payload, offset, section, rows, position)
    k, m, n = len(active_columns), section.row_count, section.solve_count
    feedback_code, bias_code = np.zeros(k, np.int64), np.zeros(k, np.int64)
    if feedback:
        words, offset = words_at(payload, offset, k)
        feedback_code = words.astype(np.int64)
    if bias:
        words, offset = words_at(payload, offset, k)
        bias_code = words.view("<i2").astype(np.int64)
    words, offset = words_at(payload, offset, n * m)
    input_code = words.view("<i2").astype(np.int64).reshape(n, m)
    return SolveList(active_rows, active_columns, feedback_code, bias_code, input_code), offset


def _active_rows(
    payload: bytes, offset: int, section: wire.SolveSection | wire.MvmSection, rows: int, position: int
) -> tuple[np.ndarray, int]:
    """Ascending rows (m,) of a section, and where their words end."""
    if section.rows == Rows.INDICES:
        words, offset = words_at(payload, offset, section.row_count)
        active = words.astype(np.int64)
        falling = np.flatnonzero(np.diff(active) <= 0)
        if len(falling):
            at = falling[0] + 1
            raise RefusalError(Status.OUT_OF_RANGE, Field.ROW, position, active[at], active[at - 1] + 1, rows - 1)
    else:
        (first, count), offset = words_at(payload, offset, 2)
        words, offset = words_at(payload, offset, int(count))
        active = int(first) + np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")).astype(np.int64)
        if len(active) != section.row_count:
            low = high = section.row_count
            raise RefusalError(Status.OUT_OF_RANGE, Field.ENTRIES, position, len(active), low, high)
    if active[-1] >= rows:
        raise RefusalError(Status.OUT_OF_RANGE, Field.ROW, position, active[active >= rows][0], 0, rows - 1)
    return active, offset


def pack_bits(bits: np.ndarray) -> bytes:
    """Bits (any shape, bool) into 16-bit words, bit 0 first."""
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    return packed + b"\0" * (len(packed) % 2)


def packed_bits_bytes(bits: int) -> int:
    """Bytes that `pack_bits` makes of so many."""
    return 2 * -(-bits // 16)
