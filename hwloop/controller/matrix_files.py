"""Matrices that commands write: .npy or .csv, whole or not at all, never over another file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from hwloop.runlog.publish import publish

MATRIX_SUFFIXES = (".npy", ".csv")


def write_matrix(target: Path, values: np.ndarray) -> None:
    """Write `values` as float64 to a new file, by its suffix; in a .csv file several matrices stand below each other.

    Raises UsageError where `target` exists or cannot be written.
    """
    with publish(target) as file:
        if target.suffix.lower() == ".npy":
            np.save(file, values)
        else:
            text = io.StringIO()
            np.savetxt(text, values.reshape(-1, values.shape[-1]), fmt="%.9g", delimiter=",")
            file.write(text.getvalue().encode())
