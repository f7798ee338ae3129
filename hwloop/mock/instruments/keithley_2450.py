"""A simulated Keithley 2450 source meter with its SCPI command set.

Sources: Keithley, Model 2450 Reference Manual 2450-901-01 (commands, buffers, errors); data sheet SPEC-2450 (ranges,
one-year accuracy, noise below 10 Hz). Readback and the measurement share one integration time. The number of the
interlock event is not verified.
"""

from __future__ import annotations

import datetime

from hwloop.mock.instruments.keithley_2450_buffer import POWER_ON
from hwloop.mock.instruments.keithley_2450_readings import Readings
from hwloop.mock.instruments.keithley_2450_triggers import TriggerModel
from hwloop.mock.instruments.scpi import Command
from hwloop.mock.instruments.scpi_kinds import Integer, Many, Number, Style, Switch, Text, Word
from hwloop.mock.instruments.smu_instrument import NAMES, UNITS, SmuInstrument
from hwloop.mock.instruments.smu_model import AMPS, LINE_HERTZ, OTHER, VOLTS, Corner, Function, Range, SmuModel

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
    least_delay_seconds=1e-3,
)  # fmt: skip
PROTECTIONS = {f"PROT{volts}": float(volts) for volts in (2, 5, 10, 20, 40, 60, 80, 100, 120, 140, 160, 180)}
INTERLOCK_OPEN = 5074
_FUNCTIONS = Word("VOLTage", "CURRent", "RESistance", "VOLTage:DC", "CURRent:DC", quotes=True)
_LIMITS = {VOLTS: ("CURR", "VLIMit", 0.02, 0.02), AMPS: ("VOLT", "ILIMit", 105e-6, 1e-9)}


class Keithley2450(SmuInstrument):
    """One instrument at its terminals. See SmuInstrument."""

    model = MODEL
    style = Style("{:.7G}".format)
    registers_of = {"QUEStionable": 8 | 1, "OPERation": 128}
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
        self.protection = "NONE"
        self.readings.reset()
        self.triggers.reset()

    def _put_source(self, source: str) -> None:
        if source != self.core.settings.source:
            self.core.set_output(False)  # as on the instrument, whose limit would be another one
        self.core.settings.source = source

    def _put_protection(self, word: str) -> None:
        self.protection, self.core.settings.ovp_volts = word, PROTECTIONS.get(word, float("inf"))
        self.core.touch()

    def _sense(self) -> str:
        name = self.readings.sense
        return f'"{name}"' if name == "RES" else f'"{name}:DC"'

    def _zero_once(self) -> None:
        self.core.zero()

    def on_range_below_level(self, quantity: str) -> None:
        """The level is set to zero, as on the instrument."""
        self.core.function(quantity).level = 0.0

    # The tree.
    def commands(self) -> list[Command]:
        """See ScpiInstrument."""
        self.readings = Readings(self)
        self.triggers = TriggerModel(self)
        return [
            *self._source_commands(), *self._sense_commands(), *self.readings.commands(), *self._system_commands(),
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
                        lambda on, quantity=quantity: self.readings.readback.__setitem__(quantity, on),
                        self.when(lambda quantity=quantity: self.readings.readback[quantity])),
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
            Command("[:SENSe#1]:FUNCtion[:ON]", (_FUNCTIONS,), self.readings.put_sense,
                    self._sense),
            Command("[:SENSe#1]:AZERo:ONCE", do=self._zero_once),
        ]  # fmt: skip
        for name, quantity in (("VOLTage[:DC]", VOLTS), ("CURRent[:DC]", AMPS), ("RESistance", AMPS)):
            head, function = f"[:SENSe#1]:{name}", core.function(quantity)
            smallest = MODEL.ranges(quantity)[0].full_scale
            commands += [
                self.setting(f"{head}:NPLCycles", Number(0.01, 10.0, 1.0), function, "nplc"),
                self.setting(f"{head}:RSENse", Switch(), function, "remote_sense"),
                self.setting(f"{head}:AZERo[:STATe]", Switch(), function, "autozero"),
                self.setting(f"{head}:AVERage[:STATe]", Switch(), function, "filter_on"),
                self.setting(f"{head}:AVERage:COUNt", Integer(1, 100, 10), function, "filter_count"),
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

    def _system_commands(self) -> list[Command]:
        return [
            Command("*LANG", (Word("SCPI", "TSP", "SCPI2400"),), lambda word: None, lambda: "SCPI"),
            *self.error_commands(),
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
