"""How fast float64 ANLS is and how good its results are: against scipy, scikit-learn and the reference results.

Run as `python benchmarks/bench_anls.py [--json FILE] [--threads N] [--data FOLDER]`, or by `make bench`. Rivals run in
one process, in alternating order, with the same number of BLAS threads; times are medians. Compilation is excluded: the
first call of each kernel, which compiles it or loads it from numba's cache, is timed on its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from scipy.optimize import nnls
from threadpoolctl import threadpool_limits

from hwloop.anls import Masked, MaskedRegression, Start, exact_half_step, factorize
from hwloop.apps.image import load_photograph, psnr_db, rebuild, to_patches
from hwloop.apps.ratings import Ratings, load_ratings, predict, score

PROJECT = Path(__file__).resolve().parent.parent
PAIRS = 7
RANK_RATINGS, RIDGE_PER_OBSERVATION = 8, 0.1


@dataclass(frozen=True)
class Row:
    """One line of the table: `bar` is what the value has to keep to, "" where it is for information; `met` follows."""

    what: str
    value: float
    unit: str
    bar: str = ""
    met: bool | None = None


def first_calls() -> list[Row]:
    """Seconds of the first factorization of each kind, mostly compilation or loading of compiled code."""
    small = np.random.default_rng(0).random((12, 9))
    kinds = {"dense": small, "sparse": sp.csr_array(small), "masked": Masked(sp.csr_array(small))}
    return [Row(f"first call, {name}", _seconds(lambda d=data: factorize(d, 2, iterations=2)), "s")
            for name, data in kinds.items()]


def masked_against_scipy(ratings: Ratings) -> list[Row]:
    """The half-steps of three iterations on fold 1, solved here and by a loop of scipy.optimize.nnls."""
    half_steps: list[MaskedRegression] = []

    def record(regression: MaskedRegression) -> np.ndarray:
        half_steps.append(regression)
        return exact_half_step(regression)

    factorize(
        Masked(ratings.fold(1).train), RANK_RATINGS, solver=record, start="svd_centred", iterations=3,
        ridge_per_observation=RIDGE_PER_OBSERVATION,
    )
    deviation = max(np.abs(exact_half_step(step) - _scipy_half_step(step)).max() for step in half_steps)
    ours, theirs = _paired(
        lambda: [exact_half_step(step) for step in half_steps], lambda: [_scipy_half_step(step) for step in half_steps]
    )
    return [
        Row("masked half-step, mean", 1e3 * ours / len(half_steps), "ms"),
        Row("masked half-step, loop of scipy nnls", 1e3 * theirs / len(half_steps), "ms"),
        _at_least("masked half-steps against scipy nnls", theirs / ours, "x", 15.0),
        _at_most("largest deviation from scipy nnls", float(deviation), "", 1e-9),
    ]


def masked_affine(ratings: Ratings) -> list[Row]:
    """Time of five iterations against the number of ratings, 10k to 100k of the same matrix, and its straight line."""
    order = np.random.default_rng(0).permutation(len(ratings.values))
    counts = np.arange(10_000, len(order) + 1, 10_000)
    shape = (len(ratings.user_ids), len(ratings.item_ids))
    parts = []
    for count in counts:
        kept = order[:count]
        coordinates = (ratings.users[kept], ratings.items[kept])
        parts.append(Masked(sp.csr_array((ratings.values[kept], coordinates), shape=shape)))
    samples = np.array([
        [
            _seconds(lambda p=part: factorize(
                p, RANK_RATINGS, iterations=5, ridge_per_observation=RIDGE_PER_OBSERVATION
            ))
            for part in parts
        ]
        for _ in range(11)
    ])
    seconds = np.median(samples, axis=0)
    slope, intercept = np.polyfit(counts, seconds, 1)
    unexplained = seconds - (slope * counts + intercept)
    quality = 1.0 - np.sum(unexplained**2) / np.sum((seconds - seconds.mean()) ** 2)
    return [
        _at_least("time affine in the ratings, R^2", float(quality), "", 0.99),
        Row("five iterations, fixed part", 1e3 * float(intercept), "ms"),
        Row("five iterations, per 1000 ratings", 1e6 * float(slope), "ms"),
    ]


def dense_against_sklearn(kind: str) -> list[Row]:
    """Time to the objective that scikit-learn's NMF (cd) has after 200 iterations, same start; 2000x500, rank 10."""
    from sklearn.decomposition import NMF

    m, n, rank = 2000, 500, 10
    rng = np.random.default_rng(0)
    data = _dense_data(kind, m, n, rank, rng)
    W, H = rng.random((m, rank)), rng.random((rank, n))
    scale = np.linalg.norm(data)

    def peer() -> float:
        model = NMF(rank, init="custom", solver="cd", tol=0.0, max_iter=200)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns that 200 iterations did not reach a tolerance of zero
            left = model.fit_transform(data, W=W.copy(), H=H.copy())
        return float(np.linalg.norm(data - left @ model.components_) / scale)

    objective = peer()
    reached = np.flatnonzero(factorize(data, rank, start=Start(W, H), iterations=200).residual <= objective)
    if not reached.size:
        return [Row(f"dense {kind}: objective of 200 cd iterations", float("inf"), "x its time", "<= 1", False)]
    iterations = int(reached[0]) + 1
    result = factorize(data, rank, start=Start(W, H), iterations=iterations)
    ours, theirs = _paired(lambda: factorize(data, rank, start=Start(W, H), iterations=iterations), peer)
    return [
        _at_most(f"dense {kind}: time to cd's objective, of its time", ours / theirs, "x", 1.0),
        Row(f"dense {kind}: ANLS", 1e3 * ours, f"ms, {iterations} iterations"),
        Row(f"dense {kind}: scikit-learn cd", 1e3 * theirs, "ms, 200 iterations"),
        Row(f"dense {kind}: zeros in the factors", 100.0 * float(np.mean(
            np.concatenate([result.W.ravel(), result.H.ravel()]) == 0.0
        )), "%"),
    ]


def photograph() -> list[Row]:
    """PSNR of the default photograph: 8x8 patches, rank 2, six iterations, seeds 0-9."""
    pixels = load_photograph().pixels
    patches = to_patches(pixels, 8)
    results = [factorize(patches, 2, iterations=6, seed=seed) for seed in range(10)]
    psnr = [psnr_db(pixels, rebuild(result.W, result.H, pixels.shape)) for result in results]
    seconds = statistics.median(_seconds(lambda: factorize(patches, 2, iterations=6)) for _ in range(PAIRS))
    return [
        _at_least("photograph, PSNR, worst of ten seeds", min(psnr), "dB", 36.3),
        Row("photograph, PSNR, mean of ten seeds", statistics.mean(psnr), "dB"),
        Row("photograph, components drawn anew, mean", statistics.mean(r.reseeded for r in results), ""),
        Row("photograph, six iterations of 3072 matrices", 1e3 * seconds, "ms"),
    ]


def movielens(ratings: Ratings) -> list[Row]:
    """Mean RMSE of the five folds, rank 8, ten iterations, start svd_centred, seeds 0-4."""
    means = []
    for seed in range(5):
        rmse = []
        for number in ratings.fold_numbers:
            fold = ratings.fold(number)
            result = factorize(
                Masked(fold.train), RANK_RATINGS, start="svd_centred", iterations=10,
                ridge_per_observation=RIDGE_PER_OBSERVATION, seed=seed,
            )
            predicted = predict(fold.train, result.W, result.H, fold.test_users, fold.test_items)
            rmse.append(score(predicted, fold.test_values).rmse)
        means.append(statistics.mean(rmse))
    return [
        _at_most("MovieLens u1-u5, RMSE, mean of seeds 0-4", statistics.mean(means), "", 0.9195),
        Row("MovieLens u1-u5, RMSE, worst seed", max(means), ""),
    ]


def measure(folder: Path | None, threads: int) -> list[Row]:
    """All rows; those on MovieLens only where `folder` holds it."""
    with threadpool_limits(threads):
        rows = first_calls()
        if folder is not None:
            ratings = load_ratings(folder)
            rows += masked_against_scipy(ratings) + masked_affine(ratings) + movielens(ratings)
        for kind in ("uniform", "low rank + 10 % noise", "sparse factors + 10 % noise"):
            rows += dense_against_sklearn(kind)
        return rows + photograph()


def _scipy_half_step(regression: MaskedRegression) -> np.ndarray:
    """The same regressions by scipy.optimize.nnls, one call each; the ridge as k more rows."""
    k = regression.design.shape[1]
    columns = len(regression.indptr) - 1
    coefficients = np.zeros((k, columns))
    unit, zeros = np.eye(k), np.zeros(k)
    for column in range(columns):
        seen = slice(regression.indptr[column], regression.indptr[column + 1])
        if seen.start == seen.stop:
            continue
        design = np.concatenate([regression.design[regression.indices[seen]], np.sqrt(regression.ridge[column]) * unit])
        coefficients[:, column] = nnls(design, np.concatenate([regression.values[seen], zeros]))[0]
    return coefficients


def _dense_data(kind: str, m: int, n: int, rank: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "uniform":
        return rng.random((m, n))
    W, H = rng.random((m, rank)), rng.random((rank, n))
    if kind.startswith("sparse"):
        W, H = W * (rng.random(W.shape) < 0.3), H * (rng.random(H.shape) < 0.3)
    product = W @ H
    return np.maximum(product + 0.1 * product.mean() * rng.standard_normal((m, n)), 0.0)


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _paired(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of each, run in pairs whose order alternates, after one run of each that is not counted."""
    one(), other()
    first, second = [], []
    for pair in range(PAIRS):
        for work, samples in ((one, first), (other, second))[:: 1 if pair % 2 == 0 else -1]:
            samples.append(_seconds(work))
    return statistics.median(first), statistics.median(second)


def _at_least(what: str, value: float, unit: str, bar: float) -> Row:
    return Row(what, value, unit, f">= {bar:g}", value >= bar)


def _at_most(what: str, value: float, unit: str, bar: float) -> Row:
    return Row(what, value, unit, f"<= {bar:g}", value <= bar)


def _movielens_folder(given: Path | None) -> Path | None:
    folder = (given or Path(os.environ.get("HWLOOP_DATA", PROJECT / "data"))) / "ml-100k"
    return folder if folder.is_dir() else None


def _table(rows: list[Row]) -> str:
    verdicts = {None: "", True: "met", False: "MISSED"}
    return "\n".join(
        f"{row.what:<62} {row.value:>12.5g} {row.unit:<18} {row.bar:<10} {verdicts[row.met]}".rstrip() for row in rows
    )


def test_bars():
    """Every bar is met; the table shows by how much."""
    rows = measure(_movielens_folder(None), threads=1)
    print(_table(rows))
    assert not [row.what for row in rows if row.met is False]


def main() -> int:
    """Prints the table; 1 where a bar was missed."""
    parser = argparse.ArgumentParser(description="benchmark of float64 ANLS")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--threads", type=int, default=1, help="BLAS threads of everything that is timed")
    parser.add_argument("--data", type=Path, help="folder that holds ml-100k/; default $HWLOOP_DATA, else data/")
    options = parser.parse_args()
    folder = _movielens_folder(options.data)
    if folder is None:
        print("no ml-100k folder: the rows on MovieLens are left out (set HWLOOP_DATA)", file=sys.stderr)
    rows = measure(folder, options.threads)
    print(_table(rows))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
