"""What-if: a recorded run with something changed, as far as its recorded exchanges answer; no value is made up."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from hwloop import config
from hwloop.config import RunSettings
from hwloop.controller.recorded_run import OUTPUTS, RecordedRun
from hwloop.errors import DivergenceError, ReplayEndError, UnansweredError, UsageError
from hwloop.link.link import Request
from hwloop.link.protocol import Command
from hwloop.runlog.bodies import Event, Requests
from hwloop.runlog.framing import Kind
from hwloop.runlog.journal import Journal
from hwloop.runscript import APPLICATIONS
from hwloop.tables import Source, keys_of, record_with, refuse_unknown

WHERE = "--set"
_CANNOT_BE_SET = {
    "board": "the recording stands for the board",
    "array": "the recorded replies are of this chip",
    "environment": "it acts in the simulated bench, whose replies are recorded",
}
_WRITTEN = (*OUTPUTS, "run_file", "pictures")
_IN_CIRCUIT = "is in the circuit"
_IN_REQUESTS = "every solve is asked for with it"
# Why a table or a key cannot be answered, once it turns out so. What is not named here asks nothing of the board.
_REASONS = {
    "image.patch": "patches are what the array was programmed with",
    "image.rank": "the circuit has that many columns",
    "image.iterations": "so many were not made",
    "ratings.fold": "the run began with another fold",
    "ratings.rank": "the circuit has that many columns",
    "ratings.iterations": "the ridge is chosen, and the next fold begins, after as many",
    "ratings.ridge": f"the ridge {_IN_CIRCUIT}",
    "matrix.rank": "the circuit has that many columns",
    "matrix.iterations": "so many were not made",
    "matrix.tolerance": "it takes more iterations than were made",
    "matrix.start": "the array was programmed with another start",
    "matrix.ridge": f"the ridge {_IN_CIRCUIT}",
    "matrix.l1": f"the penalty {_IN_CIRCUIT}",
    "matrix.missing": "what is known decides which rows are switched on",
    "program": "cells were programmed by another rule",
    "solver.method": "another solver asks for something else",
    "solver.constraint": f"the constraint {_IN_CIRCUIT}",
    "solver.averages": _IN_REQUESTS,
    "solver.auto_zero": "the offsets were measured, or not, and every solve is asked for with their bias",
    "solver.output_fraction": _IN_REQUESTS,
    "solver.repeats": "so many repeats were not made",
    "solver.shadow": "what the shadow does here asks for more solves, or changes what the next half-step asks for",
    "solver.shadow_limit": "what the shadow does here changes what the next half-step asks for",
    "solver.output_gain": "other outputs make other factors, and the next half-step asks with them",
}
_REASONS["solver.output_offset"] = _REASONS["solver.output_gain"]


@dataclass(frozen=True)
class Change:
    """One --set TABLE.KEY=VALUE, as it was given."""

    table: str
    key: str
    value: str

    @property
    def name(self) -> str:
        """TABLE.KEY"""
        return f"{self.table}.{self.key}"

    @property
    def reason(self) -> str | None:
        """Why the recording cannot answer it, where it cannot; None where nothing is asked of the board by it."""
        return _REASONS.get(self.name) or _REASONS.get(self.table)

    def __str__(self) -> str:
        return f"{self.name}={self.value}"


@dataclass(frozen=True)
class WhatIfResult:
    """The result of the recorded command with `changes`."""

    result: Any
    run: str
    changes: tuple[Change, ...]

    @property
    def goal_missed(self) -> str | None:
        """As of the command."""
        return self.result.goal_missed

    def document(self) -> dict[str, Any]:
        """The JSON document of the command, and what was changed."""
        return {**self.result.document(), "what_if": {change.name: change.value for change in self.changes}}

    def text(self) -> str:
        """For people."""
        changes = ", ".join(map(str, self.changes))
        return f"what-if    {changes}, as the recording {self.run} answers it\n{self.result.text()}"


@dataclass(frozen=True)
class WhatIf:
    """What is to be different in the replay of a recorded run."""

    recorded: RecordedRun
    changes: tuple[Change, ...]

    def options(self, options: Any) -> Any:
        """The job's options, changed. Raises UsageError on a value that is not allowed."""
        values = {change.key: change.value for change in self.changes if change.table in APPLICATIONS}
        return record_with(options, Source(f"{WHERE} {self.recorded.kind}", values)) if values else options

    def settings(self, settings: RunSettings) -> RunSettings:
        """The rig, changed. Raises UsageError on a value that is not allowed."""
        tables: dict[str, dict[str, object]] = {}
        for change in self.changes:
            if change.table in config.TABLES:
                tables.setdefault(change.table, {})[change.key] = change.value
        return dataclasses.replace(settings, rig=config.change_rig(settings.rig, tables, WHERE))

    def result(self, result: Any) -> WhatIfResult:
        """What the changed run found."""
        return WhatIfResult(result, self.recorded.name, self.changes)

    def unanswered(self, error: DivergenceError | ReplayEndError) -> Exception | None:
        """The error that says which change has no answer and where; None where no change explains `error`."""
        guilty = [change for change in self.changes if change.reason]
        is_unfinished = isinstance(error, ReplayEndError) and self.recorded.result is None
        if not guilty or is_unfinished:
            return None
        recorded = error.recorded if isinstance(error, DivergenceError) else []
        found = UnansweredError(
            " with ".join(map(str, guilty)), "; ".join(dict.fromkeys(change.reason for change in guilty)),
            _first_command(recorded, error.asked), error.exchange, recorded, error.asked,
        )
        found.place = f", {_place(self.recorded, error.exchange)}"
        if since := self.recorded.differences(self.recorded.options(), self.recorded.settings()):
            found.differences = f"; since then changed: {since}"
        return found


def read_what_if(texts: Sequence[str], recorded: RecordedRun) -> WhatIf:
    """Changes given as TABLE.KEY=VALUE. Raises UsageError where one cannot be set, or not to this value."""
    what_if = WhatIf(recorded, tuple(_read_change(text, recorded.kind) for text in texts))
    names = [change.name for change in what_if.changes]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise UsageError(f"{WHERE} {name} is given twice; choose one value")
    # Values are checked before anything else is done.
    what_if.options(recorded.options())
    what_if.settings(recorded.settings())
    return what_if


def _read_change(text: str, kind: str) -> Change:
    name, equals, value = text.partition("=")
    table, dot, key = name.strip().partition(".")
    if not (equals and dot and table and key):
        raise UsageError(f"{WHERE} {text!r}: expected TABLE.KEY=VALUE, such as ratings.clip_low=0.5")
    if table in _CANNOT_BE_SET:
        raise UsageError(f"{WHERE} {name}: [{table}] cannot be set in a what-if: {_CANNOT_BE_SET[table]}")
    if table in APPLICATIONS and table != kind:
        raise UsageError(f"{WHERE} {name}: the recording is a run of kind {kind}, not {table}")
    tables = {**({kind: APPLICATIONS[kind]} if kind in APPLICATIONS else {}), **config.TABLES}
    allowed = [known for known in tables if known not in _CANNOT_BE_SET]
    refuse_unknown(f"{WHERE} {name}", [table], allowed)
    unchangeable = (*_WRITTEN, "path") if table in APPLICATIONS else ()
    if key not in unchangeable:
        changeable = [known for known in keys_of(tables[table]) if known not in unchangeable]
        refuse_unknown(f"{WHERE} {name}", [key], changeable)
    elif key in _WRITTEN:
        raise UsageError(
            f"{WHERE} {name} cannot be set in a what-if: it says where files go, not what they hold; a replay writes "
            "into the folder of --pictures"
        )
    else:
        raise UsageError(f"{WHERE} {name} cannot be set in a what-if: the recording is of its own input; run it anew")
    return Change(table, key, value.strip())


def _first_command(recorded: Sequence[Request], asked: Sequence[Request]) -> str:
    pairs = zip_longest(recorded, asked)
    kind = next(((mine or theirs)[0] for theirs, mine in pairs if mine != theirs), Command.STATUS)
    return Command(kind).name


def _place(recorded: RecordedRun, exchange: int) -> str:
    """Where exchange `exchange` stands in the recorded run, by what was told next of the circuit."""
    last = None
    with Journal.open(recorded.journal) as journal:
        found, is_open = False, False
        for event in _events_and(journal, exchange):
            if event is None:
                found = True
                if not is_open:
                    return "before the session was open"
            elif event.name == "board":
                is_open = True
            elif event.name == "iteration":
                last = event
                if found:
                    return f"{event.fields['label']}, iteration {event.fields['iteration']}"
    if last is not None:
        return f"after iteration {last.fields['iteration']} of {last.fields['label']}, the last one that was made"
    return "within the run" if found else "after the last exchange"


def _events_and(journal: Journal, exchange: int) -> Iterator[Event | None]:
    """Events, and None where `exchange` begins."""
    for record in journal.records():
        if record.kind is Kind.EVENT:
            yield Event.decode(record.body)
        elif record.kind is Kind.REQUEST and (asked := Requests.decode(record.body)).exchange == exchange:
            if asked.first == 0 and not asked.recovery:
                yield None
