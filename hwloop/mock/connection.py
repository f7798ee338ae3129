"""What a board has put at its instrument ports: the route that stands, and the levels held for it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hwloop.link import protocol as wire
from hwloop.link.protocol import BiasDivider, Route

FIRST_INSTRUMENT_ROUTE = Route.INPUT_TO_SMU     # from here on a route has levels of its own, and no cell
DAQ_ROUTES = frozenset({Route.OUTPUTS_TO_DAQ, Route.INPUTS_TO_DAQ, Route.AMPLITUDES_TO_DAQ})
_ROW_ROUTES = frozenset({Route.CELL_TO_SMU, Route.INPUT_TO_SMU, Route.INPUTS_TO_DAQ, Route.ROW_TO_SMU})
REFERENCE_ROUTES = frozenset({Route.REFERENCE_TO_SMU, Route.REFERENCE_TO_TIA})
_COLUMN_ROUTES = frozenset({
    Route.CELL_TO_SMU, Route.AMPLITUDE_TO_SMU, Route.COLUMN_TO_SMU, Route.SMU_TO_OUTPUT, Route.REFERENCE_TO_TIA,
})  # fmt: skip


def holds_levels(route: int) -> bool:
    """Whether HOLD may set levels while `route` stands."""
    return route >= FIRST_INSTRUMENT_ROUTE


def selected_row(route: int, row: int) -> int | None:
    """The row that `route` selects in the array, or None; `row` is the field of ROUTE."""
    return row if route in _ROW_ROUTES else None


def selected_column(route: int, column: int) -> int | None:
    """The column that `route` selects, or None."""
    return column if route in _COLUMN_ROUTES else None


@dataclass(frozen=True, eq=False)
class Connection:
    """One route beside OUTPUTS_TO_DAQ and what it is about, and the levels that stand, all as codes (int64).

    `array`, `row` and `column` as in ROUTE, 0 where the route does not use them; of a reference `row` is the enum
    reference. `amplitude_code`, `feedback_code` and `bias_code` (16,) by column, `input_code` and `compensation_code`
    (rows,); all 0 unless the route holds levels (from INPUT_TO_SMU on). Nothing of it is changed in place.
    """

    route: Route = Route.NOTHING
    array: int = 0
    row: int = 0
    column: int = 0
    amplitude_code: np.ndarray = field(default_factory=lambda: np.zeros(wire.MAX_COLUMNS, np.int64))
    gate_code: int = 0
    input_code: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    feedback_code: np.ndarray = field(default_factory=lambda: np.zeros(wire.MAX_COLUMNS, np.int64))
    bias_code: np.ndarray = field(default_factory=lambda: np.zeros(wire.MAX_COLUMNS, np.int64))
    bias_divider: BiasDivider = BiasDivider.BY_1
    compensation_code: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def without_levels(
        cls, rows: int, route: Route = Route.NOTHING, array: int = 0, row: int = 0, column: int = 0
    ) -> Connection:
        """Of a board with `rows` rows: a route that holds no levels."""
        zeros = np.zeros(rows, np.int64)
        return cls(route, array, row, column, input_code=zeros, compensation_code=zeros)
