"""A run as its journal tells it, record by record: what it is, how far it came, what it cost so far, how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hwloop.link.protocol import TICK_HERTZ, Status
from hwloop.report import iteration_text
from hwloop.runlog.bodies import Event, Replies, Requests, told_by
from hwloop.runlog.exchanges import command_name
from hwloop.runlog.framing import Record
from hwloop.runlog.record import Quantity, RunRecord, quantity_from_fields, record_from_event
from hwloop.runlog.sources import RunSource, State

# The figure that says in a word how good a run of any kind is: the first of these that it has.
MAIN_METRICS = {"psnr": "PSNR", "rmse": "RMSE", "residual": "residual", "accepted": "accepted", "formed": "formed"}
REFERENCE = "float64"
# Of the event "iteration", in the order in which Report.iteration takes them.
ITERATION_FIELDS = ("label", "iteration", "of", "residual", "quality", "quantity", "unit")
VERSIONS = ("hwloop", "wire_revision", "wire_hash", "python", "numpy", "scipy", "numba", "h5py", "platform")


@dataclass(frozen=True)
class Figure:
    """A named number in a unit ("1" when dimensionless), for people and for lists."""

    name: str
    value: float
    unit: str = "1"

    def text(self) -> str:
        """With as many digits as the kind of figure is compared by."""
        if self.unit == "dB":
            return f"{self.name} {self.value:.2f} dB"
        digits = f"{self.value:,.0f}" if self.name in ("accepted", "formed") else f"{self.value:.4f}"
        return f"{self.name} {digits}" + ("" if self.unit == "1" else f" {self.unit}")


@dataclass(frozen=True)
class Iteration:
    """Event "iteration"."""

    label: str
    iteration: int
    of: int
    residual: float | None
    quality: float | None
    quantity: str
    unit: str
    time_ns: int

    @property
    def is_reference(self) -> bool:
        """Whether it is of the exact computation beside the run."""
        return REFERENCE in self.label

    def text(self) -> str:
        """One line for people."""
        return iteration_text(
            self.label, self.iteration, self.of, self.residual, self.quality, self.quantity, self.unit
        )

    @property
    def figure(self) -> Figure | None:
        """The figure of merit, or the residual where there is no other."""
        if self.quality is not None:
            return Figure(self.quantity.removeprefix("test "), self.quality, self.unit)
        return None if self.residual is None else Figure("residual", self.residual)


@dataclass(frozen=True)
class Round:
    """Event "programmed"."""

    round: int
    cells: int
    accepted: int
    given_up: int
    steps: int
    cell_pulses: int
    row_pulses: int
    time_ns: int


@dataclass
class Phase:
    """Events "phase" of one name: how far it came, and from when to when it was heard of, Unix ns."""

    phase: str
    done: int
    total: int
    begin_ns: int
    end_ns: int


@dataclass
class RunSummary:
    """Filled by `take`, which is given every record in order; what was not told yet is empty or None.

    `frames` counts requests by command, `refused` and `unknown` their replies; `ticks` is bench time.
    """

    records: int = 0
    begin_ns: int = 0
    end_ns: int = 0
    run: Mapping[str, Any] = field(default_factory=dict)
    inputs: list[Mapping[str, Any]] = field(default_factory=list)
    cells: Mapping[str, Any] = field(default_factory=dict)
    board: Mapping[str, Any] = field(default_factory=dict)
    array: Mapping[str, Any] = field(default_factory=dict)
    phases: list[Phase] = field(default_factory=list)
    iterations: list[Iteration] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)
    consents: list[tuple[int, str]] = field(default_factory=list)
    resumptions: list[Mapping[str, Any]] = field(default_factory=list)
    restored: list[Mapping[str, Any]] = field(default_factory=list)
    result: Event | None = None
    metrics: tuple[Quantity, ...] = ()
    counters: tuple[Quantity, ...] = ()
    stopped: Mapping[str, Any] | None = None
    ended: bool = False
    frames: Counter[str] = field(default_factory=Counter)
    exchanges: int = 0
    refused: int = 0
    unknown: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    ticks: int = 0

    def take(self, record: Record) -> Event | None:
        """Take one record in; gives its event where it is one."""
        self.records = record.sequence + 1
        self.begin_ns, self.end_ns = self.begin_ns or record.time_ns, record.time_ns
        match told_by(record):
            case Requests() as asked:
                self.exchanges = max(self.exchanges, asked.exchange + 1)
                self.frames.update(command_name(kind) for kind, _ in asked.frames)
            case Replies() as came:
                self.bytes_sent += came.bytes_sent
                self.bytes_received += came.bytes_received
                self.ticks = came.ticks or self.ticks
                self.unknown += sum(frame.unknown for frame in came.frames)
                self.refused += sum(frame.status != Status.OK for frame in came.frames)
            case Event() as event:
                self.take_event(record, event)
                return event
        return None

    def take_event(self, record: Record, event: Event) -> None:
        """Take in an event that was decoded already, with or without its arrays."""
        self.records, self.end_ns = record.sequence + 1, record.time_ns
        take = _TAKERS.get(event.name)
        if take is not None:
            take(self, event, record.time_ns)

    @property
    def record(self) -> RunRecord | None:
        """All of the result, None where there is none."""
        return None if self.result is None else record_from_event(self.result)

    def state(self, is_written: bool) -> State:
        """How it stands, knowing whether somebody writes the journal."""
        if is_written and self.result is None:
            return State.RUNNING
        if self.result is not None:
            return State.COMPLETE
        return State.STOPPED if self.stopped is not None else State.DIED

    @property
    def kind(self) -> str:
        """What was run: "image", "ratings", …; "?" where the journal ends before it says so."""
        return str(self.run.get("kind", "?"))

    @property
    def last_iteration(self) -> Iteration | None:
        """The last iteration on the circuit; of the reference where there is no other yet."""
        own = [iteration for iteration in self.iterations if not iteration.is_reference]
        return (own or self.iterations or [None])[-1]

    @property
    def figure(self) -> Figure | None:
        """The figure of merit: of the result, else of the last iteration on the circuit."""
        if self.result is not None:
            return main_figure(self.metrics)
        last = self.last_iteration
        return None if last is None or last.is_reference else last.figure

    @property
    def cell_pulses(self) -> int:
        """Pulses of all programming rounds and of what was restored after a resume."""
        return sum(told.cell_pulses for told in self.rounds) + sum(told.get("cell_pulses", 0) for told in self.restored)

    @property
    def given_up(self) -> int:
        """Cells that were given up, summed over the rounds."""
        return sum(told.given_up for told in self.rounds)

    @property
    def hardware_seconds(self) -> float:
        """Bench time that has passed."""
        return self.ticks / TICK_HERTZ

    @property
    def wall_seconds(self) -> float:
        """From the first record to the last one, pauses before a resume included."""
        return (self.end_ns - self.begin_ns) * 1e-9

    def counters_so_far(self) -> dict[str, Any]:
        """What the records add up to; a result has the counters of the run itself besides."""
        return {
            "exchanges": self.exchanges, "frames": dict(self.frames), "refused_frames": self.refused,
            "unknown_frames": self.unknown, "bytes_sent": self.bytes_sent, "bytes_received": self.bytes_received,
            "rounds": len(self.rounds), "cells": sum(told.cells for told in self.rounds),
            "cells_given_up": self.given_up, "cell_pulses": self.cell_pulses,
            "row_pulses": sum(told.row_pulses for told in self.rounds), "hardware_seconds": self.hardware_seconds,
            "wall_seconds": self.wall_seconds,
        }


def summary_of(source: RunSource) -> RunSummary:
    """Everything that the journal of a run says, up to its first bad byte. Raises DataError where it has none."""
    summary = RunSummary()
    with source.journal() as journal:
        for record in journal.records():
            summary.take(record)
    return summary


def main_figure(metrics: tuple[Quantity, ...]) -> Figure | None:
    """The metric that stands for the run; the first one of a kind of run that is not known here."""
    by_name = {metric.name: metric for metric in metrics}
    for name, title in MAIN_METRICS.items():
        if name in by_name:
            return Figure(title, float(by_name[name].value), by_name[name].unit)
    return Figure(metrics[0].name, float(metrics[0].value), metrics[0].unit) if metrics else None


def time_text(time_ns: int) -> str:
    """Unix ns as "2026-05-01 12:00:05", UTC."""
    return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S")


def iso_time(time_ns: int) -> str:
    """Unix ns as ISO 8601 in UTC with microseconds."""
    return datetime.fromtimestamp(time_ns // 1000 / 1e6, UTC).isoformat(timespec="microseconds")


def duration_text(seconds: float) -> str:
    """ "8.4 s", "3 min 20 s", "2 h 05 min", "3 d 04 h"."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes = round(seconds) // 60
    if minutes < 60:
        return f"{minutes} min {round(seconds) % 60:02d} s"
    hours = minutes // 60
    return f"{hours} h {minutes % 60:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24:02d} h"


def _take_board(summary: RunSummary, event: Event, time_ns: int) -> None:
    summary.board, summary.array = event.fields["board"], event.fields["array"]


def _take_phase(summary: RunSummary, event: Event, time_ns: int) -> None:
    name, done, total = (event.fields[key] for key in ("phase", "done", "total"))
    for phase in summary.phases:
        if phase.phase == name:
            phase.done, phase.total, phase.end_ns = done, total, time_ns
            return
    summary.phases.append(Phase(name, done, total, time_ns, time_ns))


def _take_iteration(summary: RunSummary, event: Event, time_ns: int) -> None:
    summary.iterations.append(Iteration(*(event.fields[key] for key in ITERATION_FIELDS), time_ns))


def _take_round(summary: RunSummary, event: Event, time_ns: int) -> None:
    keys = ("round", "cells", "accepted", "given_up", "steps", "cell_pulses", "row_pulses")
    summary.rounds.append(Round(*(event.fields[key] for key in keys), time_ns))


def _take_resumed(summary: RunSummary, event: Event, time_ns: int) -> None:
    summary.resumptions.append({**event.fields, "time_ns": time_ns})
    summary.stopped, summary.ended = None, False


def _take_stopped(summary: RunSummary, event: Event, time_ns: int) -> None:
    summary.stopped = event.fields


def _take_end(summary: RunSummary, event: Event, time_ns: int) -> None:
    summary.ended = True


def _take_result(summary: RunSummary, event: Event, time_ns: int) -> None:
    summary.result, summary.stopped = event, None
    summary.metrics, summary.counters = (
        tuple(map(quantity_from_fields, event.fields[name])) for name in ("metrics", "counters")
    )


def _kept(name: str) -> Callable[[RunSummary, Event, int], None]:
    return lambda summary, event, time_ns: setattr(summary, name, event.fields)


def _appended(name: str) -> Callable[[RunSummary, Event, int], None]:
    return lambda summary, event, time_ns: getattr(summary, name).append(event.fields)


_TAKERS: dict[str, Callable[[RunSummary, Event, int], None]] = {
    "run": _kept("run"),
    "input": _appended("inputs"),
    "cells": _kept("cells"),
    "board": _take_board,
    "phase": _take_phase,
    "iteration": _take_iteration,
    "programmed": _take_round,
    "note": lambda summary, event, time_ns: summary.notes.append((time_ns, event.fields["text"])),
    "consent": lambda summary, event, time_ns: summary.consents.append((time_ns, event.fields["question"])),
    "resumed": _take_resumed,
    "restored": _appended("restored"),
    "result": _take_result,
    "stopped": _take_stopped,
    "end": _take_end,
}
