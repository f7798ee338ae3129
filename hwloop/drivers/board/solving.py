"""Regressions and products into SOLVE and MVM frames, and their replies into codes and flags. Whole batches at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwloop.drivers.board.cell_frames import check_reply_bytes
from hwloop.drivers.board.packing import BYTES_A_WORD, header_words
from hwloop.drivers.board.ragged import Ragged, interleave, ranges
from hwloop.drivers.board.scales import Scales
from hwloop.errors import UsageError
from hwloop.link import protocol as wire
from hwloop.link.frames import OVERHEAD_BYTES
from hwloop.link.protocol import Rows

BIAS_FOLLOWS = 0x80
BITS_A_WORD = 16
MOST_SOLVES, MOST_SETTLE_TICKS = 65535, 65535     # of a section


@dataclass(frozen=True)
class SolveGroup:
    """n solves on one bank, or on g banks of the same size one after the other.

    The solves of a bank share its active rows (m,) and columns (k,), feedback and bias. `rows` (m,) and `columns` (k,)
    ascend; `input_volts` (n, m); `feedback_siemens` and `bias_amps` (k,), or None for none.

    Of g banks, all but `input_volts` and the common settings has one more axis in front: rows (g, m), settle_seconds
    (g,), and so on; the first `solves`[0] of the n solves are the first bank's. Where every bank has its own number of
    active rows, `rows` is a list of g arrays and `input_volts` one of n. Columns that are not `active` (g, k) are not
    used, and what would be their outputs is 0 V. With `omit_zero` a bank is not sent a feedback or a bias that is zero
    in all of its active columns.
    """

    rows: np.ndarray | list[np.ndarray]
    columns: np.ndarray
    input_volts: np.ndarray | list[np.ndarray]
    settle_seconds: float | np.ndarray
    averages: int
    constraint: int = wire.Constraint.RAIL
    feedback_siemens: np.ndarray | None = None
    bias_amps: np.ndarray | None = None
    solves: np.ndarray | None = None
    active: np.ndarray | None = None
    omit_zero: bool = False

    def columns_of_solves(self) -> np.ndarray:
        """The column of each output, (k,) of one bank or (n, k) of several."""
        if self.solves is None:
            return np.asarray(self.columns).ravel()
        return np.repeat(np.atleast_2d(self.columns), self.solves, axis=0)


@dataclass(frozen=True)
class SolveOutputs:
    """What n solves answered: `output_volts` (n, k); `saturated` (n,), `unsettled` (n,) bool flags of the board."""

    output_volts: np.ndarray
    saturated: np.ndarray
    unsettled: np.ndarray


@dataclass(frozen=True)
class OutputCalibration:
    """What outputs are, in volts: `gain` times what the board's scales make of their codes, plus an offset."""

    gain: float = 1.0
    offset_volts: float = 0.0

    def volts(self, read_volts: np.ndarray) -> np.ndarray:
        """Outputs (any shape) as they are."""
        return read_volts * self.gain + self.offset_volts


AS_READ = OutputCalibration()


@dataclass(frozen=True)
class Answer:
    """The raw answer to n solves or products: `codes` (n, k) int16, `saturated` (n,) and `unsettled` (n,) bool."""

    codes: np.ndarray
    saturated: np.ndarray
    unsettled: np.ndarray


@dataclass(frozen=True)
class PackedSolves:
    """Payloads of SOLVE or MVM frames and what is needed to read the replies.

    `frames` (f + 1,): the section that each frame begins with, and the end; `solves`, `columns` (s,) of each section;
    `answered`: per group bool (n, k), the outputs that the board gives. `payload_bytes` as the bytes bar counts them;
    `seconds` is the longest they can take the board.
    """

    payloads: list[bytes]
    frames: list[int]
    solves: np.ndarray
    columns: np.ndarray
    answered: list[np.ndarray]
    payload_bytes: int
    seconds: float


def pack_solves(scales: Scales, groups: list[SolveGroup]) -> PackedSolves:
    """SOLVE frames for `groups`, in order; a bank with many solves is cut.

    Raises LimitError on a value out of range, UsageError on rows, columns or shapes that do not fit.
    """
    if not groups:
        return PackedSolves([], [0], np.zeros(0, np.int64), np.zeros(0, np.int64), [], 0, 0.0)
    banks = _Banks.of(scales, groups, scales.solve_input_codes)
    feedback = scales.feedback_codes(banks.feedback_siemens.values, banks.feedback_columns)
    amps, largest_amps = banks.bias_amps, np.zeros(len(banks.solves))
    np.maximum.at(largest_amps, amps.owner, np.abs(amps.values))
    divider = scales.bias_divider(largest_amps)
    bias = scales.bias_codes(amps.values, divider[amps.owner], banks.bias_columns)
    kind, rows = _row_words(banks.rows)
    common = interleave(
        rows, Ragged(feedback, banks.feedback_siemens.counts), Ragged(bias.view("<u2"), amps.counts)
    )
    fields = (
        banks.constraint, kind, banks.feedback_siemens.counts > 0, np.where(amps.counts > 0, divider | BIAS_FOLLOWS, 0),
        banks.averages, banks.column_masks, banks.settle_ticks, banks.rows.counts,
    )
    return _into_frames(scales, banks, wire.SolveSection, fields, rows, common)


def pack_products(
    scales: Scales, array: int, rows: np.ndarray, columns: np.ndarray, input_volts: np.ndarray, tia_range: int,
    averages: int, settle_seconds: float,
) -> PackedSolves:
    """MVM frames for n input vectors (n, m) on the rows of one array. Raises as pack_solves."""
    banks = _Banks.of(scales, [SolveGroup(rows, columns, input_volts, settle_seconds, averages)], scales.input_codes)
    kind, common = _row_words(banks.rows)
    fields = (array, kind, tia_range, 0, averages, banks.column_masks, banks.settle_ticks, banks.rows.counts)
    return _into_frames(scales, banks, wire.MvmSection, fields, common, common)


def unpack_answers(packed: PackedSolves, replies: list[bytes], fixed_bytes: int) -> list[Answer]:
    """The answer to each group, in order. Raises BoardError on a reply of the wrong length."""
    code_words, flag_words = packed.solves * packed.columns, _flag_words(packed.solves)
    starts = np.concatenate([[0], np.cumsum(code_words + flag_words)])
    for reply, words in zip(replies, np.diff(starts[packed.frames]).tolist(), strict=True):
        check_reply_bytes("SOLVE or MVM", reply, fixed_bytes + BYTES_A_WORD * words)
    words = np.frombuffer(b"".join([reply[fixed_bytes:] for reply in replies]), "<u2")
    codes = words[ranges(starts[:-1], code_words)].view("<i2")
    bits = np.unpackbits(words[ranges(starts[:-1] + code_words, flag_words)].view(np.uint8), bitorder="little")
    first_bits = BITS_A_WORD * (np.cumsum(flag_words) - flag_words)
    flags = bits[ranges(first_bits, 2 * packed.solves)].reshape(-1, 2).astype(bool)
    found, code, solve = [], 0, 0
    for answered in packed.answered:
        outputs = np.zeros(answered.shape, np.int16)
        count, stop = int(np.count_nonzero(answered)), solve + len(answered)
        outputs[answered] = codes[code : code + count]
        found.append(Answer(outputs, flags[solve:stop, 0], flags[solve:stop, 1]))
        code, solve = code + count, stop
    return found


@dataclass(frozen=True)
class _Banks:
    """All g banks of a call, checked: what it takes to solve them, in the order in which the board does.

    `input_codes` int16, flat, solve after solve; `feedback_siemens`, `bias_amps` hold nothing for a bank without, and
    `feedback_columns`, `bias_columns` say what column each of their values is for.
    """

    rows: Ragged
    columns: Ragged
    feedback_siemens: Ragged
    bias_amps: Ragged
    feedback_columns: np.ndarray
    bias_columns: np.ndarray
    solves: np.ndarray
    settle_ticks: np.ndarray
    averages: np.ndarray
    constraint: np.ndarray
    input_codes: np.ndarray
    answered: list[np.ndarray]

    @classmethod
    def of(
        cls, scales: Scales, groups: list[SolveGroup], codes_of: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> _Banks:
        """`codes_of` gives the codes of input voltages and their rows. Raises LimitError and UsageError."""
        *flat, answered = zip(*[_of_group(group) for group in groups], strict=True)
        rows, row_counts, columns, column_counts, feedback, feedback_counts, bias, bias_counts, *rest = (
            np.concatenate(of_groups) for of_groups in flat
        )
        feedback_columns, bias_columns, solves, settle_seconds, averages, constraint, input_volts = rest
        by_row, by_column = Ragged(rows, row_counts), Ragged(columns, column_counts)
        _check_ascending("row", by_row, scales.describe.rows)
        _check_ascending("column", by_column, scales.describe.columns)
        input_rows = by_row.take(np.repeat(np.arange(len(solves)), solves)).values
        banks = cls(
            by_row, by_column, Ragged(feedback, feedback_counts), Ragged(bias, bias_counts), feedback_columns,
            bias_columns, solves, _settle_ticks(settle_seconds), averages, constraint,
            codes_of(input_volts, input_rows), list(answered),
        )
        for asked in {group.averages for group in groups}:
            scales.check_samples(asked)
        return banks

    @cached_property
    def column_masks(self) -> np.ndarray:
        """Active columns of each bank as bits, (g,)."""
        return np.add.reduceat(1 << self.columns.values, self.columns.starts)


def _of_group(group: SolveGroup) -> tuple[np.ndarray, ...]:
    """What `_Banks` is concatenated from, for the banks of one group."""
    rows, inputs, columns = Ragged.of(group.rows), Ragged.of(group.input_volts), np.atleast_2d(group.columns)
    g, k = columns.shape
    active = np.ones((g, k), bool) if group.active is None else group.active
    solves = np.array([len(group.input_volts)]) if group.solves is None else group.solves
    if not np.array_equal(inputs.counts, np.repeat(rows.counts, solves)):
        shape = (len(inputs.counts), "…") if isinstance(group.input_volts, list) else group.input_volts.shape
        raise UsageError(
            f"input voltages of shape {shape} for {rows.counts[0]} active rows: expected (solves, rows)"
        )
    *feedback, feedback_columns = _of_columns(group.feedback_siemens, columns, active, group.omit_zero, "feedback")
    *bias, bias_columns = _of_columns(group.bias_amps, columns, active, group.omit_zero, "bias")
    return (
        rows.values, rows.counts, columns[active], active.sum(axis=1), *feedback, *bias, feedback_columns, bias_columns,
        solves, np.broadcast_to(group.settle_seconds, g), np.full(g, group.averages), np.full(g, int(group.constraint)),
        inputs.values, np.repeat(active, solves, axis=0),
    )


def _of_columns(
    values: np.ndarray | None, columns: np.ndarray, active: np.ndarray, omit_zero: bool, what: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`values` (g, k) of the active columns that are sent, flat, how many each bank is sent, and their columns."""
    if values is None:
        return np.empty(0), np.zeros(len(active), np.int64), np.empty(0, np.int64)
    by_bank = np.atleast_2d(values)
    if by_bank.shape != active.shape:
        raise UsageError(
            f"{what} of shape {values.shape} for {active.shape[1]} active columns: expected one value a column"
        )
    sent = active & (by_bank.any(axis=1, where=active) if omit_zero else np.ones(len(active), bool))[:, None]
    return by_bank[sent], sent.sum(axis=1), columns[sent]


def _check_ascending(what: str, listed: Ragged, size: int) -> None:
    values, owner = listed.values, listed.owner
    wrong = (values < 0) | (values >= size)
    wrong[1:] |= (values[1:] <= values[:-1]) & (owner[1:] == owner[:-1])
    bad = listed.counts == 0
    bad[owner[wrong]] = True
    if bad.any():
        shown = np.array2string(values[owner == bad.argmax()], threshold=8)
        raise UsageError(f"active {what}s {shown}: expected 1 or more of 0 to {size - 1}, ascending")


def _row_words(rows: Ragged) -> tuple[np.ndarray, Ragged]:
    """Active rows of each bank as whichever is shorter: indices, or a mask over the window that they span. The kinds
    (g,), and the words."""
    first, last = rows.values[rows.starts], rows.values[rows.starts + rows.counts - 1]
    mask_words = -(-(last - first + 1) // BITS_A_WORD)
    masked = rows.counts > 2 + mask_words
    in_mask = masked[rows.owner]
    ahead = np.stack([first, mask_words], axis=1)[masked].ravel()
    bits = Ragged(np.zeros(0), masked * mask_words)
    bit = (rows.values - first[rows.owner])[in_mask]
    word = bits.starts[rows.owner[in_mask]] + bit // BITS_A_WORD
    mask = np.bincount(word, 1 << bit % BITS_A_WORD, int(bits.counts.sum()))
    words = interleave(
        Ragged(rows.values[~in_mask].astype("<u2"), np.where(masked, 0, rows.counts)),
        Ragged(ahead, 2 * masked), Ragged(mask, bits.counts),
    )
    return np.where(masked, Rows.MASK, Rows.INDICES), words


def _settle_ticks(seconds: np.ndarray) -> np.ndarray:
    # Rounded first: 30 µs are 300 ticks, not 301 by a rounding error.
    ticks = np.maximum(np.ceil(np.round(seconds * wire.TICK_HERTZ, 3)), wire.TICKS_SETTLE_MIN)
    if (ticks > MOST_SETTLE_TICKS).any():
        longest = float(seconds[ticks > MOST_SETTLE_TICKS][0])
        raise UsageError(
            f"a solve would have to wait {longest * 1e3:.3g} ms to settle, longer than the board's 6.55 ms; add ridge"
        )
    return ticks.astype(np.int64)


def _flag_words(solves: np.ndarray) -> np.ndarray:
    return -(-2 * solves // BITS_A_WORD)


def _solves_a_section(max_frame_bytes: int, fixed_bytes: np.ndarray, m: np.ndarray, k: np.ndarray) -> np.ndarray:
    """How many solves one frame holds, and its reply, (g,)."""
    room = max_frame_bytes - OVERHEAD_BYTES
    by_reply = (room - wire.SolveReply.STRUCT.size - 2) * 4 // (8 * k + 1)
    most = np.minimum(np.minimum((room - fixed_bytes) // (2 * m), by_reply), MOST_SOLVES)
    if (most < 1).any():
        raise UsageError(
            f"a solve of {m[most < 1][0]} active rows does not fit into the board's frames of {max_frame_bytes} bytes"
        )
    return most


def _into_frames(
    scales: Scales, banks: _Banks, section: type, fields: tuple[np.ndarray | int, ...], rows: Ragged, common: Ragged
) -> PackedSolves:
    """Sections, as many a frame as it holds: a header, the `common` words of the bank, and inputs.

    `fields` of the header, but for the number of solves, (g,) or one for all; `rows`: the common words that count as
    payload.
    """
    describe, m, k, solves = scales.describe, banks.rows.counts, banks.columns.counts, banks.solves
    fixed_bytes = section.STRUCT.size + BYTES_A_WORD * common.counts
    most = _solves_a_section(describe.max_frame_bytes, fixed_bytes, m, k)
    sections = -(-solves // most)
    bank = np.repeat(np.arange(len(solves)), sections)
    number = np.arange(len(bank)) - np.repeat(np.cumsum(sections) - sections, sections)
    own_solves = np.minimum(most[bank], solves[bank] - number * most[bank])
    headers = header_words(section, *(np.broadcast_to(field, len(m))[bank] for field in fields), own_solves)
    packed = interleave(
        headers, common.take(bank), Ragged(banks.input_codes.view("<u2"), own_solves * m[bank])
    )
    reply_bytes = BYTES_A_WORD * (own_solves * k[bank] + _flag_words(own_solves))
    frames = _frame_starts(BYTES_A_WORD * packed.counts, reply_bytes, describe.max_frame_bytes - OVERHEAD_BYTES)
    ends = np.append(packed.starts, len(packed.values))[frames].tolist()
    payloads = [packed.values[start:end].tobytes() for start, end in zip(ends, ends[1:], strict=False)]
    payload_words = 1 + rows.counts + solves * (m + k)
    # The rows that the board still holds go off, and each bank's rows on and off again, at most.
    ticks = describe.rows * wire.TICKS_LOAD_CHANGED_ROW + int(
        (wire.TICKS_LOAD + 2 * m * wire.TICKS_LOAD_CHANGED_ROW).sum()
        + (solves * (m * wire.TICKS_SOLVE_INPUT + banks.settle_ticks + banks.averages * wire.TICKS_SAMPLE)).sum()
    )
    return PackedSolves(
        payloads, frames, own_solves, k[bank], banks.answered, BYTES_A_WORD * int(payload_words.sum()),
        ticks / wire.TICK_HERTZ,
    )


def _frame_starts(section_bytes: np.ndarray, reply_bytes: np.ndarray, room: int) -> list[int]:
    """The section that each frame begins with, and the end: as many as fit, with their reply."""
    starts, size, reply_size = [], room + 1, room + 1
    for section, (bytes_out, bytes_back) in enumerate(zip(section_bytes.tolist(), reply_bytes.tolist(), strict=True)):
        if size + bytes_out > room or reply_size + bytes_back > room:
            starts.append(section)
            size, reply_size = 0, wire.SolveReply.STRUCT.size
        size += bytes_out
        reply_size += bytes_back
    return [*starts, len(section_bytes)]
