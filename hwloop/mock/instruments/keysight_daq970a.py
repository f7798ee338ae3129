"""A simulated Keysight DAQ970A with 20-channel multiplexers (DAQM901A) in its slots, where it differs from the 34970A.

Source: Keysight DAQ970A/DAQ973A Programming Guide and data sheet.
"""

from __future__ import annotations

from hwloop.mock.instruments.data_format import ASCII, REAL_32, REAL_64
from hwloop.mock.instruments.keysight_34970a import Keysight34970A
from hwloop.mock.instruments.keysight_dmm import METER_DAQ970A
from hwloop.mock.instruments.keysight_kinds import Raw
from hwloop.mock.instruments.scpi import Command
from hwloop.mock.instruments.scpi_kinds import Integer, Many, ScpiError, Word


class KeysightDaq970A(Keysight34970A):
    """The successor: its own accuracy, speed and memory, binary readings, and a queue of 20 errors."""

    meter = METER_DAQ970A
    model, module, maker = "DAQ970A", "DAQM901A", "Keysight Technologies"
    queue_length = 20

    def identity(self) -> str:
        """The answer to *IDN?."""
        return f"{self.maker},{self.model},MY{self.serial_number:08d},A.02.04-00.16-11.29-00.02-02-01"

    def commands(self) -> list[Command]:
        """The 34970A's, and FORMat[:DATA]."""
        return [
            *super().commands(),
            Command(":FORMat[:DATA]", (Many(Raw(), 1, 2),), self._set_data, self._ask_data),
            Command(":FORMat:BORDer", (Word("NORMal", "SWAPped"),), self._set_order, self._ask_order),
        ]

    def _set_data(self, texts: list[str]) -> None:
        word = Word("ASCii", "REAL").parse(texts[0])
        length = Integer().parse(texts[1]) if len(texts) > 1 else 64
        if word == "REAL" and length not in (32, 64):
            raise ScpiError(-224)
        self._data_format.data = ASCII if word == "ASC" else REAL_32 if length == 32 else REAL_64

    def _ask_data(self) -> str:
        return {ASCII: "ASC,9", REAL_32: "REAL,32", REAL_64: "REAL,64"}[self._data_format.data]

    def _set_order(self, word: str) -> None:
        self._data_format.swapped = word == "SWAP"

    def _ask_order(self) -> str:
        return "SWAP" if self._data_format.swapped else "NORM"

    def reset(self) -> None:
        """*RST: readings as text again."""
        super().reset()
        self._data_format.data, self._data_format.swapped = ASCII, False
