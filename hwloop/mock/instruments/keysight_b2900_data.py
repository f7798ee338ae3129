"""Result data, formats and trace buffer of the Keysight B2900.

Source: Agilent B2900 Series SCPI Command Reference B2910-90030, chapters 1 (formats, status data) and 4 (TRACe).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hwloop.mock.instruments.data_format import ASCII, REAL_32, REAL_64, DataFormat
from hwloop.mock.instruments.scpi import Answer, Command
from hwloop.mock.instruments.scpi_kinds import Integer, Many, Optional, ScpiError, Style, Word
from hwloop.mock.instruments.smu_model import AMPS, Reading

if TYPE_CHECKING:
    from hwloop.mock.instruments.keysight_b2900 import KeysightB2901A

NOT_A_NUMBER = 9.91e37
BUFFER_SIZE = 100_000
ELEMENTS = ("VOLT", "CURR", "RES", "TIME", "STAT", "SOUR")
ELEMENT_NAMES = {
    "VOLT": "VOLTage", "CURR": "CURRent", "RES": "RESistance", "TIME": "TIME", "STAT": "STATus", "SOUR": "SOURce",
}  # fmt: skip
# Status element of a reading.
CURRENT_SOURCE, IN_COMPLIANCE, OVERFLOWS = 1, 2, 8192
# Measurement status register.
READING_AVAILABLE, READING_OVERFLOW, BUFFER_AVAILABLE, BUFFER_FULL = 2, 4, 8, 16
STATISTICS = {"MEAN": np.mean, "SDEV": np.std, "MAX": np.max, "MIN": np.min, "PKPK": np.ptp}


class Data:
    """What was read, and how it is told."""

    def __init__(self, smu: KeysightB2901A):
        self._smu = smu
        self.format = DataFormat()
        self._zero_seconds = 0.0
        self.reset()

    def reset(self) -> None:
        """*RST."""
        self.samples: list[tuple[float, ...]] = []
        self.buffer: list[tuple[float, ...]] = []
        self.buffer_points, self.stores, self.statistic, self.deltas = BUFFER_SIZE, False, "MEAN", False
        self.elements = set(ELEMENTS)
        self.format.data, self.format.swapped = ASCII, False

    def seconds(self) -> float:
        """The time stamp counter."""
        return self._smu.clock_seconds - self._zero_seconds

    def reset_time(self) -> None:
        """SYSTem:TIME:TIMer:COUNt:RESet."""
        self._zero_seconds = self._smu.clock_seconds

    def keep(self, reading: Reading) -> None:
        """Keep a reading; into the buffer, where it stores."""
        smu, events = self._smu, self._smu.registers["MEASurement"]
        sensed = smu.sensed
        ohms = reading.volts / reading.amps if reading.amps and not reading.is_overflow else NOT_A_NUMBER
        values = {"VOLT": reading.volts, "CURR": reading.amps, "RES": ohms}
        status = CURRENT_SOURCE * (reading.source == AMPS) | OVERFLOWS * reading.is_overflow
        status |= IN_COMPLIANCE * (reading.in_limit or reading.in_range_limit)
        sample = (
            *(value if name in sensed else NOT_A_NUMBER for name, value in values.items()),
            reading.seconds - self._zero_seconds, float(status), reading.level,
        )  # fmt: skip
        self.samples.append(sample)
        events.put(READING_OVERFLOW, reading.is_overflow)
        if self.stores:
            self.buffer.append(sample)
            events.put(BUFFER_AVAILABLE, True)
            if len(self.buffer) >= self.buffer_points:
                self.stores = False
                events.put(BUFFER_FULL, True)

    def written(self, samples: list[tuple[float, ...]], elements: set[str]) -> Answer:
        """Readings with the elements, in their fixed order."""
        places = [place for place, element in enumerate(ELEMENTS) if element in elements]
        values = np.array(samples or [(NOT_A_NUMBER,) * len(ELEMENTS)])[:, places].ravel()
        if self.format.data == ASCII:
            return ",".join(f"{value:+.6E}" for value in values)
        return self.format.block(np.where(values == NOT_A_NUMBER, math.nan, values), definite=True)

    def _clear_data(self) -> None:
        self.samples = []

    def _traced(self, offset: object, size: int | None) -> Answer:
        first = 0 if offset == "STAR" else len(self.buffer) - 1 if offset == "CURR" else int(offset)
        samples = self.buffer[first : None if size is None else first + size]
        if not samples:
            raise ScpiError(-230)
        if self.deltas:
            times = np.diff([sample[3] for sample in samples], prepend=samples[0][3])
            samples = [(*s[:3], float(time), *s[4:]) for s, time in zip(samples, times, strict=True)]
        return self.written(samples, self.elements)

    def _store(self, word: str) -> None:
        self.stores = word == "NEXT"

    def _clear(self) -> None:
        if self.stores:
            raise ScpiError(-221)
        self.buffer = []
        self._smu.registers["MEASurement"].put(BUFFER_FULL | BUFFER_AVAILABLE, False)

    def _statistics(self) -> Answer:
        if not self.buffer:
            raise ScpiError(-230)
        columns = np.array(self.buffer)
        results = STATISTICS[self.statistic](columns, axis=0)
        return self.written([tuple(results)], self.elements & {"VOLT", "CURR", "RES", "SOUR"})

    # The tree.
    def commands(self) -> list[Command]:
        """Commands of these subsystems."""
        return [
            Command("[:SENSe#1]:DATA:LATest", ask=lambda: self.written(self.samples[-1:], self.elements)),
            Command("[:SENSe#1]:DATA", ask=lambda: self.written(self.samples, self.elements)),
            Command("[:SENSe#1]:DATA:CLEar", do=self._clear_data),
            Command(":FORMat[:DATA]", (Word("ASCii", "REAL"), Optional(Integer(32, 64), 32)), self._put_format,
                    lambda: self.format.data),
            Command(":FORMat:BORDer", (Word("NORMal", "SWAPped"),),
                    lambda word: setattr(self.format, "swapped", word == "SWAP"),
                    lambda: "SWAP" if self.format.swapped else "NORM"),
            Command(":FORMat:ELEMents:SENSe", (Many(Word(*ELEMENT_NAMES.values()), 1, 6),),
                    lambda names: setattr(self, "elements", set(names)),
                    lambda: ",".join(name for name in ELEMENTS if name in self.elements)),
            *self._trace_commands(),
        ]  # fmt: skip

    def _put_format(self, word: str, bits: int) -> None:
        if bits not in (32, 64):
            raise ScpiError(-224)
        self.format.data = ASCII if word == "ASC" else {32: REAL_32, 64: REAL_64}[bits]

    def _trace_commands(self) -> list[Command]:
        smu = self._smu
        return [
            Command(":TRACe#1:DATA", ask=self._traced,
                    ask_kinds=(Optional(_Offset(), "STAR"), Optional(Integer(1, BUFFER_SIZE)))),
            Command(":TRACe#1:CLEar", do=self._clear),
            Command(":TRACe#1:FREE", ask=lambda: f"{self.buffer_points - len(self.buffer)},{self.buffer_points}"),
            smu.setting(":TRACe#1:POINts", Integer(1, BUFFER_SIZE, BUFFER_SIZE), self, "buffer_points"),
            Command(":TRACe#1:POINts:ACTual", ask=lambda: str(len(self.buffer))),
            smu.inert(":TRACe#1:FEED", Word("SENSe", "MATH", "LIMit"), "SENS"),
            Command(":TRACe#1:FEED:CONTrol", (Word("NEXT", "NEVer"),), self._store,
                    lambda: "NEXT" if self.stores else "NEV"),
            smu.setting(":TRACe#1:STATistic:FORMat", Word("MEAN", "SDEViation", "MAXimum", "MINimum", "PKPK"),
                        self, "statistic"),
            Command(":TRACe#1:STATistic:DATA", ask=self._statistics),
            Command(":TRACe#1:TSTamp:FORMat", (Word("ABSolute", "DELTa"),),
                    lambda word: setattr(self, "deltas", word == "DELT"), lambda: "DELT" if self.deltas else "ABS"),
        ]  # fmt: skip


class _Offset:
    """Where TRACe:DATA? begins: a number, STARt, or CURRent."""

    def parse(self, text: str) -> object:
        """See Kind."""
        return int(Integer(0, BUFFER_SIZE).parse(text)) if text[:1].isdigit() else Word("STARt", "CURRent").parse(text)

    def render(self, value: object, style: Style) -> str:
        """See Kind."""
        return str(value)
