"""Regressions and products into SOLVE and MVM frames, and their replies into codes and flags."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hwloop.drivers.board.cell_frames import check_reply_bytes
from hwloop.drivers.board.scales import Scales
from hwloop.errors import UsageError
from hwloop.link import protocol as wire
from hwloop.link.frames import OVERHEAD_BYTES
from hwloop.link.protocol import Rows

BIAS_FOLLOWS = 0x80


@dataclass(frozen=True)
class SolveGroup:
    """n solves that share their active rows (m,), active columns (k,), feedback and bias.

    `rows`, `columns` ascending; `input_volts` (n, m); `feedback_siemens` and `bias_amps` (k,), or None for none.
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
class Answer:
    """The raw answer to n solves or products: `codes` (n, k) int16, `saturated` (n,) and `unsettled` (n,) bool."""

    codes: np.ndarray
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
        return _reply_bytes(self.solves, self.columns)


@dataclass(frozen=True)
class PackedSolves:
    """Payloads of SOLVE or MVM frames and what is needed to read the replies: the parts of each frame, and the columns
    of each group. `payload_bytes` as the bytes bar counts them; `seconds` is the longest they can take the board."""

    payloads: list[bytes]
    parts: list[list[_Part]]
    columns: list[int]
    payload_bytes: int
    seconds: float


def pack_solves(scales: Scales, groups: list[SolveGroup]) -> PackedSolves:
    """SOLVE frames for `groups`, in order; a group with many solves is cut.

    Raises LimitError on a value out of range, UsageError on rows, columns or shapes that do not fit.
    """
    max_frame_bytes = scales.describe.max_frame_bytes
    parts: list[_Part] = []
    # The rows that the board still holds go off, and each group's rows on and off again, at most.
    payload_bytes, ticks = 0, scales.describe.rows * wire.TICKS_LOAD_CHANGED_ROW
    for index, group in enumerate(groups):
        inputs = _checked_inputs(scales, group.rows, group.columns, group.input_volts)
        scales.check_samples(group.averages)
        rows_kind, rows_words = _rows_words(group.rows)
        k, m = len(group.columns), len(group.rows)
        settle_ticks = _settle_ticks(group.settle_seconds)
        divider, common = 0, rows_words.tobytes()
        if group.feedback_siemens is not None:
            common += _of_columns(scales.feedback_codes(group.feedback_siemens), k, "feedback")
        if group.bias_amps is not None:
            divider, codes = scales.bias_codes(group.bias_amps)
            divider, common = divider | BIAS_FOLLOWS, common + _of_columns(codes, k, "bias")
        step = _solves_a_part(max_frame_bytes, wire.SolveSection.STRUCT.size + len(common), m, k)
        for first in range(0, len(inputs), step):
            chunk = inputs[first : first + step]
            header = wire.SolveSection(
                group.constraint, rows_kind, group.feedback_siemens is not None, divider, group.averages,
                _mask(group.columns), settle_ticks, m, len(chunk),
            )
            parts.append(_Part(index, len(chunk), k, header.pack() + common + chunk.tobytes()))
        payload_bytes += 2 + rows_words.nbytes + inputs.nbytes + 2 * k * len(inputs)
        ticks += wire.TICKS_LOAD + 2 * m * wire.TICKS_LOAD_CHANGED_ROW
        ticks += len(inputs) * _solve_ticks(m, settle_ticks, group.averages)
    columns = [len(group.columns) for group in groups]
    return _into_frames(parts, columns, max_frame_bytes, payload_bytes, ticks)


def pack_products(
    scales: Scales, array: int, rows: np.ndarray, columns: np.ndarray, input_volts: np.ndarray, tia_range: int,
    averages: int, settle_seconds: float,
) -> PackedSolves:
    """MVM frames for n input vectors (n, m) on the rows of one array. Raises as pack_solves."""
    max_frame_bytes = scales.describe.max_frame_bytes
    inputs = _checked_inputs(scales, rows, columns, input_volts)
    scales.check_samples(averages)
    rows_kind, rows_words = _rows_words(rows)
    settle_ticks = _settle_ticks(settle_seconds)
    k, m = len(columns), len(rows)
    step = _solves_a_part(max_frame_bytes, wire.MvmSection.STRUCT.size + rows_words.nbytes, m, k)
    parts = []
    for first in range(0, len(inputs), step):
        chunk = inputs[first : first + step]
        header = wire.MvmSection(
            array, rows_kind, tia_range, 0, averages, _mask(columns), settle_ticks, m, len(chunk)
        )
        parts.append(_Part(0, len(chunk), k, header.pack() + rows_words.tobytes() + chunk.tobytes()))
    payload_bytes = 2 + rows_words.nbytes + inputs.nbytes + 2 * k * len(inputs)
    ticks = wire.TICKS_LOAD + scales.describe.rows * wire.TICKS_LOAD_CHANGED_ROW
    ticks += len(inputs) * _solve_ticks(m, settle_ticks, averages)
    return _into_frames(parts, [k], max_frame_bytes, payload_bytes, ticks)


def unpack_answers(packed: PackedSolves, replies: list[bytes], fixed_bytes: int) -> list[Answer]:
    """The answer to each group, in order. Raises BoardError on a reply of the wrong length."""
    found: list[list[Answer]] = [
        [Answer(np.empty((0, k), np.int16), np.empty(0, bool), np.empty(0, bool))] for k in packed.columns
    ]
    for parts, reply in zip(packed.parts, replies, strict=True):
        check_reply_bytes("SOLVE or MVM", reply, fixed_bytes + sum(part.reply_bytes for part in parts))
        offset = fixed_bytes
        for part in parts:
            codes = np.frombuffer(reply, "<i2", part.solves * part.columns, offset).reshape(part.solves, part.columns)
            bits = np.frombuffer(reply, np.uint8, part.reply_bytes - codes.nbytes, offset + codes.nbytes)
            flags = np.unpackbits(bits, bitorder="little")[: 2 * part.solves].reshape(-1, 2).astype(bool)
            found[part.group].append(Answer(codes, flags[:, 0], flags[:, 1]))
            offset += part.reply_bytes
    return [_joined(answers[1:] or answers) for answers in found]


def _joined(answers: list[Answer]) -> Answer:
    if len(answers) == 1:
        return answers[0]
    return Answer(
        np.concatenate([answer.codes for answer in answers]), np.concatenate([answer.saturated for answer in answers]),
        np.concatenate([answer.unsettled for answer in answers]),
    )


def _checked_inputs(scales: Scales, rows: np.ndarray, columns: np.ndarray, input_volts: np.ndarray) -> np.ndarray:
    """Input codes (n, m) int16, once rows and columns are known to be those of the board, ascending."""
    _check_ascending("row", rows, scales.describe.rows)
    _check_ascending("column", columns, scales.describe.columns)
    inputs = scales.input_codes(input_volts)
    if inputs.ndim != 2 or inputs.shape[1] != len(rows):
        raise UsageError(f"input voltages of shape {inputs.shape} for {len(rows)} active rows: expected (solves, rows)")
    return inputs


def _check_ascending(what: str, listed: np.ndarray, size: int) -> None:
    # Plain comparisons of the ends suffice once the list is known to ascend; a call has thousands of small lists.
    if not len(listed) or listed[0] < 0 or listed[-1] >= size or (np.diff(listed) <= 0).any():
        shown = np.array2string(np.asarray(listed), threshold=8)
        raise UsageError(f"active {what}s {shown}: expected 1 or more of 0 to {size - 1}, ascending")


def _of_columns(codes: np.ndarray, k: int, what: str) -> bytes:
    if codes.shape != (k,):
        raise UsageError(f"{what} of shape {codes.shape} for {k} active columns: expected one value a column")
    return codes.tobytes()


def _mask(columns: np.ndarray) -> int:
    return sum(1 << column for column in np.asarray(columns).tolist())


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
    # Rounded first: 30 µs are 300 ticks, not 301 by a rounding error.
    ticks = max(math.ceil(round(float(seconds) * wire.TICK_HERTZ, 3)), wire.TICKS_SETTLE_MIN)
    if ticks > 65535:
        raise UsageError(
            f"a solve would have to wait {seconds * 1e3:.3g} ms to settle, longer than the board's 6.55 ms; add ridge"
        )
    return ticks


def _solve_ticks(m: int, settle_ticks: int, averages: int) -> int:
    return m * wire.TICKS_SOLVE_INPUT + settle_ticks + averages * wire.TICKS_SAMPLE


def _reply_bytes(solves: int, columns: int) -> int:
    return 2 * solves * columns + 2 * -(-2 * solves // 16)


def _solves_a_part(max_frame_bytes: int, fixed_bytes: int, m: int, k: int) -> int:
    """How many solves one frame holds, and its reply."""
    room = max_frame_bytes - OVERHEAD_BYTES
    step = min((room - fixed_bytes) // (2 * m), (room - wire.SolveReply.STRUCT.size - 2) * 4 // (8 * k + 1), 65535)
    if step < 1:
        raise UsageError(f"a solve of {m} active rows does not fit into the board's frames of {max_frame_bytes} bytes")
    return step


def _into_frames(
    parts: list[_Part], columns: list[int], max_frame_bytes: int, payload_bytes: int, ticks: int
) -> PackedSolves:
    room = max_frame_bytes - OVERHEAD_BYTES
    payloads: list[list[bytes]] = []
    grouped: list[list[_Part]] = []
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
    seconds = ticks / wire.TICK_HERTZ
    return PackedSolves([b"".join(chunks) for chunks in payloads], grouped, columns, payload_bytes, seconds)
