"""Exact non-negative least squares from normal equations, many right sides at once, compiled.

Minimises 1/2 h^T G h - q^T h over h >= 0 for every column q. A column tries block principal pivoting from its initial
support (Kim & Park, SIAM J. Sci. Comput. 33, 3261 (2011): exchange every infeasible variable at once), which nearly
always ends in a few exchanges; where that stalls, Lawson and Hanson's active set method takes over, which cannot cycle.
Both work on one factor L D L^T of the passive rows of G that grows by appending, so a dependent column is met as a
vanishing pivot and stays at zero. Columns of which every variable may be positive are tried eight at a time.

Limit: G holds the square of the design's condition number. The optimality conditions are met to about 1e-14 where
columns are well apart or exactly dependent, and to 1e-7 where they differ by one part in a million.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_EPSILON = 2.220446049250313e-16
_SMALLEST_PIVOT = 1e-290
_BLOCK_CHANCES = 3
_LANES = 8


def solve_shared(gram: np.ndarray, moments: np.ndarray, initial: np.ndarray | None = None) -> np.ndarray:
    """Coefficients (k, n) for one Gram matrix (k, k) and right sides (k, n), float64.

    `initial` (k, n): its positive entries are tried as the support first; without it every variable is.
    """
    stacked_initial = None if initial is None else initial[None]
    return solve_batch(gram[None], moments[None], stacked_initial)[0]


def solve_batch(gram: np.ndarray, moments: np.ndarray, initial: np.ndarray | None = None) -> np.ndarray:
    """Coefficients (b, k, n) for b Gram matrices (b, k, k) with right sides (b, k, n) each, float64."""
    gram = np.ascontiguousarray(gram, dtype=np.float64)
    moments = np.ascontiguousarray(moments, dtype=np.float64)
    coefficients = np.ones_like(moments) if initial is None else np.array(initial, dtype=np.float64, order="C")
    if coefficients.size:
        _solve_batch(gram, moments, coefficients)
    return coefficients


@njit(cache=True, nogil=True)
def _solve_batch(gram, moments, coefficients):
    """Replaces the initial coefficients; columns whose support to try is full are solved without bounds first."""
    batch, k, n = moments.shape
    lane_grams, lane_moments = np.ones((k, k, _LANES)), np.ones((k, _LANES))
    positive = np.empty(_LANES, np.bool_)
    lane_batch, lane_column = np.empty(_LANES, np.int64), np.empty(_LANES, np.int64)
    moment, x = np.empty(k), np.empty(k)
    factor, forward, trial, gradient, order, passive = _workspace(k)
    lanes = 0
    for place in range(batch * n + 1):
        b, j = place // n, place % n
        if place < batch * n:
            full = True
            for i in range(k):
                passive[i] = coefficients[b, i, j] > 0.0
                full = full and passive[i]
            if full:
                for i in range(k):
                    lane_moments[i, lanes] = moments[b, i, j]
                    for other in range(i, k):
                        lane_grams[i, other, lanes] = gram[b, i, other]
                lane_batch[lanes], lane_column[lanes] = b, j
                lanes += 1
            else:
                for i in range(k):
                    moment[i] = moments[b, i, j]
                _solve_column(gram[b], moment, x, factor, forward, trial, gradient, order, passive)
                for i in range(k):
                    coefficients[b, i, j] = x[i]
        if lanes == _LANES or place == batch * n:
            _solve_unbounded(lane_grams, lane_moments, positive)
            for lane in range(lanes):
                b, j = lane_batch[lane], lane_column[lane]
                for i in range(k):
                    x[i] = lane_moments[i, lane]
                if not positive[lane]:
                    for i in range(k):
                        passive[i] = x[i] > 0.0
                        moment[i] = moments[b, i, j]
                    _solve_column(gram[b], moment, x, factor, forward, trial, gradient, order, passive)
                for i in range(k):
                    coefficients[b, i, j] = x[i]
            lanes = 0


@njit(cache=True, nogil=True, error_model="numpy")
def _solve_unbounded(gram, moment, positive):
    """Least squares of eight columns side by side, so that every operation is one on vectors.

    gram (k, k, lanes), of which the part from the diagonal to the right counts, and moment (k, lanes), which becomes
    the solution, are overwritten. positive (lanes,): the solution is >= 0 and no variable depends on those before it.
    """
    k = moment.shape[0]
    scaled, diagonal = np.empty(_LANES), np.empty((k, _LANES))
    for lane in range(_LANES):
        positive[lane] = True
        for i in range(k):
            diagonal[i, lane] = gram[i, i, lane]
    for row in range(k):
        smallest = 10.0 * (row + 1) * _EPSILON
        for lane in range(_LANES):
            pivot = gram[row, row, lane]
            positive[lane] &= (pivot > smallest * diagonal[row, lane]) & (pivot > _SMALLEST_PIVOT)
            gram[row, row, lane] = 1.0 / pivot
        for i in range(row + 1, k):
            for lane in range(_LANES):
                scaled[lane] = gram[row, i, lane] * gram[row, row, lane]
                moment[i, lane] -= scaled[lane] * moment[row, lane]
            for other in range(i, k):
                for lane in range(_LANES):
                    gram[i, other, lane] -= scaled[lane] * gram[row, other, lane]
    for row in range(k - 1, -1, -1):
        for below in range(row + 1, k):
            for lane in range(_LANES):
                moment[row, lane] -= gram[row, below, lane] * moment[below, lane]
        for lane in range(_LANES):
            moment[row, lane] *= gram[row, row, lane]
            positive[lane] &= moment[row, lane] >= 0.0


@njit(cache=True, nogil=True)
def _workspace(k):
    """factor (k, k), forward (k,), trial (k,), gradient (k,), order (k,) and passive (k,) of one column's solve."""
    return np.empty((k, k)), np.empty(k), np.empty(k), np.empty(k), np.empty(k, np.int64), np.empty(k, np.bool_)


@njit(cache=True, nogil=True)
def _solve_column(gram, moment, x, factor, forward, trial, gradient, order, passive):
    """Writes the solution to x; `passive` holds the support to try first and is overwritten."""
    if not _pivot_blocks(gram, moment, x, factor, forward, gradient, order, passive):
        _active_set(gram, moment, x, factor, forward, trial, gradient, order, passive)


@njit(cache=True, nogil=True)
def _pivot_blocks(gram, moment, x, factor, forward, gradient, order, passive):
    """Exchanges all infeasible variables at once until none is left (True) or their number stops falling (False)."""
    k = moment.size
    fewest, chances = k + 1, _BLOCK_CHANCES
    while True:
        count = 0
        for i in range(k):
            x[i] = 0.0
            if passive[i]:
                if _append(gram, moment, factor, forward, order, count, i):
                    count += 1
                else:
                    passive[i] = False
        _back_substitute(factor, forward, order, count, x)
        _gradient(gram, moment, x, order, count, passive, gradient)
        infeasible = 0
        for i in range(k):
            if (passive[i] and x[i] < 0.0) or (not passive[i] and gradient[i] > 0.0):
                infeasible += 1
        if infeasible == 0:
            return True
        if infeasible < fewest:
            fewest, chances = infeasible, _BLOCK_CHANCES
        elif chances > 0:
            chances -= 1
        else:
            return False
        for i in range(k):
            if passive[i]:
                passive[i] = x[i] >= 0.0
            else:
                passive[i] = gradient[i] > 0.0


@njit(cache=True, nogil=True)
def _active_set(gram, moment, x, factor, forward, trial, gradient, order, passive):
    """Lawson and Hanson, from the support `passive` less whatever is negative on it."""
    k = moment.size
    count = 0
    for i in range(k):
        if passive[i] and _append(gram, moment, factor, forward, order, count, i):
            count += 1
    while True:
        _back_substitute(factor, forward, order, count, x)
        kept = 0
        for position in range(count):
            if x[order[position]] > 0.0:
                order[kept] = order[position]
                kept += 1
        if kept == count:
            break
        count = _refactor(gram, moment, factor, forward, order, 0, kept)
    blocked = np.zeros(k, np.bool_)
    for i in range(k):
        passive[i] = False
    for position in range(count):
        passive[order[position]] = True
    for i in range(k):
        if not passive[i]:
            x[i] = 0.0
    for _ in range(20 * k + 20):
        _gradient(gram, moment, x, order, count, passive, gradient)
        entering, steepest = -1, 0.0
        for i in range(k):
            if not passive[i] and not blocked[i] and gradient[i] > 0.0:
                steepness = gradient[i] * gradient[i] / gram[i, i] if gram[i, i] > 0.0 else 0.0
                if steepness > steepest:
                    entering, steepest = i, steepness
        if entering < 0:
            return
        if not _append(gram, moment, factor, forward, order, count, entering):
            blocked[entering] = True
            continue
        _back_substitute(factor, forward, order, count + 1, trial)
        if trial[entering] <= 0.0:
            blocked[entering] = True
            continue
        count += 1
        passive[entering] = True
        blocked[:] = False
        count = _retreat(gram, moment, x, factor, forward, trial, order, count, passive)


@njit(cache=True, nogil=True)
def _retreat(gram, moment, x, factor, forward, trial, order, count, passive):
    """Moves x towards trial, dropping each variable that reaches zero first, until trial itself is feasible."""
    while True:
        step, leaving = 1.0, -1
        for position in range(count):
            i = order[position]
            if trial[i] <= 0.0:
                ratio = x[i] / (x[i] - trial[i]) if x[i] > trial[i] else 0.0
                if leaving < 0 or ratio < step:
                    step, leaving = ratio, i
        if leaving < 0:
            for position in range(count):
                x[order[position]] = trial[order[position]]
            return count
        kept, first = 0, count
        for position in range(count):
            i = order[position]
            x[i] += step * (trial[i] - x[i])
            if i == leaving or x[i] <= 0.0:
                x[i] = 0.0
                passive[i] = False
                first = min(first, position)
            else:
                order[kept] = i
                kept += 1
        count = _refactor(gram, moment, factor, forward, order, first, kept)
        _back_substitute(factor, forward, order, count, trial)


@njit(cache=True, nogil=True, inline="always")
def _append(gram, moment, factor, forward, order, count, i):
    """Adds variable i behind the `count` factored ones; False where it depends on them.

    G = L D L^T on the passive variables: L by columns in the rows of factor above its diagonal, 1/D on the diagonal,
    scratch below it. Updates run along rows of factor, so no step waits for a sum.
    """
    pivot, total = gram[i, i], moment[i]
    for row in range(count):
        factor[count, row] = gram[i, order[row]]
    for row in range(count):
        value = factor[count, row]
        scaled = value * factor[row, row]
        pivot -= value * scaled
        total -= scaled * forward[row]
        for below in range(row + 1, count):
            factor[count, below] -= value * factor[row, below]
        factor[row, count] = scaled
    if not pivot > max(10.0 * (count + 1) * _EPSILON * gram[i, i], _SMALLEST_PIVOT):
        return False
    factor[count, count] = 1.0 / pivot
    forward[count] = total
    order[count] = i
    return True


@njit(cache=True, nogil=True)
def _refactor(gram, moment, factor, forward, order, first, count):
    """Factors order[first:count] again behind the part that is still valid; returns how many it holds."""
    valid = first
    for position in range(first, count):
        if _append(gram, moment, factor, forward, order, valid, order[position]):
            valid += 1
    return valid


@njit(cache=True, nogil=True)
def _back_substitute(factor, forward, order, count, x):
    """Writes the solution of the passive variables to x; other entries stay."""
    for row in range(count - 1, -1, -1):
        value = forward[row] * factor[row, row]
        for below in range(row + 1, count):
            value -= factor[row, below] * x[order[below]]
        x[order[row]] = value


@njit(cache=True, nogil=True)
def _gradient(gram, moment, x, order, count, passive, gradient):
    """Descent q - G x of the variables that are not passive, zero where it is within its own rounding error."""
    k = moment.size
    for i in range(k):
        if not passive[i]:
            value, size = moment[i], abs(moment[i])
            for position in range(count):
                product = gram[i, order[position]] * x[order[position]]
                value -= product
                size += abs(product)
            gradient[i] = value if abs(value) > 4.0 * (count + 1) * _EPSILON * size else 0.0
