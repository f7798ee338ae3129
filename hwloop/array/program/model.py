"""What is known of each cell's response: learned while programming, kept by the caller for the whole session."""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.special import erfc

from hwloop.drivers.cells import Polarity

SET, RESET = int(Polarity.SET), int(Polarity.RESET)
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
        after: np.ndarray, noise: np.ndarray, telling: np.ndarray,
    ) -> None:
        """Take in one pulse a cell, all (n,) siemens: nominal base, mean overshoot, readings and their noise; but for
        those that are not `telling` (n,) bool.

        The landing is base + offset + an exponential overshoot, so it bounds the offset from above.
        """
        deviation = _learn(
            polarity, cells, base, overshoot, before, after, noise, telling, self.offset_siemens, self.variance,
            self._prior, self.response,
        )
        still = np.flatnonzero(deviation)
        if still.size:
            offset = self.offset_siemens[RESET, cells[still]]
            learned = _offset_of_still(offset, deviation[still], after[still] - base[still])
            self.offset_siemens[RESET, cells[still]] = learned


@njit(
    "f8[::1](i8[::1], i8[::1], f8[::1], f8[::1], f8[::1], f8[::1], f8[::1], b1[::1],"
    " f8[:, ::1], f8[:, ::1], f8[::1], f8[::1])", error_model="numpy", cache=True,
)
def _learn(polarity, cells, base, overshoot, before, after, noise, telling, offsets, variances, priors, responses):
    """Learn in place, pulse by pulse. Returns the deviation of what was known where a RESET did nothing, else 0: what
    that says about the offset is left to the caller."""
    deviation = np.zeros(len(cells))
    for i in np.flatnonzero(telling):
        which, cell = polarity[i], cells[i]
        is_set, prior = which == SET, priors[which]
        nominal_way, travelled = base[i] + overshoot[i] - before[i], after[i] - before[i]
        way, scatter = nominal_way + offsets[which, cell], overshoot[i] + noise[i]
        share, response = travelled / (1.0 if way == 0 else way), responses[cell]
        if is_set and way > _TELLING * scatter and 0.1 < share < _SLOW_SHARE:
            responses[cell] = 0.5 * (response + share) if response < 1.0 else share
            if response == 1.0:     # what it taught so far was taken for a normal cell's
                for other in range(2):
                    offsets[other, cell], variances[other, cell] = 0.0, priors[other]
        if is_set and nominal_way > _TELLING * scatter and travelled > _NORMAL_SHARE * nominal_way:
            responses[cell] = 1.0
        offset, variance = offsets[which, cell], variances[which, cell]
        is_known = responses[cell] == 1.0       # a slow cell stops short of where it would land
        is_still = abs(travelled) < 2 * noise[i]
        observed = after[i] - base[i]
        surprise = observed - overshoot[i] - offset
        spread = overshoot[i] * overshoot[i] + noise[i] * noise[i]
        if is_known and surprise < 0:
            # No exponential lands far below its base, so the curve is off here; far above may be chance, once.
            variance = max(variance, surprise * surprise - spread)
        is_likely = surprise * surprise < 16 * (variance + spread)
        gain = variance / (variance + spread)
        is_reset_still = is_still and not is_set
        if is_reset_still:
            deviation[i] = np.sqrt(variance)
        elif is_known and is_likely:
            offsets[which, cell] = min(offset + gain * surprise, observed + noise[i])
        if is_still or not is_likely:
            variance += _DOUBT * prior
        elif is_known:
            variance = max((1 - gain) * variance, _VARIANCE_FLOOR * prior)
        variances[which, cell] = variance
    return deviation


def _offset_of_still(offset: np.ndarray, deviation: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Mean offset (n,) after a RESET that did nothing: it failed, or the offset is above `observed`."""
    distance = (observed - offset) / deviation
    density = np.exp(-0.5 * np.square(distance)) / np.sqrt(2 * np.pi)
    above = 0.5 * erfc(distance / np.sqrt(2))
    effective = 1 - _RESET_FAILURE
    return offset + deviation * effective * density / (effective * above + _RESET_FAILURE)
