"""Readings, formats, buffer and its statistics of the Keithley 2400.

Source: Keithley, 2400 Series User's Manual 2400S-900-01 Rev. K, sections 9, 15 and 18 (FORMat, TRACe, CALCulate3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwloop.mock.instruments.data_format import ASCII, REAL_32, DataFormat
from hwloop.mock.instruments.scpi import Answer, Command
from hwloop.mock.instruments.scpi_kinds import Integer, Many, Optional, ScpiError, Style, Word, quoted
from hwloop.mock.instruments.smu_model import AMPS, VOLTS, Reading

if TYPE_CHECKING:
    from hwloop.mock.instruments.keithley_2400 import Keithley2400

NOT_A_NUMBER = 9.91e37
MOST_POINTS = 2500
ELEMENTS = ("VOLT", "CURR", "RES", "TIME", "STAT")
# Status word of a reading.
OVERFLOWS, FRONT, COMPLIANCE, PROTECTED, AUTO_OHMS = 1 << 0, 1 << 2, 1 << 3, 1 << 4, 1 << 10
MEASURED_BITS = {"VOLT": 1 << 11, "CURR": 1 << 12, "RES": 1 << 13}
SOURCE_BITS = {VOLTS: 1 << 14, AMPS: 1 << 15}
RANGE_COMPLIANCE, FOUR_WIRE = 1 << 16, 1 << 22
# Measurement event register.
READING_AVAILABLE, READING_OVERFLOW, BUFFER_AVAILABLE, BUFFER_FULL, IN_PROTECTION, IN_COMPLIANCE = (
    1 << 6, 1 << 7, 1 << 8, 1 << 9, 1 << 13, 1 << 14,
)  # fmt: skip
STATISTICS = {"MEAN": np.mean, "SDEV": np.std, "MAX": np.max, "MIN": np.min, "PKPK": np.ptp}


class Data:
    """What was read, and how it is told."""

    def __init__(self, smu: Keithley2400):
        self._smu = smu
        self.samples: list[tuple[float, ...]] = []
        self.buffer: list[tuple[float, ...]] = []
        self.buffer_points, self.stores = 100, False
        self._zero_seconds = 0.0
        self.format = DataFormat()
        self.reset()

    def reset(self) -> None:
        """*RST. The buffer is not touched."""
        self.elements = set(ELEMENTS)
        self.statistic, self.deltas = "MEAN", False
        self.format.data, self.format.swapped = ASCII, False

    def reset_time(self) -> None:
        """SYSTem:TIME:RESet."""
        self._zero_seconds = self._smu.clock_seconds

    def keep(self, reading: Reading, auto_ohms: bool) -> None:
        """Make the array of a reading; into the buffer, where it stores."""
        smu, events = self._smu, self._smu.registers["MEASurement"]
        status = FRONT | SOURCE_BITS[reading.source] | sum(MEASURED_BITS[name] for name in smu.sensed)
        status |= COMPLIANCE * reading.in_limit | RANGE_COMPLIANCE * reading.in_range_limit
        status |= PROTECTED * reading.in_protection | OVERFLOWS * reading.is_overflow
        status |= AUTO_OHMS * auto_ohms | FOUR_WIRE * smu.remote_sense
        values = {"VOLT": NOT_A_NUMBER, "CURR": NOT_A_NUMBER, "RES": NOT_A_NUMBER, reading.source: reading.level}
        for quantity in (VOLTS, AMPS):
            if quantity in smu.sensed:
                values[quantity] = reading.value(quantity)
        if "RES" in smu.sensed and reading.amps and not reading.is_overflow:
            values["RES"] = reading.volts / reading.amps
        seconds = round(reading.seconds - self._zero_seconds, 3)
        sample = (values["VOLT"], values["CURR"], values["RES"], seconds, float(status))
        self.samples.append(sample)
        events.put(READING_OVERFLOW, reading.is_overflow)
        events.put(IN_COMPLIANCE, reading.in_limit)
        events.put(IN_PROTECTION, reading.in_protection)
        if self.stores:
            self.buffer.append(sample)
            events.put(BUFFER_AVAILABLE, len(self.buffer) >= 2)
            if len(self.buffer) >= self.buffer_points:
                self.stores = False
                events.put(BUFFER_FULL, True)

    def written(self, samples: list[tuple[float, ...]]) -> Answer:
        """Reading arrays with the chosen elements, in their fixed order."""
        places = [place for place, element in enumerate(ELEMENTS) if element in self.elements]
        values = np.array(samples)[:, places].ravel()
        if self.format.data == ASCII:
            return ",".join(f"{value:+.6E}" for value in values)
        return self.format.block(values, definite=False)

    def fetch(self) -> Answer:
        """All readings of the last run. Raises ScpiError."""
        if not self.samples:
            raise ScpiError(-230)
        return self.written(self.samples)

    def _latest(self) -> Answer:
        if not self.samples:
            raise ScpiError(-230)
        return self.written(self.samples[-1:])

    def _traced(self) -> Answer:
        if not self.buffer:
            raise ScpiError(-230)
        first = self.buffer[0][3]
        times = [sample[3] - first for sample in self.buffer]
        if self.deltas:
            times = [0.0, *np.diff(times)]
        return self.written([(*s[:3], time, s[4]) for s, time in zip(self.buffer, times, strict=True)])

    def _store(self, word: str) -> None:
        self.stores = word == "NEXT"
        if self.stores:
            self.buffer = []
            self._smu.registers["MEASurement"].put(BUFFER_FULL | BUFFER_AVAILABLE, False)

    def _clear(self) -> None:
        if self.stores:
            raise ScpiError(800)
        self.buffer = []
        self._smu.registers["MEASurement"].put(BUFFER_FULL | BUFFER_AVAILABLE, False)

    def _statistics(self) -> str:
        if not self.buffer:
            raise ScpiError(-230)
        values = np.array(self.buffer)[:, :3]
        missing = (values == NOT_A_NUMBER).any(axis=0)
        results = np.where(missing, NOT_A_NUMBER, STATISTICS[self.statistic](values, axis=0))
        return ",".join(f"{value:+.6E}" for value in results)

    def _put_elements(self, names: list[str]) -> None:
        self.elements = set(names)

    # The tree.
    def commands(self) -> list[Command]:
        """Commands of these subsystems."""
        smu = self._smu
        element = Word("VOLTage", "CURRent", "RESistance", "TIME", "STATus")
        return [
            Command(":FETCh", ask=self.fetch),
            Command("[:SENSe#1]:DATA[:LATest]", ask=self._latest),
            Command(":FORMat[:DATA]", (Word("ASCii", "REAL", "SREal"), Optional(Integer(32, 32))), self._put_format,
                    lambda: self.format.data),
            Command(":FORMat:BORDer", (Word("NORMal", "SWAPped"),),
                    lambda word: setattr(self.format, "swapped", word == "SWAP"),
                    lambda: "SWAP" if self.format.swapped else "NORM"),
            Command(":FORMat:ELEMents[:SENSe#1]", (Many(element, 1, 5),), self._put_elements,
                    lambda: ",".join(name for name in ELEMENTS if name in self.elements)),
            smu.inert(":FORMat:SREGister", Word("ASCii", "HEXadecimal", "OCTal", "BINary"), "ASC"),
            *(command for root in (":TRACe", ":DATA") for command in self._trace_commands(root)),
            smu.setting(":CALCulate3:FORMat", Word("MEAN", "SDEViation", "MAXimum", "MINimum", "PKPK"),
                        self, "statistic"),
            Command(":CALCulate3:DATA", ask=self._statistics),
        ]  # fmt: skip

    def _put_format(self, word: str, bits: int | None) -> None:
        self.format.data = ASCII if word == "ASC" else REAL_32

    def _trace_commands(self, root: str) -> list[Command]:
        smu = self._smu
        return [
            Command(f"{root}:DATA", ask=self._traced),
            Command(f"{root}:CLEar", do=self._clear),
            Command(f"{root}:FREE", ask=lambda: f"{(MOST_POINTS - len(self.buffer)) * 48},{len(self.buffer) * 48}"),
            smu.setting(f"{root}:POINts", Integer(1, MOST_POINTS, 100), self, "buffer_points"),
            Command(f"{root}:POINts:ACTual", ask=lambda: str(len(self.buffer))),
            Command(f"{root}:FEED", (_Feed(),), lambda word: None, lambda: "SENS1"),
            Command(f"{root}:FEED:CONTrol", (Word("NEXT", "NEVer"),), self._store,
                    lambda: "NEXT" if self.stores else "NEV"),
            Command(f"{root}:TSTamp:FORMat", (Word("ABSolute", "DELTa"),),
                    lambda word: setattr(self, "deltas", word == "DELT"), lambda: "DELT" if self.deltas else "ABS"),
        ]  # fmt: skip


class _Feed:
    """What feeds the buffer: raw readings only."""

    def parse(self, text: str) -> str:
        """See Kind."""
        if text.upper().rstrip("1") not in ("SENS", "SENSE") or quoted(text) is not None:
            raise ScpiError(-224)
        return "SENS1"

    def render(self, value: str, style: Style) -> str:
        """See Kind."""
        return value
