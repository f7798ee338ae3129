"""`logs list`: every run of a folder, from the beginning and the last part of its journal."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwloop.controller.run_summary import Figure, RunSummary, iso_time, main_figure
from hwloop.errors import DataError
from hwloop.runlog.journal import Journal
from hwloop.runlog.sources import RunSource, State, run_in, run_names
from hwloop.runlog.tail import Tail, read_tail_until

_ITERATING = ("image", "ratings", "matrix")
# What a run file says of a run that nobody writes any more.
_STATES = {"complete": State.COMPLETE, "stopped": State.STOPPED, "partial": State.DIED}
# How far back from its end a journal is searched for the last iteration.
_MOST_TAIL_BYTES = 4 << 20


@dataclass(frozen=True)
class ListedRun:
    """One line of the list; None and "?" where the file does not say."""

    name: str
    kind: str
    created: str
    state: State | None
    label: str | None
    iterations: int | None
    of: int | None
    rounds: int | None
    bytes: int
    figure: Figure | None
    seconds: float | None
    trouble: str | None = None

    def document(self) -> dict[str, Any]:
        """The JSON entry of `runs`."""
        figure = None if self.figure is None else vars(self.figure)
        state = None if self.state is None else str(self.state)
        return {**vars(self), "state": state, "figure": figure}

    def cells(self) -> tuple[str, ...]:
        """The line's columns, for people."""
        done = f"{self.rounds:,} rounds" if self.rounds else ""
        if self.iterations:
            done = f"{self.label}, {self.iterations} of {self.of}"
        what = self.trouble or (self.figure.text() if self.figure else "")
        when = self.created[:19].replace("T", " ")
        return (self.name, self.kind, when, self.state or "damaged", done, _size(self.bytes), what)


@dataclass(frozen=True)
class RunList:
    """The runs of a folder, newest first."""

    folder: Path
    runs: tuple[ListedRun, ...]
    goal_missed: None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {"folder": self.folder, "runs": [run.document() for run in self.runs]}

    def text(self) -> str:
        """For people."""
        if not self.runs:
            return f"no runs in {self.folder}"
        titles = ("run", "kind", "started (UTC)", "state", "done", "size", "result")
        rows = [titles, *(run.cells() for run in self.runs)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (
            "  ".join(
                cell.rjust(width) if number == 5 else cell.ljust(width)
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )
        unfinished = sum(run.state in (State.STOPPED, State.DIED) for run in self.runs)
        hint = f"\n{unfinished} unfinished; `hwloop logs resume NAME` goes on with one" if unfinished else ""
        return "\n".join(lines) + hint


def list_runs(folder: Path) -> RunList:
    """The runs in `folder`. Raises DataError where it is no folder."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is no folder; name the folder of the runs, or look at it with `hwloop logs show`")
    found = [_listed(run_in(folder, name)) for name in run_names(folder)]
    listed = sorted((run for run in found if run), key=lambda run: (run.created, run.name), reverse=True)
    return RunList(folder, tuple(listed))


def _listed(source: RunSource | None) -> ListedRun | None:
    """A run as listed; None for a file that is none of ours (any .h5 may lie about) or has gone."""
    if source is None:
        return None
    try:
        size = source.path.stat().st_size
        if source.journal_path is None:
            return _from_run_file(source, size)
        with source.journal() as journal:
            return _from_journal(source, journal, size)
    except (DataError, OSError) as error:
        if source.journal_path is None:
            return None
        size = _bytes_of(source.path)
        return ListedRun(source.name, "?", "", None, None, None, None, None, size, None, None, str(error))


def _bytes_of(path: Path) -> int:
    """Bytes of a file; 0 where it is gone."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _from_journal(source: RunSource, journal: Journal, size: int) -> ListedRun:
    summary = RunSummary()
    # The first record says what was run; inputs, which may be large, come behind it.
    for record in itertools.islice(journal.records(), 1):
        summary.take(record)
    tail = read_tail_until(journal.file, journal.header, lambda tail: _is_told(tail, summary.kind), _MOST_TAIL_BYTES)
    for record, event in tail.events():
        if record.sequence > 0:
            summary.take_event(record, event)
    last, rounds = summary.last_iteration, summary.rounds
    began_ns = summary.begin_ns or journal.header.created_ns
    is_own = last is not None and not last.is_reference
    return ListedRun(
        name=source.name, kind=summary.kind, created=str(summary.run.get("created", "")) or iso_time(began_ns),
        state=summary.state(source.is_written), label=last.label if is_own else None,
        iterations=last.iteration if is_own else None, of=last.of if is_own else None,
        rounds=rounds[-1].round if rounds else None, bytes=size, figure=summary.figure,
        seconds=max(summary.end_ns - began_ns, 0) * 1e-9,
    )


def _from_run_file(source: RunSource, size: int) -> ListedRun:
    """From what the run file itself says: its journal would have to be unpacked."""
    from hwloop.runlog.run_file import read_run

    run = read_run(source.run_file)
    curves = run.convergence() if run.kind in _ITERATING else ()
    iterations = len(curves[-1].analog) if curves else None
    return ListedRun(
        name=source.name, kind=run.kind, created=run.created, state=_STATES.get(run.status),
        label=curves[-1].label if curves else None, iterations=iterations, of=iterations, rounds=None, bytes=size,
        figure=main_figure(run.metrics), seconds=None,
    )


def _is_told(tail: Tail, kind: str) -> bool:
    """Whether the tail says how far the run came."""
    names = {event.name for _, event in tail.events()}
    wanted = {"iteration"} if kind in _ITERATING else {"result", "programmed", "stopped"}
    return bool(names & wanted)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


