"""The kinds of calibration that there are: of what, what they find out, and for how long and how warm it holds."""

from __future__ import annotations

from dataclasses import dataclass

BOARD, ARRAY = "board", "array"


@dataclass(frozen=True)
class Kind:
    """One kind. `title` for people; `valid_days` from when it was taken; `valid_kelvin` round the temperature then;
    `needed`: whether codes are converted with it, so that no run goes without."""

    name: str
    subject: str
    title: str
    valid_days: float
    valid_kelvin: float
    needed: bool


# In the order in which they are taken: each goes by what those before it found.
KINDS = {kind.name: kind for kind in (
    Kind("dac", BOARD, "input, amplitude and gate DACs", 365.0, 10.0, True),
    Kind("adc", BOARD, "output ADCs with their gain of 8", 365.0, 10.0, True),
    Kind("tia", BOARD, "read voltage, reference resistors and transimpedance amplifiers", 365.0, 10.0, True),
    Kind("series", BOARD, "switches and lines between the SMU port and a cell", 365.0, 10.0, False),
    Kind("input-resistors", BOARD, "input resistors of the rows", 365.0, 10.0, True),
    Kind("compensation", BOARD, "compensation ladders of the rows", 365.0, 10.0, True),
    Kind("feedback", BOARD, "feedback ladders of the columns", 365.0, 10.0, True),
    Kind("bias", BOARD, "bias sources of the columns", 365.0, 10.0, True),
    Kind("amplifiers", BOARD, "offsets of the GINV amplifiers", 90.0, 5.0, False),
    Kind("settle", BOARD, "gain-bandwidth product, which sets the settle time", 365.0, 20.0, True),
    Kind("gate-curve", ARRAY, "gate voltage against conductance after SET", 180.0, 20.0, True),
    Kind("curvature", ARRAY, "I–V curvature against conductance", 365.0, 20.0, False),
    Kind("temperature", ARRAY, "temperature coefficient of the conductance", 365.0, 100.0, False),
)}  # fmt: skip


def needed_kinds(subject: str) -> tuple[str, ...]:
    """Names of the kinds that no run on such a board or array goes without."""
    return tuple(kind.name for kind in KINDS.values() if kind.subject == subject and kind.needed)
