"""Fingerprints of inputs and results."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def file_sha256(path: Path | str) -> str:
    """Hex SHA-256 of the bytes of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def factors_sha256(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> str:
    """Hex SHA-256 over the little-endian float64 bytes of W in the order (matrix, row, k), then H (matrix, k, column).

    `pairs` holds one (W, H) a fold, in the order of the folds: W (matrices, m, k) and H (matrices, k, n), or without
    the leading axis for a single matrix.
    """
    digest = hashlib.sha256()
    for w, h in pairs:
        digest.update(np.ascontiguousarray(w, dtype="<f8"))
        digest.update(np.ascontiguousarray(h, dtype="<f8"))
    return digest.hexdigest()
