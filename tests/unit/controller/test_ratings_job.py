"""`factorize ratings` on a small file: every fold's figures, the run file, sameness, recommendations."""

import json
from pathlib import Path

import numpy as np
import pytest

from hwloop.apps import ratings as app
from hwloop.cli.output import _plain
from hwloop.controller.ratings_job import run_ratings
from hwloop.controller.recommend_job import recommend
from hwloop.errors import DataError, UsageError
from hwloop.report import Report
from hwloop.runlog.digest import factors_sha256, file_sha256
from hwloop.runscript import RatingsOptions

OPTIONS = RatingsOptions(path=Path("ratings.csv"), rank=2, iterations=2)


@pytest.fixture(scope="module")
def found(inputs, settings_of):
    return run_ratings(OPTIONS, settings_of(), Report())


def test_the_document_has_every_key_with_its_type(found, check_counters):
    document = json.loads(json.dumps(_plain(found.document())))
    check_counters(document)
    assert [fold["fold"] for fold in document["folds"]] == [1, 2, 3, 4, 5]
    for fold in (document, *document["folds"]):
        assert isinstance(fold["rmse"], float) and fold["mae"] <= fold["rmse"]
        assert set(fold["reference"]) == {"rmse", "mae"}
        assert len(fold["factors_sha256"]) == 64
    assert document["rmse"] == pytest.approx(np.mean([fold["rmse"] for fold in document["folds"]]))
    assert all(fold["ridge"] in app.RIDGE_GRID for fold in document["folds"])
    assert len(document["iterations"]) == 2


def test_the_run_file_gives_the_figures_again(found, check_run_file):
    run = check_run_file(found.outcome.run_file, seed=0)
    pairs = run.factors()
    assert factors_sha256([(pair.w, pair.h) for pair in pairs]) == found.document()["factors_sha256"]
    ratings = app.load_ratings("ratings.csv", 0)
    for fold, pair in zip(found.folds, pairs, strict=True):
        split = ratings.fold(fold.number)
        predicted = app.predict(split.train, pair.w, pair.h, split.test_users, split.test_items)
        assert app.score(predicted, split.test_values).rmse == pytest.approx(fold.score.rmse)
    assert [(source.name, source.sha256) for source in run.inputs] == [("ratings.csv", file_sha256("ratings.csv"))]
    assert run.field("user_ids").values == ratings.user_ids


def test_the_same_seed_gives_the_same_factors_and_another_one_others(found, settings_of):
    def sha256(seed):
        return run_ratings(OPTIONS, settings_of(seed=seed), Report()).document()["factors_sha256"]

    assert sha256(0) == found.document()["factors_sha256"] != sha256(1)


def test_one_fold_and_a_named_ridge(inputs, settings_of, report):
    done = run_ratings(RatingsOptions(Path("ratings.csv"), "2", 2, 1, 0.1), settings_of(), report)
    (fold,) = done.folds
    assert (fold.number, fold.ridge, fold.ridge_chosen) == (2, 0.1, False)
    assert ("fold 2, iterations", 1, 1) in report.steps
    assert "fold 2     RMSE" in done.text() and "ridge 0.1 a rating" in done.text()


def test_recommendations_come_from_the_run_alone(found):
    done = recommend("u0", 3, found.outcome.run_file)
    items = done.document()["items"]
    rated = {line.split(",")[1] for line in Path("ratings.csv").read_text().splitlines() if line.startswith("u0,")}
    assert 0 < len(items) <= 3 and not rated & {item["item"] for item in items}
    assert [item["predicted_rating"] for item in items] == sorted(
        (item["predicted_rating"] for item in items), reverse=True
    )
    with pytest.raises(DataError, match="user 'nobody' is unknown"):
        recommend("nobody", 3, found.outcome.run_file)


def test_a_rank_that_the_ratings_do_not_have_is_refused(inputs, settings_of):
    with pytest.raises(UsageError, match="rank is 11, allowed 1 to 10 for 12 users and 10 items"):
        run_ratings(RatingsOptions(Path("ratings.csv"), rank=11), settings_of(), Report())


def test_a_dry_run_opens_nothing(inputs, settings_of, report):
    plan = run_ratings(OPTIONS, settings_of(dry_run=True), report)
    assert plan.half_steps == 2 * 2 * 5 and not report.notes
