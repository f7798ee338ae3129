"""Rating files, folds, predictions and the choice of the ridge."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from hwloop.anls import Masked, factorize
from hwloop.apps import ratings
from hwloop.errors import DataError, UsageError


@pytest.fixture(scope="module")
def movielens():
    folder = Path(os.environ.get("HWLOOP_DATA", Path(__file__).parents[3] / "data")) / "ml-100k"
    if not folder.is_dir():
        pytest.skip(f"no MovieLens data: {folder} is absent, set HWLOOP_DATA")
    return ratings.load_ratings(folder)


def _csv(tmp_path, text, name="ratings.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def _group_lens(tmp_path, **files):
    for name, rows in files.items():
        (tmp_path / name.replace("_", ".")).write_text("".join("\t".join(map(str, row)) + "\t0\n" for row in rows))
    return tmp_path


def _pairs(matrix):
    return {(int(row), int(column)): float(value) for row, column, value in zip(*sparse.find(matrix), strict=True)}


def test_movielens_has_its_published_size(movielens):
    assert (len(movielens.user_ids), len(movielens.item_ids), movielens.values.size) == (943, 1682, 100_000)
    assert movielens.fold_numbers == (1, 2, 3, 4, 5)
    assert movielens.user_ids[:3] == ("1", "2", "3")
    assert movielens.titles[0] == "Toy Story (1995)"
    for number in movielens.fold_numbers:
        fold = movielens.fold(number)
        assert (fold.train.nnz, fold.test_values.size) == (80_000, 20_000)
        assert not fold.train[fold.test_users, fold.test_items].any()


def test_csv_with_and_without_header_and_any_ids(tmp_path):
    rows = "ann,x 1,5\nbob,x 1,3.5\nann,y,1\ncid,z,2\nbob,y,4\n"
    plain = ratings.load_ratings(_csv(tmp_path, rows))
    headed = ratings.load_ratings(_csv(tmp_path, "user,item,rating\n" + rows, "headed.csv"))
    assert plain.user_ids == headed.user_ids == ("ann", "bob", "cid")
    assert plain.item_ids == ("x 1", "y", "z")
    assert plain.titles == ("", "", "")
    np.testing.assert_array_equal(plain.values, headed.values)


def test_numbers_as_ids_are_in_numerical_order(tmp_path):
    loaded = ratings.load_ratings(_csv(tmp_path, "10,1,5\n9,1,4\n9,2,3\n10,2,1\n2,1,1\n"))
    assert loaded.user_ids == ("2", "9", "10")


def test_a_table_is_split_into_five_disjoint_folds_by_the_seed(tmp_path):
    path = _csv(tmp_path, "".join(f"{n % 7},{n},{1 + n % 5}\n" for n in range(52)))
    one, same, other = (ratings.load_ratings(path, seed) for seed in (0, 0, 1))
    tested = np.concatenate([one.test_rows[number] for number in one.fold_numbers])
    np.testing.assert_array_equal(np.sort(tested), np.arange(52))
    for number in one.fold_numbers:
        np.testing.assert_array_equal(one.test_rows[number], same.test_rows[number])
        assert one.fold(number).train.nnz + one.fold(number).test_values.size == 52
    assert any(not np.array_equal(one.test_rows[number], other.test_rows[number]) for number in one.fold_numbers)


def test_test_files_alone_train_on_each_other(tmp_path):
    folder = _group_lens(tmp_path, u1_test=[(1, 1, 5)], u2_test=[(1, 2, 4), (2, 1, 3)], u3_test=[(2, 2, 1)])
    fold = ratings.load_ratings(folder).fold(2)
    assert _pairs(fold.train) == {(0, 0): 5.0, (1, 1): 1.0}
    assert fold.test_values.tolist() == [4.0, 3.0]


def test_base_file_is_the_training_part_where_there_is_one(tmp_path):
    everything = [(1, 1, 5), (1, 2, 4), (2, 1, 3)]
    folder = _group_lens(
        tmp_path, u_data=everything, u1_base=everything[1:2], u1_test=everything[:1], u2_test=everything[2:]
    )
    loaded = ratings.load_ratings(folder)
    assert _pairs(loaded.fold(1).train) == {(0, 1): 4.0}
    assert _pairs(loaded.fold(2).train) == {(0, 0): 5.0, (0, 1): 4.0}
    with pytest.raises(UsageError, match="has 1, 2"):
        loaded.fold(3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,1,5\n1,2\n", "line 2 has 2 fields"),
        ("1,1,5\n1,2,six\n", "line 2: rating is 'six', allowed 1 to 5"),
        ("1,1,5\n1,2,nan\n", "line 2: rating is 'nan'"),
        ("nan,1,nan\n", "line 1: rating is 'nan'"),
        ("1,1,5\n1,2,5.5\n", "line 2: rating is '5.5'"),
        ("u,i,r\n1,1,5\n1,2,-1\n", "line 3: rating is '-1'"),
        ("1,1,5\n,2,3\n", "line 2 has an empty user"),
        ("1,1,5\n\n2,1,4\n1,1,4\n", "line 4: user 1 rated item 1 already on ratings.csv line 1"),
        ("", "holds no ratings"),
        ("user,item,rating\n", "holds no ratings"),
        ("1,1,5\n1,2,4\n", "2 ratings, at least 5"),
    ],
)
def test_bad_rows_are_named_by_file_and_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        ratings.load_ratings(_csv(tmp_path, text))


def test_the_same_rating_in_training_and_test_is_refused(tmp_path):
    folder = _group_lens(tmp_path, u1_base=[(1, 1, 5), (2, 2, 2)], u1_test=[(2, 2, 2)])
    with pytest.raises(DataError, match="u1.test line 1: user 2 rated item 2 already on u1.base line 2"):
        ratings.load_ratings(folder)


def test_files_that_contradict_each_other_are_refused(tmp_path):
    folder = _group_lens(tmp_path, u_data=[(1, 1, 5), (1, 2, 3)], u1_test=[(1, 1, 4)])
    with pytest.raises(DataError, match="u1.test line 1: user 1 gives item 1 4"):
        ratings.load_ratings(folder)


def test_an_id_that_the_lists_do_not_know_is_refused(tmp_path):
    folder = _group_lens(tmp_path, u1_test=[(1, 1, 5), (1, 3, 2)], u2_test=[(2, 1, 5)])
    (folder / "u.item").write_bytes("1|Les Misérables|…\n".encode("latin-1", "replace"))
    with pytest.raises(DataError, match="u1.test line 2: item 3 is unknown to u.item"):
        ratings.load_ratings(folder)


def test_latin_1_titles(tmp_path):
    folder = _group_lens(tmp_path, u1_test=[(1, 1, 5)], u2_test=[(2, 2, 5)])
    (folder / "u.item").write_bytes("1|Misérables, Les (1995)|\n2|Wait\x85 more|\n".encode("latin-1"))
    loaded = ratings.load_ratings(folder)
    assert loaded.titles == ("Misérables, Les (1995)", "Wait\x85 more")
    assert {source.name for source in loaded.inputs} == {"u1.test", "u2.test", "u.item"}


def test_missing_or_foreign_paths(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        ratings.load_ratings(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="neither u.data nor u1.test"):
        ratings.load_ratings(tmp_path)
    (tmp_path / "photo.csv").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(DataError, match="no text file"):
        ratings.load_ratings(tmp_path / "photo.csv")
    with pytest.raises(DataError, match="leaves nothing to train on"):
        ratings.load_ratings(_group_lens(tmp_path, u1_test=[(1, 1, 5)]))


def test_unseen_users_and_items_get_means():
    train = sparse.csr_array(np.array([[4.0, 2.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 0.0]]))
    w, h = np.ones((3, 1)), np.full((1, 3), 4.5)
    predicted = ratings.predict(train, w, h, np.array([0, 0, 2, 2]), np.array([1, 2, 0, 2]))
    np.testing.assert_allclose(predicted, [4.5, 3.0, 11 / 3, 11 / 3])


@given(st.data())
def test_predictions_are_never_nan_and_stay_in_the_range(data):
    users, items = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    dense = rng.integers(1, 6, (users, items)) * (rng.random((users, items)) < data.draw(st.floats(0, 1)))
    train = sparse.csr_array(dense.astype(float))
    w, h = rng.random((users, 2)) * data.draw(st.floats(0, 1e3)), rng.random((2, items))
    rows, columns = np.divmod(np.arange(users * items), items)
    predicted = ratings.predict(train, w, h, rows, columns)
    assert np.all((predicted >= 1.0) & (predicted <= 5.0))


def test_score():
    assert ratings.score(np.array([1.0, 3.0]), np.array([1.0, 5.0])) == ratings.Score(np.sqrt(2.0), 1.0)


def _float64(train, ridge):
    result = factorize(
        Masked(train), 8, start="svd_centred", iterations=10, ridge_per_observation=ridge, seed=0
    )
    return result.W, result.H


def test_movielens_float64_reaches_its_bar_with_the_ridge_chosen_on_training_data(movielens):
    rmse = []
    for number in movielens.fold_numbers:
        fold = movielens.fold(number)
        ridge = ratings.choose_ridge(fold.train, _float64, seed=0).ridge_per_observation
        predicted = ratings.predict(fold.train, *_float64(fold.train, ridge), fold.test_users, fold.test_items)
        rmse.append(ratings.score(predicted, fold.test_values).rmse)
    assert np.mean(rmse) <= 0.9195


def test_ridge_choice_sees_only_a_part_of_the_training_ratings():
    rng = np.random.default_rng(0)
    train = sparse.csr_array(rng.integers(1, 6, (20, 10)).astype(float))
    seen = []

    def means(part, ridge):
        seen.append(part.nnz)
        return np.full((20, 1), part.data.mean() / (1.0 + ridge)), np.ones((1, 10))

    choice = ratings.choose_ridge(train, means, seed=3, grid=(2.0, 0.0, 1.0))
    assert choice.ridge_per_observation == 0.0
    assert seen == [180, 180, 180]
    assert choice.rmse[1] == min(choice.rmse)
    assert choice == ratings.choose_ridge(train, means, seed=3, grid=(2.0, 0.0, 1.0))


def test_too_few_ratings_to_hold_any_out():
    with pytest.raises(DataError, match="too few"):
        ratings.choose_ridge(sparse.csr_array(np.ones((1, 2))), lambda *_: pytest.fail("not called"), seed=0)
