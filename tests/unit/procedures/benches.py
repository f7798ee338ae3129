"""Simulated boards in processes of their own for tests of procedures; what calibrations find of a board is known."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from hwloop.array.cellmap import CellMap
from hwloop.array.chip import Chip, ProgramSettings
from hwloop.calibration.constants import BoardConstants
from hwloop.drivers.board import Board
from hwloop.link.link import Link
from hwloop.link.transport import SocketTransport
from hwloop.mock.bench import Bench, BenchConfig
from hwloop.mock.chip_truth import ChipTruth, draw_chip
from hwloop.procedures.tools import Tools
from tests.unit.array.direct_port import known_curve
from tests.unit.drivers.describing import known_values


@dataclass(frozen=True)
class SimulatedBench:
    """Tools of an open board, and the truth about its chip."""

    tools: Tools
    truth: ChipTruth

    def found_and_true(self, findings) -> list[tuple[str, float, float, float]]:
        """Name, value, half-width of the 95 % interval and truth of every parameter that was found."""
        truth = {parameter.name: parameter.value for parameter in self.truth.parameters()}
        return [
            (name, value, width, truth[name])
            for parameter in findings.parameters for name, value, width in parameter.entries()
        ]


@contextlib.contextmanager
def simulated_bench(**config) -> Iterator[SimulatedBench]:
    """An open simulated board with fields of BenchConfig, calibrated without any uncertainty, and its formed chip."""
    bench = BenchConfig(**config)
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-m", "hwloop.mock.serve", str(theirs.fileno()), bench.to_json()]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    try:
        with Board(Link(SocketTransport(ours, "simulated board"), timeout_seconds=60)) as board:
            board.use(BoardConstants.nominal(board.describe).calibrated(known_values(Bench(bench).truth)))
            truth = draw_chip(bench.array_serial, bench.device_effects().chip_spread)
            curve = known_curve(truth, 2 * board.rows * board.columns)
            settings = dataclasses.replace(ProgramSettings(), gate_curve=curve)
            yield SimulatedBench(Tools(board, Chip(board, CellMap(board.rows, board.columns), settings)), truth)
    finally:
        process.wait(timeout=10)
