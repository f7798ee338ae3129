"""`recommend`: what a user may like, from a ratings run; no board is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwloop.apps import recommend as app
from hwloop.runlog.sources import RUNS


@dataclass(frozen=True)
class RecommendResult:
    """The recommendations of one user."""

    recommendations: app.Recommendations
    goal_missed: None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        found = self.recommendations
        return {
            "user": found.user_id, "run_file": found.run_file,
            "items": [
                {"item": item.item_id, "title": item.title, "predicted_rating": item.predicted_rating}
                for item in found.items
            ],
        }

    def text(self) -> str:
        """For people."""
        found = self.recommendations
        lines = [f"for user {found.user_id}, from {found.run_file}"]
        width = max((len(item.item_id) for item in found.items), default=0)
        for item in found.items:
            lines.append(f"{item.predicted_rating:.2f}  {item.item_id:>{width}}  {item.title}".rstrip())
        return "\n".join(lines if found.items else [*lines, "nothing left to recommend: every item is rated"])


def recommend(user: str, top: int, run_file: Path | None) -> RecommendResult:
    """The best items that `user` has not rated. Raises DataError for an unknown user or a missing run."""
    return RecommendResult(app.recommend(user, top, run_file, RUNS))
