"""`logs show --follow`: a run watched from its journal alone, which the run does not notice."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hwloop.controller.run_show import ShownRun, plain_text, resumption_text
from hwloop.controller.run_summary import ITERATION_FIELDS, RunSummary, iso_time, time_text
from hwloop.report import Report
from hwloop.runlog.bodies import Event
from hwloop.runlog.framing import HEADER_BYTES, Record, read_records
from hwloop.runlog.sources import State, find_run

POLL_SECONDS, LOOK_FOR_WRITER_SECONDS = 0.2, 1.0


@dataclass(frozen=True)
class EventLine:
    """One event of a followed run, without its arrays, which are named with their shapes."""

    record: Record
    event: Event
    goal_missed: None = None

    def document(self) -> dict[str, Any]:
        """One line of `logs show --follow --json`."""
        arrays = {name: list(values.shape) for name, values in self.event.arrays.items()}
        return {
            "event": self.event.name, "time": iso_time(self.record.time_ns), "record": self.record.sequence,
            "fields": self.event.fields, "arrays": arrays,
        }

    def text(self) -> str:
        """For people."""
        return f"{time_text(self.record.time_ns)} {self.event.name} {plain_text(self.event.fields)}"


@dataclass(frozen=True)
class Ending:
    """How a followed run stood when nobody wrote it any more."""

    shown: ShownRun

    @property
    def goal_missed(self) -> str | None:
        """That its writer died."""
        return self.shown.goal_missed

    def document(self) -> dict[str, Any]:
        """The JSON document of `logs show`."""
        return self.shown.document()

    def text(self) -> str:
        """For people."""
        return "\n".join(self.shown.end_lines())


def follow_run(
    name: str, report: Report, tell: Callable[[EventLine], None] | None = None,
    begin: Callable[[ShownRun], None] = lambda shown: None,
) -> ShownRun:
    """Watch a run until it ends; gives how it stands then, `goal_missed` where its writer has died.

    `begin` is told how it stands now. `tell` is given every event from the first one on; without it `report` is told
    how far the run has come, and from then on what happens.
    """
    source, summary, end = find_run(name), RunSummary(), HEADER_BYTES
    with source.journal() as journal:
        # Whether the writer is gone is asked before the journal is read, so that nothing that it left is missed.
        is_first, is_over, looked_seconds = True, not source.is_written, time.monotonic()
        while True:
            is_new = False
            journal.file.seek(end)
            for record in read_records(journal.file, journal.header, summary.records):
                event, end, is_new = summary.take(record), record.end, True
                if event is not None and tell is not None:
                    tell(EventLine(record, event))
                elif event is not None and not is_first:
                    _tell(report, event)
            is_over = is_over or summary.ended
            size = journal.file.seek(0, os.SEEK_END)
            shown = ShownRun(source, summary, summary.state(not is_over), size, end)
            if is_first:
                begin(shown)
            if is_over:
                return shown if shown.state is not State.DIED else dataclasses.replace(
                    shown, goal_missed=f"{source.path}: whoever wrote it is gone, and the run had not ended"
                )
            if is_first and tell is None:
                _tell_standing(report, summary)
            is_first = False
            if not is_new and time.monotonic() - looked_seconds >= LOOK_FOR_WRITER_SECONDS:
                is_over, looked_seconds = not source.is_written, time.monotonic()
            if not is_over:
                time.sleep(POLL_SECONDS)


def _tell(report: Report, event: Event) -> None:
    fields = event.fields
    if event.name == "phase":
        report.step(*(fields[key] for key in ("phase", "done", "total")))
    elif event.name == "iteration":
        report.iteration(*(fields[key] for key in ITERATION_FIELDS))
    elif event.name == "programmed":
        report.programmed(*(fields[key] for key in ("round", "cells", "accepted", "given_up", "cell_pulses")))
    elif event.name == "note":
        report.note(fields["text"])
    elif event.name == "resumed":
        report.note(f"resumed {resumption_text(fields)}")


def _tell_standing(report: Report, summary: RunSummary) -> None:
    """Where the run is when somebody begins to watch it."""
    for phase in summary.phases:
        if phase.done < phase.total:
            report.step(phase.phase, phase.done, phase.total)
    for told in summary.rounds:
        report.programmed(told.round, told.cells, told.accepted, told.given_up, told.cell_pulses)
    last = summary.last_iteration
    if last is not None:
        report.iteration(*(getattr(last, key) for key in ITERATION_FIELDS))
