"""What the Python board holds between commands: codes, masks, limits and routes, and the ticks that changes take."""

from __future__ import annotations

import numpy as np
from numba import njit

from hwloop.link import protocol as wire
from hwloop.link.protocol import BiasDivider, Hold, LimitKind, Route
from hwloop.mock.connection import (
    DAQ_ROUTES,
    REFERENCE_ROUTES,
    Connection,
    holds_levels,
    selected_column,
    selected_row,
)
from hwloop.mock.sections import GATE_DAC

_NO_ROUTE = (Route.NOTHING, 0, 0, 0)


class BoardRegisters:
    """The registers of a board with `rows` rows; limits as compiled in, all else at rest."""

    def __init__(self, rows: int):
        self.dac_words = np.zeros(GATE_DAC + 1, np.int64)       # column DACs, then the gate DAC
        self.compensation_code = np.zeros(rows, np.int64)
        self.row_mask, self.column_mask = np.zeros(rows, bool), 0
        self.routed = _NO_ROUTE                                 # route beside the outputs, array, row, column
        self.outputs_routed = False                             # outputs at the DAQ port
        self.input_code = np.zeros(rows, np.int64)              # held levels; column and gate DACs stand above
        self.feedback_code, self.bias_code = np.zeros((2, wire.MAX_COLUMNS), np.int64)
        self.bias_divider = 0
        self.input_buses = max(1, rows // wire.TICKS_ROWS_A_BUS)
        self.limits = np.zeros(len(LimitKind), np.int64)
        for kind in LimitKind:
            self.limits[kind] = getattr(wire, f"LIMIT_{kind.name}")

    def ground(self) -> None:
        """All but the limits to rest: no route, no compensation, no active row or column, DACs at zero."""
        self.routed, self.outputs_routed = _NO_ROUTE, False
        self.row_mask[:], self.column_mask = False, 0
        self.compensation_code[:] = 0
        self._levels_to_zero()

    def values(self) -> np.ndarray:
        """All of them one after the other, int64; as many for every board with so many rows."""
        return np.concatenate([
            self.dac_words, self.compensation_code, self.input_code, self.feedback_code, self.bias_code,
            np.packbits(self.row_mask), [self.column_mask, self.outputs_routed, self.bias_divider, *self.routed],
            self.limits,
        ])

    def take(self, values: np.ndarray) -> None:
        """Hold what `values` gave."""
        rows = len(self.row_mask)
        held = (self.dac_words, self.compensation_code, self.input_code, self.feedback_code, self.bias_code)
        lengths = [*map(len, held), -(-rows // 8), 3 + len(_NO_ROUTE)]
        *codes, mask, single, limits = np.split(values, np.cumsum(lengths))
        for register, code in zip(held, codes, strict=True):
            register[:] = code
        self.limits[:] = limits
        self.row_mask = np.unpackbits(mask.astype(np.uint8), count=rows).astype(bool)
        self.column_mask, outputs_routed, self.bias_divider, *routed = single.tolist()
        self.outputs_routed, self.routed = bool(outputs_routed), (Route(routed[0]), *routed[1:])

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

    @property
    def routed_cell(self) -> tuple[int, int, int] | None:
        """Array, row and column of the cell at the SMU port."""
        route, *cell = self.routed
        return tuple(cell) if route == Route.CELL_TO_SMU else None

    def route(self, request: wire.RouteRequest) -> int:
        """Connect what ROUTE asks for; gives the ticks it takes."""
        route = Route(request.route)
        if route == Route.OUTPUTS_TO_DAQ:
            if self.routed[0] in DAQ_ROUTES:
                self.end_route()
            self.outputs_routed = True
        else:
            if route == Route.NOTHING or route in DAQ_ROUTES:
                self.outputs_routed = False
            if holds_levels(route) != holds_levels(self.routed[0]):
                self._levels_to_zero()
            row, column = selected_row(route, request.row), selected_column(route, request.column)
            if route in REFERENCE_ROUTES:
                row = request.row
            self.routed = (route, request.array if route == Route.CELL_TO_SMU else 0, row or 0, column or 0)
        return wire.TICKS_LOAD

    def end_route(self) -> None:
        """The row and column switches, the DACs and the ladders are about to be used for something else."""
        if holds_levels(self.routed[0]):
            self._levels_to_zero()
        self.routed = _NO_ROUTE

    def hold(self, what: int, channels: np.ndarray, codes: np.ndarray, bias_divider: int) -> int:
        """Take the codes (n,) of `channels` (n,) in order; gives the ticks it takes."""
        if what == Hold.GATE:
            channels = channels + GATE_DAC
        if what == Hold.BIAS:
            self.bias_divider = bias_divider
        held = {
            Hold.AMPLITUDE: self.dac_words, Hold.GATE: self.dac_words, Hold.INPUT: self.input_code,
            Hold.FEEDBACK: self.feedback_code, Hold.BIAS: self.bias_code,
        }[Hold(what)]
        changed = int(_load_codes(held, channels, codes))
        return wire.TICKS_HOLD_SETTLE + changed * wire.TICKS_HOLD_CHANGED_WORD

    def connection(self) -> Connection:
        """What stands at the instrument ports beside the outputs."""
        route, array, row, column = self.routed
        if not holds_levels(route):
            return Connection.without_levels(len(self.row_mask), *self.routed)
        return Connection(
            route, array, row, column, self.dac_words[:GATE_DAC].copy(), int(self.dac_words[GATE_DAC]),
            self.input_code.copy(), self.feedback_code.copy(), self.bias_code.copy(), BiasDivider(self.bias_divider),
            self.compensation_code.copy(),
        )

    def _levels_to_zero(self) -> None:
        for register in (self.dac_words, self.input_code, self.feedback_code, self.bias_code):
            register[:] = 0
        self.bias_divider = 0

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
