"""Where a run's file and pictures go: checked before the run, written after it, never over another file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hwloop.runlog.publish import refuse_existing
from hwloop.runlog.record import RunRecord
from hwloop.runlog.run_file import create_run, write_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNS = Path("runs")


class OutputFiles:
    """The files of one run of `kind`: a run file, by default a new one in runs/, and pictures beside it.

    Raises UsageError at once where a named file exists.
    """

    def __init__(self, kind: str, run_file: Path | None, pictures: Path | None):
        self._run_file, self._pictures = run_file, pictures
        self.refuse_existing(run_file)

    def refuse_existing(self, path: Path | None) -> None:
        """Refuse, before anything was driven, a file that the run would have to overwrite."""
        if path is not None:
            refuse_existing(path)

    def write_run(self, record: RunRecord) -> Path:
        """Write the run file; gives its path."""
        if self._run_file is None:
            return create_run(RUNS, record)
        write_run(self._run_file, record)
        return self._run_file

    def write_pictures(self, run_file: Path, drawn: Mapping[str, Figure]) -> tuple[Path, ...]:
        """Write pictures as <run>-<name>.png; gives their paths."""
        from hwloop.apps.pictures import save_figure

        folder = self._pictures or run_file.parent
        paths = []
        for name, figure in drawn.items():
            paths.append(folder / f"{run_file.stem}-{name}.png")
            save_figure(figure, paths[-1])
        return tuple(paths)
