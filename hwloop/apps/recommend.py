"""What a user would like best, from the factors that a ratings run left behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwloop.apps.ratings import Ratings
from hwloop.errors import DataError, UsageError
from hwloop.runlog.reading import newest_run, read_run
from hwloop.runlog.record import Field

KIND = "ratings"


@dataclass(frozen=True)
class Recommendation:
    """An item that the user has not rated; `title` is "" where the data had none."""

    item_id: str
    title: str
    predicted_rating: float


@dataclass(frozen=True)
class Recommendations:
    """The best items first, and the run file that they come from."""

    user_id: str
    run_file: Path
    items: tuple[Recommendation, ...]


def run_fields(ratings: Ratings) -> tuple[Field, ...]:
    """What a ratings run has to store beside its factors so that `recommend` needs nothing but the run file."""
    return (
        Field("user_ids", ratings.user_ids, description="user by row of W"),
        Field("item_ids", ratings.item_ids, description="item by column of H"),
        Field("titles", ratings.titles, description="title by column of H"),
        Field("rated_users", ratings.users, description="row of W of each known rating"),
        Field("rated_items", ratings.items, description="column of H of each known rating"),
        Field("rating_range", np.array([ratings.lowest, ratings.highest]), description="lowest and highest rating"),
    )


def recommend(
    user_id: str, top: int, run_file: Path | str | None = None, folder: Path | str = "runs"
) -> Recommendations:
    """The `top` items that `user_id` has not rated and would rate highest.

    From `run_file`, or the newest ratings run in `folder`. The prediction is the mean over the run's folds; it is
    ordered as it comes and clipped to the rating range afterwards.
    Raises DataError where there is no ratings run or it does not know the user, UsageError where `top` is below 1.
    """
    if top < 1:
        raise UsageError(f"top is {top}, allowed 1 or more; ask for at least one item")
    path = Path(run_file) if run_file is not None else newest_run(folder, KIND)
    run = read_run(path)
    if run.kind != KIND:
        raise DataError(f"{path} is a run of kind {run.kind}, recommendations need kind {KIND}; name another run")
    user_ids = run.field("user_ids").values
    if user_id not in user_ids:
        raise DataError(
            f"user {user_id!r} is unknown to {path}: it has {len(user_ids)} users, such as {', '.join(user_ids[:3])}; "
            "choose one of them"
        )
    user = user_ids.index(user_id)
    lowest, highest = run.field("rating_range").values
    # Not `ratings.predict`: an item without ratings would get the user's mean, and no recommendation rests on that.
    predicted = np.mean([pair.w[user] @ pair.h for pair in run.factors()], axis=0)
    rated = run.field("rated_items").values[run.field("rated_users").values == user]
    predicted[rated] = -np.inf
    best = np.argsort(-predicted, kind="stable")[: min(top, predicted.size - rated.size)]
    item_ids, titles = run.field("item_ids").values, run.field("titles").values
    shown = np.clip(predicted, lowest, highest)
    return Recommendations(
        user_id, path, tuple(Recommendation(item_ids[item], titles[item], float(shown[item])) for item in best)
    )
