"""What a person at a terminal sees while a run works: progress bars, notes and questions, all on stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from hwloop.cli.context import consents, wants_progress
from hwloop.errors import SafetyError
from hwloop.report import Report, iteration_text


class TerminalReport(Report):
    """Bars where `bars`, with a line below that says how good it is and what it cost; consent where `consent`."""

    def __init__(self, bars: bool, consent: bool):
        self._bars, self._consent = bars, consent
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}
        self._figures = ""
        self._rounds = self._given_up = self._pulses = self._resent = 0

    def step(self, phase: str, done: int, total: int) -> None:
        if not self._bars:
            return
        if self._progress is None:
            self._progress = _started_progress(self)
        if phase not in self._tasks:
            self._tasks[phase] = self._progress.add_task(phase, total=total)
        task = self._progress.tasks[self._tasks[phase]]
        if done < task.completed:
            # Begun anew, as every half-step does: its time and its rate count from here.
            self._progress.reset(self._tasks[phase], total=total)
        self._progress.update(self._tasks[phase], completed=done, total=total)

    def iteration(
        self, label: str, iteration: int, of: int, residual: float | None, quality: float | None, quantity: str,
        unit: str,
    ) -> None:
        self._figures = iteration_text(label, iteration, of, residual, quality, quantity, unit)

    def programmed(self, round: int, cells: int, accepted: int, given_up: int, cell_pulses: int) -> None:
        self._rounds = round
        self._given_up += given_up
        self._pulses += cell_pulses

    def resent(self, frames: int) -> None:
        self._resent = frames

    def note(self, text: str) -> None:
        self._pause()
        sys.stderr.write(f"hwloop: {text}\n")

    def confirm(self, question: str) -> None:
        if self._consent:
            return
        if not sys.stdin.isatty():
            raise SafetyError(f"{question}: there is no terminal to ask at; pass --yes if it is meant")
        self._pause()
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise SafetyError("not confirmed; nothing was driven")

    def close(self) -> None:
        self._pause()

    def status(self) -> str:
        """The line below the bars; empty where nothing was told yet."""
        parts = [self._figures] if self._figures else []
        if self._rounds:
            parts.append(f"{self._pulses:,} cell pulses in {self._rounds:,} rounds")
        parts += [f"{self._given_up:,} cells given up"] if self._given_up else []
        parts += [f"{self._resent:,} frames sent again"] if self._resent else []
        return " · ".join(parts)

    def _pause(self) -> None:
        """End the bars; the next step starts new ones below."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._tasks.clear()


class LineReport(Report):
    """One line an iteration and a note on stderr, for whoever watches a run without a terminal."""

    def __init__(self) -> None:
        self._phase = ""

    def step(self, phase: str, done: int, total: int) -> None:
        if phase != self._phase:
            self._phase = phase
            _line(f"{phase}, {done:,} of {total:,}")

    def iteration(
        self, label: str, iteration: int, of: int, residual: float | None, quality: float | None, quantity: str,
        unit: str,
    ) -> None:
        _line(iteration_text(label, iteration, of, residual, quality, quantity, unit))

    def note(self, text: str) -> None:
        _line(text)


@contextlib.contextmanager
def report() -> Iterator[TerminalReport]:
    """The report of the running command, as its global options say."""
    current = TerminalReport(bars=wants_progress() and sys.stderr.isatty(), consent=consents())
    try:
        yield current
    finally:
        current.close()


def _line(text: str) -> None:
    sys.stderr.write(f"hwloop: {text}\n")
    sys.stderr.flush()


def _started_progress(told: TerminalReport) -> Any:
    """Bars with the time that remains, by the rate of the last minute, and the line of `told` below them."""
    from rich.console import Console, Group
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class WithStatus(Progress):
        def get_renderable(self) -> Any:
            status = told.status()
            return Group(super().get_renderable(), Text(status, overflow="ellipsis")) if status else (
                super().get_renderable()
            )

        def add_task(self, description: str, **options: Any) -> Any:
            return super().add_task(escape(description), **options)

    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(), TextColumn("left"),
    )
    progress = WithStatus(*columns, console=Console(stderr=True), speed_estimate_period=60.0)
    progress.start()
    return progress
