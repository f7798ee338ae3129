"""What is known of each cell's response: learned while programming, kept by the caller for the whole session."""

from __future__ import annotations

import numpy as np
from scipy.special import erfc

from hwloop.drivers.cells import Polarity

_TELLING = 8            # times its scatter: a SET over a shorter way says nothing about slowness
_SLOW_SHARE = 0.5      # a SET that covers less of its way than this marks a slow cell,
_NORMAL_SHARE = 0.8     # one that covers more than this a normal one
_RESET_FAILURE = 0.10   # RESET pulses that do nothing (public 1T1R data)
_DOUBT = 0.25           # of the prior, added to the variance of a cell that surprises
_VARIANCE_FLOOR = 0.02  # of the prior: cells age, so nothing is learned for good


class CellModel:
    """Per cell: where its pulses land against the nominal curves, and how much of the way it moves a pulse.

    `spread_siemens` (2,): standard deviation of cells around the nominal curves, SET and RESET.
    """

    def __init__(self, size: int, spread_siemens: tuple[float, float]):
        self.offset_siemens = np.zeros((2, size))
        self._prior = np.maximum(np.square(spread_siemens), 1e-24)
        self.variance = np.repeat(self._prior[:, None], size, axis=1)
        self.response = np.ones(size)

    def base_spread(self, polarity: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Standard deviation (siemens, (n,)) of what is known of each cell's landing."""
        return np.sqrt(self.variance[polarity, cells])

    def learn(
        self, polarity: np.ndarray, cells: np.ndarray, base: np.ndarray, overshoot: np.ndarray, before: np.ndarray,
        after: np.ndarray, noise: np.ndarray,
    ) -> None:
        """Take in one pulse a cell, all (n,) siemens: nominal base, mean overshoot, readings and their noise.

        The landing is base + offset + an exponential overshoot, so it bounds the offset from above.
        """
        self._learn_response(polarity, cells, base + overshoot - before, after - before, overshoot + noise)
        offset, variance = self.offset_siemens[polarity, cells], self.variance[polarity, cells]
        prior = self._prior[polarity]
        known = self.response[cells] == 1.0         # a slow cell stops short of where it would land
        still = np.abs(after - before) < 2 * noise
        observed = after - base
        surprise = observed - overshoot - offset
        spread = np.square(overshoot) + np.square(noise)
        # No exponential lands far below its base, so the curve is off here; far above may be chance, once.
        variance = np.where(known & (surprise < 0), np.maximum(variance, np.square(surprise) - spread), variance)
        likely = np.square(surprise) < 16 * (variance + spread)
        gain = variance / (variance + spread)
        landed = np.minimum(offset + gain * surprise, observed + noise)
        reset_still = still & (polarity == Polarity.RESET)
        learned = np.where(reset_still, _offset_of_still(offset, np.sqrt(variance), observed), landed)
        informative = reset_still | (known & likely)
        self.offset_siemens[polarity, cells] = np.where(informative, learned, offset)
        better = np.maximum((1 - gain) * variance, _VARIANCE_FLOOR * prior)
        doubted = variance + _DOUBT * prior
        self.variance[polarity, cells] = np.where(still | ~likely, doubted, np.where(informative, better, variance))

    def _learn_response(self, polarity, cells, nominal_way, travelled, scatter) -> None:
        is_set, response = polarity == Polarity.SET, self.response[cells]
        way = nominal_way + self.offset_siemens[polarity, cells]
        share = travelled / np.where(way == 0, 1.0, way)
        slow = is_set & (way > _TELLING * scatter) & (share > 0.1) & (share < _SLOW_SHARE)
        self.response[cells[slow]] = np.where(response < 1.0, 0.5 * (response + share), share)[slow]
        newly = cells[slow & (response == 1.0)]     # what it taught so far was taken for a normal cell's
        self.offset_siemens[:, newly], self.variance[:, newly] = 0.0, self._prior[:, None]
        normal = is_set & (nominal_way > _TELLING * scatter) & (travelled > _NORMAL_SHARE * nominal_way)
        self.response[cells[normal]] = 1.0


def _offset_of_still(offset: np.ndarray, deviation: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Mean offset (n,) after a RESET that did nothing: it failed, or the offset is above `observed`."""
    distance = (observed - offset) / deviation
    density = np.exp(-0.5 * np.square(distance)) / np.sqrt(2 * np.pi)
    above = 0.5 * erfc(distance / np.sqrt(2))
    effective = 1 - _RESET_FAILURE
    return offset + deviation * effective * density / (effective * above + _RESET_FAILURE)
