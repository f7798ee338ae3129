"""Designs with more rows than the chip has: row tiles, products on the arrays, sums on the host, then a small system.

XᵀX and XᵀY come from MVM: the array holds X, the rows are driven with the columns of X and Y (zero where a row is not
observed), and the column currents of all tiles are added on the host. Programming errors make Xᵀ a slightly different
test matrix on both sides of Xᵀ(X h - y) = 0, so data that a model explains well are solved well.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from hwloop.array.circuit import Circuit
from hwloop.array.mapping import scale_columns
from hwloop.array.observations import Observations
from hwloop.array.square import solve_square
from hwloop.errors import GoalNotReachedError, UsageError
from hwloop.link.protocol import TiaRange

TILE_ROWS = 8                # driven at once: more would share the current range, at voltages of few DAC steps
CURRENT_SHARE = 0.9         # of a TIA range aimed at
LOADS_WITHOUT_PROGRESS = 4

# Row voltages' pattern (t, v) of the design rows (t,) asked for.
Vectors = Callable[[np.ndarray], np.ndarray]


def solve_tall_dense(
    circuit: Circuit, design: np.ndarray, targets: np.ndarray, ridge: float, l1: float
) -> np.ndarray:
    """Coefficients (k, n) of a design (m, k) with right sides (m, n)."""
    return _solve_shared(circuit, design, lambda rows: targets[rows], ridge, l1)


def solve_tall_sparse(
    circuit: Circuit, design: np.ndarray, targets: sp.csc_array, ridge: float, l1: float
) -> np.ndarray:
    """Coefficients (k, n) of a design (m, k) with sparse right sides (m, n), densified tile by tile."""
    by_rows = targets.tocsr()
    return _solve_shared(circuit, design, lambda rows: by_rows[rows].toarray(), ridge, l1)


def solve_tall_masked(circuit: Circuit, design: np.ndarray, seen: Observations, l1: float) -> np.ndarray:
    """Coefficients (k, n) of n regressions that each see their own rows: one Gram matrix each."""
    k, n = design.shape[1], seen.count
    ones = sp.csc_array((np.ones(len(seen.indices)), seen.indices, seen.indptr), shape=(len(design), n)).tocsr()
    values = sp.csc_array((seen.values, seen.indices, seen.indptr), shape=(len(design), n)).tocsr()

    def vectors(rows: np.ndarray) -> np.ndarray:
        masked = ones[rows].toarray()[:, :, None] * design[rows][:, None, :]
        return np.concatenate([masked.reshape(len(rows), n * k), values[rows].toarray()], axis=1)

    product = multiply_transposed(circuit, design, vectors, n * k + n)
    gram, moments = product[:, : n * k].reshape(k, n, k).transpose(1, 0, 2), product[:, n * k :].T
    return solve_square(circuit, gram + seen.ridge[:, None, None] * np.eye(k), moments[:, :, None] - l1)[:, :, 0].T


def _solve_shared(circuit: Circuit, design: np.ndarray, targets: Vectors, ridge: float, l1: float) -> np.ndarray:
    k = design.shape[1]
    count = k + targets(np.zeros(1, np.int64)).shape[1]

    def vectors(rows: np.ndarray) -> np.ndarray:
        return np.concatenate([design[rows], targets(rows)], axis=1)

    product = multiply_transposed(circuit, design, vectors, count)
    return solve_square(circuit, product[None, :, :k] + ridge * np.eye(k), product[None, :, k:] - l1)[0]


def multiply_transposed(circuit: Circuit, design: np.ndarray, vectors: Vectors, count: int) -> np.ndarray:
    """XᵀV (k, count) on the arrays, for X (m, k) ≥ 0 and V (m, count) given by rows. A and B hold different rows.

    A row whose cells fail goes to another place. Raises UsageError where the chip has no usable row of k cells.
    """
    circuit.totals.tall += 1
    scaled, scale = scale_columns(design)
    m, k = design.shape
    total, waiting = np.zeros((k, count)), np.flatnonzero(design.any(axis=1))
    all_rows, without_progress = len(waiting), 0
    while len(waiting):
        array, row, start = _row_places(circuit, k)
        batch, waiting = waiting[: len(array)], waiting[len(array) :]
        array, row, start = array[: len(batch)], row[: len(batch)], start[: len(batch)]
        chip = circuit.chip
        cells = ((array * chip.rows + row) * chip.columns + start)[:, None] + np.arange(k)
        written = chip.program_near(cells, chip.settings.range.targets(scaled[batch]))
        circuit.totals.rounds += 1
        circuit.totals.rows_moved += int((~written).sum())
        for which, first in sorted(set(zip(array.tolist(), start.tolist(), strict=True))):
            held = np.flatnonzero(written & (array == which) & (start == first))
            held = held[np.argsort(row[held])]
            for tile in range(0, len(held), TILE_ROWS):
                part = held[tile : tile + TILE_ROWS]
                patterns = vectors(batch[part])
                live = np.flatnonzero(patterns.any(axis=0))
                if len(live):
                    total[:, live] += _tile_product(circuit, which, row[part], first, cells[part], patterns[:, live])
        without_progress = 0 if written.any() else without_progress + 1
        if without_progress == LOADS_WITHOUT_PROGRESS:
            raise GoalNotReachedError(
                f"{len(batch)} rows of {k} cells could not be programmed anywhere; "
                "look at the chip with `hwloop array show`"
            )
        waiting = np.concatenate([waiting, batch[~written]])
        circuit.on_round(all_rows - len(waiting), all_rows)
    return total * scale[:, None] / circuit.maximum_siemens


def _tile_product(
    circuit: Circuit, array: int, rows: np.ndarray, first_column: int, cells: np.ndarray, patterns: np.ndarray
) -> np.ndarray:
    """GᵀV (k, v) in siemens times units of V, for V (t, v) on `rows` (t,), each vector at its own voltage and range."""
    board, k = circuit.board, cells.shape[1]
    currents_a_volt = np.abs(patterns).T @ circuit.chip.conductance_siemens[cells]
    cell_volts = board.scales.output_max_volts / np.abs(patterns).max(axis=0)
    largest_amps = currents_a_volt.max(axis=1) * cell_volts
    product = np.empty((k, patterns.shape[1]))
    is_fine = largest_amps <= _usable_amps(circuit, TiaRange.FINE)
    for tia_range, chosen in ((TiaRange.FINE, np.flatnonzero(is_fine)), (TiaRange.COARSE, np.flatnonzero(~is_fine))):
        if not len(chosen):
            continue
        limit_amps = _usable_amps(circuit, tia_range)
        volts = cell_volts[chosen] * np.minimum(1.0, limit_amps / largest_amps[chosen])
        amps, beyond = board.multiply(
            array, rows, first_column + np.arange(k), (patterns[:, chosen] * volts).T, circuit.settings.averages,
            tia_range=tia_range,
        )
        if beyond.any():
            raise GoalNotReachedError(
                f"{int(beyond.sum())} products exceed the current range although the conductances as read forbid it; "
                "read the array again"
            )
        product[:, chosen] = (amps / volts[:, None]).T
    return product


def _usable_amps(circuit: Circuit, tia_range: int) -> float:
    return CURRENT_SHARE * circuit.board.scales.range_siemens(tia_range) * circuit.board.scales.read_volts


def _row_places(circuit: Circuit, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Array, row and first column (n,) of every place for a row of k cells, in array A and in array B."""
    usable = circuit.chip.map.usable()
    columns = usable.shape[2] // k * k
    groups = usable[:, :, :columns].reshape(2, usable.shape[1], -1, k).all(axis=3)
    array, row, group = np.nonzero(groups)
    # Rows of a tile share their columns, and tiles share rows.
    order = np.lexsort((row, group, row // TILE_ROWS, array))
    array, row, group = array[order], row[order], group[order]
    if not len(array):
        raise UsageError(
            f"no row of {k} usable neighbouring cells on a {circuit.chip.rows}x{circuit.chip.columns} chip with "
            f"{len(circuit.chip.map.status)} bad cells; use another chip or a lower rank"
        )
    return array, row, group * k
