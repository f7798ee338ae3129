"""`logs show`: all that a journal says of its run."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwloop.controller.run_summary import VERSIONS, RunSummary, duration_text, iso_time, time_text
from hwloop.runlog.framing import HEADER_BYTES
from hwloop.runlog.sources import RunSource, State, find_run

_MOST_ITERATIONS, _MOST_NOTES, _MOST_PLAIN, _WIDTH = 24, 20, 100, 120


@dataclass(frozen=True)
class ShownRun:
    """A run as it stands; `bytes_` of its journal, of which those from `end` on are torn, damaged or being written."""

    source: RunSource
    summary: RunSummary
    state: State
    bytes_: int
    end: int
    goal_missed: str | None = None

    @property
    def is_torn(self) -> bool:
        """Whether the journal goes on behind its last whole record; while it is being written that means nothing."""
        return self.end < self.bytes_ and self.state is not State.RUNNING

    @property
    def resume_command(self) -> str | None:
        """What goes on with the run, None where there is nothing to go on with."""
        if not (self.state in (State.STOPPED, State.DIED) and self.summary.run and self.source.journal_path):
            return None
        # What would stop it again in the same place, such as a goal that was missed, is not worth going on with.
        is_worth_it = (self.summary.stopped or {}).get("resumable", True)
        return f"hwloop logs resume {self.source.journal_path}" if is_worth_it else None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        told, run = self.summary, self.summary.run
        return {
            "name": self.source.name, "kind": told.kind, "state": str(self.state),
            "journal": self.source.journal_path, "run_file": self.source.run_file,
            "records": told.records, "bytes": self.bytes_,
            "first_bad_offset": self.end if self.is_torn else None,
            "created": run.get("created"), "last_record": iso_time(told.end_ns) if told.end_ns else None,
            "arguments": run.get("arguments"), "seed": run.get("seed"),
            "versions": {name: run.get(name) for name in VERSIONS},
            "options": run.get("options"), "rig": run.get("rig"), "inputs": told.inputs, "board": told.board,
            "array": told.array, "phases": [_phase_document(phase) for phase in told.phases],
            "iterations": [_timed(iteration) for iteration in told.iterations],
            "rounds": [_timed(round_) for round_ in told.rounds],
            "notes": [{"time": iso_time(at), "text": text} for at, text in told.notes],
            "consents": [{"time": iso_time(at), "question": text} for at, text in told.consents],
            "resumed": [_timed(resumption) for resumption in told.resumptions], "restored": told.restored,
            "figure": None if told.figure is None else vars(told.figure),
            "metrics": _quantities(told.metrics), "counters": _quantities(told.counters),
            "so_far": told.counters_so_far(), "stopped": told.stopped,
            "ended": told.ended, "resume": self.resume_command,
        }

    def text(self) -> str:
        """For people."""
        return "\n".join([*self.head_lines(), *self._middle_lines(), *self.end_lines()])

    def head_lines(self) -> list[str]:
        """What was run, and with what."""
        told, run = self.summary, self.summary.run
        begun = str(run.get("created", "?"))[:19].replace("T", " ")
        lines = [
            f"run        {self.source.name}, {told.kind}, {self.state}",
            f"journal    {self.source.path}, {self.bytes_:,} bytes, {told.records:,} records",
            f"started    {begun} UTC, last record {time_text(told.end_ns) if told.end_ns else '?'}",
        ]
        if run:
            lines += [
                f"command    {' '.join(['hwloop', *map(str, run.get('arguments', []))])}",
                *_wrapped("options", f"{plain_text(run.get('options', {}))}; seed {run.get('seed')}"),
                *_wrapped("versions", versions_text(run)),
            ]
        return lines

    def end_lines(self) -> list[str]:
        """How far it came, what it cost, and how it ended."""
        told, lines = self.summary, []
        lines += _wrapped("result", _quantities_text(told.metrics)) if told.metrics else []
        lines += _wrapped("counters", _quantities_text(told.counters)) if told.counters else _wrapped(
            "so far", _cost(told)
        )
        if self.is_torn:
            left = self.bytes_ - self.end
            lines.append(f"torn       {left:,} bytes from offset {self.end:,} on are torn or damaged, and not used")
        return [*lines, f"end        {self.ending()}"]

    def ending(self) -> str:
        """One sentence about how it ended, or that it goes on."""
        told, stopped = self.summary, self.summary.stopped or {}
        if self.state is State.COMPLETE:
            return "complete"
        if self.state is State.RUNNING:
            return "it is going on; `hwloop logs show --follow` watches it"
        how = f"it died at {time_text(told.end_ns)} UTC: nobody writes the journal" if told.end_ns else "it never began"
        if self.state is State.STOPPED:
            how = f"stopped: {stopped.get('message') or stopped.get('reason')}"
        return f"{how}; go on with it: {self.resume_command}" if self.resume_command else how

    def _middle_lines(self) -> list[str]:
        told = self.summary
        lines = [
            f"input      {read.get('name')}, {read.get('bytes', 0):,} bytes, sha256 {read.get('sha256')}"
            for read in told.inputs
        ]
        for table, values in told.run.get("rig", {}).items():
            if isinstance(values, Mapping):
                lines += _wrapped("rig", f"[{table}] {plain_text(values)}")
        if told.board:
            lines.append(f"board      {board_text(told.board)}")
            lines.append(f"array      {array_text(told.array)}")
        lines += [f"phase      {phase.phase}: {phase.done:,} of {phase.total:,}" for phase in told.phases]
        lines += _shortened([f"after      {found.text()}" for found in told.iterations], _MOST_ITERATIONS)
        if told.rounds:
            lines.append(f"rounds     {rounds_text(told)}")
        lines += [f"resumed    {resumption_text(resumption)}" for resumption in told.resumptions]
        lines += [f"asked      {question}" for _, question in told.consents]
        return lines + _shortened([f"note       {text}" for _, text in told.notes], _MOST_NOTES)


def show_run(name: str) -> ShownRun:
    """All that the journal of a run says. Raises DataError where there is none."""
    return shown_of(find_run(name))


def shown_of(source: RunSource) -> ShownRun:
    """As `show_run`, of a run that was found already."""
    summary, end = RunSummary(), HEADER_BYTES
    with source.journal() as journal:
        for record in journal.records():
            summary.take(record)
            end = record.end
        return ShownRun(source, summary, summary.state(source.is_written), journal.file.seek(0, os.SEEK_END), end)


def rounds_text(told: RunSummary) -> str:
    """All programming rounds together."""
    cells, steps = (sum(getattr(round_, key) for round_ in told.rounds) for key in ("cells", "steps"))
    return (
        f"{len(told.rounds):,} programming rounds, {cells:,} cells in {steps:,} steps, {told.given_up:,} given up, "
        f"{told.cell_pulses:,} cell pulses"
    )


def resumption_text(fields: Mapping[str, Any]) -> str:
    """One event "resumed"."""
    lost = ", the board had lost the session" if fields.get("session_lost") else ""
    restore = ", cells were looked after first" if fields.get("restore") else ""
    away = duration_text(max(float(fields.get("away_seconds", 0.0)), 0.0))
    at = str(fields.get("at", "?"))[:19].replace("T", " ")
    return f"at {at} UTC after {away}, settled from {fields.get('settled', '?')}{lost}{restore}"


def board_text(board: Mapping[str, Any]) -> str:
    """One line about the board."""
    version = int(board.get("firmware_version", 0))
    dotted = f"{version >> 16}.{version >> 8 & 255}.{version & 255}"
    return (
        f"{board.get('name')}, serial {board.get('serial')}, {board.get('backend')}, firmware {dotted}, analog "
        f"revision {board.get('analog_revision')}, at {board.get('port')}"
    )


def array_text(array: Mapping[str, Any]) -> str:
    """One line about the chip."""
    bad = len(array.get("bad_cells", {}))
    return f"serial {array.get('serial')}, 2 x {array.get('rows')} x {array.get('columns')} cells, {bad:,} on the map"


def versions_text(run: Mapping[str, Any]) -> str:
    """What the run was made with."""
    wire = f"wire table {run.get('wire_revision')} ({run.get('wire_hash')})"
    named = ", ".join(f"{name} {run[name]}" for name in VERSIONS[3:-1] if name in run)
    return f"hwloop {run.get('hwloop')}, {wire}, {named}; {run.get('platform')}"


def _cost(told: RunSummary) -> str:
    size = told.bytes_sent + told.bytes_received
    return (
        f"{told.exchanges:,} exchanges, {size / 1e3:,.0f} kB on the wire, {told.cell_pulses:,} cell pulses, "
        f"{told.hardware_seconds:.3g} s on the bench, {duration_text(told.wall_seconds)}"
        + (f", refused frames: {told.refused:,}" if told.refused else "")
        + (f", frames of unknown outcome: {told.unknown:,}" if told.unknown else "")
    )


def _quantities(found) -> dict[str, Any]:
    return {quantity.name: {"value": quantity.value, "unit": quantity.unit} for quantity in found}


def _quantities_text(found) -> str:
    return ", ".join(f"{item.name} {item.value:.6g}" + ("" if item.unit == "1" else f" {item.unit}") for item in found)


def _timed(told: Any) -> dict[str, Any]:
    fields = dict(told) if isinstance(told, Mapping) else dict(vars(told))
    return {**fields, "time": iso_time(fields.pop("time_ns"))}


def _phase_document(phase: Any) -> dict[str, Any]:
    return {
        "phase": phase.phase, "done": phase.done, "total": phase.total, "begin": iso_time(phase.begin_ns),
        "end": iso_time(phase.end_ns),
    }


def plain_text(values: Mapping[str, Any]) -> str:
    """The values that were set, each cut where it is long."""
    shown = ((key, str(value)) for key, value in values.items() if value not in (None, [], ()))
    return ", ".join(f"{key} {text if len(text) <= _MOST_PLAIN else text[:_MOST_PLAIN] + '…'}" for key, text in shown)


def _wrapped(title: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=f"{title:<11}", subsequent_indent=" " * 11, break_long_words=False,
        break_on_hyphens=False,
    )


def _shortened(lines: list[str], most: int) -> list[str]:
    hidden = len(lines) - most
    if hidden <= 0:
        return lines
    return [f"           ... {hidden:,} before; --json: all", *lines[hidden:]]
