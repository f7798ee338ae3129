"""Pulses and readings of cells into PULSE and READ frames, and READ replies into readings. Vectorised over cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.drivers.board.packing import BYTES_A_WORD, SortedCells, pack_cells, sort_pulses, sorting_order
from hwloop.drivers.board.scales import Scales
from hwloop.drivers.cells import CellPulses, CellReads, Polarity
from hwloop.errors import BoardError, UsageError
from hwloop.link import protocol as wire
from hwloop.link.protocol import Target

SATURATED_CODE = 65535
_MOST_PULSE_TICKS = (wire.MAX_COLUMNS + 1) * wire.TICKS_PULSE_CHANGED_WORD + wire.TICKS_PULSE_DAC_SETTLE


@dataclass(frozen=True)
class PackedPulses:
    """PULSE payloads; `payload_bytes` as the bytes bar counts them; `seconds` is the longest they can take a board."""

    payloads: list[bytes]
    payload_bytes: int
    seconds: float


@dataclass(frozen=True)
class PackedReads:
    """READ payloads with the number of cells of each; `order` (n,) is the asked-for cell that each reading is of, and
    `columns` (n,) the column of each cell as it was asked for."""

    payloads: list[bytes]
    counts: list[int]
    order: np.ndarray
    columns: np.ndarray
    payload_bytes: int
    seconds: float


def pack_pulses(scales: Scales, pulses: CellPulses) -> PackedPulses:
    """PULSE frames for one pulse a cell. Raises LimitError and UsageError before anything is sent."""
    describe = scales.describe
    cells = _checked_cells(pulses.cells, describe)
    polarity = np.asarray(pulses.polarity, np.int64)
    amplitude = _amplitude_codes(scales, np.asarray(pulses.amplitude_volts, float), polarity == Polarity.FORM)
    gate, width_ticks = scales.gate_codes(pulses.gate_volts), scales.width_ticks(pulses.width_seconds)
    scales.check_pulse_energy(amplitude, width_ticks)
    array, index = _in_array(cells, describe)
    listed, first = sort_pulses(width_ticks, array, polarity, index, amplitude, gate, describe.columns)
    alike = (array[first], polarity[first], listed.target, width_ticks[first], amplitude[first], gate[first])
    of_sections = list(zip(*(values.tolist() for values in alike), strict=True))

    def header(section: int, layout: int, words: int) -> bytes:
        on_array, own_polarity, *rest = of_sections[section]
        return wire.PulseSection(on_array, own_polarity, layout, *rest, words).pack()

    packed = pack_cells(listed, describe.columns, describe.max_frame_bytes, header)
    ticks = int(packed.rows @ (width_ticks[first] + _MOST_PULSE_TICKS + wire.TICKS_PULSE_RECOVERY))
    return PackedPulses(packed.payloads, BYTES_A_WORD * packed.payload_words, ticks / wire.TICK_HERTZ)


def pack_reads(
    scales: Scales, cells: np.ndarray, averages: int, sub_averages: int, spread_siemens: float, tia_range: int
) -> PackedReads:
    """READ frames for cells (n,) in any order. Raises LimitError and UsageError before anything is sent."""
    describe = scales.describe
    scales.check_samples(averages, sub_averages)
    cells = _checked_cells(cells, describe)
    array, index = _in_array(cells, describe)
    order = sorting_order(array, index)
    counts = np.bincount(array, minlength=2)
    which = np.flatnonzero(counts)
    listed = SortedCells(
        index[order], np.zeros_like(index), np.append(0, np.cumsum(counts[which])), np.full(len(which), Target.COMMON)
    )
    spread_code = scales.spread_code(spread_siemens, tia_range)
    prefix = wire.ReadRequest(int(tia_range), sub_averages, averages, spread_code).pack()

    def header(section: int, layout: int, words: int) -> bytes:
        return wire.ReadSection(int(which[section]), layout, words).pack()

    packed = pack_cells(listed, describe.columns, describe.max_frame_bytes, header, prefix, replies=True)
    ticks = int(packed.rows.sum()) * (wire.TICKS_READ_SETTLE + averages * sub_averages * wire.TICKS_SAMPLE)
    payload_bytes = BYTES_A_WORD * (len(cells) + packed.payload_words)
    columns = cells % describe.columns
    return PackedReads(packed.payloads, packed.cells, order, columns, payload_bytes, ticks / wire.TICK_HERTZ)


def unpack_reads(scales: Scales, packed: PackedReads, replies: list[bytes], tia_range: int) -> CellReads:
    """Readings in the order in which the cells were asked for. Raises BoardError on a reply of the wrong length."""
    codes, steady = np.empty(len(packed.order), np.uint16), np.empty(len(packed.order), bool)
    done, fixed = 0, wire.ReadReply.STRUCT.size
    for reply, count in zip(replies, packed.counts, strict=True):
        check_reply_bytes("READ", reply, fixed + 2 * count + 2 * -(-count // 16))
        where = packed.order[done : done + count]
        codes[where] = np.frombuffer(reply, "<u2", count, fixed)
        bits = np.frombuffer(reply, np.uint8, -1, fixed + 2 * count)
        steady[where] = np.unpackbits(bits, bitorder="little")[:count]
        done += count
    siemens = scales.siemens_from_read_codes(codes, tia_range, packed.columns)
    return CellReads(siemens, steady, codes == SATURATED_CODE)


def check_reply_bytes(what: str, reply: bytes, wanted_bytes: int) -> None:
    """Refuse a reply that is shorter or longer than what was asked for. Raises BoardError."""
    if len(reply) != wanted_bytes:
        raise BoardError(f"the board's reply to {what} has {len(reply)} bytes, expected {wanted_bytes}; is it ours?")


def _checked_cells(cells: np.ndarray, describe: wire.DescribeReply) -> np.ndarray:
    """Cells as int64, each at most once: a row pulse gives a cell one pulse, a row read one reading."""
    cells, size = np.asarray(cells, np.int64), 2 * describe.rows * describe.columns
    if cells.min(initial=0) < 0 or cells.max(initial=0) >= size:
        beyond = cells[(cells < 0) | (cells >= size)][0]
        raise UsageError(f"cell {beyond} does not exist: this board has cells 0 to {size - 1}")
    counts = np.bincount(cells, minlength=1)
    if counts.max() > 1:
        raise UsageError(f"cell {counts.argmax()} is listed {counts.max()} times: list each once a call")
    return cells


def _in_array(cells: np.ndarray, describe: wire.DescribeReply) -> tuple[np.ndarray, np.ndarray]:
    """Array (n,) of flat cells (n,), and their index within it."""
    size = describe.rows * describe.columns
    array = (cells >= size).astype(np.int64)
    return array, cells - array * size


def _amplitude_codes(scales: Scales, volts: np.ndarray, forming: np.ndarray) -> np.ndarray:
    """Codes of amplitudes, each within the limit of its own polarity."""
    if not forming.any():
        return scales.pulse_amplitude_codes(volts, False)
    volts = np.broadcast_to(volts, forming.shape)
    codes = np.empty(volts.shape, np.int64)
    for of_kind, is_forming in ((forming, True), (~forming, False)):
        codes[of_kind] = scales.pulse_amplitude_codes(volts[of_kind], is_forming)
    return codes
