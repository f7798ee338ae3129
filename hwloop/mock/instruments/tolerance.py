"""Hidden errors of one instrument: gain and offset of a range from its serial number, and a zero that drifts slowly.

The size follows from the data sheet's one-year accuracy: normal with sigma = half of it, truncated at it. That is how
instruments are found when they come back to the calibration laboratory (ISO/IEC Guide 98-3, coverage factor 2).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from hwloop.mock.randomness import derive_many, normal_many, stream

_DOMAIN = 0x1257_0001
_KNOT_SECONDS = 600.0  # a zero wanders noticeably within ten minutes


@dataclass(frozen=True)
class Accuracy:
    """One-year accuracy of a range: `gain` as a fraction of the reading, `offset` in the unit of the range."""

    gain: float
    offset: float


@dataclass(frozen=True)
class LinearError:
    """The true, hidden error of one function and range: what is shown (or put out) for a value."""

    gain: float
    offset: float

    def of(self, value: float) -> float:
        """`value` as the instrument shows or makes it, in the same unit."""
        return value * (1.0 + self.gain) + self.offset


@dataclass(frozen=True)
class Keys:
    """Streams of an instrument, or of a part of it: `hidden` follows the serial number, `drawn` the seed as well."""

    hidden: np.uint64
    drawn: np.uint64

    @classmethod
    def of(cls, model: str, serial_number: int, seed: int) -> Keys:
        """Those of a whole instrument."""
        hidden = stream(_DOMAIN, zlib.crc32(model.encode()), serial_number)
        return cls(hidden, stream(int(hidden), seed))

    def part(self, *names: int | str) -> Keys:
        """Those of a part, by names and numbers in order."""
        return Keys(_sub(self.hidden, *names), _sub(self.drawn, *names))


def linear_error(keys: Keys, accuracy: Accuracy) -> LinearError:
    """The hidden error of the range that `keys` name, inside its `accuracy`."""
    return LinearError(
        0.5 * accuracy.gain * _truncated_normal(_sub(keys.hidden, "gain")),
        0.5 * accuracy.offset * _truncated_normal(_sub(keys.hidden, "offset")),
    )


def noise(key: np.uint64, counter: int) -> float:
    """Draw number `counter` of a standard normal stream."""
    return float(normal_many(derive_many(key, np.uint64(counter))))


def drift(key: np.uint64, since_seconds: float, now_seconds: float) -> float:
    """How far a zero has wandered between two instants, in units of its standard deviation; 0 when they are equal."""
    return _wander(key, now_seconds) - _wander(key, since_seconds)


def _sub(key: np.uint64, *names: int | str) -> np.uint64:
    for name in names:
        key = derive_many(key, np.uint64(zlib.crc32(name.encode()) if isinstance(name, str) else name % 2**64))
    return np.uint64(key)


def _wander(key: np.uint64, seconds: float) -> float:
    knot, part = divmod(seconds / _KNOT_SECONDS, 1.0)
    return (1.0 - part) * noise(key, int(knot)) + part * noise(key, int(knot) + 1)


def _truncated_normal(key: np.uint64) -> float:
    """Standard normal inside ±2 (twice the half accuracy is the accuracy)."""
    draws = (noise(key, counter) for counter in range(1000))
    return next(draw for draw in draws if abs(draw) <= 2.0)
