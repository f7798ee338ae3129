"""Where a run's file and pictures go: checked before the run, written after it, never over another file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hwloop.errors import UsageError
from hwloop.runlog.publish import refuse_existing
from hwloop.runlog.sources import RUNS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_target(path: Path, *suffixes: str) -> None:
    """Refuse, before anything is driven, a file that could not be written afterwards.

    Raises UsageError where `path` exists, has none of `suffixes` (any where none is given), or lies where no file can
    be made.
    """
    refuse_existing(path)
    if suffixes and path.suffix.lower() not in suffixes:
        raise UsageError(f"{path} ends in {path.suffix or 'nothing'!r}, allowed {' and '.join(suffixes)}; choose one")
    check_folder(path.parent)


def check_folder(folder: Path) -> None:
    """Raises UsageError where no file can be made in `folder`, which may have to be made itself."""
    existing = folder.absolute()
    while not os.path.lexists(existing):
        existing = existing.parent
    if not existing.is_dir():
        raise UsageError(f"cannot write into {folder}: {existing} is no folder; choose another place")
    if not os.access(existing, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise UsageError(f"cannot write into {folder}: no right to write in {existing}; choose another place")


class OutputFiles:
    """The files of one run of `kind`: a run file, by default a new one in runs/, pictures beside it, and `others`.

    Raises UsageError at once where a named file exists, is named twice, or could not be written.
    """

    def __init__(self, kind: str, run_file: Path | None, pictures: Path | None, *others: Path | None):
        self._pictures = pictures
        named = [path for path in (run_file, *others) if path is not None]
        for number, path in enumerate(named):
            check_target(path)
            if os.path.realpath(path) in map(os.path.realpath, named[:number]):
                raise UsageError(f"{path} is named for two outputs of this {kind} run; choose another name for one")
        if run_file is None:
            check_folder(RUNS)
        if pictures is not None:
            check_folder(pictures)

    def write_pictures(self, stem: Path, drawn: Mapping[str, Figure]) -> tuple[Path, ...]:
        """Write pictures as <stem>-<name>.png; gives their paths. Where one fails, the message says what is whole."""
        from hwloop.apps.pictures import save_figure

        folder = self._pictures or stem.parent
        paths = []
        for name, figure in drawn.items():
            paths.append(folder / f"{stem.name}-{name}.png")
            try:
                save_figure(figure, paths[-1])
            except UsageError as error:
                raise UsageError(f"{error}; the run itself is whole, in {stem}") from error
        return tuple(paths)
