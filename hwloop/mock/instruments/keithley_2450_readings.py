"""Measuring with the Keithley 2450: MEASure?, READ?, FETCh?, TRACe and FORMat.

Source: Keithley, Model 2450 Reference Manual 2450-901-01. Binary data carry the header #0, and the low byte first
unless FORMat:BORDer is NORMal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwloop.mock.instruments.data_format import ASCII, REAL_32, REAL_64, DataFormat
from hwloop.mock.instruments.keithley_2450_buffer import (
    ELEMENTS,
    NUMERIC,
    STAT_LIMIT,
    STAT_OUTPUT,
    STAT_PROTECTION,
    STAT_QUESTIONABLE,
    STAT_READBACK,
    STAT_SENSE,
    STAT_TERMINAL_FRONT,
    ReadingBuffer,
    Sample,
)  # fmt: skip
from hwloop.mock.instruments.scpi import Answer, Command
from hwloop.mock.instruments.scpi_kinds import Integer, Many, Optional, ScpiError, Text, Word
from hwloop.mock.instruments.smu_model import AMPS, OVERFLOW, VOLTS

if TYPE_CHECKING:
    from hwloop.mock.instruments.keithley_2450 import Keithley2450


class Readings:
    """Buffers, data format and measure function of one instrument."""

    def __init__(self, smu: Keithley2450):
        self._smu = smu
        self.reset()

    def reset(self) -> None:
        """*RST."""
        self.sense, self.count, self.digits = "CURR", 1, 0
        self.readback = {VOLTS: True, AMPS: True}
        self.format = DataFormat(swapped=True)
        self.buffers = {"defbuffer1": ReadingBuffer(), "defbuffer2": ReadingBuffer()}

    def put_sense(self, function: str) -> None:
        """SENSe:FUNCtion."""
        self.sense = function.removesuffix(":DC")
        self._smu.core.settings.measured = (AMPS, VOLTS) if self.sense == "RES" else (self.sense,)

    def take(self, name: str = "defbuffer1", level: float | None = None) -> Sample:
        """Measure once, into the named buffer."""
        reading = self._smu.core.measure(level)
        source = self._smu.core.settings.source
        status = STAT_TERMINAL_FRONT | STAT_QUESTIONABLE * reading.is_overflow
        source_status = STAT_PROTECTION * reading.in_protection | STAT_READBACK * self.readback[source]
        source_status |= STAT_LIMIT * (reading.in_limit or reading.in_range_limit)
        source_status |= STAT_SENSE * self._smu.core.function(self._smu.core.settings.measured[0]).remote_sense
        source_status |= STAT_OUTPUT * self._smu.core.settings.output_on
        if self.sense == "RES":
            value = reading.volts / reading.amps if reading.amps and not reading.is_overflow else OVERFLOW
        else:
            value = reading.value(self.sense)
        sourced = reading.value(source) if self.readback[source] else reading.level
        unit = {"VOLT": "Volt DC", "CURR": "Amp DC", "RES": "Ohm"}[self.sense]
        sample = Sample(
            value, unit, sourced, {"VOLT": "Volt", "CURR": "Amp"}[source], reading.seconds, status, source_status
        )
        self.buffer(name).add(sample)
        return sample

    def buffer(self, name: str) -> ReadingBuffer:
        """The named buffer. Raises ScpiError."""
        if name not in self.buffers:
            raise ScpiError(-224)
        return self.buffers[name]

    def _read(self, name: str, elements: list[str]) -> Answer:
        for _ in range(self.count):
            sample = self.take(name)
        return self.written(name, [sample], elements)

    def _measure(self, sense: str | None, name: str, elements: list[str]) -> Answer:
        if sense is not None:
            self.put_sense(sense)
        return self._read(name, elements)

    def _fetch(self, name: str, elements: list[str]) -> Answer:
        samples = self.buffer(name).samples
        if not samples:
            raise ScpiError(-230)
        return self.written(name, [samples[-1]], elements)

    def written(self, name: str, samples: list[Sample], elements: list[str]) -> Answer:
        """Readings as FORMat has them."""
        buffer, elements = self.buffer(name), elements or ["READ"]
        if self.format.data == ASCII:
            return ",".join(buffer.text(sample, element, self.digits) for sample in samples for element in elements)
        if any(element not in NUMERIC for element in elements):
            raise ScpiError(-221)
        values = [buffer.number(sample, element) for sample in samples for element in elements]
        return self.format.block(np.array(values), definite=False)

    def _data(self, first: int, last: int, name: str, elements: list[str]) -> Answer:
        samples = self.buffer(name).samples
        if first > last or last > len(samples):
            raise ScpiError(-222)
        return self.written(name, list(samples)[first - 1 : last], elements)

    def _statistic(self, name: str, function: object) -> str:
        values = [sample.value for sample in self.buffer(name).samples]
        if not values:
            raise ScpiError(-230)
        return f"{float(function(values)):.6E}"

    def _make_buffer(self, name: str, size: int, style: str | None) -> None:
        if name in self.buffers:
            raise ScpiError(-224)
        self.buffers[name] = ReadingBuffer(size)

    def _delete_buffer(self, name: str) -> None:
        if self.buffer(name) in (self.buffers["defbuffer1"], self.buffers["defbuffer2"]):
            raise ScpiError(-224)
        del self.buffers[name]

    def _resize(self, size: int, name: str) -> None:
        self.buffers[name] = ReadingBuffer(size, self.buffer(name).fills_once)

    def _put_format(self, word: str) -> None:
        self.format.data = {"ASC": ASCII, "SRE": REAL_32, "REAL": REAL_64}[word]

    def commands(self) -> list[Command]:
        """Commands of these subsystems."""
        name, elements = Optional(Text(), "defbuffer1"), Many(ELEMENTS, 0, 14)
        functions = (("", None), (":VOLTage[:DC]", "VOLT"), (":CURRent[:DC]", "CURR"), (":RESistance", "RES"))
        short = {ASCII: "ASC", REAL_32: "SRE", REAL_64: "REAL"}
        measures = [
            Command(f":MEASure{head}", ask=lambda name, elements, f=function: self._measure(f, name, elements),
                    ask_kinds=(name, elements)) for head, function in functions
        ]  # fmt: skip
        actual = ":TRACe:ACTual"
        return [
            *measures,
            Command(":READ", ask=self._read, ask_kinds=(name, elements)),
            Command(":FETCh", ask=self._fetch, ask_kinds=(name, elements)),
            Command(":TRACe:DATA", ask=self._data, ask_kinds=(Integer(1), Integer(1), name, elements)),
            Command(actual, ask=lambda name: str(len(self.buffer(name).samples)), ask_kinds=(name,)),
            Command(f"{actual}:STARt", ask=lambda n: str(min(1, len(self.buffer(n).samples))), ask_kinds=(name,)),
            Command(f"{actual}:END", ask=lambda n: str(len(self.buffer(n).samples)), ask_kinds=(name,)),
            Command(":TRACe:CLEar", (name,), lambda name: self.buffer(name).clear()),
            Command(":TRACe:MAKE", (Text(), Integer(10, 6_875_000), Optional(Word(
                "STANdard", "COMPact", "FULL", "WRITable", "FULLWRITable"))), self._make_buffer),
            Command(":TRACe:DELete", (Text(),), self._delete_buffer),
            Command(":TRACe:POINts", (Integer(10, 6_875_000), name), self._resize,
                    lambda name: str(self.buffer(name).size), (name,)),
            Command(":TRACe:FILL:MODE", (Word("CONTinuous", "ONCE"), name),
                    lambda mode, name: setattr(self.buffer(name), "fills_once", mode == "ONCE"),
                    lambda name: "ONCE" if self.buffer(name).fills_once else "CONT", (name,)),
            Command(":TRACe:TRIGger", (name,), lambda name: [self.take(name) for _ in range(self.count)] and None),
            *(Command(f":TRACe:STATistics:{word}", ask=lambda n, f=f: self._statistic(n, f), ask_kinds=(name,))
              for word, f in (("AVERage", np.mean), ("MAXimum", np.max), ("MINimum", np.min), ("STDDev", np.std))),
            Command(":FORMat[:DATA]", (Word("ASCii", "REAL", "SREal"),), self._put_format,
                    lambda: short[self.format.data]),
            Command(":FORMat:BORDer", (Word("NORMal", "SWAPped"),),
                    lambda word: setattr(self.format, "swapped", word == "SWAP"),
                    lambda: "SWAP" if self.format.swapped else "NORM"),
            Command(":FORMat:ASCii:PRECision", (Integer(0, 16, 0),), lambda n: setattr(self, "digits", n),
                    lambda: str(self.digits)),
            Command("[:SENSe#1]:COUNt", (Integer(1, 300_000, 1),), lambda count: setattr(self, "count", count),
                    lambda: str(self.count)),
        ]  # fmt: skip

