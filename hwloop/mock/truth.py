"""What a simulated bench hides, for teaching and for tests of calibrations; nothing of hwloop looks at it otherwise."""

from __future__ import annotations

from typing import Any

from hwloop.link.protocol import BOARDS
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.board_truth import Parameter, draw_board
from hwloop.mock.chip_truth import draw_chip


def truth_of(config: BenchConfig) -> dict[str, dict[str, Any]]:
    """Parameters of "board" and "array", as lists of name, value and unit."""
    geometry = BOARDS[config.board_name]
    board = draw_board(
        config.board_serial, geometry.rows, geometry.columns, config.board_effect("converter_errors"),
        config.board_effect("amplifier_offset"),
    )
    chip = draw_chip(config.array_serial, config.device_effects().chip_spread)
    return {
        "board": {
            "name": config.board_name, "serial": config.board_serial,
            "parameters": [_told(parameter) for parameter in board.parameters()],
        },
        "array": {
            "name": f"{geometry.rows}x{geometry.columns}", "serial": config.array_serial,
            "parameters": [_told(parameter) for parameter in chip.parameters()],
        },
    }


def _told(parameter: Parameter) -> dict[str, Any]:
    return vars(parameter)
