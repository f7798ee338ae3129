"""Keithley 2450 and 2470 in their own SCPI command set (2450 Reference Manual 2450-901-01, 2470-901-01)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hwloop.drivers.smu.models import SmuModel, SmuRange, ranges
from hwloop.drivers.smu.scpi_smu import (
    LIMIT_UNITS,
    WORDS,
    ScpiSmu,
    decimal,
    level_lists,
    range_checks,
    range_commands,
    switched,
)
from hwloop.drivers.smu.settings import UNITS, SmuReadings, SmuSetting, readings
from hwloop.drivers.smu.told import Told
from hwloop.errors import InstrumentError, SettingError

# Specifications SPEC-2450 and SPEC-2470: percent of the value and offset, one year, (23 ± 5) °C.
_VOLTS = ranges(
    (0.2, (0.015, 200e-6), (0.012, 200e-6)),
    (2.0, (0.020, 300e-6), (0.012, 300e-6)),
    (20.0, (0.015, 2.4e-3), (0.015, 1e-3)),
    (200.0, (0.015, 24e-3), (0.015, 10e-3)),
)
_AMPS = ranges(
    (1e-6, (0.025, 400e-12), (0.025, 300e-12)),
    (10e-6, (0.025, 1.5e-9), (0.025, 700e-12)),
    (100e-6, (0.020, 15e-9), (0.020, 6e-9)),
    (1e-3, (0.020, 150e-9), (0.020, 60e-9)),
    (10e-3, (0.020, 1.5e-6), (0.020, 600e-9)),
    (100e-3, (0.025, 15e-6), (0.025, 6e-6)),
    (1.0, (0.067, 900e-6), (0.030, 500e-6)),
)
_OFF_STATES = {"normal": "NORM", "zero": "ZERO", "high-impedance": "HIMP"}
_LIMITS = {"volts": "ILIM", "amps": "VLIM"}
# One command takes 100 levels.
_LEVELS_AT_ONCE = 100
_ELEMENTS = "SOUR,READ,REL,SOURSTAT"
# Source status: the source was limited, the output was on.
_LIMITED, _OUTPUT_ON = 32, 128
_BUFFER = '"defbuffer1"'


def _model(name: str, volts: tuple[SmuRange, ...], amps: tuple[SmuRange, ...]) -> SmuModel:
    return SmuModel(name, 1, volts, amps, nplc=(0.01, 10.0), over_range=1.05, sweep_points=2500)


class Keithley2450(ScpiSmu):
    """A 2450 or 2470 that was left in its default command set, SCPI."""

    models: ClassVar = {
        "2450": _model(
            "2450", ranges((0.02, (0.100, 200e-6), (0.100, 150e-6))) + _VOLTS,
            ranges((10e-9, (0.100, 100e-12), (0.100, 50e-12)), (100e-9, (0.060, 150e-12), (0.060, 100e-12))) + _AMPS,
        ),
        "2470": _model(
            "2470", _VOLTS + ranges((1000.0, (0.020, 100e-3), (0.015, 50e-3))),
            ranges((10e-9, (0.100, 200e-12), (0.100, 250e-12)), (100e-9, (0.060, 250e-12), (0.060, 300e-12))) + _AMPS,
        ),
    }  # fmt: skip

    def _configure(self, setting: SmuSetting, source_range: float | None, measure_range: float | None) -> list[Told]:
        self._require_scpi()
        source, measured = WORDS[setting.source], WORDS[setting.measured]
        limit = f":SOUR:{source}:{_LIMITS[setting.source]}"
        commands = [
            "*RST", ":FORM:DATA REAL", ":FORM:BORD SWAP",
            f":SOUR:FUNC {source}", f':SENS:FUNC "{measured}"',
            f":OUTP:{source}:SMOD {_OFF_STATES[setting.output_off]}",
            *range_commands(f":SOUR:{source}:RANG", source_range),
            *range_commands(f":SENS:{measured}:RANG", measure_range),
            f"{limit} {decimal(setting.limit)}",
            f":SOUR:{source}:READ:BACK {switched(setting.readback)}",
            f":SOUR:{source}:DEL {decimal(setting.settle_delay_seconds)}",
            f":SENS:{measured}:NPLC {decimal(setting.nplc)}",
            *([] if setting.autozero else [":SENS:AZER:ONCE"]),
            f":SENS:{measured}:AZER {switched(setting.autozero)}",
            f":SENS:{measured}:RSEN {switched(setting.four_wire)}",
        ]  # fmt: skip
        return self._tell(commands, [
            ("source", ":SOUR:FUNC?", source, ""),
            ("limit", f"{limit}?", setting.limit, LIMIT_UNITS[setting.source]),
            *range_checks("source range", f":SOUR:{source}:RANG", source_range, UNITS[setting.source]),
            *range_checks("measure range", f":SENS:{measured}:RANG", measure_range, UNITS[setting.measured]),
            ("readback of the source", f":SOUR:{source}:READ:BACK?", float(setting.readback), ""),
            ("settle delay", f":SOUR:{source}:DEL?", setting.settle_delay_seconds, "s"),
            ("NPLC", f":SENS:{measured}:NPLC?", setting.nplc, ""),
            ("autozero", f":SENS:{measured}:AZER?", float(setting.autozero), ""),
            ("four-wire sense", f":SENS:{measured}:RSEN?", float(setting.four_wire), ""),
            ("output-off state", f":OUTP:{source}:SMOD?", _OFF_STATES[setting.output_off], ""),
        ])  # fmt: skip

    def _measure(self, setting: SmuSetting, count: int, expected_seconds: float) -> SmuReadings:
        values = self.scpi.ask_doubles(
            4 * count, f":SENS:COUN {count}", f":TRAC:CLE {_BUFFER}", f":TRAC:TRIG {_BUFFER}", _data_query(count),
            expected_seconds=expected_seconds,
        )  # fmt: skip
        return self._readings(setting, values)

    def _begin_sweep(self, setting: SmuSetting, levels: np.ndarray, expected_seconds: float) -> None:
        word = WORDS[setting.source]
        delay = decimal(setting.settle_delay_seconds)
        self.scpi.ask(
            *level_lists(f":SOUR:LIST:{word}", levels, _LEVELS_AT_ONCE),
            ":SENS:COUN 1", f":TRAC:CLE {_BUFFER}", f":SOUR:SWE:{word}:LIST 1,{delay},1,OFF,{_BUFFER}", ":INIT",
            expected_seconds=expected_seconds,
        )  # fmt: skip

    def _sweep_is_done(self) -> bool:
        query = ":TRIG:STAT?"
        # The state of the trigger model is the one reply that has semicolons in it.
        state = self.scpi.ask_text(query).split(";")[0]
        if state not in ("IDLE", "RUNNING", "WAITING", "BUILDING"):
            remedy = "check that nobody works at its front panel, then sweep again"
            raise InstrumentError(self.port.name, query, f"the sweep has ended as {state}", remedy)
        return state == "IDLE"

    def _fetch_sweep(self, setting: SmuSetting, levels: np.ndarray, expected_seconds: float) -> SmuReadings:
        values = self.scpi.ask_doubles(
            # A sweep ends with the output off.
            4 * levels.size, "*WAI", _data_query(levels.size), f"{self._level()} 0", ":OUTP ON",
            expected_seconds=expected_seconds,
        )  # fmt: skip
        return self._readings(setting, values)

    def _require_scpi(self) -> None:
        """In its other command sets, nothing else would be understood."""
        command_set = self.port.query("*LANG?")
        if command_set != "SCPI":
            remedy = "choose SCPI in its menu (System, Settings, Command Set), and switch it off and on"
            raise SettingError(self.port.name, "*LANG?", f"it speaks {command_set[:20]!r} instead of SCPI", remedy)

    def _readings(self, setting: SmuSetting, values: np.ndarray) -> SmuReadings:
        sourced, measured, seconds, status = values.reshape(-1, 4).T
        status = status.astype(int)
        if not np.all(status & _OUTPUT_ON):
            remedy = "somebody switched it at its front panel, or a protection did; look there"
            raise InstrumentError(self.port.name, ":TRAC:DATA?", "the output went off while it measured", remedy)
        return readings(setting.source, sourced, measured, seconds, status & _LIMITED != 0)

    def _stop_command(self) -> str:
        return ":ABOR;:OUTP OFF"


def _data_query(count: int) -> str:
    return f":TRAC:DATA? 1,{count},{_BUFFER},{_ELEMENTS}"
