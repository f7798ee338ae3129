"""`logs resume`: a run that was cut off goes on where its journal ends."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from hwloop.controller.jobs import job
from hwloop.controller.plan import DryRun
from hwloop.controller.recorded_run import OUTPUTS, read_recorded_run
from hwloop.controller.source import Source
from hwloop.errors import UsageError
from hwloop.report import Report
from hwloop.runlog.framing import RUN_FILE_SUFFIX
from hwloop.runlog.sources import RUNS, find_run


def resume_run(run: str | Path, report: Report, port: str | None = None, dry_run: bool = False) -> Any:
    """The result of `run` (a journal, a name in runs/), once it is finished; `port` is where its board is now, where
    that changed.

    Raises UsageError where there is nothing to go on with, and what the job raises.
    """
    journal = find_run(run, RUNS).journal_path
    if journal is None:
        raise UsageError(f"{run} has no journal beside it to go on with; `hwloop replay` repeats what it holds")
    recorded = read_recorded_run(journal)
    if recorded.result is not None and journal.with_suffix(RUN_FILE_SUFFIX).exists():
        raise UsageError(f"{recorded.name} is finished, there is nothing to resume; `hwloop replay` repeats it")
    if dry_run:
        return DryRun(f"go on with {recorded.name}, after what {journal} holds")
    settings = recorded.settings()
    if port is not None:
        board = dataclasses.replace(settings.rig.board, port=port)
        settings = dataclasses.replace(settings, rig=dataclasses.replace(settings.rig, board=board))
    source = Source(
        journal, goes_on=True, name=recorded.name, started=recorded.begin.fields["created"],
        options=recorded.begin.fields["options"],
    )
    with recorded.restored_inputs() as options:
        return job(recorded.kind)[1](_without_written(options, report), settings, report, source)


def _without_written(options: Any, report: Report) -> Any:
    """What the run had written before it was cut off is whole, and stays."""
    written = [name for name in OUTPUTS if (path := getattr(options, name, None)) is not None and path.exists()]
    for name in written:
        report.note(f"{getattr(options, name)} was written before the run was cut off, and stays")
    return dataclasses.replace(options, **dict.fromkeys(written))
