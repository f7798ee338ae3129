"""The rest point of amplifiers with limits, as a box linear complementarity problem, solved exactly.

Find lower ≤ w ≤ upper with F = M w + p such that F_j = 0 where w_j is inside, F_j ≥ 0 where it is at the lower bound
and F_j ≤ 0 where it is at the upper one.
Two methods in turn, both exact and finite:
* block principal pivoting (Kostreva 1978; Júdice and Pires 1994): a few k×k solves, the normal case;
* Lemke's complementary pivoting (Lemke 1965) with the lexicographic rule, where the first meets a singular set or goes
  round. As the box is bounded its path has no end but a solution, whatever M is.
"""

from __future__ import annotations

import numpy as np
from numba import njit

AT_LOWER, FREE, AT_UPPER = -1, 0, 1

_ROUNDING = 1e-13
_SINGULAR = 1e-14
_CHANCES = 3
_COVERS = 6


@njit(cache=True)
def solve_linear(matrix, vector, size, scales):
    """Solve the leading `size` unknowns in place (the solution replaces `vector`); False where a pivot vanishes.

    `scales` (size or more,) is work space: each pivot is judged against the largest entry its column began with.
    """
    for j in range(size):
        scales[j] = 0.0
        for i in range(size):
            scales[j] = max(scales[j], abs(matrix[i, j]))
    for p in range(size):
        pivot = p
        for i in range(p + 1, size):
            if abs(matrix[i, p]) > abs(matrix[pivot, p]):
                pivot = i
        if abs(matrix[pivot, p]) <= _SINGULAR * scales[p]:
            return False
        if pivot != p:
            vector[p], vector[pivot] = vector[pivot], vector[p]
            for j in range(p, size):
                matrix[p, j], matrix[pivot, j] = matrix[pivot, j], matrix[p, j]
        inverse = 1.0 / matrix[p, p]
        for i in range(p + 1, size):
            factor = matrix[i, p] * inverse
            if factor != 0.0:
                vector[i] -= factor * vector[p]
                for j in range(p + 1, size):
                    matrix[i, j] -= factor * matrix[p, j]
    for p in range(size - 1, -1, -1):
        total = vector[p]
        for j in range(p + 1, size):
            total -= matrix[p, j] * vector[j]
        vector[p] = total / matrix[p, p]
    return True


@njit(cache=True)
def solve_free(matrix, vector, state, w, work_matrix, work_vector, scales):
    """Solve F = 0 for the FREE entries of `w` (k,), the others as they stand; False where that system is singular.

    `work_matrix` (k, k), `work_vector` (k,) and `scales` (k,) are work space.
    """
    k = vector.size
    size = 0
    for j in range(k):
        if state[j] != FREE:
            continue
        total = -vector[j]
        column = 0
        for other in range(k):
            if state[other] == FREE:
                work_matrix[size, column] = matrix[j, other]
                column += 1
            else:
                total -= matrix[j, other] * w[other]
        work_vector[size] = total
        size += 1
    if not solve_linear(work_matrix, work_vector, size, scales):
        return False
    size = 0
    for j in range(k):
        if state[j] == FREE:
            w[j] = work_vector[size]
            size += 1
    return True


@njit(cache=True)
def solve_box_lcp(matrix, vector, lower, upper, state, w):
    """Solve the box LCP; True when solved.

    `matrix` (k, k) is M, `vector` (k,) is p, `lower` < `upper` are finite and common to all entries.
    `state` (k,) int64 is the first guess (all FREE will do) and becomes AT_LOWER, FREE or AT_UPPER for the result
    `w` (k,).
    """
    k = vector.size
    work_matrix = np.empty((k, k))
    work_vector = np.empty(k)
    scales = np.empty(k)
    wanted = np.empty(k, dtype=np.int64)
    fewest = k + 1
    chances = _CHANCES
    for _ in range(8 + 4 * k):
        for j in range(k):
            if state[j] != FREE:
                w[j] = lower if state[j] == AT_LOWER else upper
        if not solve_free(matrix, vector, state, w, work_matrix, work_vector, scales):
            break
        violations = _violations(matrix, vector, lower, upper, state, w, wanted)
        if violations == 0:
            for j in range(k):
                w[j] = min(max(w[j], lower), upper)
            return True
        if violations < fewest:
            fewest = violations
            chances = _CHANCES
        else:
            chances -= 1
        for j in range(k - 1, -1, -1):
            if wanted[j] != state[j]:
                state[j] = wanted[j]
                if chances < 0:  # one at a time, largest index first: Murty's rule, which ends for every P-matrix
                    break
    for attempt in range(_COVERS):
        if _lemke(matrix, vector, lower, upper, attempt, state, w):
            return True
    return False


@njit(cache=True)
def _violations(matrix, vector, lower, upper, state, w, wanted):
    """Number of entries on the wrong side; `wanted` is the state each should have. Rounding is not a violation."""
    k = vector.size
    w_rounding = 0.0
    for j in range(k):
        if state[j] == FREE:
            w_rounding = max(w_rounding, abs(w[j]))
    w_rounding *= _ROUNDING
    count = 0
    for j in range(k):
        wanted[j] = state[j]
        if state[j] == FREE:
            if w[j] < lower - w_rounding:
                wanted[j] = AT_LOWER
            elif w[j] > upper + w_rounding:
                wanted[j] = AT_UPPER
        else:
            force = vector[j]
            size = abs(vector[j])
            for other in range(k):
                term = matrix[j, other] * w[other]
                force += term
                size += abs(term)
            if state[j] * force > _ROUNDING * size:  # pushed off its stop
                wanted[j] = FREE
        if wanted[j] != state[j]:
            count += 1
    return count


@njit(cache=True)
def _lemke(matrix, vector, lower, upper, attempt, state, w):
    """Follow the solution for F + t d from large t, where w = lower, down to t = 0; else as `solve_box_lcp`.

    Unknowns in units of the box: z = (w − lower)/span and the force λ of the upper stop, against slacks y of both rows:
    y1 = M z + p + λ + t d, y2 = 1 − z. Tableau columns: y (2k), z and λ (2k), t, right-hand side. d > 0 is all ones in
    the first `attempt`; any d will do, and another path is free of the ties on which rounding broke the one before.
    """
    k = vector.size
    rows = 2 * k
    span = upper - lower
    scale = np.abs(matrix).max() * span
    if scale == 0.0:
        scale = max(np.abs(vector).max(), 1.0)
    t_column = 4 * k
    tableau = np.zeros((rows, 4 * k + 2))
    basis = np.arange(rows)
    for j in range(k):
        tableau[j, j] = 1.0
        tableau[k + j, k + j] = 1.0
        total = vector[j]
        for other in range(k):
            tableau[j, rows + other] = -matrix[j, other] * span / scale
            total += matrix[j, other] * lower
        tableau[j, rows + k + j] = -1.0
        cover = 1.0 + (0.6180339887498949 * attempt * (j + 1)) % 1.0
        tableau[j, t_column] = -cover
        tableau[j, t_column + 1] = total / scale
        tableau[k + j, rows + j] = 1.0
        tableau[k + j, t_column + 1] = 1.0
    leaving_row = 0
    for j in range(1, k):
        ratio = -tableau[j, t_column + 1] / tableau[j, t_column]
        least = -tableau[leaving_row, t_column + 1] / tableau[leaving_row, t_column]
        if ratio <= least:  # of ties the last is lexicographically the least
            leaving_row = j
    reached = tableau[leaving_row, t_column + 1] >= 0.0
    entering = t_column
    for _ in range(50 * rows + 50):
        if reached:
            break
        leaving = basis[leaving_row]
        _pivot(tableau, leaving_row, entering)
        basis[leaving_row] = entering
        if leaving == t_column:
            reached = True
            break
        entering = leaving + rows if leaving < rows else leaving - rows
        leaving_row = _lexicographic_row(tableau, entering, rows, basis, t_column)
        if leaving_row < 0:
            break
    if not reached:
        return False
    for j in range(k):
        state[j] = AT_LOWER
    for row in range(rows):
        if rows <= basis[row] < rows + k:
            state[basis[row] - rows] = FREE
    for row in range(rows):
        if rows + k <= basis[row] < t_column:
            state[basis[row] - rows - k] = AT_UPPER
    for j in range(k):
        w[j] = upper if state[j] == AT_UPPER else lower
    for row in range(rows):
        variable = basis[row] - rows
        if 0 <= variable < k and state[variable] == FREE:
            w[variable] = min(max(lower + span * tableau[row, t_column + 1], lower), upper)
    return True


@njit(cache=True)
def _pivot(tableau, row, column):
    width = tableau.shape[1]
    inverse = 1.0 / tableau[row, column]
    for j in range(width):
        tableau[row, j] *= inverse
    tableau[row, column] = 1.0
    for i in range(tableau.shape[0]):
        factor = tableau[i, column]
        if i != row and factor != 0.0:
            for j in range(width):
                term = factor * tableau[row, j]
                left = tableau[i, j] - term
                tableau[i, j] = left if abs(left) > _ROUNDING * abs(term) else 0.0  # a tie must stay a tie
            tableau[i, column] = 0.0


@njit(cache=True)
def _lexicographic_row(tableau, column, rows, basis, t_column):
    """The row that leaves, −1 if none: least ratio, ties broken by the basis inverse so that no basis returns."""
    best = -1
    for row in range(rows):
        if tableau[row, column] <= 1e-12:
            continue
        if best < 0:
            best = row
            continue
        for position in range(-1, rows):
            at = t_column + 1 if position < 0 else position
            ratio = tableau[row, at] / tableau[row, column]
            ratio_best = tableau[best, at] / tableau[best, column]
            tie = 1e-13 * (abs(ratio) + abs(ratio_best))
            if ratio < ratio_best - tie:
                best = row
                break
            if ratio > ratio_best + tie:
                break
        else:
            continue
    # t leaves whenever it ties, since that ends the path at a solution
    if best >= 0 and basis[best] != t_column:
        for row in range(rows):
            if basis[row] == t_column and tableau[row, column] > 1e-12:
                ratio = tableau[row, t_column + 1] / tableau[row, column]
                if ratio <= tableau[best, t_column + 1] / tableau[best, column]:
                    best = row
    return best
