"""The snapshot file of a durable bench: all of one moment, replaced as a whole, refused where it is not one.

Layout (little-endian): magic "HWLSTATE", version (uint32), id of the snapshot (16 bytes), length of the description
(uint32), the description (JSON: fields of BenchState but for `cells` and `board`; names, types and lengths of the
arrays; length of `board`), the arrays one after the other, `board`, CRC-32 of all before it. Files from before version
1 are .npz archives of arrays by name, without a log, board or effects.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwloop.errors import CalibrationError
from hwloop.mock.presets import Effects

MAGIC, VERSION = b"HWLSTATE", 1
ID_BYTES = 16
_HEAD = struct.Struct(f"<8sI{ID_BYTES}sI")
_CRC = struct.Struct("<I")
_DAMAGE = (
    OSError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError, struct.error, zipfile.BadZipFile,
)


@dataclass(frozen=True)
class BenchState:
    """A bench between two commands. `cells` are the arrays of CellState by name, all (n,); `board` is what the board on
    the bench keeps for itself, empty where that is nothing; `seed` and `effects` are those of the pulses so far.
    `effects` is None and the name is empty in files from before they were kept.
    """

    array_serial: int
    board_name: str
    board_serial: int
    wire_hash: int
    seed: int
    effects: Effects | None
    ticks: int
    boot_counter: int
    last_command: tuple[int, int]
    last_completed: bool
    cells: dict[str, np.ndarray]
    board: bytes


def write_snapshot(path: Path, state: BenchState) -> bytes:
    """Write `state` so that a reader finds the old file or the new one, never a part; gives the new one's id.

    Raises OSError where it cannot be written.
    """
    identity = os.urandom(ID_BYTES)
    description = {
        field.name: getattr(state, field.name)
        for field in dataclasses.fields(state) if field.name not in ("effects", "cells", "board")
    }
    arrays = {name: np.ascontiguousarray(values) for name, values in state.cells.items()}
    description["effects"] = dataclasses.asdict(state.effects) if state.effects else None
    description["arrays"] = [(name, values.dtype.str, values.size) for name, values in arrays.items()]
    description["board_bytes"] = len(state.board)
    text = json.dumps(description).encode()
    contents = [values.view(np.uint8).data for values in arrays.values()]
    parts = [_HEAD.pack(MAGIC, VERSION, identity, len(text)), text, *contents, state.board]
    temporary, crc = path.with_name(path.name + ".new"), 0
    try:
        with open(temporary, "wb") as file:
            for part in parts:
                file.write(part)
                crc = zlib.crc32(part, crc)
            file.write(_CRC.pack(crc))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)
    return identity


def read_snapshot(path: Path) -> tuple[BenchState, bytes] | None:
    """The state in `path` and the snapshot's id (empty in an .npz file); None where there is no file yet.

    Raises CalibrationError where the file is something else, damaged or newer than this program.
    """
    if not path.exists():
        return None
    try:
        data = path.read_bytes()
        if not data.startswith(MAGIC):
            return _read_archive(path), b""
        magic, version, identity, length = _HEAD.unpack_from(data)
        if _CRC.unpack(data[-_CRC.size :])[0] != zlib.crc32(memoryview(data)[: -_CRC.size]):
            raise ValueError("damaged")
        if version == VERSION:
            return _parsed(data, length), identity
    except _DAMAGE as error:
        reason = "not the state of a simulated board, or damaged"
        raise CalibrationError(f"{path}: {reason}; choose another file") from error
    raise CalibrationError(
        f"{path}: state of version {version}, this hwloop reads {VERSION}; use the newer hwloop that wrote it"
    )


def _parsed(data: bytes, length: int) -> BenchState:
    description = json.loads(data[_HEAD.size : _HEAD.size + length])
    at, cells = _HEAD.size + length, {}
    for name, kind, size in description.pop("arrays"):
        cells[name] = np.frombuffer(data, kind, size, at)
        at += cells[name].nbytes
    board = data[at : at + description.pop("board_bytes")]
    effects = description.pop("effects")
    description["last_command"] = tuple(description["last_command"])
    return BenchState(**description, effects=Effects(**effects) if effects else None, cells=cells, board=board)


def _read_archive(path: Path) -> BenchState:
    """Before version 1; the oldest of them do not say whether the last command was completed."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    kind, sequence = arrays.pop("last_command").tolist()
    numbers = {name: int(arrays.pop(name)) for name in ("array_serial", "ticks", "boot_counter")}
    seed, completed = int(arrays.pop("seed", 0)), bool(arrays.pop("last_completed", True))
    if "conductance_siemens" not in arrays:
        raise ValueError("incomplete")
    return BenchState(
        **numbers, board_name="", board_serial=0, wire_hash=0, seed=seed, effects=None, last_command=(kind, sequence),
        last_completed=completed, cells=arrays, board=b"",
    )


def _sync_folder(folder: Path) -> None:
    """The new name has to be on the disk before the log that belongs to the old file is given up."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
