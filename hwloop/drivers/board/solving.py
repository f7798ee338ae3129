"""Regressions into SOLVE and MVM frames, and their replies into volts and amps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.drivers.board.scales import Scales
from hwloop.errors import UsageError
from hwloop.link import protocol as wire
from hwloop.link.frames import OVERHEAD_BYTES
from hwloop.link.protocol import Rows

BIAS_FOLLOWS = 0x80


@dataclass(frozen=True)
class SolveGroup:
    """n solves that share their active rows (m,), active columns (k,), feedback and bias.

    `rows`, `columns` ascending indices; `input_volts` (n, m); `feedback_siemens` (k,) or None; `bias_amps` (k,) or None.
    """

    rows: np.ndarray
    columns: np.ndarray
    input_volts: np.ndarray
    settle_seconds: float
    averages: int
    constraint: int = wire.Constraint.RAIL
    feedback_siemens: np.ndarray | None = None
    bias_amps: np.ndarray | None = None


@dataclass(frozen=True)
class SolveOutputs:
    """What n solves answered: `output_volts` (n, k); `saturated` (n,), `unsettled` (n,) bool flags of the board."""

    output_volts: np.ndarray
    saturated: np.ndarray
    unsettled: np.ndarray


@dataclass(frozen=True)
class _Part:
    """One section on the wire: which group it belongs to, and the shape of its answer."""

    group: int
    solves: int
    columns: int
    wire_bytes: bytes

    @property
    def reply_bytes(self) -> int:
        return 2 * self.solves * self.columns + 2 * -(-2 * self.solves // 16)


@dataclass(frozen=True)
class PackedSolves:
    """Payloads of SOLVE or MVM frames and what is needed to read the replies."""

    payloads: list[bytes]
    parts: list[list[_Part]]
    payload_bytes: int


def pack_solves(scales: Scales, groups: list[SolveGroup], max_frame_bytes: int) -> PackedSolves:
    """SOLVE frames for `groups`, in order; a group with many solves is cut. Raises LimitError on a value out of range."""
    parts: list[_Part] = []
    payload_bytes = 0
    for index, group in enumerate(groups):
        rows_kind, rows_words = _rows_words(group.rows)
        k, m = len(group.columns), len(group.rows)
        settle_ticks = _settle_ticks(group.settle_seconds)
        mask = int(np.bitwise_or.reduce(1 << np.asarray(group.columns)))
        divider, common = 0, rows_words.tobytes()
        if group.feedback_siemens is not None:
            common += scales.feedback_codes(group.feedback_siemens).tobytes()
        if group.bias_amps is not None:
            divider, codes = scales.bias_codes(group.bias_amps)
            divider, common = divider | BIAS_FOLLOWS, common + codes.tobytes()
        inputs = scales.input_codes(group.input_volts)
        step = _solves_a_part(max_frame_bytes, wire.SolveSection.STRUCT.size + len(common), m, k)
        for first in range(0, len(inputs), step):
            chunk = inputs[first : first + step]
            header = wire.SolveSection(
                group.constraint, rows_kind, group.feedback_siemens is not None, divider, group.averages, mask,
                settle_ticks, m, len(chunk),
            )
            parts.append(_Part(index, len(chunk), k, header.pack() + common + chunk.tobytes()))
        payload_bytes += 2 + rows_words.nbytes + inputs.nbytes + 2 * k * len(inputs)
    return _into_frames(parts, max_frame_bytes, payload_bytes)


def pack_products(
    scales: Scales, array: int, rows: np.ndarray, columns: np.ndarray, input_volts: np.ndarray, tia_range: int,
    averages: int, settle_seconds: float, max_frame_bytes: int,
) -> PackedSolves:
    """MVM frames for n input vectors (n, m) on the rows of one array."""
    rows_kind, rows_words = _rows_words(rows)
    inputs = scales.input_codes(input_volts)
    mask = int(np.bitwise_or.reduce(1 << np.asarray(columns)))
    step = _solves_a_part(max_frame_bytes, wire.MvmSection.STRUCT.size + rows_words.nbytes, len(rows), len(columns))
    parts = []
    for first in range(0, len(inputs), step):
        chunk = inputs[first : first + step]
        header = wire.MvmSection(
            array, rows_kind, tia_range, 0, averages, mask, _settle_ticks(settle_seconds), len(rows), len(chunk)
        )
        parts.append(_Part(0, len(chunk), len(columns), header.pack() + rows_words.tobytes() + chunk.tobytes()))
    payload_bytes = 2 + rows_words.nbytes + inputs.nbytes + 2 * len(columns) * len(inputs)
    return _into_frames(parts, max_frame_bytes, payload_bytes)


def unpack_answers(packed: PackedSolves, replies: list[bytes], fixed_bytes: int) -> list[list[SolveOutputs]]:
    """Codes and flags of each group, a list of its parts in order; `output_volts` holds raw codes (int16) until scaled."""
    answers: dict[int, list[SolveOutputs]] = {}
    for parts, reply in zip(packed.parts, replies, strict=True):
        offset = fixed_bytes
        for part in parts:
            codes = np.frombuffer(reply, "<i2", part.solves * part.columns, offset).reshape(part.solves, part.columns)
            bits = np.frombuffer(reply, np.uint8, part.reply_bytes - codes.nbytes, offset + codes.nbytes)
            flags = np.unpackbits(bits, bitorder="little")[: 2 * part.solves].reshape(-1, 2).astype(bool)
            answers.setdefault(part.group, []).append(SolveOutputs(codes, flags[:, 0], flags[:, 1]))
            offset += part.reply_bytes
    return [answers[group] for group in sorted(answers)]


def _rows_words(rows: np.ndarray) -> tuple[int, np.ndarray]:
    """Active rows as whichever is shorter: indices, or a mask over the window that they span."""
    first, window = int(rows[0]), int(rows[-1] - rows[0]) + 1
    mask_words = -(-window // 16)
    if len(rows) <= 2 + mask_words:
        return Rows.INDICES, np.asarray(rows).astype("<u2")
    bits = np.zeros(mask_words * 16, np.uint8)
    bits[np.asarray(rows) - first] = 1
    words = np.packbits(bits, bitorder="little").view("<u2")
    return Rows.MASK, np.concatenate([np.array([first, mask_words], "<u2"), words])


def _settle_ticks(seconds: float) -> int:
    ticks = max(int(np.ceil(seconds * wire.TICK_HERTZ)), wire.TICKS_SETTLE_MIN)
    if ticks > 65535:
        raise UsageError(f"a solve would have to wait {seconds * 1e3:.3g} ms to settle, longer than the board's 6.55 ms; add ridge")
    return ticks


def _solves_a_part(max_frame_bytes: int, fixed_bytes: int, m: int, k: int) -> int:
    room = max_frame_bytes - OVERHEAD_BYTES
    step = min((room - fixed_bytes) // (2 * m), (room - 16) * 4 // (8 * k + 1), 65535)
    if step < 1:
        raise UsageError(f"a solve of {m} active rows does not fit into the board's frames of {max_frame_bytes} bytes")
    return step


def _into_frames(parts: list[_Part], max_frame_bytes: int, payload_bytes: int) -> PackedSolves:
    room = max_frame_bytes - OVERHEAD_BYTES
    payloads, grouped = [], []
    size = reply_size = room + 1
    for part in parts:
        if size + len(part.wire_bytes) > room or reply_size + part.reply_bytes > room:
            payloads.append([])
            grouped.append([])
            size, reply_size = 0, wire.SolveReply.STRUCT.size
        payloads[-1].append(part.wire_bytes)
        grouped[-1].append(part)
        size += len(part.wire_bytes)
        reply_size += part.reply_bytes
    return PackedSolves([b"".join(chunks) for chunks in payloads], grouped, payload_bytes)
