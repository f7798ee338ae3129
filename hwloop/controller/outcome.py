"""What every factorization leaves behind beside its own figures: counters, placement, run file, pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwloop.controller.counters import Counters


@dataclass(frozen=True)
class JournalCost:
    """The journal of a run, its length, and the wall time that writing it took while the run was going on."""

    path: Path
    bytes: int
    seconds: float


@dataclass(frozen=True)
class RunOutcome:
    """The common end of the three factorizations; `placement` is what stepping round bad cells cost."""

    counters: Counters
    placement: dict[str, Any]
    run_file: Path | None
    pictures: tuple[Path, ...]
    seed: int
    journal: JournalCost | None = None

    def document(self) -> dict[str, Any]:
        """Its part of the JSON document."""
        return {
            **self.counters.document(), "placement": self.placement, "run_file": self.run_file,
            "pictures": list(self.pictures), "seed": self.seed, "journal": self.journal and vars(self.journal),
        }

    def lines(self) -> list[str]:
        """Its part of what people read."""
        return [
            self.counters.text(), *([f"run file   {self.run_file}"] if self.run_file else []),
            *(f"picture    {path}" for path in self.pictures),
        ]
