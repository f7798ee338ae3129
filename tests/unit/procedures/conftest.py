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
from hwloop.mock.board import SimulatedBoard
from hwloop.mock.instruments.keithley_2400 import Keithley2400
from hwloop.mock.instruments.keithley_2450 import Keithley2450
from hwloop.mock.instruments.keysight_34970a import Keysight34970A
from hwloop.mock.instruments.keysight_b2900 import KeysightB2911A
from hwloop.mock.instruments.server import serve_instrument
from hwloop.mock.instruments.tsp.keithley_2600b import Keithley2600B
from hwloop.mock.ports import BenchPins, BenchTerminals
from hwloop.mock.serve import BoardServer
from hwloop.procedures.tools import Tools

SMUS: dict[str, Callable] = {
    "2400": Keithley2400,
    "2450": Keithley2450,
    "B2911A": KeysightB2911A,
    "2612B": lambda terminals, serial: Keithley2600B("2612B", serial, (terminals, terminals)),
}


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
    """`open_bench(smu="2450", instrument_serial=1, **fields of BenchConfig)`; all end with the file."""
    with ExitStack() as stack:
        yield lambda smu="2450", instrument_serial=1, **config: open_simulated_bench(
            stack, BenchConfig(**config), smu, instrument_serial
        )


def open_simulated_bench(stack: ExitStack, config: BenchConfig, smu: str, instrument_serial: int) -> SimulatedBench:
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
    meter = SMUS[smu](BenchTerminals(world), instrument_serial)
    scanner = Keysight34970A(instrument_serial, BenchPins(world))
    resources = []
    for instrument in (meter, scanner):
        served = stack.enter_context(serve_instrument(instrument, "tcp:127.0.0.1:0", world.lock))
        resources.append(f"TCPIP::{served.name.removeprefix('tcp:').replace(':', '::')}::SOCKET")
    chip = Chip(board, CellMap(board.rows, board.columns), ProgramSettings())
    return SimulatedBench(
        Tools(
            board=board, chip=chip, smu=stack.enter_context(open_smu(resources[0])),
            daq=stack.enter_context(open_daq(resources[1])),
        ),
        world,
    )
