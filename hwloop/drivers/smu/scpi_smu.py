"""What source-measure units that speak SCPI have in common: words, read-back, level lists."""

from __future__ import annotations

import numpy as np

from hwloop.drivers.instrument import InstrumentIdentity
from hwloop.drivers.scpi import Scpi
from hwloop.drivers.smu.settings import Quantity
from hwloop.drivers.smu.smu import Smu
from hwloop.drivers.smu.told import Told
from hwloop.link.visa import VisaPort

WORDS: dict[Quantity, str] = {"volts": "VOLT", "amps": "CURR"}
# What is read back: what it is called, its query, what was sent, and in which unit.
Check = tuple[str, str, float | str, str]
LIMIT_UNITS: dict[Quantity, str] = {"volts": "A", "amps": "V"}


class ScpiSmu(Smu):
    """A channel that is spoken to in SCPI; `_suffix` is the channel's number in headers, empty where there is one."""

    _suffix = ""

    def __init__(self, port: VisaPort, identity: InstrumentIdentity, channel: int = 1):
        super().__init__(port, identity, channel)
        self.scpi = Scpi(port)

    def _switch(self, on: bool) -> bool:
        output = f":OUTP{self._suffix}"
        command, query = f"{output} {switched(on)}", f"{output}?"
        return self._parsed_state(query, self.scpi.ask(command, query)[0])

    def _set_level(self, value: float) -> float:
        level = self._level()
        return self.scpi.number(level, self.scpi.ask(f"{level} {decimal(value)}", f"{level}?")[0])

    def _stop(self) -> bool:
        query = f":OUTP{self._suffix}?"
        # The error queue keeps what it has for the next step: nothing may stand between a fault and the output.
        return not self._parsed_state(query, self.port.query(f"{self._stop_command()};{query}"))

    def _level(self) -> str:
        return f":SOUR{self._suffix}:{WORDS[self._configured('a level').source]}"

    def _parsed_state(self, query: str, reply: str) -> bool:
        if reply not in ("0", "1"):
            raise self.scpi.garbled(query, reply)
        return reply == "1"

    def _tell(self, commands: list[str], checks: list[Check]) -> list[Told]:
        """Send `commands` and, in the same message, the query of each check (what, query, sent, unit)."""
        replies = self.scpi.ask(*commands, *(query for _, query, _, _ in checks))
        return [
            Told(what, sent, reply if isinstance(sent, str) else self.scpi.number(query, reply), unit)
            for (what, query, sent, unit), reply in zip(checks, replies, strict=True)
        ]


def switched(on: bool) -> str:
    return "ON" if on else "OFF"


def decimal(value: float) -> str:
    """A number with more digits than any of these instruments resolves."""
    return f"{value:.9g}"


def level_lists(header: str, levels: np.ndarray, at_once: int) -> list[str]:
    """Commands that load `levels`: the list, then what is appended to it, `at_once` levels a command."""
    texts = [",".join(map(decimal, levels[begin : begin + at_once])) for begin in range(0, levels.size, at_once)]
    return [f"{header} {texts[0]}", *(f"{header}:APP {text}" for text in texts[1:])]


def range_commands(header: str, full_scale: float | None) -> list[str]:
    """A fixed range, or the instrument's own choice."""
    return [f"{header}:AUTO ON"] if full_scale is None else [f"{header} {decimal(full_scale)}"]


def range_checks(what: str, header: str, full_scale: float | None, unit: str) -> list[Check]:
    """The read-back of `range_commands`."""
    if full_scale is None:
        return [(f"{what} autorange", f"{header}:AUTO?", 1.0, "")]
    return [(what, f"{header}?", full_scale, unit)]
