"""Payloads of recorded frames back into cells, codes and solves: the inverse of the packing, compiled.

Each function gives int32 columns (fields, n), one entry a cell, solve or value; a payload that ends in the middle of
something gives what is whole before that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from hwloop.drivers.board.solving import BIAS_FOLLOWS
from hwloop.link.protocol import CompensateRequest, Layout, MvmReply, ReadReply, ReadRequest, Rows, SolveReply, Target

_LAYOUT_CELLS, _ROWS_MASK = int(Layout.CELLS), int(Rows.MASK)
_TARGET_COMMON, _TARGET_GATE, _TARGET_AMPLITUDE = int(Target.COMMON), int(Target.GATE), int(Target.AMPLITUDE)
_FEWEST_ROOM = 1 << 13


def unpack_pulses(payload: bytes, rows: int, columns: int) -> np.ndarray:
    """Pulses of a PULSE request: flat cell, polarity, amplitude code, gate code, width in ticks (5, n)."""
    words = _words(payload)
    out = np.empty((5, 8 * len(words) + _FEWEST_ROOM), np.int32)
    return out[:, : _pulses(words, rows, columns, out)]


def unpack_read_cells(payload: bytes, rows: int, columns: int) -> np.ndarray:
    """Flat cells (n,) of a READ request, in the order of its reply."""
    words = _words(payload)[ReadRequest.STRUCT.size // 2 :]
    out = np.empty(8 * len(words) + _FEWEST_ROOM, np.int32)
    return out[: _read_cells(words, rows, columns, out)]


def unpack_read_codes(reply: bytes, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes (n,) uint16 and steady bits (n,) of a READ reply; n is less than `count` where the reply is short."""
    words = _words(reply[ReadReply.STRUCT.size :])
    codes = words[:count]
    steady = np.unpackbits(words[count:].view(np.uint8), bitorder="little")
    count = min(len(codes), len(steady))
    return codes[:count], steady[:count]


@dataclass(frozen=True)
class DecodedSolves:
    """What a SOLVE or MVM frame asked and got. Sections and solves are counted within the frame.

    `sections` (8, …): constraint (of MVM: array), what follows or TIA range, bias divider, averages, column mask,
    settle ticks, active rows, solves. `columns` (4, …): section, column, feedback code, bias code, of sections that
    set them. `solves` (3, …): section, saturated, unsettled. `inputs` (3, …): solve, row, code. `outputs` (3, …):
    solve, column, code; none where there is no reply.
    """

    sections: np.ndarray
    columns: np.ndarray
    solves: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray


def unpack_solves(payload: bytes, reply: bytes, is_product: bool) -> DecodedSolves:
    """A SOLVE (or, `is_product`, MVM) request and its reply, b"" where there is none."""
    words, answer = _words(payload), _words(reply[(MvmReply if is_product else SolveReply).STRUCT.size :])
    room = len(words) + 16
    sections, columns = np.empty((8, room), np.int32), np.empty((4, room), np.int32)
    solves, inputs = np.empty((3, room), np.int32), np.empty((3, room), np.int32)
    outputs = np.empty((3, len(answer) + 16), np.int32)
    counts = _solves(words, answer.view(np.int16), is_product, sections, columns, solves, inputs, outputs)
    tables = (sections, columns, solves, inputs, outputs)
    return DecodedSolves(*(table[:, :count] for table, count in zip(tables, counts, strict=True)))


def unpack_compensation(payload: bytes) -> np.ndarray:
    """Rows and codes (2, n) of a COMPENSATE request."""
    words = _words(payload[CompensateRequest.STRUCT.size :])
    return words[: len(words) & ~1].reshape(-1, 2).T


def _words(payload: bytes) -> np.ndarray:
    return np.frombuffer(payload[: len(payload) & ~1], "<u2")


@njit(cache=True)
def _pulses(words, rows, columns, out):
    at, n = 0, 0
    while at + 6 <= len(words):
        array, polarity = words[at] & 0xFF, words[at] >> 8
        layout, target = words[at + 1] & 0xFF, words[at + 1] >> 8
        width, amplitude, gate = words[at + 2], words[at + 3], words[at + 4]
        stop = at + 6 + words[at + 5]
        at += 6
        if stop > len(words):
            break
        first = array * rows * columns
        if layout == _LAYOUT_CELLS:
            step = 1 if target == _TARGET_COMMON else 2
            while at + step <= stop:
                code = words[at + step - 1]
                out[0, n], out[1, n] = first + words[at], polarity
                out[2, n] = code if target == _TARGET_AMPLITUDE else amplitude
                out[3, n] = code if target == _TARGET_GATE else gate
                out[4, n] = width
                n += 1
                at += step
        else:
            while at + 2 <= stop:
                row, mask = words[at], words[at + 1]
                at += 2
                if target == _TARGET_GATE:
                    if at >= stop:
                        break
                    gate = words[at]
                    at += 1
                for column in range(16):
                    if mask >> column & 1:
                        if target == _TARGET_AMPLITUDE:
                            if at >= stop:
                                break
                            amplitude = words[at]
                            at += 1
                        out[0, n], out[1, n] = first + row * columns + column, polarity
                        out[2, n], out[3, n], out[4, n] = amplitude, gate, width
                        n += 1
        at = stop
    return n


@njit(cache=True)
def _read_cells(words, rows, columns, out):
    at, n = 0, 0
    while at + 2 <= len(words):
        array, layout = words[at] & 0xFF, words[at] >> 8
        stop = at + 2 + words[at + 1]
        at += 2
        if stop > len(words):
            break
        first = array * rows * columns
        if layout == _LAYOUT_CELLS:
            for index in range(at, stop):
                out[n] = first + words[index]
                n += 1
        else:
            for index in range(at, stop - 1, 2):
                for column in range(16):
                    if words[index + 1] >> column & 1:
                        out[n] = first + words[index] * columns + column
                        n += 1
        at = stop
    return n


@njit(cache=True)
def _solves(words, answer, is_product, sections, columns, solves, inputs, outputs):
    at, taken = 0, 0
    n_sections = n_columns = n_solves = n_inputs = n_outputs = 0
    row_of = np.empty(1 << 16, np.int32)
    column_of = np.empty(16, np.int32)
    while at + 7 <= len(words):
        kind, rows_kind = words[at] & 0xFF, words[at] >> 8
        follows, divider = words[at + 1] & 0xFF, words[at + 1] >> 8
        averages, mask, settle_ticks = words[at + 2], words[at + 3], words[at + 4]
        m, count = int(words[at + 5]), int(words[at + 6])
        at += 7
        if m == 0:
            break
        if rows_kind == _ROWS_MASK:
            if at + 2 > len(words) or at + 2 + words[at + 1] > len(words):
                break
            first, windows = int(words[at]), int(words[at + 1])
            at += 2
            found = 0
            for bit in range(16 * windows):
                if words[at + bit // 16] >> (bit % 16) & 1 and found < m:
                    row_of[found] = first + bit
                    found += 1
            at += windows
            if found < m:
                break
        else:
            if at + m > len(words):
                break
            for index in range(m):
                row_of[index] = words[at + index]
            at += m
        k = 0
        for column in range(16):
            if mask >> column & 1:
                column_of[k] = column
                k += 1
        has_feedback = not is_product and follows != 0
        has_bias = not is_product and divider & BIAS_FOLLOWS != 0
        if at + k * (int(has_feedback) + int(has_bias)) + m * count > len(words):
            break
        if has_feedback or has_bias:
            for index in range(k):
                columns[0, n_columns], columns[1, n_columns] = n_sections, column_of[index]
                columns[2, n_columns] = words[at + index] if has_feedback else 0
                bias = int(words[at + index + (k if has_feedback else 0)]) if has_bias else 0
                columns[3, n_columns] = bias - 65536 if bias >= 32768 else bias
                n_columns += 1
            at += k * (int(has_feedback) + int(has_bias))
        flag_words = -(-2 * count // 16)
        is_answered = taken + k * count + flag_words <= len(answer)
        flags = taken + k * count
        for solve in range(count):
            for index in range(m):
                code = int(words[at])
                inputs[0, n_inputs], inputs[1, n_inputs] = n_solves, row_of[index]
                inputs[2, n_inputs] = code - 65536 if code >= 32768 else code
                n_inputs += 1
                at += 1
            solves[0, n_solves], solves[1, n_solves], solves[2, n_solves] = n_sections, 0, 0
            if is_answered:
                pair = answer[flags + solve // 8] >> (2 * (solve % 8))
                solves[1, n_solves], solves[2, n_solves] = pair & 1, pair >> 1 & 1
                for index in range(k):
                    outputs[0, n_outputs], outputs[1, n_outputs] = n_solves, column_of[index]
                    outputs[2, n_outputs] = answer[taken + solve * k + index]
                    n_outputs += 1
            n_solves += 1
        if is_answered:
            taken = flags + flag_words
        sections[0, n_sections], sections[1, n_sections], sections[2, n_sections] = kind, follows, divider
        sections[3, n_sections], sections[4, n_sections], sections[5, n_sections] = averages, mask, settle_ticks
        sections[6, n_sections], sections[7, n_sections] = m, count
        n_sections += 1
    return n_sections, n_columns, n_solves, n_inputs, n_outputs
