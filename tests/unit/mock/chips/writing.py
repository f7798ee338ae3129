"""The firmware's side of the stream, written by hand: entries as wiring.toml has them."""

from __future__ import annotations

import struct

import numpy as np

from hwloop.mock.bench import Bench, BenchConfig
from hwloop.mock.chips import wiring
from hwloop.mock.chips.panel import ChipPanel

AUTO_RST, NO_OP = b"\xa0\0\0\0", bytes(4)
BIPOLAR_5, BIPOLAR_2_5, UNIPOLAR_5 = 1, 2, 6


def mode(*switches: int) -> bytes:
    """The four bytes for the mode switches, farthest chip first."""
    return sum(1 << switch for switch in switches).to_bytes(4, "big")


class Writer:
    """Collects entries; `ask` sends them with FINISH and gives what READ has kept."""

    def __init__(self, board_name: str = "hwloop-16x4", **config):
        self.bench = Bench(BenchConfig(board_name, **config))
        self.panel = ChipPanel(self.bench)
        self.rows, self.columns = self.bench.geometry.rows, self.bench.geometry.columns
        self.stream = bytearray()

    def write(self, select: int, *frames: bytes) -> None:
        self.stream += struct.pack("<BHBH", wiring.STREAM_WRITE, select, len(frames[0]), len(frames))
        self.stream += b"".join(frames)

    def read(self, select: int, *frames: bytes, skip: int = 0) -> None:
        self.stream += struct.pack("<BHBHB", wiring.STREAM_READ, select, len(frames[0]), len(frames), skip)
        self.stream += b"".join(frames)

    def pin(self, pin: int, level: int) -> None:
        self.stream += bytes([wiring.STREAM_PIN, pin, level])

    def at(self, tick: int) -> None:
        self.stream += struct.pack("<BQ", wiring.STREAM_AT, tick)

    def pulse(self, width_ticks: int) -> None:
        self.stream += struct.pack("<BH", wiring.STREAM_PULSE, width_ticks)

    def ask(self, cut: int = 1 << 20) -> bytes:
        """What READ kept, sent in pieces of `cut` bytes."""
        self.stream.append(wiring.STREAM_FINISH)
        said = bytes(self.stream)
        self.stream.clear()
        answers = b"".join(self.panel.feed(said[first : first + cut]) for first in range(0, len(said), cut))
        kind, self.inputs, count = struct.unpack_from("<BBI", answers)
        assert kind == wiring.STREAM_FINISH and len(answers) == 6 + count
        return answers[6:]

    def start(self) -> None:
        """Spans, codes and pins as after panel_start and panel_enable."""
        for select, span, code in (
            (wiring.SELECT_COLUMN_DAC, 0, 0), (wiring.SELECT_GATE_DAC, 0, 0), (wiring.SELECT_BIAS_DAC, 4, 0x8000),
            *((wiring.SELECT_INPUT_DAC + n, 4, 0x8000) for n in range(-(-self.rows // 16))),
        ):  # fmt: skip
            self.write(select, bytes([0xE0, 0, span]), b"\xa0" + code.to_bytes(2, "big"))
        self.pin(wiring.PIN_LDAC, 1)
        self.pin(wiring.PIN_ENABLE, 1)

    def set_range(self, adc_range: int, column_mask: int | None = None) -> None:
        """ADC ranges, and the columns that a scan visits."""
        mask = (1 << self.columns) - 1 if column_mask is None else column_mask
        for number in range(-(-self.columns // 8)):
            part = mask >> 8 * number & 0xFF
            if part:
                select = wiring.SELECT_ADC_LOW + number
                self.write(select, *(bytes([(5 + channel) << 1 | 1, adc_range, 0]) for channel in range(8)))
                self.write(select, bytes([0x03, part, 0]))
                self.write(select, AUTO_RST)

    def scan(self, column_mask: int | None = None) -> None:
        """One code a column of the mask, in order, into the results."""
        mask = (1 << self.columns) - 1 if column_mask is None else column_mask
        for number in range(-(-self.columns // 8)):
            count = (mask >> 8 * number & 0xFF).bit_count()
            if count:
                self.read(wiring.SELECT_ADC_LOW + number, *[NO_OP] * count, skip=2)

    def select_row(self, row: int | None) -> None:
        for chain in range(-(-self.rows // wiring.ROWS_A_ROW_CHAIN)):
            first = chain * wiring.ROWS_A_ROW_CHAIN
            length = min(self.rows - first, wiring.ROWS_A_ROW_CHAIN) // 8
            word = 1 << row - first if row is not None and 0 <= row - first < 8 * length else 0
            self.write(wiring.SELECT_ROW_SELECT + chain, word.to_bytes(length, "big"))

    def columns_to(self, select: int, mask: int) -> None:
        self.write(select, mask.to_bytes(-(-self.columns // 8), "big"))

    def row_mask(self, rows: np.ndarray) -> None:
        word = sum(1 << int(row) for row in rows)
        for chain in range(-(-self.rows // wiring.ROWS_A_ROW_CHAIN)):
            length = min(self.rows, wiring.ROWS_A_ROW_CHAIN) // 8
            part = word >> wiring.ROWS_A_ROW_CHAIN * chain & (1 << 8 * length) - 1
            self.write(wiring.SELECT_ROW_MASK + chain, part.to_bytes(length, "big"))

    def codes_to(self, select: int, codes: np.ndarray, command: int = 0x30) -> None:
        """DAC words, channel by channel: "write and update" unless another command is given."""
        frames = [bytes([command | n]) + int(code).to_bytes(2, "big") for n, code in enumerate(codes)]
        self.write(select, *frames)

    def inputs_to(self, rows: np.ndarray, codes: np.ndarray) -> None:
        """Input codes (int16) of active rows: written, and taken over by LDAC."""
        for number in range(-(-self.rows // 16)):
            part = rows // 16 == number
            if part.any():
                frames = [
                    bytes([int(row) % 16]) + (int(code) & 0xFFFF ^ 0x8000).to_bytes(2, "big")
                    for row, code in zip(rows[part], codes[part], strict=True)
                ]
                self.write(wiring.SELECT_INPUT_DAC + number, *frames)
        self.pin(wiring.PIN_LDAC, 0)
        self.pin(wiring.PIN_LDAC, 1)


def opened(board_name: str = "hwloop-16x4", **config) -> Writer:
    """A board whose chips are set up and whose lines may be driven."""
    writer = Writer(board_name, **config)
    writer.start()
    writer.ask()
    return writer


def codes(results: bytes) -> list[int]:
    """Big-endian 16-bit results."""
    return np.frombuffer(results, ">u2").tolist()
