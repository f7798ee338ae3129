"""From the codes of single samples to what a reply tells: means, steady bits and flags. Integers only, as protocol.toml
says, so that any board that sees the same samples tells the same."""

from __future__ import annotations

import numpy as np

from hwloop.link import protocol as wire


def rounded_mean(total: np.ndarray, samples: int) -> np.ndarray:
    """Mean of `samples` codes whose sum is `total` (any shape, int64), rounded half up; negative sums too."""
    return (2 * total + samples) // (2 * samples)


def digest_reads(codes: np.ndarray, averages: int, spread_code: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean codes (n,) uint16 and steady bits (n,) of `codes` (n, parts × averages)."""
    n, samples = codes.shape
    part_totals = codes.reshape(n, -1, averages).sum(axis=2, dtype=np.int64)
    parts = rounded_mean(part_totals, averages)
    whole = rounded_mean(part_totals.sum(axis=1), samples)
    steady = (np.abs(parts - whole[:, None]) <= spread_code).all(axis=1)
    return whole.astype(np.uint16), steady


def digest_solves(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean codes (n, k) int16, saturated (n,) and unsettled (n,) of `codes` (n, samples, k) int16."""
    limit = wire.SCALE_SATURATED_CODE
    moved = codes[:, -1].astype(np.int32) - codes[:, 0]
    unsettled = (np.abs(moved) > wire.SCALE_UNSETTLED_CODE).any(axis=1)
    return _means(codes), ((codes >= limit) | (codes <= -limit)).any(axis=(1, 2)), unsettled


def digest_products(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean codes (n, k) int16, beyond the range (n,), and unsettled (n,) never, of `codes` (n, samples, k) int16."""
    beyond = ((codes == -32768) | (codes == 32767)).any(axis=(1, 2))
    return _means(codes), beyond, np.zeros(len(codes), bool)


def _means(codes: np.ndarray) -> np.ndarray:
    return rounded_mean(codes.sum(axis=1, dtype=np.int64), codes.shape[1]).astype(np.int16)
