"""A simulated board behind the wire, in a process of its own, for tests of what is above the driver."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from hwloop.array.cellmap import CellMap
from hwloop.array.chip import Chip, ProgramSettings
from hwloop.array.ginv import GinvSolver, SolverSettings
from hwloop.array.settling import warm_up
from hwloop.calibration.constants import BoardConstants
from hwloop.drivers.board import Board
from hwloop.link.link import Link
from hwloop.link.transport import SocketTransport
from hwloop.mock.bench import Bench, BenchConfig
from hwloop.mock.chip_truth import draw_chip
from tests.unit.array.direct_port import known_curve
from tests.unit.drivers.describing import known_values


@dataclass(frozen=True)
class Rig:
    """An open board with its chip, and what it is made of."""

    board: Board
    chip: Chip
    config: BenchConfig

    def solver(self, **settings) -> GinvSolver:
        """A solver with totals of its own."""
        return GinvSolver(self.board, self.chip, SolverSettings(**settings))

    def chip_with(self, settings: ProgramSettings) -> Chip:
        """Another view of the chip, that knows nothing of it yet."""
        return Chip(self.board, CellMap(self.board.rows, self.board.columns), settings)


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """Compiling while a board is open would outlast its dead-man."""
    warm_up()


@pytest.fixture(scope="module")
def open_rig() -> Iterator[Callable[..., Rig]]:
    """`open_rig(preset="ideal", ...)` starts a simulated board with fields of BenchConfig; all end with the file."""
    with ExitStack() as stack:
        yield lambda **config: _open(stack, BenchConfig(**config))


@pytest.fixture(scope="module")
def ideal(open_rig) -> Rig:
    """A 128×16 board without any error."""
    return open_rig(preset="ideal")


@pytest.fixture(scope="module")
def default(open_rig) -> Rig:
    """A 128×16 board with every error on."""
    return open_rig()


def _open(stack: ExitStack, config: BenchConfig) -> Rig:
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-m", "hwloop.mock.serve", str(theirs.fileno()), config.to_json()]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    stack.callback(process.wait, timeout=10)
    board = stack.enter_context(Board(Link(SocketTransport(ours, "simulated board"), timeout_seconds=60)))
    # What a calibration without any uncertainty would find out.
    truth = Bench(config).truth
    board.use(BoardConstants.nominal(board.describe).calibrated(known_values(truth)))
    settings = ProgramSettings.ideal() if config.preset == "ideal" else ProgramSettings()
    chip_truth = draw_chip(config.array_serial, config.device_effects().chip_spread)
    settings = dataclasses.replace(settings, gate_curve=known_curve(chip_truth, 2 * board.rows * board.columns))
    return Rig(board, Chip(board, CellMap(board.rows, board.columns), settings), config)
