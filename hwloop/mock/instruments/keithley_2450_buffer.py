"""Reading buffers of the Keithley 2450: what a reading carries, and how its elements are written.

Source: Keithley, Model 2450 Reference Manual, 2450-901-01, TRACe subsystem and the tables of buffer status bits.
"""

from __future__ import annotations

import datetime
from collections import deque
from dataclasses import dataclass, field

from hwloop.mock.instruments.scpi_kinds import Word

STAT_PROTECTION, STAT_READBACK, STAT_LIMIT, STAT_SENSE, STAT_OUTPUT = 2, 8, 32, 64, 128
STAT_QUESTIONABLE, STAT_TERMINAL_FRONT = 1, 8
ELEMENTS = Word(
    "DATE", "FORMatted", "FRACtional", "READing", "RELative", "SEConds", "SOURce", "SOURFORMatted", "SOURSTATus",
    "SOURUNIT", "STATus", "TIME", "TSTamp", "UNIT",
)  # fmt: skip
NUMERIC = ("READ", "REL", "SOUR", "SEC", "FRAC", "STAT", "SOURSTAT")
# Power-on of every simulated instrument, so that time stamps depend on modelled time only.
POWER_ON = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p"))


@dataclass(frozen=True)
class Sample:
    """One buffered reading: value and unit, source value and unit, modelled seconds, status bits."""

    value: float
    unit: str
    source: float
    source_unit: str
    seconds: float
    status: int
    source_status: int


@dataclass
class ReadingBuffer:
    """A buffer of `size` readings that fills once or continuously."""

    size: int = 100_000
    fills_once: bool = False
    samples: deque[Sample] = field(default_factory=deque)
    start_seconds: float | None = None

    def add(self, sample: Sample) -> None:
        """Keep a reading; a full buffer drops its oldest, or, filling once, the new one."""
        if self.start_seconds is None:
            self.start_seconds = sample.seconds
        if len(self.samples) >= self.size:
            if self.fills_once:
                return
            self.samples.popleft()
        self.samples.append(sample)

    def clear(self) -> None:
        """Drop all readings."""
        self.samples.clear()
        self.start_seconds = None

    def number(self, sample: Sample, element: str) -> float:
        """A numeric element of a reading."""
        return {
            "READ": sample.value,
            "REL": sample.seconds - (self.start_seconds or 0.0),
            "SOUR": sample.source,
            "SEC": int(POWER_ON.timestamp() + sample.seconds),
            "FRAC": sample.seconds % 1.0,
            "STAT": sample.status,
            "SOURSTAT": sample.source_status,
        }[element]

    def text(self, sample: Sample, element: str, digits: int) -> str:
        """Any element of a reading, with `digits` significant digits (0: as many as the instrument resolves)."""
        if element in NUMERIC:
            number = self.number(sample, element)
            whole = element in ("SEC", "STAT", "SOURSTAT")
            return str(int(number)) if whole else f"{number:.{(digits or 7) - 1}E}"
        when = POWER_ON + datetime.timedelta(seconds=sample.seconds)
        return {
            "DATE": f"{when:%m/%d/%Y}",
            "TIME": f"{when:%H:%M:%S}.{when.microsecond // 1000:03d}",
            "TST": f"{when:%m/%d/%Y %H:%M:%S}.{when.microsecond:06d}",
            "UNIT": sample.unit,
            "SOURUNIT": sample.source_unit,
            "FORM": _formatted(sample.value, sample.unit),
            "SOURFORM": _formatted(sample.source, sample.source_unit),
        }[element]


def _formatted(value: float, unit: str) -> str:
    scale, prefix = next(((s, p) for s, p in _PREFIXES if abs(value) >= s), _PREFIXES[-1] if value else _PREFIXES[0])
    return f"{value / scale:+08.4f} {prefix}{unit}"
