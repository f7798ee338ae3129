"""Parameters peculiar to the simulated 34970A and DAQ970A: channel lists, ranges, integration times, zero modes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container
from dataclasses import dataclass

from hwloop.mock.instruments.keysight_dmm import RESOLUTIONS
from hwloop.mock.instruments.scpi_kinds import Number, ScpiError, Style, Switch

_HIGHEST_SLOT = 3


class Raw:
    """A parameter as it was written."""

    def parse(self, text: str) -> str:
        """See Kind."""
        return text

    def render(self, value: str, style: Style) -> str:
        """See Kind."""
        return value


@dataclass(frozen=True)
class Scale:
    """A range: the smallest of `scales` that holds the value."""

    scales: tuple[float, ...]

    def parse(self, text: str) -> float:
        """See Kind."""
        value = Number(0.0, self.scales[-1], self.scales[-1], "V").parse(text)
        return next(scale for scale in self.scales if abs(value) <= scale * (1 + 1e-9))

    def render(self, value: float, style: Style) -> str:
        """See Kind."""
        return style.number(value)


class Cycles:
    """An integration time that the instrument has: the next longer one of those asked for."""

    def parse(self, text: str) -> float:
        """See Kind."""
        value = Number(min(RESOLUTIONS), max(RESOLUTIONS), 1.0).parse(text)
        return next(cycles for cycles in RESOLUTIONS if value <= cycles * (1 + 1e-9))

    def render(self, value: float, style: Style) -> str:
        """See Kind."""
        return style.number(value)


@dataclass(frozen=True)
class OnOffOnce:
    """ON, OFF, or ONCE, which takes the zero and stays off."""

    zero: Callable[[], None]

    def parse(self, text: str) -> bool:
        """See Kind."""
        if text.upper() != "ONCE":
            return Switch().parse(text)
        self.zero()
        return False

    def render(self, value: bool, style: Style) -> str:
        """See Kind."""
        return "1" if value else "0"


def cycles_for(text: str, full_scale: float) -> float:
    """The integration time whose resolution reaches the one asked for (in the unit of the range)."""
    finest, coarsest = min(RESOLUTIONS.values()) * full_scale, max(RESOLUTIONS.values()) * full_scale
    asked = Number(finest, math.inf).parse(text) if text.upper()[:3] != "MAX" else coarsest
    return next(cycles for cycles, part in RESOLUTIONS.items() if part * full_scale <= asked * (1 + 1e-9))


def block(text: str) -> str:
    """Text as a definite-length block."""
    return f"#{len(str(len(text)))}{len(text)}{text}"


def list_text(channels: list[int]) -> str:
    """A channel list as it is answered: "(@101,102)"."""
    return f"(@{','.join(map(str, channels))})"


def channels_of(text: str, known: Container[int]) -> list[int]:
    """The channels of "(@101:103,205)", in order. The ends of a range must exist; what is between need not.

    Errors: 309 (form), 111 (slot), 112 (channel).
    """
    match = re.fullmatch(r"\(\s*@([\d\s,:]*)\)", text)
    if match is None:
        raise ScpiError(309)
    channels: list[int] = []
    for part in filter(None, (part.strip() for part in match[1].split(","))):
        ends = [end.strip() for end in part.split(":")]
        if len(ends) > 2 or not all(end.isdigit() for end in ends):
            raise ScpiError(309)
        first, last = sorted((int(ends[0]), int(ends[-1])))
        for channel in (first, last):
            if not 1 <= channel // 100 <= _HIGHEST_SLOT:
                raise ScpiError(111)
            if channel not in known:
                raise ScpiError(112)
        channels += [channel for channel in range(first, last + 1) if channel in known]
    return channels
