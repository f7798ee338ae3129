"""Make a file appear at its final name complete or not at all, and never over another one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hwloop.errors import UsageError


@contextmanager
def publish(path: Path | str) -> Iterator[BinaryIO]:
    """A binary file to write; it gets the name `path` when the block ends, and vanishes when the block raises.

    The bytes go to a hidden temporary file in the same folder, are synchronised, and are linked to `path`: another
    program sees the whole file or none. Missing folders are made.
    Raises UsageError where `path` exists (also if it came to exist meanwhile) or cannot be written (disk full).
    """
    path = Path(path)
    refuse_existing(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _name_without_overwriting(temporary, path)
    except OSError as failure:
        refuse_existing(path)
        raise UsageError(
            f"cannot write {path}: {failure.strerror or failure}; nothing was left there, choose another place"
        ) from failure
    finally:
        with suppress(OSError):
            temporary.unlink()


def refuse_existing(path: Path | str) -> None:
    """Raises UsageError where `path` exists: results are created only, never overwritten."""
    if os.path.lexists(path):
        raise UsageError(f"{path} exists and is not overwritten; choose another name or remove it first")


def _name_without_overwriting(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        # No hard links here (FAT, some network shares): reserve the name exclusively, then rename onto our empty file.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            os.replace(temporary, path)
        except OSError:
            path.unlink()
            raise
