"""`replay`: the same controller code on the recorded exchanges, without a board."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from hwloop.controller.jobs import job
from hwloop.controller.output_files import RUNS
from hwloop.controller.recorded_run import OUTPUTS, RecordedRun, read_recorded_run
from hwloop.controller.run import Source
from hwloop.errors import DivergenceError
from hwloop.report import Report
from hwloop.runlog.run_file import SUFFIX


def replay_run(journal: Path, report: Report, folder: Path | None = None) -> Any:
    """The result of the recorded run, computed again; what it writes goes into `folder` (default: a new one in runs/).

    Raises DivergenceError where the controller asks for something else than what was recorded, ReplayEndError where
    the recording ends before the run does.
    """
    recorded = read_recorded_run(journal)
    folder = folder or _new_folder(recorded.name)
    run_file = journal.with_suffix(SUFFIX)
    source = Source(
        journal, name=recorded.name, started=recorded.begin.fields["created"],
        options=recorded.begin.fields["options"], run_file=run_file if run_file.exists() else None, folder=folder,
    )
    with recorded.restored_inputs() as options:
        try:
            return job(recorded.kind)[1](_redirected(options, folder), recorded.settings(), report, source)
        except DivergenceError as error:
            raise _explained(error, recorded) from error


def _redirected(options: Any, folder: Path) -> Any:
    named = {option: getattr(options, option, None) for option in OUTPUTS}
    changes = {option: folder / path.name for option, path in named.items() if path is not None}
    for option, value in (("pictures", folder), ("run_file", None)):
        if hasattr(options, option):
            changes[option] = value
    return dataclasses.replace(options, **changes)


def _new_folder(name: str) -> Path:
    number = 1
    while (folder := RUNS / f"{name}-replay-{number}").exists():
        number += 1
    return folder


def _explained(error: DivergenceError, recorded: RecordedRun) -> DivergenceError:
    differences = recorded.differences()
    error.differences = f"; since then changed: {differences}" if differences else "; no version changed since then"
    return error
