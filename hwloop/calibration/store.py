"""Where calibrations are kept: a folder for each board and array, a file for each calibration, none overwritten."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwloop.calibration.record import Calibration, Subject, from_toml, to_toml
from hwloop.errors import CalibrationError, UsageError

SUFFIX = ".toml"


@dataclass(frozen=True)
class Kept:
    """A calibration, its file, and the text of that."""

    path: Path
    calibration: Calibration
    text: str


@dataclass(frozen=True)
class Store:
    """Folders that are looked through, in order; new files go into the first one."""

    folders: tuple[Path, ...]

    def save(self, calibration: Calibration) -> Path:
        """Write a new file, whole or not at all, and give its path. Raises UsageError where that fails."""
        folder = self.folders[0] / calibration.subject.folder
        text = to_toml(calibration)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            beside = folder / f".{calibration.kind}.{os.getpid()}"
            try:
                with open(beside, "x", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                return _publish(beside, folder, f"{calibration.taken[:10]}-{calibration.kind}")
            finally:
                beside.unlink(missing_ok=True)
        except OSError as error:
            raise _not_written(folder, error) from error

    def prepare(self) -> None:
        """Make the folder for new files, before anything is measured for them. Raises UsageError as `save`."""
        folder = self.folders[0]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise _not_written(folder, error) from error

    def read(self, path: Path) -> Kept:
        """One file. Raises CalibrationError."""
        try:
            text = path.read_text("utf-8")
            return Kept(path, from_toml(text, str(path)), text)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise CalibrationError(f"{path}: cannot be read ({reason}); name a calibration file") from error

    def of(self, subject: Subject, kind: str | None = None) -> list[Kept]:
        """All calibrations of a board or array, the newest first. Raises CalibrationError where one is damaged."""
        found = [self.read(path) for path in self._paths(subject.folder) if kind is None or _is_of_kind(path, kind)]
        return sorted(found, key=lambda kept: (kept.calibration.taken, _parts(kept.path)[1]), reverse=True)

    def all(self) -> Iterator[Kept]:
        """Every calibration in the store, folder by folder."""
        for folder in self._subject_folders():
            for path in self._paths(folder):
                yield self.read(path)

    def _subject_folders(self) -> Sequence[str]:
        folders = [folder for folder in self.folders if folder.is_dir()]
        return sorted({entry.name for folder in folders for entry in folder.iterdir() if entry.is_dir()})

    def _paths(self, name: str) -> list[Path]:
        seen: dict[Path, None] = {}
        for folder in self.folders:
            for path in sorted((folder / name).glob(f"*{SUFFIX}")):
                seen.setdefault(path.resolve(), None)
        return list(seen)


def _not_written(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{folder}: the calibration cannot be written there ({error.strerror}); choose another folder with "
        "[calibration] folder"
    )


def _publish(beside: Path, folder: Path, stem: str) -> Path:
    """Give a finished file its name, the first one of the day that is free."""
    number = 1
    while True:
        path = folder / (f"{stem}{SUFFIX}" if number == 1 else f"{stem}-{number}{SUFFIX}")
        try:
            os.link(beside, path)
        except FileExistsError:
            number += 1
        else:
            return path


def _is_of_kind(path: Path, kind: str) -> bool:
    """By its name, so that only what is wanted is read."""
    return _parts(path)[0] == kind


def _parts(path: Path) -> tuple[str, int]:
    """Kind and number of a file <date>-<kind>.toml, the first one of its day, or <date>-<kind>-<number>.toml."""
    rest = path.stem[len("2026-01-01-") :]
    base, _, number = rest.rpartition("-")
    return (base, int(number)) if number.isdecimal() else (rest, 1)
