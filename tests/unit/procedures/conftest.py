"""A simulated bench in this process, board and instruments on one world, for tests of what calibrates it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from hwloop.array.cellmap import CellMap
from hwloop.array.chip import Chip, ProgramSettings
from hwloop.array.settling import warm_up
from hwloop.drivers.board import Board
from hwloop.drivers.instruments import open_daq, open_smu
from hwloop.link.link import Link
from hwloop.link.transport import SocketTransport
from hwloop.mock.bench import Bench, BenchConfig
from hwloop.mock.bench_config import BenchInstrument
from hwloop.mock.bench_instruments import served
from hwloop.mock.board import SimulatedBoard
from hwloop.mock.serve import BoardServer
from hwloop.procedures.tools import Tools


@dataclass(frozen=True)
class SimulatedBench:
    """What a procedure works with, and the world behind it, which tests may look into."""

    tools: Tools
    world: Bench


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """Compiling while a board is open would outlast its dead-man."""
    warm_up()


@pytest.fixture(scope="module")
def open_bench() -> Iterator[Callable[..., SimulatedBench]]:
    """`open_bench(smu="keithley-2450", **fields of BenchConfig)`; all end with the file."""
    with ExitStack() as stack:
        yield lambda smu="keithley-2450", **config: open_simulated_bench(stack, BenchConfig(**config), smu)


def open_simulated_bench(stack: ExitStack, config: BenchConfig, smu: str) -> SimulatedBench:
    """Board, SMU and DAQ on one world, each behind a socket of its own; they end with `stack`."""
    world = Bench(config)
    ours, theirs = socket.socketpair()
    server = BoardServer(SimulatedBoard(world))
    server.attach(theirs.fileno())
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    stack.callback(theirs.close)
    stack.callback(thread.join, timeout=10)
    board = stack.enter_context(Board(Link(SocketTransport(ours, "simulated board"), timeout_seconds=60)))
    wanted = BenchInstrument("smu", smu, 1), BenchInstrument("daq", "keysight-34970a", 2)
    at = stack.enter_context(served(world, wanted))
    chip = Chip(board, CellMap(board.rows, board.columns), ProgramSettings())
    smu, daq = stack.enter_context(open_smu(at["smu"])), stack.enter_context(open_daq(at["daq"]))
    return SimulatedBench(Tools(board=board, chip=chip, smu=smu, daq=daq), world)
