"""`replay`: the same controller code on the recorded exchanges, without a board."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwloop.controller.jobs import job
from hwloop.controller.recorded_run import OUTPUTS, read_recorded_run
from hwloop.controller.source import Source
from hwloop.controller.what_if import read_what_if
from hwloop.errors import DivergenceError, ReplayEndError
from hwloop.report import Report
from hwloop.runlog.framing import RUN_FILE_SUFFIX
from hwloop.runlog.sources import RUNS, RunSource, find_journal


def replay_run(
    run: RunSource, report: Report, folder: Path | None = None, changes: Sequence[str] = ()
) -> Any:
    """The result of the recorded run, computed again; what it writes goes into `folder` (default: a new one in runs/).

    With `changes` (TABLE.KEY=VALUE) it is a what-if: a WhatIfResult, or UnansweredError where the recording has no
    answer. Its figures are not those of the run's file, so it names none.
    Raises DivergenceError where the controller asks for something else than what was recorded, ReplayEndError where
    the recording ends before the run does.
    """
    with find_journal(run.path) as journal:
        recorded = read_recorded_run(journal)
        what_if = read_what_if(changes, recorded)
        folder = folder or _new_folder(f"{recorded.name}-{'what-if' if changes else 'replay'}")
        source = Source(
            journal, name=recorded.name, started=recorded.begin.fields["created"],
            options=recorded.begin.fields["options"], folder=folder,
            run_file=None if changes else _run_file(run),
        )
        settings = what_if.settings(recorded.settings())
        with recorded.restored_inputs() as options:
            options = _redirected(what_if.options(options), folder)
            try:
                result = job(recorded.kind)[1](options, settings, report, source)
                return what_if.result(result) if changes else result
            except (DivergenceError, ReplayEndError) as error:
                if unanswered := what_if.unanswered(error):
                    raise unanswered from error
                if isinstance(error, ReplayEndError):
                    raise
                found = recorded.differences(options, settings)
                error.differences = f"; since then changed: {found}" if found else "; no version changed since then"
                raise


def _run_file(run: RunSource) -> Path | None:
    beside = run.path.with_suffix(RUN_FILE_SUFFIX)
    return run.run_file or (beside if beside.exists() else None)


def _redirected(options: Any, folder: Path) -> Any:
    named = {option: getattr(options, option, None) for option in OUTPUTS}
    changes = {option: folder / path.name for option, path in named.items() if path is not None}
    for option, value in (("pictures", folder), ("run_file", None)):
        if hasattr(options, option):
            changes[option] = value
    return dataclasses.replace(options, **changes)


def _new_folder(stem: str) -> Path:
    number = 1
    while (folder := RUNS / f"{stem}-{number}").exists():
        number += 1
    return folder
