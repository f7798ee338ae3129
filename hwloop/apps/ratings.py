"""Ratings by users of items: the matrix and its folds, predictions from factors, and how far they are off."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from hwloop.apps.rating_files import RatingTable, read_table, read_titles
from hwloop.errors import DataError, UsageError
from hwloop.runlog.record import InputFile

LOWEST, HIGHEST = 1.0, 5.0
RIDGE_GRID = (0.05, 0.07, 0.1, 0.14, 0.2)
_SPLIT_FOLDS = 5


@dataclass(frozen=True)
class Fold:
    """One split: `train` (users × items) CSR, where a stored entry is a rating, and the held-out ratings.

    `test_users`, `test_items` (ratings,) int64 are rows and columns of `train`; `test_values` (ratings,) float64.
    """

    number: int
    train: sparse.csr_array
    test_users: np.ndarray
    test_items: np.ndarray
    test_values: np.ndarray


@dataclass(frozen=True)
class Ratings:
    """All distinct ratings of a data set and its folds.

    `user_ids`, `item_ids`, `titles`: text by row and by column of the matrix ("" where an item has no title).
    `users`, `items` (ratings,) int64, `values` (ratings,) float64.
    `train_rows`, `test_rows`: by fold number, indices of ratings.
    """

    name: str
    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    titles: tuple[str, ...]
    users: np.ndarray
    items: np.ndarray
    values: np.ndarray
    train_rows: dict[int, np.ndarray]
    test_rows: dict[int, np.ndarray]
    inputs: tuple[InputFile, ...]
    lowest: float
    highest: float

    @property
    def fold_numbers(self) -> tuple[int, ...]:
        return tuple(self.test_rows)

    def fold(self, number: int) -> Fold:
        """Raises UsageError where there is no fold of that number."""
        if number not in self.test_rows:
            have = ", ".join(map(str, self.fold_numbers))
            raise UsageError(f"fold is {number}, {self.name} has {have}; choose one of them")
        train, test = self.train_rows[number], self.test_rows[number]
        shape = (len(self.user_ids), len(self.item_ids))
        matrix = sparse.csr_array((self.values[train], (self.users[train], self.items[train])), shape=shape)
        matrix.sort_indices()
        return Fold(number, matrix, self.users[test], self.items[test], self.values[test])


@dataclass(frozen=True)
class Score:
    """Errors of predictions, in units of the rating."""

    rmse: float
    mae: float


@dataclass(frozen=True)
class RidgeChoice:
    """Ridge per observation that did best on ratings held out of the training part; `rmse` (by entry of `grid`)."""

    ridge_per_observation: float
    grid: tuple[float, ...]
    rmse: tuple[float, ...]


def load_ratings(path: Path | str, seed: int = 0, lowest: float = LOWEST, highest: float = HIGHEST) -> Ratings:
    """Ratings from a GroupLens folder or from one table `user, item, rating` (CSV, or tab-separated as u.data).

    Folder: fold N tests on `uN.test` and trains on `uN.base`; without it on the rest of `u.data`, or without that on
    the other test files together. A table, or a folder with `u.data` alone, is split into five folds by `seed`.
    Ids are any text; rows and columns follow them in numerical order, or alphabetical where they are not all numbers.
    Raises DataError naming file and line on a malformed or repeated rating, one outside `lowest`…`highest`, and ids
    that the folder's `u.item` or `u.user` does not know; UsageError on a range that a non-negative model cannot hold.
    """
    if not 0.0 <= lowest < highest:
        raise UsageError(f"rating range is {lowest:g} to {highest:g}, allowed 0 or more and rising; shift the ratings")
    path = Path(path)
    if not path.is_dir():
        tables = {path.name: read_table(path, lowest, highest)}
    else:
        names = sorted(entry.name for entry in path.iterdir() if re.fullmatch(r"u\.data|u\d+\.(base|test)", entry.name))
        if not any(name.endswith((".data", ".test")) for name in names):
            raise DataError(f"{path} holds neither u.data nor u1.test; give a GroupLens folder or a CSV file")
        tables = {name: read_table(path / name, lowest, highest) for name in names}
    user_ids, users = _index(tables, "user_ids")
    item_ids, items = _index(tables, "item_ids")
    keys = {name: users[name] * len(item_ids) + items[name] for name in tables}
    for name, table in tables.items():
        _refuse_repeats([(table, keys[name])])
    distinct, values = _merge(tables, keys)
    rows = {name: np.searchsorted(distinct, key) for name, key in keys.items()}
    train_rows, test_rows = _folds(path, tables, keys, rows, len(distinct), seed)
    titles, lists = _listings(path, tables)
    return Ratings(
        path.name, user_ids, item_ids, tuple(titles.get(item_id, "") for item_id in item_ids),
        distinct // len(item_ids), distinct % len(item_ids), values, train_rows, test_rows,
        tuple(InputFile.of(source) for source in (*(table.path for table in tables.values()), *lists)), lowest, highest,
    )


def predict(
    train: sparse.csr_array, w: np.ndarray, h: np.ndarray, users: np.ndarray, items: np.ndarray,
    lowest: float = LOWEST, highest: float = HIGHEST,
) -> np.ndarray:
    """Predicted ratings (ratings,) of `users` for `items` from W (users, k) and H (k, items), clipped to the range.

    Where the user or the item has no rating in `train`, the user's mean stands in; for an unseen user, the mean of all.
    """
    rated = np.diff(train.indptr)
    overall = train.data.mean() if train.nnz else 0.5 * (lowest + highest)
    means = np.divide(train.sum(axis=1), rated, out=np.full(train.shape[0], overall), where=rated > 0)
    seen_item = np.bincount(train.indices, minlength=train.shape[1]) > 0
    known = (rated[users] > 0) & seen_item[items]
    products = np.einsum("rk,kr->r", w[users], h[:, items])
    return np.clip(np.where(known, products, means[users]), lowest, highest)


def score(predicted: np.ndarray, actual: np.ndarray) -> Score:
    """Root mean square and mean absolute error of predictions (ratings,)."""
    error = predicted - actual
    return Score(float(np.sqrt(np.mean(error**2))), float(np.mean(np.abs(error))))


def choose_ridge(
    train: sparse.csr_array,
    factorize: Callable[[sparse.csr_array, float], tuple[np.ndarray, np.ndarray]],
    seed: int,
    grid: Sequence[float] = RIDGE_GRID,
    held_out: float = 0.1,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
) -> RidgeChoice:
    """The ridge per observation from `grid` with the least RMSE on a share `held_out` of the training ratings alone.

    `factorize(part, ridge_per_observation)` returns W and H of a training part; `seed` draws the held-out ratings.
    Raises DataError where there are too few ratings to hold any out.
    """
    count = round(held_out * train.nnz)
    if not 0 < count < train.nnz:
        raise DataError(f"{train.nnz} training ratings are too few to hold out {held_out:.0%}; name the ridge yourself")
    order = np.random.default_rng(seed).permutation(train.nnz)
    ratings = train.tocoo()
    users, items, values = ratings.coords[0], ratings.coords[1], ratings.data
    held, kept = order[:count], np.sort(order[count:])
    part = sparse.csr_array((values[kept], (users[kept], items[kept])), shape=train.shape)
    rmse = []
    for ridge in grid:
        w, h = factorize(part, ridge)
        rmse.append(score(predict(part, w, h, users[held], items[held], lowest, highest), values[held]).rmse)
    return RidgeChoice(grid[int(np.argmin(rmse))], tuple(grid), tuple(rmse))


def _index(tables: dict[str, RatingTable], column: str) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Ids of all tables in order, and the position of each row's id, by table."""
    found = {identity for table in tables.values() for identity in getattr(table, column)}
    numerical = all(identity.isdecimal() for identity in found)
    ids = sorted(found, key=(lambda identity: (int(identity), identity)) if numerical else None)
    position = {identity: index for index, identity in enumerate(ids)}
    return tuple(ids), {
        name: np.array([position[identity] for identity in getattr(table, column)], dtype=np.int64)
        for name, table in tables.items()
    }


def _refuse_repeats(parts: Sequence[tuple[RatingTable, np.ndarray]]) -> None:
    """Raises DataError where the same user and item (`keys`) stand twice in the tables taken together."""
    keys = np.concatenate([part for _, part in parts])
    order = np.argsort(keys, kind="stable")
    repeated = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    if not repeated.size:
        return
    starts = np.cumsum([0] + [len(part) for _, part in parts])
    places = []
    for row in (order[repeated[0] + 1], order[repeated[0]]):
        number = int(np.searchsorted(starts, row, side="right")) - 1
        places.append((parts[number][0], int(row - starts[number])))
    (table, row), (earlier, earlier_row) = places
    raise DataError(
        f"{table.where(row)}: user {table.user_ids[row]} rated item {table.item_ids[row]} already on "
        f"{earlier.where(earlier_row)}; remove one of the two"
    )


def _merge(tables: dict[str, RatingTable], keys: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys in order and their ratings; files that tell one rating differently are a DataError."""
    distinct, first = np.unique(np.concatenate(list(keys.values())), return_index=True)
    values = np.concatenate([table.values for table in tables.values()])[first]
    for name, table in tables.items():
        other = np.flatnonzero(values[np.searchsorted(distinct, keys[name])] != table.values)
        if other.size:
            row = other[0]
            raise DataError(
                f"{table.where(row)}: user {table.user_ids[row]} gives item {table.item_ids[row]} "
                f"{table.values[row]:g}, another file of the folder says otherwise; mend one of them"
            )
    return distinct, values


def _folds(
    path: Path, tables: dict[str, RatingTable], keys: dict[str, np.ndarray], rows: dict[str, np.ndarray],
    ratings: int, seed: int,
) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Indices of training and test ratings by fold number."""
    numbers = sorted(int(name[1:-5]) for name in tables if re.fullmatch(r"u\d+\.test", name))
    if not numbers:
        if ratings < _SPLIT_FOLDS:
            raise DataError(f"{path.name} holds {ratings} ratings, at least {_SPLIT_FOLDS} are needed; give more")
        parts = np.array_split(np.random.default_rng(seed).permutation(ratings), _SPLIT_FOLDS)
        test_rows = {number: np.sort(part) for number, part in enumerate(parts, start=1)}
        return {number: np.setdiff1d(np.arange(ratings), test) for number, test in test_rows.items()}, test_rows
    train_rows, test_rows = {}, {}
    tests = [f"u{number}.test" for number in numbers]
    for number in numbers:
        base, test = f"u{number}.base", f"u{number}.test"
        if base in tables:
            parts = [base]
        elif "u.data" in tables:
            parts = []
        else:
            parts = [name for name in tests if name != test]
            if not parts:
                raise DataError(f"{path} holds {test} alone, which leaves nothing to train on; add {base} or u.data")
        # A test rating among the training ratings would make the error look smaller than it is.
        _refuse_repeats([(tables[name], keys[name]) for name in (*parts, test)])
        train = np.concatenate([rows[name] for name in parts]) if parts else np.setdiff1d(rows["u.data"], rows[test])
        if not train.size:
            raise DataError(f"{path}: fold {number} has nothing to train on; add {base}")
        train_rows[number], test_rows[number] = np.sort(train), rows[test]
    return train_rows, test_rows


def _listings(path: Path, tables: dict[str, RatingTable]) -> tuple[dict[str, str], list[Path]]:
    """Titles from `u.item`, and the list files used; a rating of an item or by a user that they lack is a DataError."""
    titles, lists = {}, []
    for name, column, what in (("u.item", "item_ids", "item"), ("u.user", "user_ids", "user")):
        listing = path / name
        if not listing.is_file():
            continue
        lists.append(listing)
        known = read_titles(listing)
        titles = known if what == "item" else titles
        for table in tables.values():
            for row, identity in enumerate(getattr(table, column)):
                if identity not in known:
                    raise DataError(f"{table.where(row)}: {what} {identity} is unknown to {name}; mend one of the two")
    return titles, lists
