"""Slowest eigenvalue of small dense matrices, compiled: what settling times of an analog loop are made of.

For k ≤ 16 or so, inside compiled loops over thousands of matrices, where a call of LAPACK costs more than the work.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_EPSILON = 2.220446049250313e-16
_MAX_SWEEPS = 60
_BISECTION_RELATIVE = 1e-6


@njit(cache=True)
def smallest_real_part(matrix):
    """Smallest real part of the eigenvalues of a real `matrix` (k, k), left as it is; NaN if QR does not converge.

    Method: Hessenberg form, then implicit double-shift QR (Francis 1961; Golub and Van Loan, Matrix Computations, 7.5).
    """
    k = matrix.shape[0]
    if k == 1:
        return matrix[0, 0]
    if k == 2:
        return _smallest_real_part_of_two(matrix[0, 0], matrix[0, 1], matrix[1, 0], matrix[1, 1])
    h = matrix.copy()
    _to_hessenberg(h)
    norm = np.abs(h).max()
    smallest = np.inf
    high = k - 1
    sweeps = 0
    while high >= 0:
        low = high
        while low > 0:
            scale = abs(h[low - 1, low - 1]) + abs(h[low, low])
            if abs(h[low, low - 1]) <= _EPSILON * (scale if scale > 0.0 else norm):
                break
            low -= 1
        if low == high:
            smallest = min(smallest, h[high, high])
            high -= 1
            sweeps = 0
        elif low == high - 1:
            pair = _smallest_real_part_of_two(h[low, low], h[low, high], h[high, low], h[high, high])
            smallest = min(smallest, pair)
            high -= 2
            sweeps = 0
        elif sweeps == _MAX_SWEEPS:
            return np.nan
        else:
            sweeps += 1
            _francis_sweep(h, low, high, sweeps % 10 == 0)
    return smallest


@njit(cache=True)
def smallest_pencil_eigenvalue(q, k):
    """The smallest λ of Q x = λ K x, Q symmetric positive semidefinite and K symmetric positive definite, both (n, n).

    Bisection on "Q − λK has positive pivots"; its lower end is returned: at most 1e-6 relative too small, never too
    large.
    """
    n = q.shape[0]
    high = q[0, 0] / k[0, 0]
    for j in range(1, n):
        high = min(high, q[j, j] / k[j, j])
    if n == 1:
        return high
    low = 0.0
    floor = high * 1e-12
    work = np.empty((n, n))
    while high - low > _BISECTION_RELATIVE * high and high > floor:
        middle = 0.5 * (low + high)
        if _is_positive_definite(q, k, middle, work):
            low = middle
        else:
            high = middle
    return low


@njit(cache=True)
def _is_positive_definite(q, k, shift, work):
    n = q.shape[0]
    for i in range(n):
        for j in range(i + 1):
            work[i, j] = q[i, j] - shift * k[i, j]
    for p in range(n):
        pivot = work[p, p]
        if pivot <= 0.0:
            return False
        inverse = 1.0 / pivot
        for i in range(p + 1, n):
            factor = work[i, p] * inverse
            for j in range(p + 1, i + 1):
                work[i, j] -= factor * work[j, p]
    return True


@njit(cache=True)
def _smallest_real_part_of_two(a, b, c, d):
    half = 0.5 * (a + d)
    difference = 0.5 * (a - d)
    discriminant = difference * difference + b * c
    if discriminant <= 0.0:
        return half
    root = math.sqrt(discriminant)
    if half > 0.0:
        return (a * d - b * c) / (half + root)  # half − root without its cancellation
    return half - root


@njit(cache=True)
def _to_hessenberg(h):
    """Upper Hessenberg form in place, by elimination with row pivoting."""
    k = h.shape[0]
    for column in range(k - 2):
        pivot = column + 1
        for i in range(column + 2, k):
            if abs(h[i, column]) > abs(h[pivot, column]):
                pivot = i
        if h[pivot, column] == 0.0:
            continue
        if pivot != column + 1:
            for j in range(k):
                h[pivot, j], h[column + 1, j] = h[column + 1, j], h[pivot, j]
            for i in range(k):
                h[i, pivot], h[i, column + 1] = h[i, column + 1], h[i, pivot]
        for i in range(column + 2, k):
            factor = h[i, column] / h[column + 1, column]
            if factor != 0.0:
                for j in range(column, k):
                    h[i, j] -= factor * h[column + 1, j]
                for row in range(k):
                    h[row, column + 1] += factor * h[row, i]
            h[i, column] = 0.0


@njit(cache=True)
def _francis_sweep(h, low, high, exceptional):
    """One double-shift QR sweep on the unreduced window low…high (three rows or more); only the window is kept up."""
    if exceptional:
        step = abs(h[high, high - 1]) + abs(h[high - 1, high - 2])
        trace, determinant = 1.5 * step, step * step
    else:
        trace = h[high - 1, high - 1] + h[high, high]
        determinant = h[high - 1, high - 1] * h[high, high] - h[high - 1, high] * h[high, high - 1]
    x = h[low, low] * (h[low, low] - trace) + h[low, low + 1] * h[low + 1, low] + determinant
    y = h[low + 1, low] * (h[low, low] + h[low + 1, low + 1] - trace)
    z = h[low + 1, low] * h[low + 2, low + 1]
    for p in range(low, high):
        width = 3 if p < high - 1 else 2
        if width == 2:
            z = 0.0
        norm = math.sqrt(x * x + y * y + z * z)
        if norm > 0.0:
            v0 = x + (norm if x >= 0.0 else -norm)
            beta = 2.0 / (v0 * v0 + y * y + z * z)
            for j in range(max(low, p - 1), high + 1):
                projection = v0 * h[p, j] + y * h[p + 1, j]
                if width == 3:
                    projection += z * h[p + 2, j]
                projection *= beta
                h[p, j] -= projection * v0
                h[p + 1, j] -= projection * y
                if width == 3:
                    h[p + 2, j] -= projection * z
            for i in range(low, min(p + 3, high) + 1):
                projection = v0 * h[i, p] + y * h[i, p + 1]
                if width == 3:
                    projection += z * h[i, p + 2]
                projection *= beta
                h[i, p] -= projection * v0
                h[i, p + 1] -= projection * y
                if width == 3:
                    h[i, p + 2] -= projection * z
        if p < high - 1:
            x = h[p + 1, p]
            y = h[p + 2, p]
            z = h[p + 3, p] if p + 3 <= high else 0.0
