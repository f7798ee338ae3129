"""Quantities with units as people write them ("0.2 V", "50 us", "100 uS") to SI floats."""

from __future__ import annotations

import re

from hwloop.errors import UsageError

_PREFIXES = {"": 1.0, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}
_UNITS = {"V": "volts", "A": "amps", "S": "siemens", "s": "seconds", "Ohm": "ohms", "Ω": "ohms", "Hz": "hertz"}
_PATTERN = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([nuµmkMG]?)(V|A|S|s|Ohm|Ω|Hz|°?C)\s*")


def parse_quantity(text: str, dimension: str, where: str) -> float:
    """The SI value of `text`, e.g. "50 uS" with dimension "siemens" is 5e-5; temperatures ("celsius") stay in °C.

    `where` names the option or key in the error. Raises UsageError on a missing, unknown or wrong unit.
    """
    match = _PATTERN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise UsageError(
            f"{where} is {text!r}: expected a number with a unit of {dimension}, such as {_example(dimension)}"
        )
    number, prefix, unit = match.groups()
    found = "celsius" if unit.endswith("C") else _UNITS[unit]
    if found != dimension or (found == "celsius" and prefix):
        raise UsageError(
            f"{where} is {text!r}, a value in {found}: expected {dimension}, such as {_example(dimension)}"
        )
    return float(number) * _PREFIXES[prefix]


def _example(dimension: str) -> str:
    examples = {
        "volts": '"0.2 V"', "amps": '"50 uA"', "siemens": '"100 uS"', "seconds": '"50 us"', "ohms": '"1 Ohm"',
        "hertz": '"10 MHz"', "celsius": '"25 C"',
    }
    return examples[dimension]
