"""What a person at a terminal sees while a run works: progress bars, notes and questions, all on stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from hwloop.cli.context import consents, wants_progress
from hwloop.errors import SafetyError
from hwloop.report import Report


class TerminalReport(Report):
    """Bars where `bars`; consent to everything where `consent`."""

    def __init__(self, bars: bool, consent: bool):
        self._bars, self._consent = bars, consent
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}

    def step(self, phase: str, done: int, total: int) -> None:
        if not self._bars:
            return
        if self._progress is None:
            self._progress = _started_progress()
        if phase not in self._tasks:
            self._tasks[phase] = self._progress.add_task(phase, total=total)
        self._progress.update(self._tasks[phase], completed=done, total=total)

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

    def _pause(self) -> None:
        """End the bars; the next step starts new ones below."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._tasks.clear()


@contextlib.contextmanager
def report() -> Iterator[TerminalReport]:
    """The report of the running command, as its global options say."""
    current = TerminalReport(bars=wants_progress() and sys.stderr.isatty(), consent=consents())
    try:
        yield current
    finally:
        current.close()


def _started_progress() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True))
    progress.start()
    return progress
