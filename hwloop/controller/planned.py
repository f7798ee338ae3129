"""What a procedure would do to cells, for `--dry-run`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hwloop.procedures.tools import Plan


@dataclass(frozen=True)
class PlannedWork:
    """A procedure's own plan, shown and not carried out."""

    what: str
    plan: Plan
    goal_missed: None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {"dry_run": True, "what": self.what, **vars(self.plan)}

    def text(self) -> str:
        """For people."""
        plan = self.plan
        return "\n".join([
            f"dry run    {self.what}: up to {plan.pulses:,} cell pulses, about {plan.seconds:.3g} s on the bench",
            *(line if line.startswith("limits") else f"plan       {line}" for line in plan.lines),
            "           nothing was opened or driven",
        ])
