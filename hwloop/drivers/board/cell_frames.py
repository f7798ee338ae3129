"""Pulses and readings of cells into PULSE and READ frames, and READ replies into readings. Vectorised over cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.drivers.board.packing import FramePacker, pack_cells
from hwloop.drivers.board.scales import Scales
from hwloop.drivers.cells import CellPulses, CellReads, Polarity
from hwloop.errors import BoardError, UsageError
from hwloop.link import protocol as wire
from hwloop.link.protocol import Target

SATURATED_CODE = 65535
# A READ reply carries a code and a steady bit a cell.
REPLY_BYTES_A_CELL = 2.125
_MOST_PULSE_TICKS = (wire.MAX_COLUMNS + 1) * wire.TICKS_PULSE_CHANGED_WORD + wire.TICKS_PULSE_DAC_SETTLE


@dataclass(frozen=True)
class PackedPulses:
    """PULSE payloads; `payload_bytes` as the bytes bar counts them; `seconds` is the longest they can take a board."""

    payloads: list[bytes]
    payload_bytes: int
    seconds: float


@dataclass(frozen=True)
class PackedReads:
    """READ payloads with the number of cells of each; `order` (n,) is the asked-for cell that each reading is of."""

    payloads: list[bytes]
    counts: list[int]
    order: np.ndarray
    payload_bytes: int
    seconds: float


def pack_pulses(scales: Scales, pulses: CellPulses) -> PackedPulses:
    """PULSE frames for one pulse a cell. Raises LimitError and UsageError before anything is sent."""
    describe = scales.describe
    cells = _checked_cells(pulses.cells, describe)
    polarity = np.broadcast_to(np.asarray(pulses.polarity, np.int64), cells.shape)
    amplitude = _amplitude_codes(scales, np.asarray(pulses.amplitude_volts, float), polarity == Polarity.FORM)
    gate = np.broadcast_to(scales.gate_codes(pulses.gate_volts), cells.shape)
    width_ticks = np.broadcast_to(scales.width_ticks(pulses.width_seconds), cells.shape)
    scales.check_pulse_energy(amplitude, width_ticks)
    array_row, column = np.divmod(cells, describe.columns)
    array, row = np.divmod(array_row, describe.rows)
    packer = FramePacker(describe.max_frame_bytes)
    payload_bytes, ticks = 0, 0
    kinds = (width_ticks * 2 + array) * 4 + polarity
    for kind in np.unique(kinds):
        for part, target in _by_common_code(np.flatnonzero(kinds == kind), amplitude, gate):
            code = {Target.GATE: gate, Target.AMPLITUDE: amplitude, Target.COMMON: None}[target]
            keys = (column[part], gate[part], row[part]) if target == Target.GATE else (column[part], row[part])
            part = part[np.lexsort(keys)]
            listed = None if code is None else code[part]
            section = pack_cells(row[part], column[part], describe.columns, listed, target)
            first = part[0]
            fixed = (
                int(array[first]), int(polarity[first]), section.layout, int(target), int(width_ticks[first]),
                int(amplitude[first]), int(gate[first]),
            )
            packer.add(section, lambda count, fixed=fixed: wire.PulseSection(*fixed, count).pack())
            payload_bytes += section.words.nbytes
            row_pulses = len(section.starts) - 1
            ticks += row_pulses * (int(width_ticks[first]) + _MOST_PULSE_TICKS + wire.TICKS_PULSE_RECOVERY)
    return PackedPulses([frame.payload for frame in packer.frames()], payload_bytes, ticks / wire.TICK_HERTZ)


def pack_reads(
    scales: Scales, cells: np.ndarray, averages: int, sub_averages: int, spread_siemens: float, tia_range: int
) -> PackedReads:
    """READ frames for cells (n,) in any order. Raises LimitError and UsageError before anything is sent."""
    describe = scales.describe
    scales.check_samples(averages, sub_averages)
    cells = _checked_cells(cells, describe)
    order = np.argsort(cells, kind="stable")
    array_row, column = np.divmod(cells[order], describe.columns)
    array, row = np.divmod(array_row, describe.rows)
    spread_code = scales.spread_code(spread_siemens, tia_range)
    prefix = wire.ReadRequest(int(tia_range), sub_averages, averages, spread_code).pack()
    packer = FramePacker(describe.max_frame_bytes, prefix, REPLY_BYTES_A_CELL)
    payload_bytes, row_reads = 2 * len(cells), 0
    for which in (0, 1):
        part = array == which
        if part.any():
            section = pack_cells(row[part], column[part], describe.columns, None, Target.COMMON)
            fixed = (which, section.layout)
            packer.add(section, lambda count, fixed=fixed: wire.ReadSection(*fixed, count).pack())
            payload_bytes += section.words.nbytes
            row_reads += len(section.starts) - 1
    frames = packer.frames()
    ticks = row_reads * (wire.TICKS_READ_SETTLE + averages * sub_averages * wire.TICKS_SAMPLE)
    return PackedReads(
        [frame.payload for frame in frames], [frame.cells for frame in frames], order, payload_bytes,
        ticks / wire.TICK_HERTZ,
    )


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
    return CellReads(scales.siemens_from_read_codes(codes, tia_range), steady, codes == SATURATED_CODE)


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


def _amplitude_codes(scales: Scales, volts: np.ndarray, forming: np.ndarray) -> np.ndarray:
    """Codes of amplitudes, each within the limit of its own polarity."""
    volts = np.broadcast_to(volts, forming.shape)
    form_codes = scales.amplitude_codes(np.where(forming, volts, 0.0), True)
    return np.where(forming, form_codes, scales.amplitude_codes(np.where(forming, 0.0, volts), False))


def _by_common_code(chosen: np.ndarray, amplitude: np.ndarray, gate: np.ndarray) -> list[tuple[np.ndarray, Target]]:
    """Parts of `chosen` that one section can carry: one amplitude, or one gate, for all of its cells."""
    same_amplitude = (amplitude[chosen] == amplitude[chosen[0]]).all()
    same_gate = (gate[chosen] == gate[chosen[0]]).all()
    if same_amplitude and same_gate:
        return [(chosen, Target.COMMON)]
    if same_amplitude:
        return [(chosen, Target.GATE)]
    if same_gate:
        return [(chosen, Target.AMPLITUDE)]
    return [(chosen[gate[chosen] == code], Target.AMPLITUDE) for code in np.unique(gate[chosen])]
