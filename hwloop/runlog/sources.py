"""What a user calls a run (run file, journal, or name in runs/), and whether somebody is writing it."""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hwloop.errors import DataError
from hwloop.runlog.framing import MAGIC, RUN_FILE_SUFFIX, SUFFIX
from hwloop.runlog.journal import Journal

RUNS = Path("runs")             # where runs are kept unless they are told otherwise; of the working directory
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


class State(StrEnum):
    """How a run stands."""

    COMPLETE = "complete"
    RUNNING = "running"     # somebody holds the journal
    STOPPED = "stopped"     # it ended before its end, and says why
    DIED = "died"           # it says nothing, and nobody holds the journal


@dataclass(frozen=True)
class RunSource:
    """Where a run is kept: its journal, its run file (which has the journal inside), or both."""

    name: str
    journal_path: Path | None
    run_file: Path | None

    @property
    def path(self) -> Path:
        """The file that is read: the journal where it is there."""
        return self.journal_path or self.run_file

    @property
    def is_written(self) -> bool:
        """Whether the run is going on now."""
        return self.journal_path is not None and is_written(self.journal_path)

    def journal(self) -> contextlib.AbstractContextManager[Journal]:
        """The journal, to be read. Raises DataError where the file has none or cannot be read."""
        return Journal.open(self.journal_path) if self.journal_path else _embedded(self.run_file)


def find_run(name: str | os.PathLike, folder: Path = RUNS) -> RunSource:
    """The run that `name` means: a journal, a run file, or a name in `folder`.

    A file that is named is taken alone; of a run that is named by its name, every file that is there. Raises DataError
    where nothing fits, with names that nearly do.
    """
    path = Path(name)
    if path.is_file():
        return _of_file(path)
    place = path.parent if len(path.parts) > 1 else folder
    stem = path.stem if path.suffix in (SUFFIX, RUN_FILE_SUFFIX) else path.name
    found = run_in(place, stem)
    if found is None:
        raise DataError(f"no run {os.fspath(name)!r}: {_near(stem, place)}")
    return found


@contextlib.contextmanager
def find_journal(name: str | os.PathLike, folder: Path = RUNS) -> Iterator[Path]:
    """As `find_run`, as the path of a journal: that of a run file is put into a temporary folder meanwhile."""
    source = find_run(name, folder)
    if source.journal_path is not None:
        yield source.journal_path
        return
    with tempfile.TemporaryDirectory(prefix="hwloop-journal-") as temporary, source.journal() as journal:
        path = Path(temporary) / f"{source.name}{SUFFIX}"
        journal.file.seek(0)
        with open(path, "xb") as file:
            shutil.copyfileobj(journal.file, file)
        yield path


def run_in(folder: Path, name: str) -> RunSource | None:
    """The run `name` of `folder`, None where it has no journal and no run file there."""
    journal, run_file = folder / f"{name}{SUFFIX}", folder / f"{name}{RUN_FILE_SUFFIX}"
    if not (journal.is_file() or run_file.is_file()):
        return None
    return RunSource(name, journal if journal.is_file() else None, run_file if run_file.is_file() else None)


def run_names(folder: Path) -> list[str]:
    """Names of the runs in `folder`, sorted; none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            names = {Path(entry.name) for entry in entries if not entry.name.startswith(".")}
    except OSError:
        return []
    return sorted({path.stem for path in names if path.suffix in (SUFFIX, RUN_FILE_SUFFIX)})


def is_written(journal: Path) -> bool:
    """Whether a process holds the journal to write it. A lock is tried for microseconds; nothing is changed."""
    try:
        descriptor = os.open(journal, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False    # a file system without locks: nobody can be told to hold it
    finally:
        os.close(descriptor)
    return False


def _of_file(path: Path) -> RunSource:
    try:
        with open(path, "rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if magic == _HDF5_MAGIC:
        return RunSource(path.stem, None, path)
    if magic != MAGIC and path.suffix != SUFFIX:
        raise DataError(f"{path} is neither a journal nor a run file of hwloop; name a .journal, a .h5 or a run")
    return RunSource(path.stem, path, None)


def _near(stem: str, folder: Path) -> str:
    names = run_names(folder)
    near = difflib.get_close_matches(stem, names, n=3, cutoff=0.5) or [name for name in names if stem in name][-3:]
    if near:
        return f"did you mean {' or '.join(near)}?"
    how_many = "is 1 run" if len(names) == 1 else f"are {len(names)} runs"
    return f"there {how_many} in {folder}; `hwloop logs list` shows them" if names else (
        f"there is no run in {folder}; name a journal, a run file, or a run of another folder by its path"
    )


@contextlib.contextmanager
def _embedded(run_file: Path) -> Iterator[Journal]:
    from hwloop.runlog.run_file import journal_of

    with journal_of(run_file) as journal:
        yield journal
