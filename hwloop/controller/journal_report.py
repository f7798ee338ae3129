"""What a run tells its caller goes into its journal too."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hwloop.report import Report

if TYPE_CHECKING:
    from hwloop.controller.run import Run

PHASE_SECONDS = 0.5     # progress goes into the journal no more often than this


class JournalReport(Report):
    """Passes everything on, and keeps what is worth keeping."""

    def __init__(self, inner: Report, run: Run):
        self._inner, self._run = inner, run
        self._phase, self._phase_seconds = "", 0.0

    def step(self, phase: str, done: int, total: int) -> None:
        self._run.name_journal()
        self._inner.step(phase, done, total)
        now_seconds = time.monotonic()
        if phase != self._phase or done >= total or now_seconds - self._phase_seconds > PHASE_SECONDS:
            self._phase, self._phase_seconds = phase, now_seconds
            self._run.event("phase", {"phase": phase, "done": done, "total": total})

    def iteration(
        self, label: str, iteration: int, of: int, residual: float | None, quality: float | None, quantity: str,
        unit: str,
    ) -> None:
        self._run.name_journal()
        self._inner.iteration(label, iteration, of, residual, quality, quantity, unit)
        self._run.event("iteration", {
            "label": label, "iteration": iteration, "of": of, "residual": residual, "quality": quality,
            "quantity": quantity, "unit": unit,
        })

    def resent(self, frames: int) -> None:
        self._inner.resent(frames)

    def note(self, text: str) -> None:
        self._run.name_journal()
        self._inner.note(text)
        self._run.event("note", {"text": text})

    def confirm(self, question: str) -> None:
        if not self._run.has_consent:
            self._inner.confirm(question)
        self._run.event("consent", {"question": question})
