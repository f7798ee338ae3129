"""What every factorization leaves behind beside its own figures: counters, placement, run file, pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwloop.controller.counters import Counters


@dataclass(frozen=True)
class RunOutcome:
    """The common end of the three factorizations; `placement` is what stepping round bad cells cost."""

    counters: Counters
    placement: dict[str, Any]
    run_file: Path | None
    pictures: tuple[Path, ...]
    seed: int

    def document(self) -> dict[str, Any]:
        """Its part of the JSON document."""
        return {
            **self.counters.document(), "placement": self.placement, "run_file": self.run_file,
            "pictures": list(self.pictures), "seed": self.seed,
        }

    def lines(self) -> list[str]:
        """Its part of what people read."""
        return [
            self.counters.text(), *([f"run file   {self.run_file}"] if self.run_file else []),
            *(f"picture    {path}" for path in self.pictures),
        ]
