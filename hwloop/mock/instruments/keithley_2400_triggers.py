"""Trigger model of the Keithley 2400: INITiate, READ?, MEASure?, *TRG.

Source: Keithley, 2400 Series User's Manual 2400S-900-01 Rev. K, sections 10, 11 and 18. A run that INITiate starts is
over, in modelled time, before the next command is read. Source memory sweeps and the CALC1, CALC2 and TTL subsystems
are not simulated.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hwloop.mock.instruments.keithley_2400_data import MOST_POINTS, READING_AVAILABLE, Data
from hwloop.mock.instruments.scpi import Answer, Command
from hwloop.mock.instruments.scpi_kinds import Integer, Number, ScpiError, Word
from hwloop.mock.instruments.smu_model import AMPS, VOLTS, Reading
from hwloop.mock.instruments.sweep_settings import SweepSettings

if TYPE_CHECKING:
    from hwloop.mock.instruments.keithley_2400 import Keithley2400

SWEEPING = 1 << 3  # operation event register
LONGEST_LIST = 100  # of one message
# Test currents of auto ohms by the highest resistance that they serve.
TEST_AMPS = ((20.0, 0.1), (200.0, 0.01), (2e3, 1e-3), (20e3, 1e-4), (200e3, 1e-5), (2e6, 1e-6), (210e6, 1e-7))


class Triggers:
    """Trigger model of one instrument, with its sweeps."""

    def __init__(self, smu: Keithley2400, data: Data):
        self._smu, self._data = smu, data
        self.sweeps = SweepSettings(smu, MOST_POINTS, MOST_POINTS, LONGEST_LIST)
        self.reset()

    def reset(self) -> None:
        """*RST."""
        self.arm_count, self.count, self.arm_source, self.delay_seconds = 1, 1, "IMM", 0.0
        self.timer_seconds, self.aborts, self._armed = 0.1, "NEV", False
        self.sweeps.reset()

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
        levels = self.sweeps.levels(source)
        arms = self.arm_count if math.isfinite(self.arm_count) else -(-MOST_POINTS // self.count)
        self._data.samples = []
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
            self._data.keep(reading, auto_ohms)
            if levels is not None and core.last_limited and self.aborts != "NEV":
                break
        if smu.clears_output:
            core.set_output(False)
        events.put(READING_AVAILABLE, True)
        smu.registers["OPERation"].flash(SWEEPING if levels is not None else 0)

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

    def _read(self) -> Answer:
        if self.arm_source not in ("IMM", "TIM"):
            raise ScpiError(-214)
        self.initiate()
        return self._data.fetch()

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

    def _abort(self) -> None:
        self._armed = False

    def _check_counts(self) -> None:
        if math.isfinite(self.arm_count) and self.arm_count * self.count > MOST_POINTS:
            raise ScpiError(-222)

    # The tree.
    def commands(self) -> list[Command]:
        """Commands of these subsystems."""
        smu, arm, trigger = self._smu, ":ARM[:SEQuence#1][:LAYer#1]", ":TRIGger[:SEQuence#1]"
        sensed = ("VOLT", "CURR", "RES")
        measures = (("", None), (":VOLTage[:DC]", "VOLT"), (":CURRent[:DC]", "CURR"), (":RESistance", "RES"))
        sources = Word("IMMediate", "TLINk", "TIMer", "MANual", "BUS", "NSTest", "PSTest", "BSTest")
        outputs = ((":ARM", Word("TENTer", "TEXit", "NONE")), (":TRIGger", Word("SOURce", "DELay", "SENSe", "NONE")))
        lines = [
            smu.inert(f"{head}:{name}", kind, value)
            for head, output in outputs
            for name, kind, value in (
                ("ILINe", Integer(1, 4, 1), 1),
                ("OLINe", Integer(1, 4, 2), 2),
                ("OUTPut", output, "NONE"),
                ("DIRection", Word("ACCeptor", "SOURce"), "ACC"),
            )
        ]
        return [
            Command(":INITiate[:IMMediate]", do=self.initiate),
            Command(":ABORt", do=self._abort),
            Command(":READ", ask=self._read),
            *(Command(f":MEASure{head}", ask=lambda name=name: self._measure(name)) for head, name in measures),
            *(Command(f":CONFigure{head}", do=lambda name=name: self._configure(name)) for head, name in measures[1:]),
            Command(":CONFigure", ask=lambda: ",".join(f'"{name}"' for name in sensed if name in smu.sensed)),
            smu.setting(f"{arm}:COUNt", Integer(1, MOST_POINTS, 1, infinite=True), self, "arm_count",
                        self._check_counts),
            smu.setting(f"{arm}:SOURce", sources, self, "arm_source"),
            smu.setting(f"{arm}:TIMer", Number(0.001, 99999.99, 0.1, "S"), self, "timer_seconds"),
            smu.setting(f"{trigger}:COUNt", Integer(1, MOST_POINTS, 1), self, "count", self._check_counts),
            smu.setting(f"{trigger}:DELay", Number(0.0, 999.9999, 0.0, "S"), self, "delay_seconds"),
            smu.inert(f"{trigger}:SOURce", Word("IMMediate", "TLINk"), "IMM"),
            Command(":TRIGger:CLEar", do=lambda: None),
            smu.setting("[:SOURce#1]:SWEep:CABort", Word("NEVer", "EARLy", "LATE"), self, "aborts"),
            *lines,
            *self.sweeps.commands(),
        ]  # fmt: skip
