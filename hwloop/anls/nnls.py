"""Exact non-negative least squares from normal equations, many right sides at once, compiled.

Minimises 1/2 h^T G h - q^T h over h >= 0 for every column q. A column first tries block principal pivoting from its
initial support (Kim & Park, SIAM J. Sci. Comput. 33, 3261 (2011): exchange every infeasible variable at once), which
nearly always ends in a few exchanges; where that stalls, Lawson and Hanson's active set method takes over, which cannot
cycle. Both work on one Cholesky factor of the passive rows of G that grows by appending, so a dependent column is met
as a vanishing pivot and stays at zero.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_EPSILON = 2.220446049250313e-16
_SMALLEST_PIVOT = 1e-290
_BLOCK_CHANCES = 3
_LARGEST_TABLE = 1 << 24


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
    _solve_batch(gram, moments, coefficients)
    return coefficients


def solve_masked(
    design: np.ndarray,
    indptr: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    ridge: np.ndarray,
    l1: float = 0.0,
    initial: np.ndarray | None = None,
) -> np.ndarray:
    """Coefficients (k, n) where column j sees only its observed rows of design (m, k); see MaskedRegression."""
    design = np.ascontiguousarray(design, dtype=np.float64)
    rows, k = design.shape
    shape = (k, len(indptr) - 1)
    # a row's products are worth keeping where rows are seen again and again and the table stays small
    tabulate = len(indices) > 2 * rows and rows * k * (k + 1) // 2 <= _LARGEST_TABLE
    table = _pair_table(design) if tabulate else np.empty((0, k * (k + 1) // 2))
    coefficients = np.ones(shape) if initial is None else np.array(initial, dtype=np.float64, order="C")
    _solve_masked(
        design,
        np.ascontiguousarray(indptr, dtype=np.int64),
        np.ascontiguousarray(indices, dtype=np.int64),
        np.ascontiguousarray(values, dtype=np.float64),
        np.ascontiguousarray(ridge, dtype=np.float64),
        float(l1),
        coefficients,
        table,
    )
    return coefficients


@njit(cache=True, nogil=True)
def _solve_batch(gram, moments, coefficients):
    batch, k, n = moments.shape
    moment, x = np.empty(k), np.empty(k)
    factor, forward, trial, gradient, order, passive = _workspace(k)
    for b in range(batch):
        for j in range(n):
            for i in range(k):
                moment[i] = moments[b, i, j]
                passive[i] = coefficients[b, i, j] > 0.0
            _solve_column(gram[b], moment, x, factor, forward, trial, gradient, order, passive)
            for i in range(k):
                coefficients[b, i, j] = x[i]


@njit(cache=True, nogil=True)
def _solve_masked(design, indptr, indices, values, ridge, l1, coefficients, table):
    """`table` is empty, or _pair_table(design), which makes a column's Gram matrix a sum of table rows."""
    k, n = coefficients.shape
    gram, pairs, moment, x = np.empty((k, k)), np.empty(table.shape[1]), np.empty(k), np.empty(k)
    factor, forward, trial, gradient, order, passive = _workspace(k)
    for j in range(n):
        observed, seen = indices[indptr[j] : indptr[j + 1]], values[indptr[j] : indptr[j + 1]]
        moment[:] = -l1
        _sum_weighted(design, observed, seen, moment)
        if table.size:
            pairs[:] = 0.0
            _sum_rows(table, observed, pairs)
            _unpack(pairs, gram)
        else:
            _sum_products(design, observed, gram)
        for i in range(k):
            gram[i, i] += ridge[j]
            passive[i] = coefficients[i, j] > 0.0
        _solve_column(gram, moment, x, factor, forward, trial, gradient, order, passive)
        for i in range(k):
            coefficients[i, j] = x[i]


@njit(cache=True, nogil=True)
def _pair_table(design):
    """Products of every two components in each row of the design (m, k): (m, k (k + 1) / 2)."""
    m, k = design.shape
    table = np.empty((m, k * (k + 1) // 2))
    for row in range(m):
        pair = 0
        for i in range(k):
            for other in range(i + 1):
                table[row, pair] = design[row, i] * design[row, other]
                pair += 1
    return table


@njit(cache=True, nogil=True)
def _sum_rows(table, rows, total):
    """Adds rows of the table (m, width) into total (width,), four at a time to spare loads and stores."""
    # sizes are read before the loops: inside, the compiler has to expect that a store changes them
    width, count = total.size, rows.size
    fours = count - count % 4
    for entry in range(0, fours, 4):
        a, b, c, d = rows[entry], rows[entry + 1], rows[entry + 2], rows[entry + 3]
        for i in range(width):
            total[i] += (table[a, i] + table[b, i]) + (table[c, i] + table[d, i])
    for entry in range(fours, count):
        row = rows[entry]
        for i in range(width):
            total[i] += table[row, i]


@njit(cache=True, nogil=True)
def _sum_weighted(table, rows, weights, total):
    """Adds weights (count,) times rows of the table (m, width) into total (width,)."""
    width, count = total.size, rows.size
    fours = count - count % 4
    for entry in range(0, fours, 4):
        a, b, c, d = rows[entry], rows[entry + 1], rows[entry + 2], rows[entry + 3]
        wa, wb, wc, wd = weights[entry], weights[entry + 1], weights[entry + 2], weights[entry + 3]
        for i in range(width):
            total[i] += (wa * table[a, i] + wb * table[b, i]) + (wc * table[c, i] + wd * table[d, i])
    for entry in range(fours, count):
        row, weight = rows[entry], weights[entry]
        for i in range(width):
            total[i] += weight * table[row, i]


@njit(cache=True, nogil=True)
def _unpack(pairs, gram):
    pair, k = 0, gram.shape[0]
    for i in range(k):
        for other in range(i + 1):
            gram[i, other] = pairs[pair]
            gram[other, i] = pairs[pair]
            pair += 1


@njit(cache=True, nogil=True)
def _sum_products(design, rows, gram):
    k = gram.shape[0]
    gram[:] = 0.0
    for entry in range(rows.size):
        row = rows[entry]
        for i in range(k):
            weight = design[row, i]
            for other in range(k):
                gram[i, other] += weight * design[row, other]


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
