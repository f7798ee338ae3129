"""A simulated Keithley 2450 source meter with its SCPI command set.

Sources: Keithley, Model 2450 Reference Manual 2450-901-01 (commands, buffers, errors); data sheet SPEC-2450 (ranges,
one-year accuracy, noise below 10 Hz). Binary data carry the header #0, and the low byte first unless FORM:BORD NORM.
Readback and the measurement share one integration time.
"""

from __future__ import annotations

import datetime

import numpy as np

from hwloop.mock.instruments.data_format import ASCII, REAL_32, REAL_64, DataFormat
from hwloop.mock.instruments.keithley_2450_buffer import (
    ELEMENTS,
    NUMERIC,
    POWER_ON,
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
from hwloop.mock.instruments.keithley_2450_triggers import TriggerModel
from hwloop.mock.instruments.scpi import Answer, Command
from hwloop.mock.instruments.scpi_kinds import Integer, Many, Number, Optional, ScpiError, Style, Switch, Text, Word
from hwloop.mock.instruments.smu_instrument import NAMES, UNITS, SmuInstrument
from hwloop.mock.instruments.smu_model import (
    AMPS,
    LINE_HERTZ,
    OTHER,
    OVERFLOW,
    VOLTS,
    Corner,
    Function,
    Range,
    SmuModel,
)

_V = [
    # full scale, measure gain and offset, source gain and offset, source step, measure step, noise rms
    Range(0.02, 1.0e-3, 150e-6, 1.0e-3, 200e-6, 500e-9, 10e-9, 1e-7),
    Range(0.2, 1.2e-4, 200e-6, 1.5e-4, 200e-6, 5e-6, 100e-9, 2e-7),
    Range(2.0, 1.2e-4, 300e-6, 2.0e-4, 300e-6, 50e-6, 1e-6, 2e-6),
    Range(20.0, 1.5e-4, 1e-3, 1.5e-4, 2.4e-3, 500e-6, 10e-6, 2e-5),
    Range(200.0, 1.5e-4, 10e-3, 1.5e-4, 24e-3, 5e-3, 100e-6, 2e-4),
]
_A = [
    Range(1e-8, 1.0e-3, 50e-12, 1.0e-3, 100e-12, 500e-15, 10e-15, 5e-13, 100e-3),
    Range(1e-7, 6.0e-4, 100e-12, 6.0e-4, 150e-12, 5e-12, 100e-15, 5e-13, 30e-3),
    Range(1e-6, 2.5e-4, 300e-12, 2.5e-4, 400e-12, 50e-12, 1e-12, 5e-12, 3e-3),
    Range(1e-5, 2.5e-4, 700e-12, 2.5e-4, 1.5e-9, 500e-12, 10e-12, 4e-11, 2e-3),
    Range(1e-4, 2.0e-4, 6e-9, 2.0e-4, 15e-9, 5e-9, 100e-12, 4e-10),
    Range(1e-3, 2.0e-4, 60e-9, 2.0e-4, 150e-9, 50e-9, 1e-9, 5e-9),
    Range(1e-2, 2.0e-4, 600e-9, 2.0e-4, 1.5e-6, 500e-9, 10e-9, 4e-8),
    Range(1e-1, 2.5e-4, 6e-6, 2.5e-4, 15e-6, 5e-6, 100e-9, 1e-7),
    Range(1.0, 3.0e-4, 500e-6, 6.7e-4, 900e-6, 50e-6, 1e-6, 3e-6, 2e-3),
]
MODEL = SmuModel(
    tuple(_V), tuple(_A), (Corner(21.0, 1.05), Corner(210.0, 0.105)),
    overhead_seconds=150e-6, autozero_phases=3, range_change_seconds=5e-3,
)  # fmt: skip
PROTECTIONS = {f"PROT{volts}": float(volts) for volts in (2, 5, 10, 20, 40, 60, 80, 100, 120, 140, 160, 180)}
INTERLOCK_OPEN = 5074
_FUNCTIONS = Word("VOLTage", "CURRent", "RESistance", "VOLTage:DC", "CURRent:DC", quotes=True)
_LIMITS = {VOLTS: ("CURR", "VLIMit", 0.02, 0.02), AMPS: ("VOLT", "ILIMit", 105e-6, 1e-9)}


class Keithley2450(SmuInstrument):
    """One instrument at its terminals. See SmuInstrument."""

    model = MODEL
    style = Style("{:.7G}".format)
    registers_of = {"QUEStionable": 8, "OPERation": 128}
    texts = {-222: "Parameter data out of range", INTERLOCK_OPEN: "Output blocked by interlock"}
    queue_length = 1000
    no_error = '0,"No error;0;0 0"'

    def identity(self) -> str:
        """The answer to *IDN?."""
        return f"KEITHLEY INSTRUMENTS,MODEL 2450,{self.serial_number:08d},1.7.12b"

    def interlock_error(self) -> int:
        """See SmuInstrument."""
        return INTERLOCK_OPEN

    def write_error(self, code: int, text: str) -> str:
        """Events carry their type and time within the text."""
        when = POWER_ON + datetime.timedelta(seconds=self.clock_seconds)
        return f'{code:d},"{text};1;{when:%Y/%m/%d %H:%M:%S}.{when.microsecond // 1000:03d}"'

    def reset(self) -> None:
        """*RST."""
        self.core.set_output(False)
        self.reset_functions(
            VOLT=Function(source_range=0.02, measure_range=0.02, limit=0.02),
            CURR=Function(source_range=1e-8, measure_range=1e-8, limit=105e-6),
        )
        settings = self.core.settings
        settings.source, settings.measured, settings.ovp_volts = VOLTS, (AMPS,), float("inf")
        self.sense, self.count, self.protection = "CURR", 1, "NONE"
        self.readback = {VOLTS: True, AMPS: True}
        self.format = DataFormat(swapped=True)
        self.digits = 0
        self.buffers = {"defbuffer1": ReadingBuffer(), "defbuffer2": ReadingBuffer()}
        self.triggers.reset()

    # Measuring.
    def take(self, name: str = "defbuffer1", level: float | None = None) -> Sample:
        """Measure once, into the named buffer."""
        reading = self.core.measure(level)
        source = self.core.settings.source
        status = STAT_TERMINAL_FRONT | STAT_QUESTIONABLE * reading.is_overflow
        source_status = STAT_PROTECTION * reading.in_protection | STAT_READBACK * self.readback[source]
        source_status |= STAT_LIMIT * (reading.in_limit or reading.in_range_limit)
        source_status |= STAT_SENSE * self.core.function(self.core.settings.measured[0]).remote_sense
        source_status |= STAT_OUTPUT * self.core.settings.output_on
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

    def put_sense(self, function: str) -> None:
        """SENSe:FUNCtion."""
        self.sense = function.removesuffix(":DC")
        self.core.settings.measured = (AMPS, VOLTS) if self.sense == "RES" else (self.sense,)

    def _put_source(self, source: str) -> None:
        if source != self.core.settings.source:
            self.core.set_output(False)  # as on the instrument, whose limit would be another one
        self.core.settings.source = source

    def _put_protection(self, word: str) -> None:
        self.protection, self.core.settings.ovp_volts = word, PROTECTIONS.get(word, float("inf"))
        self.core.touch()

    def _zero_once(self) -> None:
        self.core.zero()

    def on_range_below_level(self, quantity: str) -> None:
        """The level is set to zero, as on the instrument."""
        self.core.function(quantity).level = 0.0

    # The tree.
    def commands(self) -> list[Command]:
        """See ScpiInstrument."""
        self.triggers = TriggerModel(self)
        return [
            *self._source_commands(), *self._sense_commands(), *self._trace_commands(), *self._system_commands(),
            *self.triggers.commands(),
        ]  # fmt: skip

    def _source_commands(self) -> list[Command]:
        core = self.core
        commands = [
            Command(":OUTPut#1[:STATe]", (Switch(),), self.put_output, self.when(lambda: core.settings.output_on)),
            Command(":OUTPut#1:INTerlock:TRIPped", ask=self.when(lambda: not self.faults.interlock_open)),
            Command("[:SOURce#1]:FUNCtion[:MODE]", (Word(*NAMES.values()),), self._put_source,
                    lambda: core.settings.source),
        ]  # fmt: skip
        for quantity, name in NAMES.items():
            head, function = f"[:SOURce#1]:{name}", core.function(quantity)
            limited = OTHER[quantity]
            _, limit_name, default, lowest = _LIMITS[limited]
            delay = Number(0.0, 10e3, 0.0, "S")
            commands += [
                self.level_setting(f"{head}[:LEVel][:IMMediate][:AMPLitude]", quantity),
                *self.range_settings(f"{head}:RANGe", f"{head}:RANGe:AUTO", quantity, "source"),
                self.limit_setting(f"{head}:{limit_name}[:LEVel]", limited, default, lowest),
                Command(f"{head}:{limit_name}[:LEVel]:TRIPped", ask=self.when(lambda: self.core.last_limited)),
                self.setting(f"{head}:DELay", delay, function, "delay_seconds",
                             lambda function=function: setattr(function, "delay_auto", False)),
                self.setting(f"{head}:DELay:AUTO", Switch(), function, "delay_auto"),
                Command(f"{head}:READ:BACK", (Switch(),),
                        lambda on, quantity=quantity: self.readback.__setitem__(quantity, on),
                        self.when(lambda quantity=quantity: self.readback[quantity])),
                Command(f"{head}:PROTection[:LEVel]", (Word(*PROTECTIONS, "NONE"),), self._put_protection,
                        lambda: self.protection),
                Command(f"{head}:PROTection[:LEVel]:TRIPped", ask=self.when(lambda: self.core.last_protected)),
                self.inert(f"{head}:HIGH:CAPacitance", Switch(), False),
                self.inert(f":OUTPut#1:{name}:SMODe", Word("NORMal", "HIMPedance", "ZERO", "GUARd"), "NORM"),
            ]  # fmt: skip
            commands += [self.inert(f"{head}:DELay:USER{n}", delay, 0.0) for n in range(1, 6)]
        return commands

    def _sense_commands(self) -> list[Command]:
        core = self.core
        commands = [
            Command("[:SENSe#1]:FUNCtion[:ON]", (_FUNCTIONS,), self.put_sense,
                    lambda: f'"{self.sense}"' if self.sense == "RES" else f'"{self.sense}:DC"'),
            Command("[:SENSe#1]:COUNt", (Integer(1, 300_000, 1),), lambda count: setattr(self, "count", count),
                    lambda: str(self.count)),
            Command("[:SENSe#1]:AZERo:ONCE", do=self._zero_once),
        ]  # fmt: skip
        for name, quantity in (("VOLTage[:DC]", VOLTS), ("CURRent[:DC]", AMPS), ("RESistance", AMPS)):
            head, function = f"[:SENSe#1]:{name}", core.function(quantity)
            smallest = MODEL.ranges(quantity)[0].full_scale
            commands += [
                self.setting(f"{head}:NPLCycles", Number(0.01, 10.0, 1.0), function, "nplc"),
                self.setting(f"{head}:RSENse", Switch(), function, "remote_sense"),
                self.setting(f"{head}:AZERo[:STATe]", Switch(), function, "autozero"),
                self.inert(f"{head}:AVERage[:STATe]", Switch(), False),
                self.inert(f"{head}:AVERage:COUNt", Integer(1, 100, 10), 10),
                self.inert(f"{head}:AVERage:TCONtrol", Word("REPeat", "MOVing"), "REP"),
                self.inert(f"{head}:OCOMpensated", Switch(), False),
            ]
            commands += [self.inert(f"{head}:DELay:USER{n}", Number(0.0, 10e3, 0.0, "S"), 0.0) for n in range(1, 6)]
            if name == "RESistance":
                commands += [
                    self.inert(f"{head}:RANGe[:UPPer]", Number(20.0, 200e6, 200e3, "OHM"), 200e3),
                    self.inert(f"{head}:RANGe:AUTO", Switch(), True),
                ]
                continue
            commands += self.range_settings(f"{head}:RANGe[:UPPer]", f"{head}:RANGe:AUTO", quantity, "measure")
            commands.append(
                self.setting(f"{head}:RANGe:AUTO:LLIMit", Number(0.0, 200.0, smallest, UNITS[quantity]), function,
                             "lowest_auto_range")
            )  # fmt: skip
        return commands

    def _trace_commands(self) -> list[Command]:
        name, elements = Optional(Text(), "defbuffer1"), Many(ELEMENTS, 0, 14)
        functions = (("", None), (":VOLTage[:DC]", "VOLT"), (":CURRent[:DC]", "CURR"), (":RESistance", "RES"))
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
        ]  # fmt: skip

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

    def _system_commands(self) -> list[Command]:
        short = {ASCII: "ASC", REAL_32: "SRE", REAL_64: "REAL"}
        return [
            Command(":FORMat[:DATA]", (Word("ASCii", "REAL", "SREal"),), self._put_format,
                    lambda: short[self.format.data]),
            Command(":FORMat:BORDer", (Word("NORMal", "SWAPped"),),
                    lambda word: setattr(self.format, "swapped", word == "SWAP"),
                    lambda: "SWAP" if self.format.swapped else "NORM"),
            Command(":FORMat:ASCii:PRECision", (Integer(0, 16, 0),), lambda n: setattr(self, "digits", n),
                    lambda: str(self.digits)),
            Command("*LANG", (Word("SCPI", "TSP", "SCPI2400"),), lambda word: None, lambda: "SCPI"),
            Command(":SYSTem:ERRor[:NEXT]", ask=self.next_error),
            Command(":SYSTem:ERRor:CODE[:NEXT]", ask=lambda: self.next_error().split(",")[0]),
            Command(":SYSTem:ERRor:COUNt", ask=lambda: str(len(self.errors))),
            Command(":SYSTem:EVENtlog:NEXT", ask=self.next_error),
            Command(":SYSTem:EVENtlog:COUNt", ask=lambda *_: str(len(self.errors)), ask_kinds=(Many(Word(
                "ERRor", "WARNing", "INFormation", "ALL"), 0, 1),)),
            Command(":SYSTem:CLEar", do=self.errors.clear),
            Command(":SYSTem:VERSion", ask=lambda: "1999.0"),
            Command(":SYSTem:LFRequency", ask=lambda: f"{LINE_HERTZ:.0f}"),
            Command(":SYSTem:BEEPer[:IMMediate]", (Number(20, 8000), Number(0.001, 100)), lambda *_: None),
            self.inert(":SYSTem:ACCess", Word("FULL", "EXCLusive", "PROTected", "LOCKout"), "FULL"),
            self.inert(":SYSTem:POSetup", Word("RST", "SAV0", "SAV1", "SAV2", "SAV3", "SAV4"), "RST"),
            self.inert(":ROUTe:TERMinals", Word("FRONt", "REAR"), "FRON"),
            Command(":STATus:CLEar", do=self.clear_status),
            Command(":DISPlay:SCReen", (Word(
                "HOME", "HOME_LARGe_reading", "READing_table", "GRAPh", "HISTogram", "SWIPE_GRAPh", "SWIPE_SETTings",
                "SWIPE_SOURce", "SWIPE_STATistics", "SWIPE_USER", "PROCessing"),), lambda word: None),
            Command(":DISPlay:CLEar", do=lambda: None),
            *(Command(f":DISPlay:USER{n}:TEXT[:DATA]", (Text(),), lambda text: None) for n in (1, 2)),
        ]  # fmt: skip
