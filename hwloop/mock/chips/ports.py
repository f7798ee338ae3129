"""What the chips have put at the instrument ports: a Connection read off switches and DAC codes."""

from __future__ import annotations

import numpy as np

from hwloop.link import protocol as wire
from hwloop.link.protocol import BiasDivider, Route
from hwloop.mock.chips import drive, ltc2668, wiring
from hwloop.mock.chips import state as at
from hwloop.mock.connection import REFERENCE_ROUTES, Connection, holds_levels, selected_column, selected_row

_WAYS = {
    Route.CELL_TO_SMU: wiring.MODE_ROUTE_CELL_TO_SMU, Route.INPUT_TO_SMU: wiring.MODE_ROUTE_INPUT_TO_SMU,
    Route.INPUTS_TO_DAQ: wiring.MODE_ROUTE_INPUTS_TO_DAQ, Route.AMPLITUDE_TO_SMU: wiring.MODE_ROUTE_AMPLITUDE_TO_SMU,
    Route.AMPLITUDES_TO_DAQ: wiring.MODE_ROUTE_AMPLITUDES_TO_DAQ, Route.GATE_TO_SMU: wiring.MODE_ROUTE_GATE_TO_SMU,
    Route.ROW_TO_SMU: wiring.MODE_ROUTE_ROW_TO_SMU, Route.COLUMN_TO_SMU: wiring.MODE_ROUTE_COLUMN_TO_SMU,
    Route.SMU_TO_OUTPUT: wiring.MODE_ROUTE_SMU_TO_OUTPUT, Route.REFERENCE_TO_SMU: wiring.MODE_ROUTE_REFERENCE_TO_SMU,
    Route.REFERENCE_TO_TIA: wiring.MODE_ROUTE_REFERENCE_TO_TIA, Route.READ_TO_SMU: wiring.MODE_ROUTE_READ_TO_SMU,
    Route.LOOPBACK: wiring.MODE_ROUTE_LOOPBACK,
}  # fmt: skip
_ANY_WAY = sum(1 << way for way in _WAYS.values())
_BIAS_SHIFT = 4         # 12-bit codes in the upper bits


def connection_of(chips: at.Chips) -> Connection:
    """What stands at the ports now; nothing where ENABLE is low, the switches choose more than one route, or a route's
    row or column is not one."""
    mode = _mode(chips)
    route = next((route for route, way in _WAYS.items() if mode & _ANY_WAY == 1 << way), Route.NOTHING)
    nothing = Connection.without_levels(chips.rows)
    if route == Route.NOTHING or not chips.now[at.ENABLE]:
        return nothing
    array = mode >> wiring.MODE_CONNECT_B & 1 if route == Route.CELL_TO_SMU else 0
    row, column = 0, 0
    if selected_row(route, 0) is not None:
        count, row = drive.selected_row(chips)
        if count != 1:
            return nothing
    elif route in REFERENCE_ROUTES:
        row = mode >> wiring.MODE_REFERENCE_HIGH & 1
    if selected_column(route, 0) is not None:
        columns = int(drive.chain_bits(chips, wiring.SELECT_COLUMN_SELECT, 0, chips.columns))
        if columns.bit_count() != 1:
            return nothing
        column = columns.bit_length() - 1
    if not holds_levels(route):
        return Connection.without_levels(chips.rows, route, array, int(row), column)
    levels = _levels(chips.dacs)
    return Connection(
        route, array, int(row), column, levels[at.COLUMN_DAC], int(levels[at.GATE_DAC, 0]),
        levels[at.FIRST_INPUT_DAC :].ravel()[: chips.rows],
        _ladders(chips, wiring.SELECT_FEEDBACK, wire.MAX_COLUMNS, chips.columns, wiring.FEEDBACK_BITS),
        levels[at.BIAS_DAC] >> _BIAS_SHIFT, _divider(mode), _compensation(chips),
    )


def outputs_at_daq(chips: at.Chips) -> bool:
    """Whether the amplifiers' outputs are at the DAQ port."""
    return bool(chips.now[at.ENABLE] and _mode(chips) >> wiring.MODE_ROUTE_OUTPUTS_TO_DAQ & 1)


def _mode(chips: at.Chips) -> int:
    first, length = chips.devices[wiring.SELECT_MODE_SWITCHES, [at.INDEX, at.LENGTH]]
    return int.from_bytes(chips.switches[first : first + length].tobytes(), "little")


def _divider(mode: int) -> BiasDivider:
    if mode >> wiring.MODE_BIAS_BY_16 & 1:
        return BiasDivider.BY_16
    return BiasDivider.BY_256 if mode >> wiring.MODE_BIAS_BY_256 & 1 else BiasDivider.BY_1


def _levels(dacs: ltc2668.Ltc2668s) -> np.ndarray:
    """Output of every channel (n, 16) in steps of 5 V / 2^16."""
    middle, step = np.array(ltc2668.MIDDLE)[dacs.span], np.array(ltc2668.STEP)[dacs.span]
    return (dacs.code - middle) * step * dacs.powered


def _compensation(chips: at.Chips) -> np.ndarray:
    """Codes (rows,) of the compensation ladders."""
    a_chain, codes = wiring.ROWS_A_COMPENSATION_CHAIN, np.zeros(chips.rows, np.int64)
    for first in range(0, chips.rows, a_chain):
        select, rows = wiring.SELECT_COMPENSATION + first // a_chain, min(a_chain, chips.rows - first)
        codes[first : first + rows] = _ladders(chips, select, rows, rows, wiring.COMPENSATION_BITS)
    return codes


def _ladders(chips: at.Chips, select: int, size: int, ladders: int, bits: int) -> np.ndarray:
    """Codes (size,) of the ladders of `bits` switches each in one chain, the first of a ladder being bit 0."""
    first, length = chips.devices[select, [at.INDEX, at.LENGTH]]
    switches = np.unpackbits(chips.switches[first : first + length], bitorder="little")[: ladders * bits]
    codes = np.zeros(size, np.int64)
    codes[:ladders] = switches.reshape(ladders, bits) @ (1 << np.arange(bits))
    return codes
