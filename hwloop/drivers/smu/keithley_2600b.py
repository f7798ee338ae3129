"""Keithley 2600B, one or two channels, by its scripts in TSP (2600B Reference Manual, 2600BS-901-01)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hwloop.drivers.instrument import InstrumentIdentity
from hwloop.drivers.smu.models import SmuModel, ranges
from hwloop.drivers.smu.scpi_smu import LIMIT_UNITS, decimal
from hwloop.drivers.smu.settings import UNITS, SmuReadings, SmuSetting, readings
from hwloop.drivers.smu.smu import Smu
from hwloop.drivers.smu.told import Told
from hwloop.drivers.tsp import Tsp
from hwloop.link.visa import VisaPort

# Data sheet 1KW-60906, meter and source specifications: percent of the value and offset, one year, (23 ± 5) °C.
_VOLTS_40 = ranges(
    (0.1, (0.02, 250e-6), (0.015, 150e-6)), (1.0, (0.02, 400e-6), (0.015, 200e-6)),
    (6.0, (0.02, 1.8e-3), (0.015, 1e-3)), (40.0, (0.02, 12e-3), (0.015, 8e-3)),
)  # fmt: skip
_VOLTS_200 = ranges(
    (0.2, (0.02, 375e-6), (0.015, 225e-6)), (2.0, (0.02, 600e-6), (0.02, 350e-6)),
    (20.0, (0.02, 5e-3), (0.015, 5e-3)), (200.0, (0.02, 50e-3), (0.015, 50e-3)),
)  # fmt: skip
_MIDDLE_AMPS = ranges(
    (10e-6, (0.03, 5e-9), (0.025, 1.5e-9)), (100e-6, (0.03, 60e-9), (0.02, 25e-9)),
    (1e-3, (0.03, 300e-9), (0.02, 200e-9)), (10e-3, (0.03, 6e-6), (0.02, 2.5e-6)),
    (100e-3, (0.03, 30e-6), (0.02, 20e-6)), (1.0, (0.05, 1.8e-3), (0.03, 1.5e-3)),
)  # fmt: skip
_LOW_AMPS = ranges((100e-9, (0.06, 100e-12), (0.05, 100e-12)), (1e-6, (0.03, 800e-12), (0.025, 500e-12)))
_FINE_AMPS = ranges(
    (1e-9, (0.15, 2e-12), (0.15, 240e-15)), (10e-9, (0.15, 5e-12), (0.15, 3e-12)),
    (100e-9, (0.06, 50e-12), (0.06, 40e-12)), (1e-6, (0.03, 700e-12), (0.025, 400e-12)),
)  # fmt: skip
_FINEST_AMPS = ranges((100e-12, None, (0.15, 120e-15)))
_AMPS_3 = _LOW_AMPS + _MIDDLE_AMPS + ranges((3.0, (0.06, 4e-3), (0.05, 3.5e-3)))
_TOP_AMPS = _MIDDLE_AMPS + ranges((1.5, (0.06, 4e-3), (0.05, 3.5e-3)))

_OFF_STATES = {"normal": 0.0, "zero": 1.0, "high-impedance": 2.0}
_FUNCTIONS = {"amps": 0.0, "volts": 1.0}
_LETTERS = {"volts": "v", "amps": "i"}
_LEVELS_AT_ONCE = 100
_IN_COMPLIANCE = 0x40


class Keithley2600B(Smu):
    """One channel of a 2600B: channel 1 is its smua, channel 2 its smub."""

    models: ClassVar = {
        name: SmuModel(name, channels, volts, amps, nplc=(0.001, 25.0), over_range=1.01, sweep_points=10_000)
        for name, channels, volts, amps in (
            ("2601B", 1, _VOLTS_40, _AMPS_3), ("2602B", 2, _VOLTS_40, _AMPS_3), ("2604B", 2, _VOLTS_40, _AMPS_3),
            ("2611B", 1, _VOLTS_200, _LOW_AMPS + _TOP_AMPS), ("2612B", 2, _VOLTS_200, _LOW_AMPS + _TOP_AMPS),
            ("2614B", 2, _VOLTS_200, _LOW_AMPS + _TOP_AMPS), ("2634B", 2, _VOLTS_200, _FINE_AMPS + _TOP_AMPS),
            ("2635B", 1, _VOLTS_200, _FINEST_AMPS + _FINE_AMPS + _TOP_AMPS),
            ("2636B", 2, _VOLTS_200, _FINEST_AMPS + _FINE_AMPS + _TOP_AMPS),
        )
    }  # fmt: skip

    def __init__(self, port: VisaPort, identity: InstrumentIdentity, channel: int = 1):
        super().__init__(port, identity, channel)
        self.tsp = Tsp(port)
        self._smu = "smua" if channel == 1 else "smub"

    def _configure(self, setting: SmuSetting, source_range: float | None, measure_range: float | None) -> list[Told]:
        own, source, measured = self._smu, _LETTERS[setting.source], _LETTERS[setting.measured]
        limit = f"{own}.source.limit{measured}"
        checks: list[tuple[str, str, float, str]] = [
            ("source", f"{own}.source.func", _FUNCTIONS[setting.source], ""),
            ("output-off state", f"{own}.source.offmode", _OFF_STATES[setting.output_off], ""),
            *_range_checks("source range", f"{own}.source", source, source_range, UNITS[setting.source]),
            ("limit", limit, setting.limit, LIMIT_UNITS[setting.source]),
            *_range_checks("measure range", f"{own}.measure", measured, measure_range, UNITS[setting.measured]),
            ("NPLC", f"{own}.measure.nplc", setting.nplc, ""),
            ("autozero", f"{own}.measure.autozero", 2.0 if setting.autozero else 0.0, ""),
            ("four-wire sense", f"{own}.sense", float(setting.four_wire), ""),
            ("settle delay", f"{own}.measure.delay", setting.settle_delay_seconds, "s"),
        ]
        statements = [
            f"{own}.reset()", "format.data = format.REAL64", "format.byteorder = format.LITTLEENDIAN",
            # The zero that stays while autozero is off is a fresh one.
            f"{own}.measure.autozero = {own}.AUTOZERO_ONCE",
            *(f"{attribute} = {decimal(value)}" for _, attribute, value, _ in checks),
        ]  # fmt: skip
        for buffer in (f"{own}.nvbuffer1", f"{own}.nvbuffer2"):
            statements += [f"{buffer}.clear()", f"{buffer}.collectsourcevalues = 1", f"{buffer}.collecttimestamps = 1"]
        printed = self.tsp.ask(statements, *(attribute for _, attribute, _, _ in checks))
        return [
            Told(what, value, self.tsp.number(attribute, field), unit)
            for (what, attribute, value, unit), field in zip(checks, printed, strict=True)
        ]

    def _switch(self, on: bool) -> bool:
        output = f"{self._smu}.source.output"
        return self.tsp.number(output, self.tsp.ask([f"{output} = {int(on)}"], output)[0]) != 0

    def _set_level(self, value: float) -> float:
        level = self._level()
        return self.tsp.number(level, self.tsp.ask([f"{level} = {decimal(value)}"], level)[0])

    def _measure(self, setting: SmuSetting, count: int, expected_seconds: float) -> SmuReadings:
        own = self._smu
        statements = [
            f"{own}.measure.count = {count}", f"{own}.nvbuffer1.clear()", f"{own}.nvbuffer2.clear()",
            f"{own}.measure.{self._measuring(setting)}",
        ]  # fmt: skip
        return self._readings(setting, self._columns(statements, setting, count, expected_seconds))

    def _begin_sweep(self, setting: SmuSetting, levels: np.ndarray, expected_seconds: float) -> None:
        own, source = self._smu, _LETTERS[setting.source]
        starts = range(0, levels.size, _LEVELS_AT_ONCE)
        lists = [",".join(map(decimal, levels[at : at + _LEVELS_AT_ONCE])) for at in starts]
        self.tsp.ask([
            "hwloop_levels = {}",
            *(f"for _, level in ipairs({{{text}}}) do table.insert(hwloop_levels, level) end" for text in lists),
            f"{own}.measure.count = 1", f"{own}.nvbuffer1.clear()", f"{own}.nvbuffer2.clear()",
            # Behind the sweep the channel goes back to its own level.
            f"{self._level()} = 0", f"{own}.trigger.endsweep.action = {own}.SOURCE_IDLE",
            f"{own}.trigger.endpulse.action = {own}.SOURCE_HOLD",
            f"{own}.trigger.source.list{source}(hwloop_levels)", f"{own}.trigger.source.action = {own}.ENABLE",
            f"{own}.trigger.measure.{self._measuring(setting)}", f"{own}.trigger.measure.action = {own}.ENABLE",
            f"{own}.trigger.arm.count = 1", f"{own}.trigger.count = {levels.size}", f"{own}.trigger.initiate()",
        ], expected_seconds=expected_seconds)  # fmt: skip

    def _sweep_is_done(self) -> bool:
        condition = "status.operation.sweeping.condition"
        sweeping = int(self.tsp.number(condition, self.tsp.ask([], condition)[0]))
        return not sweeping >> self.channel & 1

    def _fetch_sweep(self, setting: SmuSetting, levels: np.ndarray, expected_seconds: float) -> SmuReadings:
        return self._readings(setting, self._columns(["waitcomplete()"], setting, levels.size, expected_seconds))

    def _columns(self, statements: list[str], setting: SmuSetting, count: int, expected_seconds: float) -> np.ndarray:
        """The buffers' (count, 4): sourced, measured, seconds, status."""
        measured, read_back = f"{self._smu}.nvbuffer1", f"{self._smu}.nvbuffer2"
        sourced = f"{read_back}.readings" if setting.readback else f"{measured}.sourcevalues"
        columns = [sourced, f"{measured}.readings", f"{measured}.timestamps", f"{measured}.statuses"]
        return self.tsp.ask_doubles(statements, count, columns, expected_seconds)

    def _readings(self, setting: SmuSetting, columns: np.ndarray) -> SmuReadings:
        sourced, measured, seconds, status = columns.T
        return readings(setting.source, sourced, measured, seconds, status.astype(int) & _IN_COMPLIANCE != 0)

    def _measuring(self, setting: SmuSetting) -> str:
        """The call that measures into the buffers: the first has what is measured, the second what is read back."""
        first, second = f"{self._smu}.nvbuffer1", f"{self._smu}.nvbuffer2"
        if not setting.readback:
            return f"{_LETTERS[setting.measured]}({first})"
        return f"iv({first}, {second})" if setting.measured == "amps" else f"iv({second}, {first})"

    def _level(self) -> str:
        return f"{self._smu}.source.level{_LETTERS[self._configured('a level').source]}"

    def _stop_command(self) -> str:
        # The first line ends a script that waits for the end of a sweep.
        return f"abort\n{self._smu}.abort()\n{self._smu}.source.output = 0"

    def _stop(self) -> bool:
        output = f"{self._smu}.source.output"
        # The error queue keeps what it has for the next step: nothing may stand between a fault and the output.
        reply = self.port.query(f"{self._smu}.abort()\n{output} = 0\nprint({output})")
        return self.tsp.number(output, reply) == 0


def _range_checks(
    what: str, parent: str, letter: str, full_scale: float | None, unit: str
) -> list[tuple[str, str, float, str]]:
    """A fixed range, or the instrument's own choice."""
    if full_scale is None:
        return [(f"{what} autorange", f"{parent}.autorange{letter}", 1.0, "")]
    return [(what, f"{parent}.range{letter}", full_scale, unit)]
