"""Readings on their way out: comma-separated numbers or IEEE 754 blocks in either byte order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ASCII, REAL_32, REAL_64 = "ASC", "REAL,32", "REAL,64"


@dataclass
class DataFormat:
    """FORMat[:DATA] and FORMat:BORDer. `swapped` is least significant byte first."""

    data: str = ASCII
    swapped: bool = False

    def block(self, values: np.ndarray, definite: bool) -> bytes:
        """`values` (n,) in binary: a definite-length block, or #0 and the bytes, which end with the message."""
        order = "<" if self.swapped else ">"
        body = np.asarray(values).astype(order + ("f4" if self.data == REAL_32 else "f8")).tobytes()
        size = str(len(body))
        return (f"#{len(size)}{size}".encode() if definite else b"#0") + body
