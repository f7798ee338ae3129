"""A simulated Agilent/Keysight 34970A with 20-channel multiplexers (34901A) in its three slots.

Source: Agilent 34970A User's Guide 34970-90003 (chapters 4 to 6 and 9) and data sheet. Not simulated, and so undefined
headers: temperature, frequency and ac functions, alarms, scaling, other modules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwloop.mock.instruments.data_format import ASCII, DataFormat
from hwloop.mock.instruments.ieee488 import DEVICE_ERROR, ScpiInstrument
from hwloop.mock.instruments.keysight_dmm import (
    CHANNELS_A_SLOT,
    CURRENT_CHANNELS,
    METER_34970A,
    RESOLUTIONS,
    ChannelSetting,
    Multimeter,
    Reading,
)
from hwloop.mock.instruments.keysight_kinds import (
    Cycles,
    OnOffOnce,
    Raw,
    Scale,
    block,
    channels_of,
    cycles_for,
    list_text,
)
from hwloop.mock.instruments.keysight_scan import BUS, EXTERNAL, Scanner, Trigger
from hwloop.mock.instruments.scpi import Answer, Command
from hwloop.mock.instruments.scpi_kinds import Integer, Many, Number, Optional, ScpiError, Style, Switch, Word
from hwloop.mock.instruments.terminals import Pins
from hwloop.mock.instruments.tolerance import Keys

SLOTS = (1, 2, 3)
VOLTAGE_OVERLOAD, RESISTANCE_OVERLOAD, MEMORY_OVERFLOW, SCANNING = 1, 512, 4096, 16
_UNITS = {"VOLT": "VDC", "RES": "OHM", "CURR": "ADC"}
_RESISTANCE_RANGES = (100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8)
_CURRENT_RANGES = (0.01, 0.1, 1.0)
_AUTO = re.compile(r"(AUTO|DEF(AULT)?)", re.IGNORECASE)
_DELAYS = Number(0.0, 60.0, 0.0, "S")


_UP_TO_3, _UP_TO_2, _UP_TO_1 = Many(Raw(), 0, 3), Many(Raw(), 0, 2), Many(Raw(), 0, 1)


@dataclass
class _ReadingFormat:
    """FORMat:READing: what comes with each value."""

    unit: bool = False
    time: bool = False
    channel: bool = False
    alarm: bool = False


class Keysight34970A(ScpiInstrument):
    """`pins`: 101…120 are pins 0…19, 201…220 pins 20…39, 301…320 pins 40…59. Hidden errors follow the serial number."""

    style = Style(number="{:+.8E}".format, integer="{:+d}".format)
    no_error = '+0,"No error"'
    registers_of = {"QUEStionable": 8, "OPERation": 128, "ALARm": 2}
    texts = {
        -213: "INIT ignored",
        -230: "Data stale",
        -350: "Too many errors",
        111: "Channel list: slot number out of range",
        112: "Channel list: channel number out of range",
        113: "Channel list: empty scan list",
        281: "Not able to perform on more than one channel",
        305: "Not able to perform requested operation",
        309: "Incorrectly formatted channel list",
    }
    meter = METER_34970A
    model, module, maker = "34970A", "34901A", "HEWLETT-PACKARD"

    def __init__(self, serial_number: int, pins: Pins, seed: int = 0, line_hertz: float = 50.0):
        self.serial_number = serial_number
        self.multimeter = Multimeter(
            self.meter, Keys.of(self.model, serial_number, seed), pins, line_hertz, self._now, self._spend
        )
        self._settings: dict[int, ChannelSetting] = {}
        self._reading_format = _ReadingFormat()
        self._data_format = DataFormat()
        self._scanner = Scanner(
            self.meter.memory_readings,
            self._take,
            self._now,
            self._spend,
            lambda on: self.registers["OPERation"].put(SCANNING, on),
            lambda: self.registers["QUEStionable"].flash(MEMORY_OVERFLOW),
        )
        self._line_hertz = line_hertz
        super().__init__()
        self._restore()

    def identity(self) -> str:
        """The answer to *IDN?: the maker's old name, and 0 where others have a serial number, as the manual says."""
        return f"{self.maker},{self.model},0,13-2-2"

    def reset(self) -> None:
        """*RST: factory reset."""
        self._restore()

    def trigger(self) -> None:
        """*TRG: one sweep, with the trigger source BUS."""
        if self._scanner.trigger.source != BUS:
            raise ScpiError(-211)
        self._scanner.sweep()

    def external_trigger(self) -> None:
        """A pulse at the trigger input."""
        if self._scanner.is_scanning and self._scanner.trigger.source == EXTERNAL:
            self._scanner.sweep()

    def write_error(self, code: int, text: str) -> str:
        """Numbers carry their sign."""
        return f'{code:+d},"{text}"'

    # -- the tree -------------------------------------------------------------------------------------------------
    def commands(self) -> list[Command]:
        """See ScpiInstrument."""
        flags = {"UNIT": "unit", "TIME": "time", "CHANnel": "channel", "ALARm": "alarm"}
        trigger, scanner = self._scanner.trigger, self._scanner
        return [
            *self._functions("VOLTage[:DC]", "VOLT"),
            *self._functions("RESistance", "RES"),
            *self._functions("CURRent[:DC]", "CURR"),
            Command(":CONFigure", ask=self._ask_configuration, ask_kinds=(_UP_TO_1,)),
            Command("[:SENSe]:FUNCtion", (Many(Raw(), 1, 2),), self._set_function, self._ask_function, (_UP_TO_1,)),
            *self._each("[:SENSe]:ZERO:AUTO", "autozero", OnOffOnce(self.multimeter.zero)),
            *self._each(":INPut:IMPedance:AUTO", "high_impedance", Switch()),
            *self._each(":ROUTe:CHANnel:DELay", "delay_seconds", _DELAYS, {"delay_auto": False}),
            *self._each(":ROUTe:CHANnel:DELay:AUTO", "delay_auto", Switch()),
            Command(":ROUTe:SCAN", (Raw(),), self._set_scan_list, lambda: block(list_text(self._scan_list))),
            Command(":ROUTe:SCAN:SIZE", ask=lambda: self.style.integer(len(self._scan_list))),
            Command(":ROUTe:MONitor", (Raw(),), self._set_monitor, lambda: block(list_text(self._monitored))),
            self.setting(":ROUTe:MONitor:STATe", Switch(), self, "_monitors"),
            Command(":ROUTe:MONitor:DATA", ask=self._ask_monitor),
            Command(":ROUTe:CLOSe", (Raw(),), self._close, self._ask_closed, (Raw(),)),
            Command(":ROUTe:CLOSe:EXCLusive", (Raw(),), lambda text: self._close(text, exclusive=True)),
            Command(":ROUTe:OPEN", (Raw(),), self._open),
            Command(":ROUTe:DONE", ask=lambda: "1"),
            self.setting(":TRIGger:SOURce", Word("BUS", "IMMediate", "EXTernal", "TIMer"), trigger, "source"),
            self.setting(":TRIGger:COUNt", Number(1, 50_000, 1, infinite=True), trigger, "count"),
            self.setting(":TRIGger:TIMer", Number(0.0, 359_999.0, 10.0, "S"), trigger, "timer_seconds"),
            Command(":INITiate", do=self._initiate),
            Command(":ABORt", do=scanner.abort),
            Command(":READ", ask=self._read, ask_kinds=(_UP_TO_1,)),
            Command(":FETCh", ask=lambda: self._answer_with(scanner.fetch())),
            Command(":R", ask=self._take_block, ask_kinds=(Optional(Integer(1, 50_000, 50_000), 50_000),)),
            Command(":DATA:POINts", ask=lambda: self.style.integer(scanner.points())),
            Command(
                ":DATA:REMove",
                ask=lambda count: self._answer_with(scanner.remove(count)),
                ask_kinds=(Integer(1, self.meter.memory_readings),),
            ),
            Command(":DATA:LAST", ask=self._last, ask_kinds=(_UP_TO_2,)),
            *(
                self.setting(f":FORMat:READing:{name}", Switch(), self._reading_format, field)
                for name, field in flags.items()
            ),
            self.inert(":FORMat:READing:TIME:TYPE", Word("RELative"), "REL"),
            self.inert(":UNIT:TEMPerature", Word("C", "F", "K"), "C"),
            self.inert(":DISPlay", Switch(), True),
            Command(":SYSTem:ERRor[:NEXT]", ask=self.next_error),
            Command(":SYSTem:VERSion", ask=lambda: "1994.0"),
            Command(":SYSTem:CTYPe", ask=self._ask_module, ask_kinds=(Integer(100, 300),)),
            Command(":SYSTem:PRESet", do=self._restore),
            Command(":SYSTem:LFRequency", ask=lambda: self.style.integer(int(self._line_hertz))),
            Command(":INSTrument:DMM", (Switch(),), lambda _: None, lambda: "1"),
            Command(":INSTrument:DMM:INSTalled", ask=lambda: "1"),
        ]

    def _functions(self, node: str, function: str) -> list[Command]:
        """CONFigure, MEASure and SENSe of one function."""
        scale = Scale(self._scales(function))
        return [
            Command(f":CONFigure:{node}", (_UP_TO_3,), lambda texts: self._configure(function, texts)),
            Command(f":MEASure:{node}", ask=lambda texts: self._measure(function, texts), ask_kinds=(_UP_TO_3,)),
            *self._each(f"[:SENSe]:{node}:RANGe[:UPPer]", "range", scale, {"autorange": False}),
            *self._each(f"[:SENSe]:{node}:RANGe:AUTO", "autorange", Switch()),
            *self._each(f"[:SENSe]:{node}:NPLCycles", "nplc", Cycles()),
        ]

    def _each(self, pattern: str, name: str, kind: Any, also: dict[str, Any] | None = None) -> list[Command]:
        """A setting of channels: `VALUE,(@list)`, the scan list where none is given; the query answers for each."""

        def put(texts: list[str]) -> None:
            if not texts:
                raise ScpiError(-109)
            value, channels = kind.parse(texts[0]), self._channels_or_scan(texts[1:])
            for channel in channels:
                for field, kept in {name: value, **(also or {})}.items():
                    setattr(self._settings[channel], field, kept)

        def ask(texts: list[str]) -> Answer:
            if texts and not texts[0].startswith("("):
                return kind.render(kind.parse(texts[0]), self.style)
            values = (getattr(self._settings[channel], name) for channel in self._channels_or_scan(texts))
            return ",".join(kind.render(value, self.style) for value in values)

        return [Command(pattern, (_UP_TO_2,), put, ask, (_UP_TO_1,))]

    def _scales(self, function: str) -> tuple[float, ...]:
        return {
            "VOLT": tuple(self.meter.volts_ranges),
            "RES": _RESISTANCE_RANGES,
            "CURR": _CURRENT_RANGES,
        }[function]

    # -- channels -------------------------------------------------------------------------------------------------
    def _restore(self) -> None:
        numbers = (*range(1, CHANNELS_A_SLOT + 1), *CURRENT_CHANNELS)
        for channel in (slot * 100 + number for slot in SLOTS for number in numbers):
            self._settings[channel] = self._fresh(channel)
        self._scanner.abort()
        self._scan_list: list[int] = []
        self._monitored: list[int] = []
        self._monitors = False
        self._closed: set[int] = set()
        self._scanner.memory.clear()
        self._defaults()

    def _defaults(self) -> None:
        """What CONFigure and *RST share: one immediate sweep, bare readings."""
        vars(self._scanner.trigger).update(vars(Trigger()))
        vars(self._reading_format).update(vars(_ReadingFormat()))

    @staticmethod
    def _fresh(channel: int) -> ChannelSetting:
        return ChannelSetting("CURR", 1.0) if channel % 100 in CURRENT_CHANNELS else ChannelSetting()

    def _channels(self, text: str) -> list[int]:
        return channels_of(text, self._settings)

    def _channels_or_scan(self, texts: list[str]) -> list[int]:
        channels = self._channels(texts[0]) if texts else self._scan_list
        if not channels:
            raise ScpiError(113)
        return channels

    def _configure(self, function: str, texts: list[str]) -> list[int]:
        """CONFigure [range,[resolution,]](@list): presets the channels and makes them the scan list."""
        if not texts:
            raise ScpiError(-109)
        *values, last = texts
        channels = self._channels(last) if last.startswith("(") else self._channels_or_scan([])
        values = values if last.startswith("(") else texts
        for channel in channels:
            self._check_function(channel, function)
        fresh = ChannelSetting(function, self._scales(function)[-1])
        if values and not _AUTO.fullmatch(values[0]):
            fresh.range, fresh.autorange = Scale(self._scales(function)).parse(values[0]), False
        if len(values) > 1 and not _AUTO.fullmatch(values[1]):
            fresh.nplc = cycles_for(values[1], fresh.range)
        for channel in channels:
            self._settings[channel] = ChannelSetting(**vars(fresh))
        self._scanner.abort()
        self._scan_list = channels
        self._defaults()
        return channels

    @staticmethod
    def _check_function(channel: int, function: str) -> None:
        if (channel % 100 in CURRENT_CHANNELS) != (function == "CURR"):
            raise ScpiError(305)

    def _ask_configuration(self, texts: list[str]) -> str:
        answers = []
        for channel in self._channels_or_scan(texts):
            setting = self._settings[channel]
            resolution = RESOLUTIONS[setting.nplc] * setting.range
            answers.append(f'"{setting.function} {setting.range:+.6E},{resolution:+.6E}"')
        return ",".join(answers)

    def _set_function(self, texts: list[str]) -> None:
        name = texts[0].strip("\"'").upper().removesuffix(":DC")
        function = Word("VOLTage", "RESistance", "CURRent").parse(name)
        for channel in self._channels_or_scan(texts[1:]):
            self._check_function(channel, function)
            self._settings[channel] = ChannelSetting(function, self._scales(function)[-1])

    def _ask_function(self, texts: list[str]) -> str:
        return ",".join(f'"{self._settings[channel].function}"' for channel in self._channels_or_scan(texts))

    def _set_scan_list(self, text: str) -> None:
        self._scan_list = self._channels(text)
        self._scanner.abort()

    def _set_monitor(self, text: str) -> None:
        channels = self._channels(text)
        if len(channels) != 1:
            raise ScpiError(281)
        self._monitored = channels

    def _ask_monitor(self) -> str:
        if not self._monitors or not self._monitored:
            raise ScpiError(-221)
        return self._text(self._take(self._monitored[0], self._now()), _ReadingFormat())

    def _close(self, text: str, exclusive: bool = False) -> None:
        channels = self._channels(text)
        slots = {channel // 100 for channel in channels}
        if exclusive:
            self._closed = {channel for channel in self._closed if channel // 100 not in slots}
        self._closed.update(channels)

    def _open(self, text: str) -> None:
        self._closed.difference_update(self._channels(text))

    def _ask_closed(self, text: str) -> str:
        return ",".join(str(int(channel in self._closed)) for channel in self._channels(text))

    def _ask_module(self, slot: int) -> str:
        if slot not in (100, 200, 300):
            raise ScpiError(111)
        return f"{self.maker},{self.module},0,2.3"

    # -- scans ----------------------------------------------------------------------------------------------------
    def _now(self) -> float:
        return self.clock_seconds

    def _spend(self, seconds: float) -> None:
        self.clock_seconds += seconds

    def _take(self, channel: int, began_seconds: float) -> Reading:
        self.faults.count_reading()
        reading = self.multimeter.measure(channel, self._settings[channel], began_seconds)
        if reading.is_overload:
            self._event |= DEVICE_ERROR
            bit = RESISTANCE_OVERLOAD if reading.function == "RES" else VOLTAGE_OVERLOAD
            self.registers["QUEStionable"].flash(bit)
        return reading

    def _initiate(self) -> None:
        self._scanner.initiate(self._channels_or_scan([]))

    def _complete(self) -> None:
        self._scanner.finish()
        super()._complete()

    def common_commands(self) -> list[Command]:
        """*OPC? and *WAI wait for a scan."""

        def done() -> str:
            self._scanner.finish()
            return "1"

        kept = [command for command in super().common_commands() if command.pattern not in ("*OPC", "*WAI")]
        return [*kept, Command("*OPC", do=self._complete, ask=done), Command("*WAI", do=lambda: self._scanner.finish())]

    def _measure(self, function: str, texts: list[str]) -> Answer:
        self._configure(function, texts)
        return self._read([])

    def _read(self, texts: list[str]) -> Answer:
        """READ? [(@list)]: a scan whose readings go out when it is over."""
        return self._answer_with(self._scanner.read(self._channels_or_scan(texts)))

    def _take_block(self, count: int) -> Answer:
        """R?: what there is, up to `count` readings, taken out of the memory, as a definite-length block."""
        answer = self._answer_with(self._scanner.take(count))
        return answer if isinstance(answer, bytes) else block(answer)

    def _last(self, texts: list[str]) -> Answer:
        """DATA:LAST? [count,](@channel)."""
        count = int(Integer(1, 50_000).parse(texts[0])) if texts and not texts[0].startswith("(") else 1
        channels = self._channels_or_scan(texts[-1:] if texts and texts[-1].startswith("(") else [])
        if len(channels) > 1:
            raise ScpiError(281)
        return self._answer_with(self._scanner.last(channels[0], count))

    def _answer_with(self, readings: list[Reading]) -> Answer:
        if self._data_format.data != ASCII and readings:
            return self._data_format.block(np.array([reading.value for reading in readings]), definite=True)
        return ",".join(self._text(reading, self._reading_format) for reading in readings)

    def _text(self, reading: Reading, shown: _ReadingFormat) -> str:
        text = self.style.number(reading.value)
        if shown.unit:
            text += " " + _UNITS[reading.function]
        if shown.time:
            text += f",{reading.seconds:013.3f}"
        if shown.channel:
            text += f",{reading.channel:d}"
        return text + (",0" if shown.alarm else "")
