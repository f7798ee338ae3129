"""Converter channels and ladders as a calibration knows them, both ways; index arrays say whose each value is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit


@dataclass(frozen=True)
class Channels:
    """n channels of a converter: y = gain × x + offset + bend × (x / full scale)².

    Of a DAC, x is what the code says and y what stands at the pin; of an ADC, x is at the pin and y what the code says.
    `gain`, `offset`, `bend` (n,), the latter two and `full_scale` in the unit of x (volts or amps).
    """

    gain: np.ndarray
    offset: np.ndarray
    bend: np.ndarray
    full_scale: float

    @classmethod
    def nominal(cls, count: int, full_scale: float) -> Channels:
        """Channels without any error."""
        return cls(np.ones(count), np.zeros(count), np.zeros(count), full_scale)

    def forward(self, x: np.ndarray, channel: np.ndarray | int) -> np.ndarray:
        """y of x; both arguments broadcast."""
        curved = self.bend[channel] / self.full_scale**2
        return (self.gain[channel] + curved * x) * x + self.offset[channel]

    def inverse(self, y: np.ndarray, channel: np.ndarray | int) -> np.ndarray:
        """x of y, the root of the quadratic; both arguments broadcast."""
        gain, rest = self.gain[channel], y - self.offset[channel]
        curved = self.bend[channel] / self.full_scale**2
        return 2.0 * rest / (gain + np.sqrt(gain * gain + 4.0 * curved * rest))


@dataclass(frozen=True)
class Ladders:
    """n ladders of switched conductances: `step_siemens` (n, bits), what each bit adds, the smallest first."""

    step_siemens: np.ndarray

    @classmethod
    def nominal(cls, count: int, bits: int, full_scale_siemens: float) -> Ladders:
        """Binary ladders without any error; all bits together are one step short of full scale."""
        return cls(np.tile(full_scale_siemens / 2**bits * 2.0 ** np.arange(bits), (count, 1)))

    @cached_property
    def sums_siemens(self) -> np.ndarray:
        """What every code gives, (n, 2**bits)."""
        count, bits = self.step_siemens.shape
        sums = np.zeros((count, 2**bits))
        for bit in range(bits):
            sums[:, 1 << bit : 2 << bit] = sums[:, : 1 << bit] + self.step_siemens[:, bit : bit + 1]
        return sums

    def siemens(self, code: np.ndarray, ladder: np.ndarray) -> np.ndarray:
        """What codes give; both broadcast."""
        return self.sums_siemens[ladder, code]

    def nearest_codes(self, siemens: np.ndarray, ladder: np.ndarray) -> np.ndarray:
        """The code (n,) int64 that comes nearest to each of `siemens` (n,) on its `ladder` (n,); no limits here."""
        return _nearest(
            self.sums_siemens, np.ascontiguousarray(siemens, np.float64), np.ascontiguousarray(ladder, np.int64)
        )

    def largest_siemens(self) -> np.ndarray:
        """All steps of each ladder together, (n,)."""
        return self.sums_siemens[:, -1]


@njit(cache=True)
def _nearest(sums, siemens, ladder):
    """Search round the code that a true binary ladder would need: steps are off by a few per cent at most."""
    codes = np.empty(siemens.size, np.int64)
    last = sums.shape[1] - 1
    for i in range(siemens.size):
        row = ladder[i]
        middle = min(max(siemens[i] / sums[row, last] * last, 0.0), float(last))
        reach = 2 + int(0.06 * middle)
        best = int(middle + 0.5)
        for code in range(max(best - reach, 0), min(best + reach, last) + 1):
            if abs(sums[row, code] - siemens[i]) < abs(sums[row, best] - siemens[i]):
                best = code
        codes[i] = best
    return codes
