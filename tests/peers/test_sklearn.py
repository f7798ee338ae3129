"""Against scikit-learn's NMF (coordinate descent): from the same start, further an iteration, and sooner."""

import statistics
import time
import warnings

import numpy as np
import pytest

from hwloop.anls import Start, factorize

decomposition = pytest.importorskip("sklearn.decomposition")
threadpoolctl = pytest.importorskip("threadpoolctl")


def coordinate_descent(data, W, H, iterations):
    """Relative residual of scikit-learn's cd after exactly `iterations`."""
    model = decomposition.NMF(W.shape[1], init="custom", solver="cd", tol=0.0, max_iter=iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that a tolerance of zero was not reached
        left = model.fit_transform(data, W=W.copy(), H=H.copy())
    return np.linalg.norm(data - left @ model.components_) / np.linalg.norm(data)


def made_data(kind, m, n, rank):
    rng = np.random.default_rng(0)
    W, H = rng.random((m, rank)), rng.random((rank, n))
    if kind == "uniform":
        data = rng.random((m, n))
    else:
        product = rng.random((m, rank)) @ rng.random((rank, n))
        data = np.maximum(product + 0.1 * product.mean() * rng.standard_normal((m, n)), 0.0)
    return data, W, H


@pytest.mark.parametrize("kind", ["uniform", "low rank with noise"])
def test_an_iteration_gets_further(kind):
    data, W, H = made_data(kind, 200, 80, 5)
    ours = factorize(data, 5, start=Start(W, H), iterations=20)
    assert ours.residual[-1] <= coordinate_descent(data, W, H, 20)


@pytest.mark.parametrize("kind", ["uniform", "low rank with noise"])
def test_the_objective_of_200_iterations_is_reached_in_less_time(kind):
    data, W, H = made_data(kind, 2000, 500, 10)
    with threadpoolctl.threadpool_limits(1):
        objective = coordinate_descent(data, W, H, 200)
        residual = factorize(data, 10, start=Start(W, H), iterations=60).residual
        iterations = int(np.argmax(residual <= objective)) + 1
        assert residual[iterations - 1] <= objective
        ours, theirs = [], []
        for _ in range(3):
            begin = time.perf_counter()
            factorize(data, 10, start=Start(W, H), iterations=iterations)
            middle = time.perf_counter()
            coordinate_descent(data, W, H, 200)
            ours.append(middle - begin)
            theirs.append(time.perf_counter() - middle)
    assert statistics.median(ours) <= statistics.median(theirs)
