"""What a board states about itself, for tests of the driver without a board."""

from collections import defaultdict

import numpy as np

from hwloop.drivers.board.scales import Scales
from hwloop.link import protocol as wire
from hwloop.mock.bench import Bench
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.board_truth import BoardTruth
from hwloop.mock.commands import describe
from hwloop.mock.panel import Panel


def scales_of(board_name: str) -> Scales:
    """Scales of a kind of board as its simulation states them."""
    return Scales.nominal(wire.DescribeReply.unpack(describe(Panel(Bench(BenchConfig(board_name=board_name))))))


def known_values(truth: BoardTruth) -> dict[str, np.ndarray]:
    """The hidden parameters as a calibration without any uncertainty would give them: arrays by name."""
    found: dict[str, dict[tuple[int, ...], float]] = defaultdict(dict)
    for parameter in truth.parameters():
        name, _, index = parameter.name.rstrip("]").partition("[")
        found[name][tuple(map(int, index.split(","))) if index else ()] = parameter.value
    arrays = {}
    for name, entries in found.items():
        values = np.empty(tuple(1 + np.max(list(entries), axis=0)) if () not in entries else ())
        for index, value in entries.items():
            values[index] = value
        arrays[name] = values
    return arrays
