"""Parameters of SCPI commands: numbers with units, words, switches, strings, lists; parsed and written back.

Source: SCPI-1999 volume 1 (chapters 6-8) and volume 2 (chapter 21, error numbers), IEEE 488.2 chapter 7.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:\s*E\s*[+-]?\d+)?)\s*([A-Z%/]*)", re.ASCII)
_RADIX = {"H": 16, "Q": 8, "B": 2}
_MULTIPLIERS = {
    "EX": 1e18, "PE": 1e15, "T": 1e12, "G": 1e9, "MA": 1e6, "K": 1e3, "": 1.0,
    "M": 1e-3, "U": 1e-6, "N": 1e-9, "P": 1e-12, "F": 1e-15, "A": 1e-18,
}  # fmt: skip
_MEGA_UNITS = ("OHM", "HZ")  # MOHM and MHZ are mega, by the standard

Bound = float | Callable[[], float]


class ScpiError(Exception):
    """What goes into an instrument's error queue: a number of SCPI-1999 or of the model, and what its text adds."""

    def __init__(self, code: int, detail: str = ""):
        self.code, self.detail = code, detail
        super().__init__(code, detail)


@dataclass(frozen=True)
class Style:
    """How one model writes its answers: numbers, and the sign of whole ones."""

    number: Callable[[float], str] = "{:+.6E}".format
    integer: Callable[[int], str] = "{:d}".format


class Kind(Protocol):
    """A kind of parameter."""

    def parse(self, text: str) -> Any:
        """The value; raises ScpiError with the number that the standard gives for what is wrong."""

    def render(self, value: Any, style: Style) -> str:
        """As the instrument answers a query with it."""


def forms(mnemonic: str) -> tuple[str, str]:
    """(short, long) form of a mnemonic as manuals write it: "VOLTage" gives VOLT and VOLTAGE."""
    return "".join(c for c in mnemonic if not c.islower()), mnemonic.upper()


def is_form(text: str, mnemonic: str) -> bool:
    """Whether `text` is the short or the long form, in any case."""
    return text.upper() in forms(mnemonic)


def quoted(text: str) -> str | None:
    """The inside of a quoted string, doubled quotes undone; None where it is none."""
    if len(text) >= 2 and text[0] in "'\"" and text[-1] == text[0]:
        return text[1:-1].replace(text[0] * 2, text[0])
    return None


def _value(bound: Bound) -> float:
    return bound() if callable(bound) else bound


@dataclass(frozen=True)
class Number:
    """A decimal (or #H, #Q, #B) number of `unit` between `low` and `high`, or MINimum, MAXimum, DEFault."""

    low: Bound = -math.inf
    high: Bound = math.inf
    default: Bound | None = None
    unit: str = ""
    infinite: bool = False  # INFinity is a value

    def parse(self, text: str) -> float:
        """See Kind: -104, -121, -131, -138, -141, -222."""
        special = self._special(text)
        number = self._decimal(text) if special is None else special
        low, high = _value(self.low), _value(self.high)
        # The last digits of a sent limit are not what refuses it.
        slack = 1e-9 * max(abs(low), abs(high)) if math.isfinite(low) and math.isfinite(high) else 0.0
        if not low - slack <= number <= high + slack and not (self.infinite and math.isinf(number)):
            raise ScpiError(-222)
        return number

    def render(self, value: float, style: Style) -> str:
        """See Kind."""
        return style.number(9.9e37 if value == math.inf else value)

    def _special(self, text: str) -> float | None:
        for name, bound in (("MINimum", self.low), ("MAXimum", self.high), ("DEFault", self.default)):
            if is_form(text, name):
                value = math.nan if bound is None else _value(bound)
                if not math.isfinite(value):
                    raise ScpiError(-224)
                return value
        return math.inf if self.infinite and is_form(text, "INFinity") else None

    def _decimal(self, text: str) -> float:
        upper = text.upper()
        if quoted(text) is not None or upper.startswith("("):
            raise ScpiError(-104)
        if upper.startswith("#"):
            try:
                return float(int(upper[2:], _RADIX[upper[1:2]]))
            except (KeyError, ValueError):
                raise ScpiError(-104) from None
        match = _NUMBER.fullmatch(upper)
        if match is None:
            raise ScpiError(-121 if upper[:1] in "+-.0123456789" else -141)
        return float(match[1].replace(" ", "")) * self._multiplier(match[2])

    def _multiplier(self, suffix: str) -> float:
        if not suffix:
            return 1.0
        if not self.unit:
            raise ScpiError(-138)
        prefix = suffix.removesuffix(self.unit)
        if prefix == suffix or prefix not in _MULTIPLIERS:
            raise ScpiError(-131)
        return 1e6 if prefix == "M" and self.unit in _MEGA_UNITS else _MULTIPLIERS[prefix]


@dataclass(frozen=True)
class Integer(Number):
    """A whole number; fractions are rounded, as the standard has it."""

    def parse(self, text: str) -> float:
        """See Kind. INFinity, where it is allowed, stays a float."""
        number = Number.parse(self, text)
        return number if math.isinf(number) else int(round(number))

    def render(self, value: float, style: Style) -> str:
        """See Kind."""
        return style.number(9.9e37) if math.isinf(value) else style.integer(int(value))


class Switch:
    """ON, OFF, or a number that is rounded: 0 is off."""

    def parse(self, text: str) -> bool:
        """See Kind."""
        if text.upper() in ("ON", "OFF"):
            return text.upper() == "ON"
        return Number().parse(text) > 0.5

    def render(self, value: bool, style: Style) -> str:
        """See Kind."""
        return "1" if value else "0"


class Word:
    """One of some mnemonics, short or long; `quotes`: in quotation marks, as functions are named in SENSe:FUNCtion."""

    def __init__(self, *mnemonics: str, quotes: bool = False):
        self._shorts = {form: forms(name)[0] for name in mnemonics for form in forms(name)}
        self._quotes = quotes

    def parse(self, text: str) -> str:
        """The short form. See Kind: -104 (quotation marks), -224 (another word)."""
        inside = quoted(text)
        if (inside is not None) != self._quotes:
            raise ScpiError(-104)
        try:
            return self._shorts[(inside if self._quotes else text).strip().upper()]
        except KeyError:
            raise ScpiError(-224) from None

    def render(self, value: str, style: Style) -> str:
        """See Kind."""
        return f'"{value}"' if self._quotes else value


class Text:
    """A quoted string."""

    def parse(self, text: str) -> str:
        """See Kind."""
        inside = quoted(text)
        if inside is None:
            raise ScpiError(-104)
        return inside

    def render(self, value: str, style: Style) -> str:
        """See Kind."""
        return '"' + value.replace('"', '""') + '"'


class ChannelList:
    """(@101:103,201): the numbers it names, in order."""

    def parse(self, text: str) -> list[int]:
        """See Kind."""
        if not re.fullmatch(r"\(\s*@[\d\s,:]*\)", text):
            raise ScpiError(-171)
        channels: list[int] = []
        for part in filter(None, (part.strip() for part in text.strip("( )")[1:].split(","))):
            first, _, last = part.partition(":")
            try:
                channels += range(int(first), int(last or first) + 1)
            except ValueError:
                raise ScpiError(-171) from None
        return channels

    def render(self, value: list[int], style: Style) -> str:
        """See Kind."""
        body = f"(@{','.join(map(str, value))})"
        return f"#{len(str(len(body)))}{len(body)}{body}"


@dataclass(frozen=True)
class Optional:
    """A parameter that may be left out, and what it is then."""

    kind: Kind
    value: Any = None


@dataclass(frozen=True)
class Many:
    """All parameters that follow, at least `least` and at most `most`."""

    kind: Kind
    least: int = 1
    most: int = field(default=10**6)

    def parse(self, texts: list[str]) -> list[Any]:
        """Their values."""
        if len(texts) < self.least:
            raise ScpiError(-109)
        if len(texts) > self.most:
            raise ScpiError(-223)
        return [self.kind.parse(text) for text in texts]
