"""The file of a durable simulated bench: written atomically, refused where it is not one or belongs to another chip."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hwloop.errors import CalibrationError


def save_state(path: Path, state: Mapping[str, np.ndarray | int]) -> None:
    """Write `state` (arrays and numbers by name) so that a reader finds the old file or the new one, never a part.

    Raises OSError where it cannot be written.
    """
    temporary = path.with_name(path.name + ".new")
    with open(temporary, "wb") as file:
        np.savez(file, **state)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_state(path: Path, array_serial: int, cells: int) -> dict[str, np.ndarray] | None:
    """What `save_state` wrote for this chip, None where there is no file yet.

    Raises CalibrationError where the file is something else, damaged, of another chip or of another kind of board, and
    where its folder is not there.
    """
    if not path.exists():
        if not path.parent.is_dir():
            raise CalibrationError(f"{path}: its folder does not exist; make it, or choose another file")
        return None
    try:
        with np.load(path) as stored:
            state = {name: stored[name] for name in stored.files}
        found_serial, found_cells = int(state["array_serial"]), len(state["conductance_siemens"])
        if {"ticks", "boot_counter", "last_command"} - state.keys():
            raise ValueError("incomplete")
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        reason = "not the state of a simulated board, or damaged"
        raise CalibrationError(f"{path}: {reason}; choose another file") from error
    if (found_serial, found_cells) != (array_serial, cells):
        raise CalibrationError(
            f"{path}: state of array {found_serial} with {found_cells} cells, this is array {array_serial} with "
            f"{cells}; choose another file"
        )
    return state
