"""Factors rounded to a few bits, as a small memory would keep them, after the run that found them."""

from __future__ import annotations

import numpy as np


def round_factors(w: np.ndarray, h: np.ndarray, bits: int | None) -> tuple[np.ndarray, np.ndarray]:
    """W (…, m, k) and H (…, k, n) with entries of `bits` bits; None leaves them as they are.

    Every column of W and every row of H, one component each, has 2^bits - 1 equal steps from 0 to its largest entry.
    """
    if bits is None:
        return w, h
    return _rounded(w, 2**bits - 1, -2), _rounded(h, 2**bits - 1, -1)


def _rounded(factor: np.ndarray, steps: int, axis: int) -> np.ndarray:
    largest = factor.max(axis=axis, keepdims=True, initial=0.0)
    # A component that is zero throughout stays so.
    shares = np.divide(factor, largest, out=np.zeros_like(factor), where=largest > 0.0)
    return np.rint(shares * steps) * (largest / steps)
