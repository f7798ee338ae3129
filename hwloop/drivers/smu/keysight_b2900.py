"""Keysight (Agilent) B2901A, B2902A, B2911A and B2912A (B2900 SCPI Command Reference, B2910-90030)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hwloop.drivers.instrument import InstrumentIdentity
from hwloop.drivers.smu.models import SmuModel, ranges
from hwloop.drivers.smu.scpi_smu import (
    LIMIT_UNITS,
    WORDS,
    ScpiSmu,
    decimal,
    level_lists,
    range_checks,
    switched,
)
from hwloop.drivers.smu.settings import UNITS, SmuReadings, SmuSetting, readings
from hwloop.drivers.smu.told import Told
from hwloop.link.visa import VisaPort

# Data sheet 5990-7009EN: percent of the value and offset, one year, (23 ± 5) °C; the same for source and measure.
_VOLTS = ranges(*((full_scale, figures, figures) for full_scale, figures in (
    (0.2, (0.015, 225e-6)), (2.0, (0.02, 350e-6)), (20.0, (0.015, 5e-3)), (200.0, (0.015, 50e-3)),
)))  # fmt: skip
_AMPS = ranges(*((full_scale, figures, figures) for full_scale, figures in (
    (100e-9, (0.06, 100e-12)), (1e-6, (0.025, 500e-12)), (10e-6, (0.025, 1.5e-9)), (100e-6, (0.02, 25e-9)),
    (1e-3, (0.02, 200e-9)), (10e-3, (0.02, 2.5e-6)), (100e-3, (0.02, 20e-6)), (1.0, (0.03, 1.5e-3)),
    (1.5, (0.05, 3.5e-3)), (3.0, (0.4, 7e-3)),
)))  # fmt: skip
_FINE_AMPS = ranges((10e-9, (0.10, 50e-12), (0.10, 50e-12))) + _AMPS
_OFF_STATES = {"normal": "NORM", "zero": "ZERO", "high-impedance": "HIZ"}
# The whole list of a sweep in one command.
_LEVELS_AT_ONCE = 2500
# Status data, bits 1 and 2: which kind of compliance, if any.
_LIMITED = 0b110
# Operation status, per channel: transition idle and acquire idle.
_IDLE = {1: 1 << 1 | 1 << 4, 2: 1 << 7 | 1 << 10}


class KeysightB2900(ScpiSmu):
    """One channel of a B2900. It has no autozero that could be switched, so SmuSetting.autozero changes nothing."""

    models: ClassVar = {
        name: SmuModel(name, channels, _VOLTS, amps, nplc=(4e-4, 100.0), over_range=1.05, sweep_points=2500)
        for name, channels, amps in (
            ("B2901A", 1, _AMPS), ("B2902A", 2, _AMPS), ("B2911A", 1, _FINE_AMPS), ("B2912A", 2, _FINE_AMPS),
        )
    }  # fmt: skip

    def __init__(self, port: VisaPort, identity: InstrumentIdentity, channel: int = 1):
        super().__init__(port, identity, channel)
        self._suffix = str(channel)

    def _configure(self, setting: SmuSetting, source_range: float | None, measure_range: float | None) -> list[Told]:
        own, source, measured = self.channel, WORDS[setting.source], WORDS[setting.measured]
        limit = f":SENS{own}:{measured}:PROT"
        functions = f'"{source}","{measured}"' if setting.readback else f'"{measured}"'
        commands = [
            # *RST would switch off the other channel too.
            f":ABOR (@{own})", f":OUTP{own} OFF",
            ":FORM REAL,64", ":FORM:BORD SWAP", ":FORM:ELEM:SENS VOLT,CURR,TIME,STAT,SOUR",
            f":SOUR{own}:FUNC:MODE {source}", f":SOUR{own}:{source}:MODE FIX", f":SOUR{own}:{source} 0",
            f":SENS{own}:FUNC:OFF:ALL", f":SENS{own}:FUNC {functions}",
            f":OUTP{own}:OFF:MODE {_OFF_STATES[setting.output_off]}", f":OUTP{own}:PROT OFF",
            # It would switch itself on with a trigger.
            f":OUTP{own}:ON:AUTO OFF",
            *_range_commands(f":SOUR{own}:{source}:RANG", source_range),
            f"{limit} {decimal(setting.limit)}",
            *_range_commands(f":SENS{own}:{measured}:RANG", measure_range),
            f":SENS{own}:{measured}:NPLC {decimal(setting.nplc)}", f":SENS{own}:REM {switched(setting.four_wire)}",
            f":TRIG{own}:SOUR AINT", f":TRIG{own}:TRAN:DEL 0",
            f":TRIG{own}:ACQ:DEL {decimal(setting.settle_delay_seconds)}",
        ]  # fmt: skip
        return self._tell(commands, [
            ("output", f":OUTP{own}?", 0.0, ""),
            ("source", f":SOUR{own}:FUNC:MODE?", source, ""),
            ("limit", f"{limit}?", setting.limit, LIMIT_UNITS[setting.source]),
            *range_checks("source range", f":SOUR{own}:{source}:RANG", source_range, UNITS[setting.source]),
            *range_checks("measure range", f":SENS{own}:{measured}:RANG", measure_range, UNITS[setting.measured]),
            ("NPLC", f":SENS{own}:{measured}:NPLC?", setting.nplc, ""),
            ("four-wire sense", f":SENS{own}:REM?", float(setting.four_wire), ""),
            ("settle delay", f":TRIG{own}:ACQ:DEL?", setting.settle_delay_seconds, "s"),
            ("output-off state", f":OUTP{own}:OFF:MODE?", _OFF_STATES[setting.output_off], ""),
        ])  # fmt: skip

    def _measure(self, setting: SmuSetting, count: int, expected_seconds: float) -> SmuReadings:
        values = self.scpi.ask_doubles(
            5 * count, f":TRIG{self.channel}:COUN {count}", f":READ:ARR? (@{self.channel})",
            expected_seconds=expected_seconds,
        )  # fmt: skip
        return self._readings(setting, values)

    def _begin_sweep(self, setting: SmuSetting, levels: np.ndarray, expected_seconds: float) -> None:
        own, word = self.channel, WORDS[setting.source]
        self.scpi.ask(
            # Behind the list the channel goes back to its fixed level.
            f":SOUR{own}:{word} 0", *level_lists(f":SOUR{own}:LIST:{word}", levels, _LEVELS_AT_ONCE),
            f":SOUR{own}:{word}:MODE LIST", f":TRIG{own}:COUN {levels.size}", f":INIT (@{own})",
            expected_seconds=expected_seconds,
        )  # fmt: skip

    def _sweep_is_done(self) -> bool:
        query = ":STAT:OPER:COND?"
        condition = int(self.scpi.number(query, self.scpi.ask(query)[0]))
        return condition & _IDLE[self.channel] == _IDLE[self.channel]

    def _fetch_sweep(self, setting: SmuSetting, levels: np.ndarray, expected_seconds: float) -> SmuReadings:
        values = self.scpi.ask_doubles(
            5 * levels.size, "*WAI", f":FETC:ARR? (@{self.channel})", f"{self._level()}:MODE FIX",
            f"{self._level()} 0", expected_seconds=expected_seconds,
        )  # fmt: skip
        return self._readings(setting, values)

    def _readings(self, setting: SmuSetting, values: np.ndarray) -> SmuReadings:
        # The order is the instrument's own, whatever the order in which elements were asked for.
        volts, amps, seconds, status, programmed = values.reshape(-1, 5).T
        measured = amps if setting.source == "volts" else volts
        read_back = volts if setting.source == "volts" else amps
        sourced = read_back if setting.readback else programmed
        return readings(setting.source, sourced, measured, seconds, status.astype(int) & _LIMITED != 0)

    def _stop_command(self) -> str:
        return f":ABOR (@{self.channel});:OUTP{self.channel} OFF"


def _range_commands(header: str, full_scale: float | None) -> list[str]:
    return [f"{header}:AUTO ON"] if full_scale is None else [f"{header}:AUTO OFF", f"{header} {decimal(full_scale)}"]
