"""Trigger model, sweeps, readings and buffer of the Keithley 2400.

Source: Keithley, 2400 Series User's Manual 2400S-900-01 Rev. K, sections 9-11, 15 and 18. A run that INITiate starts is
over, in modelled time, before the next command is read. Source memory sweeps and the CALC1, CALC2 and TTL subsystems are
not simulated.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hwloop.mock.instruments.data_format import ASCII, REAL_32, DataFormat
from hwloop.mock.instruments.scpi import Answer, Command
from hwloop.mock.instruments.scpi_kinds import Integer, Many, Number, Optional, ScpiError, Word, quoted
from hwloop.mock.instruments.smu_instrument import NAMES, UNITS
from hwloop.mock.instruments.smu_model import AMPS, VOLTS, Reading
from hwloop.mock.instruments.sweeps import linear_levels, log_levels

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
SWEEPING, IDLE = 1 << 3, 1 << 10
# Test currents of auto ohms by the highest resistance that they serve.
TEST_AMPS = ((20.0, 0.1), (200.0, 0.01), (2e3, 1e-3), (20e3, 1e-4), (200e3, 1e-5), (2e6, 1e-6), (210e6, 1e-7))
STATISTICS = {"MEAN": np.mean, "SDEV": np.std, "MAX": np.max, "MIN": np.min, "PKPK": np.ptp}


class Triggers:
    """Trigger model and data of one instrument."""

    def __init__(self, smu: Keithley2400):
        self._smu = smu
        self.samples: list[tuple[float, ...]] = []
        self.buffer: list[tuple[float, ...]] = []
        self.buffer_points, self.stores = 100, False
        self._zero_seconds = 0.0
        self.format = DataFormat()
        self.sweeps = {quantity: {"STAR": 0.0, "STOP": 0.0} for quantity in NAMES}
        self.reset()

    def reset(self) -> None:
        """*RST."""
        self.arm_count, self.count, self.arm_source, self.delay_seconds = 1, 1, "IMM", 0.0
        self.timer_seconds = 0.1
        self.modes = {quantity: "FIX" for quantity in NAMES}
        self.lists = {quantity: [0.0] for quantity in NAMES}
        for ends in self.sweeps.values():
            ends.update(STAR=0.0, STOP=0.0)
        self.points, self.spacing, self.direction, self.ranging, self.aborts = MOST_POINTS, "LIN", "UP", "BEST", "NEV"
        self.elements = set(ELEMENTS)
        self.statistic, self.deltas = "MEAN", False
        self.format.data, self.format.swapped = ASCII, False
        self._armed = False

    def reset_time(self) -> None:
        """SYSTem:TIME:RESet."""
        self._zero_seconds = self._smu.clock_seconds

    # Running.
    def initiate(self) -> None:
        """INITiate: run, or wait for *TRG."""
        if not (self._smu.core.settings.output_on or self._smu.clears_output):
            raise ScpiError(803)
        if self.arm_source in ("BUS", "MAN", "TLIN", "NST", "PST", "BST"):
            self._armed = True
            return
        self._run()

    def bus(self) -> None:
        """*TRG."""
        if not self._armed or self.arm_source != "BUS":
            raise ScpiError(-211)
        self._armed = False
        self._run()

    def _run(self) -> None:
        smu, core = self._smu, self._smu.core
        events = smu.registers["MEASurement"]
        source = core.settings.source
        levels = self._levels(source)
        arms = self.arm_count if math.isfinite(self.arm_count) else -(-MOST_POINTS // self.count)
        self.samples = []
        if smu.clears_output:
            smu.put_output(True)
        auto_ohms = "RES" in smu.sensed and smu.ohms_auto
        started = smu.clock_seconds
        for number in range(int(arms * self.count)):
            if self.arm_source == "TIM" and number % self.count == 0 and number:
                started = max(started + self.timer_seconds, smu.clock_seconds)
                core.wait(started - smu.clock_seconds)
            core.wait(self.delay_seconds)
            if levels is not None:
                core.function(source).level = float(levels[number % len(levels)])
            reading = self._auto_ohms() if auto_ohms else core.measure()
            self._keep(reading, auto_ohms)
            if levels is not None and core.last_limited and self.aborts != "NEV":
                break
        if smu.clears_output:
            core.set_output(False)
        events.put(READING_AVAILABLE, True)
        smu.registers["OPERation"].flash(SWEEPING if levels is not None else 0)

    def _levels(self, source: str) -> np.ndarray | None:
        """Levels of a sweep or list; None at a fixed level. Sets the range that a sweep wants."""
        smu, mode, ends = self._smu, self.modes[source], self.sweeps[source]
        if mode == "FIX":
            return None
        if mode == "LIST":
            return np.array(self.lists[source])
        first, last = (ends["STAR"], ends["STOP"]) if self.direction == "UP" else (ends["STOP"], ends["STAR"])
        try:
            levels = (linear_levels if self.spacing == "LIN" else log_levels)(first, last, self.points)
        except ValueError:
            raise ScpiError(-221) from None
        function = smu.core.function(source)
        if self.ranging == "AUTO":
            function.source_auto = True
        elif self.ranging == "BEST":
            index = smu.model.range_index(source, float(np.abs(levels).max()))
            function.source_range, function.source_auto = smu.model.ranges(source)[index].full_scale, False
        return levels

    def _auto_ohms(self) -> Reading:
        """From the highest resistance down, so that the part sees no more current than its resistance asks for."""
        core = self._smu.core
        if core.settings.source != AMPS:
            self._smu.core.settings.source = AMPS
            self._smu.apply()
        core.function(VOLTS).limit = 21.0
        core.function(AMPS).source_auto = True
        reading = None
        for ohms, amps in reversed(TEST_AMPS):
            if reading is not None and abs(reading.volts) > ohms * abs(core.function(AMPS).level):
                break
            core.function(AMPS).level = amps
            reading = core.measure()
        return reading

    def _keep(self, reading: Reading, auto_ohms: bool) -> None:
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

    # Data.
    def written(self, samples: list[tuple[float, ...]]) -> Answer:
        """Reading arrays with the chosen elements, in their fixed order."""
        places = [place for place, element in enumerate(ELEMENTS) if element in self.elements]
        values = np.array(samples)[:, places].ravel()
        if self.format.data == ASCII:
            return ",".join(f"{value:+.6E}" for value in values)
        return self.format.block(values, definite=False)

    def _fetch(self) -> Answer:
        if not self.samples:
            raise ScpiError(-230)
        return self.written(self.samples)

    def _latest(self) -> Answer:
        if not self.samples:
            raise ScpiError(-230)
        return self.written(self.samples[-1:])

    def _read(self) -> Answer:
        if self.arm_source not in ("IMM", "TIM"):
            raise ScpiError(-214)
        self.initiate()
        return self._fetch()

    def _configure(self, name: str) -> None:
        self.arm_source, self.arm_count, self.count, self.delay_seconds = "IMM", 1, 1, 0.0
        self._smu.sensed = {name} if not self._smu.concurrent else self._smu.sensed | {name}
        self._smu.ohms_auto = name == "RES"
        if name != "RES":
            self._smu.sensed -= {"RES"}
        self._smu.apply()

    def _measure(self, name: str | None) -> Answer:
        if name is not None:
            self._configure(name)
        return self._read()

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
        results = np.where((values == NOT_A_NUMBER).any(axis=0), NOT_A_NUMBER, STATISTICS[self.statistic](values, axis=0))
        return ",".join(f"{value:+.6E}" for value in results)

    def _put_elements(self, names: list[str]) -> None:
        self.elements = set(names)

    def _abort(self) -> None:
        self._armed = False

    # The tree.
    def commands(self) -> list[Command]:
        """Commands of these subsystems."""
        smu, number = self._smu, self._smu.style.number
        element = Word("VOLTage", "CURRent", "RESistance", "TIME", "STATus")
        measures = (("", None), (":VOLTage[:DC]", "VOLT"), (":CURRent[:DC]", "CURR"), (":RESistance", "RES"))
        return [
            Command(":INITiate[:IMMediate]", do=self.initiate),
            Command(":ABORt", do=self._abort),
            Command(":READ", ask=self._read),
            Command(":FETCh", ask=self._fetch),
            Command("[:SENSe#1]:DATA[:LATest]", ask=self._latest),
            *(Command(f":MEASure{head}", ask=lambda name=name: self._measure(name)) for head, name in measures),
            *(Command(f":CONFigure{head}", do=lambda name=name: self._configure(name)) for head, name in measures[1:]),
            Command(":CONFigure", ask=lambda: ",".join(f'"{name}"' for name in ELEMENTS[:3] if name in smu.sensed)),
            smu.setting(":ARM[:SEQuence#1][:LAYer#1]:COUNt", Integer(1, MOST_POINTS, 1, infinite=True), self, "arm_count"),
            smu.setting(":ARM[:SEQuence#1][:LAYer#1]:SOURce", Word(
                "IMMediate", "TLINk", "TIMer", "MANual", "BUS", "NSTest", "PSTest", "BSTest"), self, "arm_source"),
            smu.setting(":ARM[:SEQuence#1][:LAYer#1]:TIMer", Number(0.001, 99999.99, 0.1, "S"), self, "timer_seconds"),
            smu.setting(":TRIGger[:SEQuence#1]:COUNt", Integer(1, MOST_POINTS, 1), self, "count", self._check_counts),
            smu.setting(":TRIGger[:SEQuence#1]:DELay", Number(0.0, 999.9999, 0.0, "S"), self, "delay_seconds"),
            smu.inert(":TRIGger[:SEQuence#1]:SOURce", Word("IMMediate", "TLINk"), "IMM"),
            Command(":TRIGger:CLEar", do=lambda: None),
            *(smu.inert(f"{head}:{name}", kind, value)
              for head, outputs in ((":ARM", Word("TENTer", "TEXit", "NONE")),
                                    (":TRIGger", Word("SOURce", "DELay", "SENSe", "NONE")))
              for name, kind, value in (("ILINe", Integer(1, 4, 1), 1), ("OLINe", Integer(1, 4, 2), 2),
                                        ("OUTPut", outputs, "NONE"), ("DIRection", Word("ACCeptor", "SOURce"), "ACC"))),
            Command(":FORMat[:DATA]", (Word("ASCii", "REAL", "SREal"), Optional(Integer(32, 32))), self._put_format,
                    lambda: self.format.data),
            Command(":FORMat:BORDer", (Word("NORMal", "SWAPped"),),
                    lambda word: setattr(self.format, "swapped", word == "SWAP"),
                    lambda: "SWAP" if self.format.swapped else "NORM"),
            Command(":FORMat:ELEMents[:SENSe#1]", (Many(element, 1, 5),), self._put_elements,
                    lambda: ",".join(name for name in ELEMENTS if name in self.elements)),
            smu.inert(":FORMat:SREGister", Word("ASCii", "HEXadecimal", "OCTal", "BINary"), "ASC"),
            *(command for root in (":TRACe", ":DATA") for command in self._trace_commands(root)),
            smu.setting(":CALCulate3:FORMat", Word("MEAN", "SDEViation", "MAXimum", "MINimum", "PKPK"), self, "statistic"),
            Command(":CALCulate3:DATA", ask=self._statistics),
            *(command for quantity in NAMES for command in self._sweep_commands(quantity, number)),
            smu.setting("[:SOURce#1]:SWEep:SPACing", Word("LINear", "LOGarithmic"), self, "spacing"),
            smu.setting("[:SOURce#1]:SWEep:POINts", Integer(2, MOST_POINTS, MOST_POINTS), self, "points"),
            smu.setting("[:SOURce#1]:SWEep:DIRection", Word("UP", "DOWN"), self, "direction"),
            smu.setting("[:SOURce#1]:SWEep:RANGing", Word("BEST", "AUTO", "FIXed"), self, "ranging"),
            smu.setting("[:SOURce#1]:SWEep:CABort", Word("NEVer", "EARLy", "LATE"), self, "aborts"),
        ]  # fmt: skip

    def _check_counts(self) -> None:
        if math.isfinite(self.arm_count) and self.arm_count * self.count > MOST_POINTS:
            raise ScpiError(-222)

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

    def _sweep_commands(self, quantity: str, number: object) -> list[Command]:
        most, name = self._smu.model.highest(quantity), NAMES[quantity]
        level = Number(-most, most, 0.0, UNITS[quantity])
        head, ends = f"[:SOURce#1]:{name}", self.sweeps[quantity]
        centre, span = (lambda: (ends["STAR"] + ends["STOP"]) / 2), (lambda: ends["STOP"] - ends["STAR"])

        def step(value: float) -> None:
            if value == 0 or abs(span() / value) > MOST_POINTS - 1:
                raise ScpiError(-222)
            self.points = int(abs(span() / value) * (1 + 1e-12)) + 1

        return [
            Command(f"{head}:MODE", (Word("FIXed", "LIST", "SWEep"),),
                    lambda word: self.modes.__setitem__(quantity, word), lambda: self.modes[quantity]),
            *(Command(f"{head}:{long}", (level,), lambda value, short=short: ends.__setitem__(short, value),
                      lambda short=short: number(ends[short])) for short, long in (("STAR", "STARt"), ("STOP", "STOP"))),
            Command(f"{head}:CENTer", (level,),
                    lambda value: ends.update(STAR=value - span() / 2, STOP=value + span() / 2),
                    lambda: number(centre())),
            Command(f"{head}:SPAN", (Number(-2 * most, 2 * most, 0.0, UNITS[quantity]),),
                    lambda value: ends.update(STAR=centre() - value / 2, STOP=centre() + value / 2),
                    lambda: number(span())),
            Command(f"{head}:STEP", (Number(-2 * most, 2 * most, 0.0, UNITS[quantity]),), step,
                    lambda: number(span() / (self.points - 1))),
            Command(f"[:SOURce#1]:LIST:{name}", (Many(level, 1, 100),),
                    lambda levels: self.lists.__setitem__(quantity, levels),
                    lambda: ",".join(map(number, self.lists[quantity]))),
            Command(f"[:SOURce#1]:LIST:{name}:APPend", (Many(level, 1, 100),), self._appender(quantity)),
            Command(f"[:SOURce#1]:LIST:{name}:POINts", ask=lambda: str(len(self.lists[quantity]))),
        ]  # fmt: skip

    def _appender(self, quantity: str) -> object:
        def append(levels: list[float]) -> None:
            if len(self.lists[quantity]) + len(levels) > MOST_POINTS:
                raise ScpiError(-223)
            self.lists[quantity] = [*self.lists[quantity], *levels]

        return append


class _Feed:
    """What feeds the buffer: raw readings only."""

    def parse(self, text: str) -> str:
        """See Kind."""
        if text.upper().rstrip("1") not in ("SENS", "SENSE") or quoted(text) is not None:
            raise ScpiError(-224)
        return "SENS1"

    def render(self, value: str, style: object) -> str:
        """See Kind."""
        return value
