"""Keithley 2400 (2400 Series User's Manual, 2400S-900-01): older SCPI, a sweep is a source list and READ?."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from hwloop.drivers.smu.models import SmuModel, ranges
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

# Data sheet of the 2400 series (1KW-2798): percent of the value and offset, one year, (23 ± 5) °C.
_VOLTS = ranges(
    (0.2, (0.02, 600e-6), (0.012, 300e-6)),
    (2.0, (0.02, 600e-6), (0.012, 300e-6)),
    (20.0, (0.02, 2.4e-3), (0.015, 1.5e-3)),
    (200.0, (0.02, 24e-3), (0.015, 10e-3)),
)
_AMPS = ranges(
    (1e-6, (0.035, 600e-12), (0.029, 300e-12)),
    (10e-6, (0.033, 2e-9), (0.027, 700e-12)),
    (100e-6, (0.031, 20e-9), (0.025, 6e-9)),
    (1e-3, (0.034, 200e-9), (0.027, 60e-9)),
    (10e-3, (0.045, 2e-6), (0.035, 600e-9)),
    (100e-3, (0.066, 20e-6), (0.055, 6e-6)),
    (1.0, (0.27, 900e-6), (0.22, 570e-6)),
)
_OFF_STATES = {"normal": "NORM", "zero": "ZERO", "high-impedance": "HIMP"}
_LEVELS_AT_ONCE = 100
_OVER_RANGE = 1.05
# Status word: in compliance (bit 3), in range compliance (bit 16).
_LIMITED = 1 << 3 | 1 << 16


class Keithley2400(ScpiSmu):
    """A 2400. While it sweeps it carries out nothing but :ABOR and a device clear; questions wait for the end.

    Its data come as text: seven digits, as many as its binary format holds, which a serial line does not have.
    """

    models: ClassVar = {
        "2400": SmuModel("2400", 1, _VOLTS, _AMPS, nplc=(0.01, 10.0), over_range=_OVER_RANGE, sweep_points=2500)
    }

    def _configure(self, setting: SmuSetting, source_range: float | None, measure_range: float | None) -> list[Told]:
        source, measured = WORDS[setting.source], WORDS[setting.measured]
        limit = f":SENS:{measured}:PROT"
        functions = f'"{source}","{measured}"' if setting.readback else f'"{measured}"'
        commands = [
            "*RST", ":FORM:ELEM VOLT,CURR,TIME,STAT",
            f":SOUR:FUNC {source}", ":SENS:FUNC:CONC ON", ":SENS:FUNC:OFF:ALL", f":SENS:FUNC {functions}",
            f":OUTP:SMOD {_OFF_STATES[setting.output_off]}",
            # The limit comes first: it has to lie within the measuring range that is chosen behind it.
            f"{limit} {decimal(setting.limit)}",
            *range_commands(f":SOUR:{source}:RANG", source_range),
            *range_commands(f":SENS:{measured}:RANG", measure_range),
            f":SOUR:DEL {decimal(setting.settle_delay_seconds)}",
            f":SENS:{measured}:NPLC {decimal(setting.nplc)}",
            *([] if setting.autozero else [":SYST:AZER ONCE"]), f":SYST:AZER {switched(setting.autozero)}",
            f":SYST:RSEN {switched(setting.four_wire)}",
        ]  # fmt: skip
        return [_without_over_range(told) for told in self._tell(commands, [
            ("source", ":SOUR:FUNC?", source, ""),
            ("limit", f"{limit}?", setting.limit, LIMIT_UNITS[setting.source]),
            *range_checks("source range", f":SOUR:{source}:RANG", source_range, UNITS[setting.source]),
            *range_checks("measure range", f":SENS:{measured}:RANG", measure_range, UNITS[setting.measured]),
            ("settle delay", ":SOUR:DEL?", setting.settle_delay_seconds, "s"),
            ("NPLC", f":SENS:{measured}:NPLC?", setting.nplc, ""),
            ("autozero", ":SYST:AZER?", float(setting.autozero), ""),
            ("four-wire sense", ":SYST:RSEN?", float(setting.four_wire), ""),
            ("output-off state", ":OUTP:SMOD?", _OFF_STATES[setting.output_off], ""),
        ])]  # fmt: skip

    def _measure(self, setting: SmuSetting, count: int, expected_seconds: float) -> SmuReadings:
        replies = self.scpi.ask(f":TRIG:COUN {count}", ":READ?", expected_seconds=expected_seconds)
        return self._readings(setting, count, replies[0])

    def _begin_sweep(self, setting: SmuSetting, levels: np.ndarray, expected_seconds: float) -> None:
        word = WORDS[setting.source]
        self.scpi.ask(
            *level_lists(f":SOUR:LIST:{word}", levels, _LEVELS_AT_ONCE),
            f":SOUR:{word}:MODE LIST", f":TRIG:COUN {levels.size}",
        )  # fmt: skip

    def _sweep_is_done(self) -> bool:
        # It could not answer: the sweep begins, and ends, with the question for its data.
        return True

    def _fetch_sweep(self, setting: SmuSetting, levels: np.ndarray, expected_seconds: float) -> SmuReadings:
        replies = self.scpi.ask(
            ":READ?", f"{self._level()}:MODE FIX", f"{self._level()} 0", expected_seconds=expected_seconds
        )
        return self._readings(setting, levels.size, replies[0])

    def _readings(self, setting: SmuSetting, count: int, reply: str) -> SmuReadings:
        volts, amps, seconds, status = self.scpi.numbers(":READ?", reply, 4 * count).reshape(-1, 4).T
        sourced, measured = (volts, amps) if setting.source == "volts" else (amps, volts)
        return readings(setting.source, sourced, measured, seconds, status.astype(int) & _LIMITED != 0)

    def _stop_command(self) -> str:
        return ":ABOR;:OUTP OFF"


def _without_over_range(told: Told) -> Told:
    """Ranges read back as the most that they hold, 2.1 V for the 2 V range."""
    if told.what.endswith(" range") and told.got > told.sent:
        return dataclasses.replace(told, got=told.got / _OVER_RANGE)
    return told
