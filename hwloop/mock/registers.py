"""What the Python board holds between commands: codes, masks, limits and routes, and the ticks that changes take."""

from __future__ import annotations

import numpy as np
from numba import njit

from hwloop.link import protocol as wire
from hwloop.link.protocol import LimitKind
from hwloop.mock.sections import GATE_DAC

_NO_CELL = (-1, -1, -1)


class BoardRegisters:
    """The registers of a board with `rows` rows; limits as compiled in, all else at rest."""

    def __init__(self, rows: int):
        self.dac_words = np.zeros(GATE_DAC + 1, np.int64)       # column DACs, then the gate DAC
        self.compensation_code = np.zeros(rows, np.int64)
        self.row_mask, self.column_mask = np.zeros(rows, bool), 0
        self.routed_cell: tuple[int, int, int] | None = None    # array, row, column at the SMU port
        self.outputs_routed = False                             # outputs at the DAQ port
        self.input_buses = max(1, rows // wire.TICKS_ROWS_A_BUS)
        self.limits = np.zeros(len(LimitKind), np.int64)
        for kind in LimitKind:
            self.limits[kind] = getattr(wire, f"LIMIT_{kind.name}")

    def ground(self) -> None:
        """All but the limits to rest: no route, no compensation, no active row or column, DACs at zero."""
        self.routed_cell, self.outputs_routed = None, False
        self.row_mask[:], self.column_mask = False, 0
        self.compensation_code[:] = 0
        self.dac_words[:] = 0

    def values(self) -> np.ndarray:
        """All of them one after the other, int64; as many for every board with so many rows."""
        return np.concatenate([
            self.dac_words, self.compensation_code, np.packbits(self.row_mask),
            [self.column_mask, self.outputs_routed, *(self.routed_cell or _NO_CELL)], self.limits,
        ])

    def take(self, values: np.ndarray) -> None:
        """Hold what `values` gave."""
        rows = len(self.row_mask)
        lengths = [len(self.dac_words), rows, -(-rows // 8), 2 + len(_NO_CELL)]
        dac_words, compensation_code, mask, single, limits = np.split(values, np.cumsum(lengths))
        self.dac_words[:], self.compensation_code[:], self.limits[:] = dac_words, compensation_code, limits
        self.row_mask = np.unpackbits(mask.astype(np.uint8), count=rows).astype(bool)
        self.column_mask, self.outputs_routed, *routed = single.tolist()
        self.outputs_routed = bool(self.outputs_routed)
        self.routed_cell = None if tuple(routed) == _NO_CELL else tuple(routed)

    def load_masks(self, rows: np.ndarray, column_mask: int) -> int:
        """Make `rows` (m,) and `column_mask` the active ones; gives the ticks it takes, 0 where they are."""
        row_mask = np.zeros_like(self.row_mask)
        row_mask[rows] = True
        changed = int(np.count_nonzero(row_mask != self.row_mask))
        if not changed and column_mask == self.column_mask:
            return 0
        self.row_mask, self.column_mask = row_mask, column_mask
        return wire.TICKS_LOAD + changed * wire.TICKS_LOAD_CHANGED_ROW

    def load_compensation(self, rows: np.ndarray, codes: np.ndarray, continued: bool) -> int:
        """Take the codes (n,) of `rows` (n,) in order; gives the ticks it takes."""
        changed = int(_load_codes(self.compensation_code, rows, codes))
        return (0 if continued else wire.TICKS_LOAD) + changed * wire.TICKS_LOAD_CHANGED_ROW

    def route(self, request: wire.RouteRequest) -> int:
        """Connect what ROUTE asks for; gives the ticks it takes."""
        match request.route:
            case wire.Route.NOTHING:
                self.routed_cell, self.outputs_routed = None, False
            case wire.Route.CELL_TO_SMU:
                self.routed_cell = (request.array, request.row, request.column)
            case wire.Route.OUTPUTS_TO_DAQ:
                self.outputs_routed = True
        return wire.TICKS_LOAD

    def end_cell_route(self) -> None:
        """The row and column switches are about to be used for something else."""
        self.routed_cell = None

    def input_ticks(self, rows: int) -> int:
        """Ticks until the input DACs of so many active rows are loaded."""
        return -(-rows * wire.TICKS_SOLVE_INPUT // self.input_buses)


@njit(cache=True)
def _load_codes(held, rows, codes):
    """Put `codes` (n,) into `held` at `rows` (n,), one after the other; gives how many changed what was there."""
    changed = 0
    for i in range(rows.size):
        changed += held[rows[i]] != codes[i]
        held[rows[i]] = codes[i]
    return changed
