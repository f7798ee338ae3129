"""Payload words of the simulated board ↔ arrays of cells, rows and codes. Structure only: no limits, no physics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from hwloop.link import protocol as wire
from hwloop.link.protocol import Field, Layout, Rows, Status, Target
from hwloop.mock.refusal import Refused, check_range


@dataclass(frozen=True)
class CellList:
    """Cells of one PULSE or READ section in the order listed; all arrays have one entry a cell.

    `cell` is row × columns + column within the section's array; cells of one row pulse or row read share `group`,
    counted from 0; `code` is the listed code, or the section's common one where none is listed.
    """

    cell: np.ndarray
    code: np.ndarray
    group: np.ndarray
    groups: int


@dataclass(frozen=True)
class SolveList:
    """One SOLVE or MVM section: active rows (m,), columns (k,), codes (k,) and input codes (n, m)."""

    rows: np.ndarray
    columns: np.ndarray
    feedback_code: np.ndarray
    bias_code: np.ndarray
    input_code: np.ndarray


def split_sections(payload: bytes, offset: int, header: type) -> list[tuple[object, np.ndarray]]:
    """(section header, its words as uint16) of a payload whose sections carry `word_count`."""
    sections = []
    while offset < len(payload):
        section = header.unpack(payload, offset)
        offset += header.STRUCT.size
        sections.append((section, words_at(payload, offset, section.word_count)))
        offset += 2 * section.word_count
    return sections


def words_at(payload: bytes, offset: int, count: int) -> np.ndarray:
    """`count` 16-bit words from `offset`; refused where the payload is shorter."""
    if offset + 2 * count > len(payload):
        raise Refused(Status.BAD_LENGTH, Field.ENTRIES, 0, len(payload), offset + 2 * count, offset + 2 * count)
    return np.frombuffer(payload, "<u2", count, offset)


def expand_cells(words: np.ndarray, layout: int, target: int, common_code: int, rows: int, columns: int) -> CellList:
    """The cells that a PULSE or READ section lists; READ has target COMMON."""
    check_range(Field.LAYOUT, layout, 0, Layout.ROWS)
    check_range(Field.TARGET, target, 0, Target.AMPLITUDE)
    if layout == Layout.CELLS:
        step = 1 if target == Target.COMMON else 2
        if len(words) % step:
            raise Refused(Status.BAD_LENGTH, Field.ENTRIES, 0, len(words))
        cell = words[::step].astype(np.int64)
        code = words[1::2].astype(np.int64) if step == 2 else np.full(len(cell), common_code, np.int64)
        check_range(Field.CELL, cell, 0, rows * columns - 1)
        row = cell // columns
        new = np.ones(len(cell), bool)
        new[1:] = row[1:] != row[:-1]
        if target == Target.GATE:
            new[1:] |= code[1:] != code[:-1]
        # A column listed twice in one row pulse would need two amplitudes at once: it starts the next one.
        new[1:] |= cell[1:] <= cell[:-1]
        group = np.cumsum(new) - 1
        return CellList(cell, code, group, int(group[-1]) + 1 if len(cell) else 0)
    cell, code, group, groups = _expand_rows(words, target, common_code, columns)
    if groups < 0:
        raise Refused(Status.BAD_LENGTH, Field.ENTRIES, 0, len(words))
    check_range(Field.ROW, cell // columns, 0, rows - 1)
    return CellList(cell, code, group, groups)


@njit(cache=True)
def _expand_rows(words, target, common_code, columns):
    cell = np.empty(len(words) * 16, np.int64)
    code = np.empty(len(words) * 16, np.int64)
    group = np.empty(len(words) * 16, np.int64)
    count, groups, at = 0, 0, 0
    while at < len(words):
        head = 3 if target == 1 else 2
        if at + head > len(words):
            return cell[:0], code[:0], group[:0], -1
        row, mask = np.int64(words[at]), np.int64(words[at + 1])
        if mask >> columns:
            return cell[:0], code[:0], group[:0], -1
        shared = np.int64(words[at + 2]) if target == 1 else common_code
        at += head
        for column in range(columns):
            if mask >> column & 1:
                cell[count] = row * columns + column
                code[count] = shared
                group[count] = groups
                if target == 2:
                    if at >= len(words):
                        return cell[:0], code[:0], group[:0], -1
                    code[count] = words[at]
                    at += 1
                count += 1
        groups += 1
    return cell[:count], code[:count], group[:count], groups


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
        if dac_words[16] != gate_code[i]:
            dac_words[16] = gate_code[i]
            changed += 1
        clock += changed * wire.TICKS_PULSE_CHANGED_WORD + wire.TICKS_PULSE_DAC_SETTLE
        start_ticks[i:stop] = clock
        clock += width_ticks[i] + wire.TICKS_PULSE_RECOVERY
        i = stop
    return clock


def expand_solve(payload: bytes, offset: int, section: wire.SolveSection | wire.MvmSection, rows: int, columns: int,
                 feedback: bool, bias: bool) -> tuple[SolveList, int]:
    """One SOLVE or MVM section whose words begin at `offset`; gives it and where the next section begins."""
    check_range(Field.ENTRIES, section.row_count, 1, rows)
    check_range(Field.ENTRIES, section.solve_count, 1, 65535)
    check_range(Field.COLUMN, section.column_mask, 1, (1 << columns) - 1)
    active_columns = np.flatnonzero(section.column_mask >> np.arange(columns) & 1)
    active_rows, offset = _active_rows(payload, offset, section, rows)
    k, m, n = len(active_columns), section.row_count, section.solve_count
    feedback_code, bias_code = np.zeros(k, np.int64), np.zeros(k, np.int64)
    if feedback:
        feedback_code, offset = words_at(payload, offset, k).astype(np.int64), offset + 2 * k
    if bias:
        bias_code, offset = words_at(payload, offset, k).view("<i2").astype(np.int64), offset + 2 * k
    input_code = words_at(payload, offset, n * m).view("<i2").astype(np.int64).reshape(n, m)
    return SolveList(active_rows, active_columns, feedback_code, bias_code, input_code), offset + 2 * n * m


def _active_rows(payload: bytes, offset: int, section: wire.SolveSection | wire.MvmSection, rows: int) -> tuple[np.ndarray, int]:
    if section.rows == Rows.INDICES:
        active = words_at(payload, offset, section.row_count).astype(np.int64)
        offset += 2 * section.row_count
        if (np.diff(active) <= 0).any():
            raise Refused(Status.OUT_OF_RANGE, Field.ROW, int((np.diff(active) <= 0).argmax()) + 1, 0)
    else:
        check_range(Field.LAYOUT, section.rows, 0, Rows.MASK)
        first, count = (int(word) for word in words_at(payload, offset, 2))
        words = words_at(payload, offset + 4, count)
        active = first + np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")).astype(np.int64)
        offset += 4 + 2 * count
        if len(active) != section.row_count:
            raise Refused(Status.BAD_LENGTH, Field.ENTRIES, 0, len(active), section.row_count, section.row_count)
    check_range(Field.ROW, active, 0, rows - 1)
    return active, offset


def pack_bits(bits: np.ndarray) -> bytes:
    """Bits (any shape, bool) into 16-bit words, bit 0 first."""
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    return packed + b"\0" * (len(packed) % 2)
