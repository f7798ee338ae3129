"""Normal equations of regressions that see only some rows of their design, and their exact solution, compiled.

Each column has a Gram matrix of its own: the sum of its rows' outer products. Where rows are seen again and again, a
table of these products is made once, and a column's Gram matrix is a plain sum of table rows.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from hwloop.anls.nnls import solve_batch

# how many columns are held as normal equations at a time
_CHUNK = 2048
_LARGEST_TABLE = 1 << 24


def solve_masked(
    design: np.ndarray,
    indptr: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    ridge: np.ndarray,
    l1: float = 0.0,
    initial: np.ndarray | None = None,
) -> np.ndarray:
    """Coefficients (k, n) where column j sees only its observed rows of design (m, k), as in MaskedRegression."""
    design = np.ascontiguousarray(design, dtype=np.float64)
    indptr = np.ascontiguousarray(indptr, dtype=np.int64)
    indices = np.ascontiguousarray(indices, dtype=np.int64)
    values = np.ascontiguousarray(values, dtype=np.float64)
    ridge = np.ascontiguousarray(ridge, dtype=np.float64)
    (rows, k), columns = design.shape, len(indptr) - 1
    pairs = k * (k + 1) // 2
    tabulate = len(indices) > 2 * rows and rows * pairs <= _LARGEST_TABLE
    table = _pair_table(design) if tabulate else np.empty((0, pairs))
    coefficients = np.empty((k, columns))
    for first in range(0, columns, _CHUNK):
        chunk = slice(first, min(first + _CHUNK, columns))
        gram, moments = _normal_equations(
            design, table, indptr[first : chunk.stop + 1], indices, values, ridge[chunk], float(l1)
        )
        hint = None if initial is None else initial[:, chunk].T[:, :, None]
        coefficients[:, chunk] = solve_batch(gram, moments, hint)[:, :, 0].T
    return coefficients


@njit(cache=True, nogil=True)
def _normal_equations(design, table, indptr, indices, values, ridge, l1):
    """Gram matrices (n, k, k) and right sides (n, k, 1); `table` is _pair_table(design), or empty."""
    k, n = design.shape[1], indptr.size - 1
    grams, moments = np.empty((n, k, k)), np.empty((n, k, 1))
    pairs, moment = np.empty(table.shape[1]), np.empty(k)
    for j in range(n):
        observed, seen = indices[indptr[j] : indptr[j + 1]], values[indptr[j] : indptr[j + 1]]
        moment[:] = -l1
        _sum_weighted(design, observed, seen, moment)
        pairs[:] = 0.0
        if table.size:
            _sum_rows(table, observed, pairs)
        else:
            _sum_products(design, observed, pairs)
        pair = 0
        for i in range(k):
            for other in range(i + 1):
                grams[j, i, other] = pairs[pair]
                grams[j, other, i] = pairs[pair]
                pair += 1
            grams[j, i, i] += ridge[j]
            moments[j, i, 0] = moment[i]
    return grams, moments


@njit(cache=True, nogil=True)
def _pair_table(design):
    """Products of every two components in each row of the design (m, k): (m, k (k + 1) / 2)."""
    m, k = design.shape
    table = np.zeros((m, k * (k + 1) // 2))
    for row in range(m):
        _sum_products(design, np.array([row]), table[row])
    return table


@njit(cache=True, nogil=True)
def _sum_products(design, rows, total):
    """Adds the products of every two components of the named rows of the design into total (k (k + 1) / 2,)."""
    k = design.shape[1]
    for entry in range(rows.size):
        row, pair = rows[entry], 0
        for i in range(k):
            for other in range(i + 1):
                total[pair + other] += design[row, i] * design[row, other]
            pair += i + 1


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
