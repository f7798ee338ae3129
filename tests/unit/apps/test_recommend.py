"""Recommendations come from a run file alone."""

import dataclasses

import numpy as np
import pytest

from hwloop.apps.ratings import load_ratings
from hwloop.apps.recommend import recommend, run_fields
from hwloop.errors import DataError, UsageError
from hwloop.runlog.record import FactorPair, RunRecord
from hwloop.runlog.run_file import write_run

# Users 1 and 2, items 1 to 5; user 1 has rated items 1 and 2.
_RATED = ((1, 1, 5), (1, 2, 3), (2, 3, 4), (2, 4, 1), (2, 5, 2))


@pytest.fixture
def record(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "u.data").write_text("".join("\t".join(map(str, row)) + "\t0\n" for row in _RATED))
    (tmp_path / "data" / "u.item").write_bytes("".join(f"{n}|Tître {n}|\n" for n in range(1, 6)).encode("latin-1"))
    w = np.ones((2, 1))
    folds = (FactorPair("fold 1", w, np.array([[9.0, 8.0, 3.0, 7.0, 1.0]])), FactorPair("fold 2", w, np.zeros((1, 5))))
    return RunRecord("ratings", 0, {}, factors=folds, fields=run_fields(load_ratings(tmp_path / "data")))


def test_best_unrated_items_first_with_titles_from_the_newest_run(tmp_path, record):
    older = dataclasses.replace(record, created="2020-01-01T00:00:00.000000+00:00", factors=record.factors[1:])
    write_run(tmp_path / "runs" / "b.h5", older)
    write_run(tmp_path / "runs" / "a.h5", record)
    found = recommend("1", 2, folder=tmp_path / "runs")
    assert found.run_file.name == "a.h5"
    assert [(item.item_id, item.title, item.predicted_rating) for item in found.items] == [
        ("4", "Tître 4", 3.5), ("3", "Tître 3", 1.5),
    ]


def test_never_more_than_there_are_and_clipped_to_the_range(tmp_path, record):
    write_run(tmp_path / "run.h5", record)
    assert [item.item_id for item in recommend("1", 99, tmp_path / "run.h5").items] == ["4", "3", "5"]
    assert [item.predicted_rating for item in recommend("2", 5, tmp_path / "run.h5").items] == [4.5, 4.0]
    assert recommend("1", 3, tmp_path / "run.h5").items[-1].predicted_rating == 1.0


def test_unknown_user_wrong_kind_no_run_and_silly_top(tmp_path, record):
    write_run(tmp_path / "run.h5", record)
    with pytest.raises(DataError, match="user '944' is unknown .* 2 users, such as 1, 2"):
        recommend("944", 3, tmp_path / "run.h5")
    with pytest.raises(UsageError, match="top is 0"):
        recommend("1", 0, tmp_path / "run.h5")
    write_run(tmp_path / "image.h5", RunRecord("image", 0, {}))
    with pytest.raises(DataError, match="kind image"):
        recommend("1", 3, tmp_path / "image.h5")
    with pytest.raises(DataError, match="no ratings run"):
        recommend("1", 3, folder=tmp_path / "nowhere")
