"""`factorize ratings`: every fold factorized on the circuit, predicted, scored, pictured and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from hwloop import config
from hwloop.anls import HalfStep, Masked
from hwloop.anls.exact import exact_half_step
from hwloop.anls.loop import Factorization, Progress, factorize
from hwloop.apps import ratings as app
from hwloop.apps.ratings import Fold, Ratings, Score
from hwloop.apps.recommend import run_fields
from hwloop.array.placement import check_fit
from hwloop.config import RunSettings
from hwloop.controller.counters import Counters
from hwloop.controller.half_step import AnalogHalfStep
from hwloop.controller.output_files import OutputFiles
from hwloop.controller.plan import Plan, plan_masked
from hwloop.controller.session import Session, open_session
from hwloop.errors import UsageError
from hwloop.report import Report
from hwloop.runlog.digest import factors_sha256
from hwloop.runlog.record import Convergence, FactorPair, Quantity, RunRecord
from hwloop.runscript import RatingsOptions


@dataclass(frozen=True)
class FoldResult:
    """One fold on the circuit and in float64; `rmse_by_iteration` (iterations,) of the test ratings."""

    number: int
    ridge: float
    ridge_chosen: bool
    score: Score
    reference: Score
    factors: Factorization
    rmse_by_iteration: np.ndarray
    reference_rmse_by_iteration: np.ndarray

    def document(self) -> dict[str, Any]:
        """The JSON entry of `folds`."""
        return {
            "fold": self.number, "rmse": self.score.rmse, "mae": self.score.mae, "ridge": self.ridge,
            "ridge_chosen_on_training_data": self.ridge_chosen,
            "reference": {"rmse": self.reference.rmse, "mae": self.reference.mae},
            "factors_sha256": factors_sha256([(self.factors.W, self.factors.H)]),
        }


@dataclass(frozen=True)
class RatingsResult:
    """What `factorize ratings` found."""

    name: str
    users: int
    items: int
    ratings: int
    rank: int
    folds: tuple[FoldResult, ...]
    counters: Counters
    placement: dict[str, Any]
    run_file: Path
    pictures: tuple[Path, ...]
    seed: int
    goal_missed: str | None = None

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
        return {
            "ratings": self.name, "users": self.users, "items": self.items, "observed": self.ratings, "rank": self.rank,
            "rmse": self.score.rmse, "mae": self.score.mae, "folds": [fold.document() for fold in self.folds],
            "reference": {"rmse": self.reference.rmse, "mae": self.reference.mae},
            "iterations": [
                {
                    "iteration": i + 1, "rmse": float(np.mean([fold.rmse_by_iteration[i] for fold in self.folds])),
                    "reference_rmse": float(np.mean([fold.reference_rmse_by_iteration[i] for fold in self.folds])),
                }
                for i in range(min(len(fold.rmse_by_iteration) for fold in self.folds))
            ],
            **self.counters.document(), "placement": self.placement, "run_file": self.run_file, "pictures": list(self.pictures),
            "seed": self.seed, "factors_sha256": factors_sha256([(fold.factors.W, fold.factors.H) for fold in self.folds]),
        }

    def text(self) -> str:
        """For people."""
        lines = [f"ratings    {self.name}: {self.ratings:,} by {self.users:,} users of {self.items:,} items, rank {self.rank}"]
        for fold in self.folds:
            lines.append(
                f"fold {fold.number}     RMSE {fold.score.rmse:.4f}, MAE {fold.score.mae:.4f} on the circuit; "
                f"{fold.reference.rmse:.4f}, {fold.reference.mae:.4f} in float64; ridge {fold.ridge:g} a rating"
            )
        lines.append(
            f"mean       RMSE {self.score.rmse:.4f}, MAE {self.score.mae:.4f} on the circuit; "
            f"{self.reference.rmse:.4f}, {self.reference.mae:.4f} in float64"
        )
        return "\n".join(
            [*lines, self.counters.text(), f"run file   {self.run_file}", *(f"picture    {path}" for path in self.pictures)]
        )


def run_ratings(options: RatingsOptions, settings: RunSettings, report: Report) -> RatingsResult | Plan:
    """Factorize ratings on the rig's board, fold by fold. Raises DataError, UsageError, and what the board raises."""
    if options.path is None:
        raise UsageError("path of the ratings is missing: a GroupLens folder, the five folds u1.test to u5.test, or a CSV file")
    ratings = app.load_ratings(options.path, settings.seed)
    numbers = ratings.fold_numbers if options.fold == "all" else (int(options.fold),)
    folds = [ratings.fold(number) for number in numbers]
    files = OutputFiles("ratings", options.run_file, options.pictures)
    users, items = folds[0].train.shape
    if settings.dry_run:
        return plan_masked(settings, users, items, options.rank, options.iterations * len(folds))
    results = []
    with open_session(settings, report) as session:
        check_fit(max(users, items), options.rank, session.board.rows, session.board.columns)
        solver = AnalogHalfStep(session.solver, settings.rig.solver, session.clock, report)
        for fold in folds:
            results.append(_run_fold(fold, options, settings, session, solver, report))
    return _finish(ratings, tuple(results), options, settings, files, session)


def _run_fold(
    fold: Fold, options: RatingsOptions, settings: RunSettings, session: Session, solver: AnalogHalfStep, report: Report
) -> FoldResult:
    ridge = options.ridge
    if ridge is None:
        ridge = app.choose_ridge(
            fold.train, lambda part, candidate: _factors(_factorize(part, options, settings.seed, candidate)), settings.seed
        ).ridge_per_observation
    reference, reference_rmse = _tracked(fold, options, settings.seed, ridge, exact_half_step, lambda number: None)

    def after(number: int) -> None:
        report.step(f"fold {fold.number}, iterations", number, options.iterations)

    with session.clock.running():
        analog, rmse = _tracked(fold, options, settings.seed, ridge, solver, after, session)
    return FoldResult(
        fold.number, ridge, options.ridge is None, _score(fold, analog.W, analog.H), _score(fold, reference.W, reference.H),
        analog, rmse, reference_rmse,
    )


def _tracked(
    fold: Fold, options: RatingsOptions, seed: int, ridge: float, solver: HalfStep, after: Callable[[int], None],
    session: Session | None = None,
) -> tuple[Factorization, np.ndarray]:
    """Factors of the training part, and the test RMSE (iterations,) after each iteration."""
    rmse: list[float] = []

    def callback(progress: Progress) -> None:
        if session is None:
            rmse.append(_score(fold, progress.W, progress.H).rmse)
        else:
            with session.clock.paused():
                rmse.append(_score(fold, progress.W, progress.H).rmse)
        after(progress.iteration)

    return _factorize(fold.train, options, seed, ridge, solver, callback), np.array(rmse)


def _factorize(
    train: sparse.csr_array, options: RatingsOptions, seed: int, ridge: float, solver: HalfStep = exact_half_step,
    callback: Callable[[Progress], None] | None = None,
) -> Factorization:
    return factorize(
        Masked(train), options.rank, solver=solver, start="svd_centred", iterations=options.iterations, ridge_per_observation=ridge,
        seed=seed, callback=callback,
    )


def _factors(result: Factorization) -> tuple[np.ndarray, np.ndarray]:
    return result.W, result.H


def _score(fold: Fold, w: np.ndarray, h: np.ndarray) -> Score:
    w, h = w.reshape(-1, w.shape[-1]), h.reshape(-1, h.shape[-1])
    return app.score(app.predict(fold.train, w, h, fold.test_users, fold.test_items), fold.test_values)


def _mean(scores: list[Score]) -> Score:
    return Score(float(np.mean([score.rmse for score in scores])), float(np.mean([score.mae for score in scores])))


def _finish(
    ratings: Ratings, folds: tuple[FoldResult, ...], options: RatingsOptions, settings: RunSettings, files: OutputFiles,
    session: Session,
) -> RatingsResult:
    from hwloop.apps import pictures

    counters, maps = session.counters(), session.conductance_maps()
    convergence = tuple(
        Convergence(f"fold {fold.number}", "test RMSE", fold.rmse_by_iteration, fold.reference_rmse_by_iteration) for fold in folds
    )
    score, reference = _mean([fold.score for fold in folds]), _mean([fold.reference for fold in folds])
    record = RunRecord(
        kind="ratings", seed=settings.seed,
        configuration={"options": config.describe(options), "rig": config.describe(settings.rig)},
        inputs=ratings.inputs, board=session.describe_board(), array=session.describe_array(),
        factors=tuple(FactorPair(f"fold {fold.number}", fold.factors.W, fold.factors.H) for fold in folds),
        convergence=convergence,
        metrics=(
            Quantity("rmse", score.rmse), Quantity("mae", score.mae), Quantity("reference_rmse", reference.rmse),
            Quantity("reference_mae", reference.mae),
            *(Quantity(f"fold_{fold.number}_rmse", fold.score.rmse) for fold in folds),
            *(Quantity(f"fold_{fold.number}_ridge", fold.ridge) for fold in folds),
        ),
        counters=counters.quantities(), conductance=maps, fields=run_fields(ratings),
    )
    run_file = files.write_run(record)
    drawn = {"convergence": pictures.draw_convergence(convergence), "conductance": pictures.draw_conductance(maps)}
    return RatingsResult(
        ratings.name, len(ratings.user_ids), len(ratings.item_ids), len(ratings.values), options.rank, folds, counters,
        vars(session.solver.totals).copy(), run_file, files.write_pictures(run_file, drawn), settings.seed,
    )
