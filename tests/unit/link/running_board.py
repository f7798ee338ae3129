"""A simulated board that answers on real sockets in a thread, and payloads for it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import numpy as np

from hwloop.link import protocol as wire
from hwloop.link.link import Link
from hwloop.link.protocol import Command, Layout, Polarity, Target
from hwloop.link.transport import SocketTransport
from hwloop.mock.bench import Bench
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.board import SimulatedBoard
from hwloop.mock.serve import BoardServer

SMALL = "hwloop-16x4"
WIDTH_TICKS = 10
TWO_VOLTS, GATE_VOLTS_2 = 26214, 26214     # codes of 2 V


@contextlib.contextmanager
def serving(
    config: BenchConfig | None = None, connections: int = 1
) -> Iterator[tuple[SimulatedBoard, list[SocketTransport]]]:
    """The board and the hosts' ends of `connections` sockets to it; it ends when they are closed."""
    board = SimulatedBoard(Bench(config or BenchConfig(board_name=SMALL)))
    server = BoardServer(board)
    transports, theirs = [], []
    for number in range(connections):
        here, there = socket.socketpair()
        server.attach(there.fileno())
        theirs.append(there)
        transports.append(SocketTransport(here, f"test socket {number}"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield board, transports
    finally:
        for transport in transports:
            transport.close()
        thread.join(timeout=20)
        for end in theirs:
            end.close()
    assert not thread.is_alive()


def opened(transport, **options) -> Link:
    """A link with an open session and the small board's number of requests in flight."""
    link = Link(transport, **options)
    link.max_in_flight = wire.BOARDS[SMALL].max_in_flight
    link.open()
    return link


def pulse(
    *cells: int, amplitude_code: int = TWO_VOLTS, gate_code: int = GATE_VOLTS_2, array: int = 0
) -> tuple[Command, bytes]:
    """A PULSE request: one RESET pulse of 1 µs for each of `cells` of one array."""
    section = wire.PulseSection(
        array, Polarity.RESET, Layout.CELLS, Target.COMMON, WIDTH_TICKS, amplitude_code, gate_code, len(cells)
    )
    return Command.PULSE, section.pack() + np.array(cells, "<u2").tobytes()


def read(*cells: int, array: int = 0) -> tuple[Command, bytes]:
    """A READ request for `cells` of one array, four samples each."""
    request = wire.ReadRequest(wire.TiaRange.COARSE, 1, 4, 100)
    section = wire.ReadSection(array, Layout.CELLS, len(cells))
    return Command.READ, request.pack() + section.pack() + np.array(cells, "<u2").tobytes()


def temperature() -> tuple[Command, bytes]:
    """A request that moves nothing."""
    return Command.TEMPERATURE, b""


def pulse_counts(board: SimulatedBoard) -> np.ndarray:
    """(cells,) how many pulses each cell has had since the bench began."""
    fresh = Bench(board.bench.config).cells.cell_state.pulse_count
    return board.bench.cells.cell_state.pulse_count - fresh
