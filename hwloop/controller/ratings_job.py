"""`factorize ratings`: every fold factorized on the circuit, predicted, scored, pictured and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from hwloop import signals
from hwloop.anls import HalfStep, Masked
from hwloop.anls.exact import exact_half_step
from hwloop.anls.loop import Factorization, Progress, factorize
from hwloop.apps import ratings as app
from hwloop.apps.ratings import Fold, Ratings, Score
from hwloop.apps.recommend import run_fields
from hwloop.apps.rounding import round_factors
from hwloop.config import RunSettings
from hwloop.controller.outcome import RunOutcome
from hwloop.controller.output_files import OutputFiles
from hwloop.controller.plan import Plan, check_simulated_fit, plan_masked
from hwloop.controller.run import Run, begin_run
from hwloop.controller.session import Session, open_session
from hwloop.controller.source import LIVE, Source
from hwloop.controller.tracking import Tracked, Watch, tracked
from hwloop.errors import UsageError
from hwloop.report import Report
from hwloop.runlog.digest import factors_sha256
from hwloop.runlog.record import Convergence, FactorPair, Quantity
from hwloop.runscript import RatingsOptions


@dataclass(frozen=True)
class FoldResult:
    """One fold on the circuit and in float64: scores, and factors with the metric after each iteration."""

    number: int
    ridge: float
    ridge_chosen: bool
    score: Score
    reference: Score
    analog: Tracked
    float64: Tracked

    @property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """W (users, k) and H (k, items) of the circuit."""
        return self.analog.factors.W, self.analog.factors.H

    def document(self) -> dict[str, Any]:
        """The JSON entry of `folds`."""
        return {
            "fold": self.number, "rmse": self.score.rmse, "mae": self.score.mae, "ridge": self.ridge,
            "ridge_chosen_on_training_data": self.ridge_chosen,
            "reference": {"rmse": self.reference.rmse, "mae": self.reference.mae},
            "factors_sha256": factors_sha256([self.factors]),
        }

    def text(self, metric: str) -> str:
        """For people; `metric` comes first."""
        return f"fold {self.number}     {_scores(metric, self.score, self.reference)}; ridge {self.ridge:g} a rating"


@dataclass(frozen=True)
class RatingsResult:
    """What `factorize ratings` found. Predictions were clipped to `clip`, of factors rounded to `factor_bits`."""

    name: str
    users: int
    items: int
    ratings: int
    rank: int
    metric: str
    clip: tuple[float, float]
    factor_bits: int | None
    folds: tuple[FoldResult, ...]
    outcome: RunOutcome
    goal_missed: None = None

    @property
    def score(self) -> Score:
        """Mean over the folds, on the circuit."""
        return _mean([fold.score for fold in self.folds])

    @property
    def reference(self) -> Score:
        """Mean over the folds, in float64."""
        return _mean([fold.reference for fold in self.folds])

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        key = self.metric
        quality, reference_quality = (
            np.mean(curves, axis=0).tolist()
            for curves in ([f.analog.quality for f in self.folds], [f.float64.quality for f in self.folds])
        )
        return {
            "ratings": self.name, "users": self.users, "items": self.items, "observed": self.ratings,
            "rank": self.rank, "metric": key, "clip": list(self.clip), "factor_bits": self.factor_bits,
            "rmse": self.score.rmse, "mae": self.score.mae,
            "folds": [fold.document() for fold in self.folds],
            "reference": {"rmse": self.reference.rmse, "mae": self.reference.mae},
            "iterations": [
                {"iteration": number, key: analog, f"reference_{key}": float64}
                for number, (analog, float64) in enumerate(zip(quality, reference_quality, strict=True), start=1)
            ],
            "factors_sha256": factors_sha256([fold.factors for fold in self.folds]), **self.outcome.document(),
        }

    def text(self) -> str:
        """For people."""
        return "\n".join([
            f"ratings    {self.name}: {self.ratings:,} by {self.users:,} users of {self.items:,} items, "
            f"rank {self.rank}",
            *([f"rounded    factors to {self.factor_bits} bits before figures are taken"] if self.factor_bits else []),
            *(fold.text(self.metric) for fold in self.folds),
            f"mean       {_scores(self.metric, self.score, self.reference)}",
            *self.outcome.lines(),
        ])


def run_ratings(
    options: RatingsOptions, settings: RunSettings, report: Report, source: Source = LIVE
) -> RatingsResult | Plan:
    """Factorize ratings on the rig's board, fold by fold. Raises DataError, UsageError, and what the board raises."""
    if options.path is None:
        raise UsageError(
            "path of the ratings is missing: a GroupLens folder, the five folds u1.test to u5.test, or a CSV file"
        )
    ratings = app.load_ratings(options.path, settings.seed)
    clip = _clip(options, ratings)
    numbers = ratings.fold_numbers if options.fold == "all" else (int(options.fold),)
    folds = [ratings.fold(number) for number in numbers]
    users, items = folds[0].train.shape
    if options.rank > min(users, items):
        raise UsageError(
            f"rank is {options.rank}, allowed 1 to {min(users, items)} for {users} users and {items} items; "
            "lower the rank"
        )
    files = OutputFiles("ratings", options.run_file, options.pictures)
    if settings.dry_run:
        return plan_masked(settings, users, items, options.rank, options.iterations, len(folds))
    check_simulated_fit(settings, max(users, items), options.rank)
    inputs = {"path": [source_file.path for source_file in ratings.inputs]}
    with begin_run("ratings", options, settings, report, source, inputs) as run:
        with open_session(settings, run.report, run) as session:
            session.check_fit(max(users, items), options.rank)
            solver = session.half_step()
            results = tuple(_run_fold(fold, options, clip, settings.seed, session, solver, run) for fold in folds)
        return _finish(ratings, results, options, clip, files, session, run)


def _clip(options: RatingsOptions, ratings: Ratings) -> tuple[float, float]:
    """Lowest and highest prediction. Raises UsageError where they do not rise."""
    lowest = ratings.lowest if options.clip_low is None else options.clip_low
    highest = ratings.highest if options.clip_high is None else options.clip_high
    if not lowest < highest:
        raise UsageError(
            f"clip_low is {lowest:g}, allowed below clip_high, {highest:g} (ratings are {ratings.lowest:g} to "
            f"{ratings.highest:g}); widen the range"
        )
    return lowest, highest


def _run_fold(
    fold: Fold, options: RatingsOptions, clip: tuple[float, float], seed: int, session: Session, solver: HalfStep,
    run: Run,
) -> FoldResult:
    def score(w: np.ndarray, h: np.ndarray) -> Score:
        w, h = round_factors(w, h, options.factor_bits)
        return app.score(app.predict(fold.train, w, h, fold.test_users, fold.test_items, *clip), fold.test_values)

    ridge = _chosen_ridge(fold, options, seed, run.report) if options.ridge is None else options.ridge
    float64 = _track(fold, options, seed, ridge, exact_half_step, score, run)
    analog = _track(fold, options, seed, ridge, solver, score, run, session)
    found, reference = (score(tracked.factors.W, tracked.factors.H) for tracked in (analog, float64))
    return FoldResult(fold.number, ridge, options.ridge is None, found, reference, analog, float64)


def _chosen_ridge(fold: Fold, options: RatingsOptions, seed: int, report: Report) -> float:
    """The ridge a rating that does best on held-out training ratings, in float64."""
    tried = 0

    def factors(part: sparse.csr_array, candidate: float) -> tuple[np.ndarray, np.ndarray]:
        nonlocal tried
        found = _factorize(part, options, seed, candidate, callback=lambda progress: signals.check())
        tried += 1
        report.step(f"fold {fold.number}, choosing the ridge", tried, len(app.RIDGE_GRID))
        return found.W, found.H

    return app.choose_ridge(fold.train, factors, seed).ridge_per_observation


def _track(
    fold: Fold, options: RatingsOptions, seed: int, ridge: float, solver: HalfStep,
    score: Callable[[np.ndarray, np.ndarray], Score], run: Run, session: Session | None = None,
) -> Tracked:
    """Factors of the training part, and the metric by iteration; on the circuit of `session`, or in float64."""
    return tracked(
        lambda callback: _factorize(fold.train, options, seed, ridge, solver, callback),
        lambda w, h: getattr(score(w, h), options.metric),
        Watch(f"fold {fold.number}{'' if session else ', float64'}", options.iterations, _quantity(options), "1", run),
        session.clock if session else None,
    )


def _factorize(
    train: sparse.csr_array, options: RatingsOptions, seed: int, ridge: float, solver: HalfStep = exact_half_step,
    callback: Callable[[Progress], None] | None = None,
) -> Factorization:
    return factorize(
        Masked(train), options.rank, solver=solver, start="svd_centred", iterations=options.iterations,
        ridge_per_observation=ridge, seed=seed, callback=callback,
    )


def _quantity(options: RatingsOptions) -> str:
    return f"test {options.metric.upper()}"


def _mean(scores: list[Score]) -> Score:
    return Score(float(np.mean([score.rmse for score in scores])), float(np.mean([score.mae for score in scores])))


def _scores(metric: str, score: Score, reference: Score) -> str:
    order = ("mae", "rmse") if metric == "mae" else ("rmse", "mae")

    def told(found: Score) -> str:
        return ", ".join(f"{name.upper()} {getattr(found, name):.4f}" for name in order)

    return f"{told(score)} on the circuit; {told(reference)} in float64"


def _finish(
    ratings: Ratings, folds: tuple[FoldResult, ...], options: RatingsOptions, clip: tuple[float, float],
    files: OutputFiles, session: Session, run: Run,
) -> RatingsResult:
    from hwloop.apps import pictures

    quantity = _quantity(options)
    convergence = tuple(
        Convergence(f"fold {fold.number}", quantity, fold.analog.quality, fold.float64.quality) for fold in folds
    )
    score, reference = _mean([fold.score for fold in folds]), _mean([fold.reference for fold in folds])
    record = session.record(
        "ratings", options, ratings.inputs,
        tuple(FactorPair(f"fold {fold.number}", *fold.factors) for fold in folds), convergence,
        metrics=(
            Quantity("rmse", score.rmse), Quantity("mae", score.mae), Quantity("reference_rmse", reference.rmse),
            Quantity("reference_mae", reference.mae),
            *(Quantity(f"fold_{fold.number}_rmse", fold.score.rmse) for fold in folds),
            *(Quantity(f"fold_{fold.number}_ridge", fold.ridge) for fold in folds),
        ),
        fields=run_fields(replace(ratings, lowest=clip[0], highest=clip[1])),
    )
    run_file = run.finish(record)
    drawn = {
        "convergence": pictures.draw_convergence(convergence),
        "conductance": pictures.draw_conductance(record.conductance),
    }
    return RatingsResult(
        ratings.name, len(ratings.user_ids), len(ratings.item_ids), len(ratings.values), options.rank,
        options.metric, clip, options.factor_bits, folds,
        session.outcome(run_file, files.write_pictures(run.stem, drawn)),
    )
