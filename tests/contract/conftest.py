"""The backends that the contract suite runs against: one list, one fixture, one body of tests."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from hwloop.drivers.board import Board
from hwloop.link.link import Link
from hwloop.link.transport import SocketTransport
from hwloop.mock.bench_config import BenchConfig

BACKENDS = ["mock"]
BOARD_NAME = "hwloop-16x4"      # small enough for every backend
START_SECONDS, REPLY_SECONDS = 120.0, 10.0


@dataclass(frozen=True)
class Wanted:
    """A bench that a test needs: the device preset, serial numbers and seed."""

    preset: str = "ideal"
    board_serial: int = 1
    array_serial: int = 1
    seed: int = 0
    pristine: bool = False


class _MockBackend:
    """The simulated board in a process of its own, behind a socket."""

    def __init__(self, wanted: Wanted):
        here, there = socket.socketpair()
        config = BenchConfig(
            BOARD_NAME, wanted.board_serial, wanted.array_serial, wanted.seed, wanted.preset, pristine=wanted.pristine
        )
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hwloop.mock.serve", str(there.fileno()), config.to_json()],
            pass_fds=[there.fileno()],
        )
        there.close()
        self.link = Link(SocketTransport(here, "simulated board"), START_SECONDS)

    def close(self) -> None:
        self.link.close()
        assert self._process.wait(30) == 0


_STARTERS: dict[str, Callable[[Wanted], _MockBackend]] = {"mock": _MockBackend}


@pytest.fixture(params=BACKENDS)
def connect(request) -> Iterator[Callable[..., Board]]:
    """`connect(preset=…, seed=…)` gives a board that was identified and not opened; all are closed afterwards."""
    running, boards = [], []

    def start(**wanted) -> Board:
        backend = _STARTERS[request.param](Wanted(**wanted))
        running.append(backend)
        board = Board(backend.link)
        backend.link.timeout_seconds = REPLY_SECONDS
        boards.append(board)
        return board

    yield start
    for board in boards:
        board.close()
    for backend in running:
        backend.close()


@pytest.fixture
def board(connect) -> Board:
    """An open board with the ideal device."""
    opened = connect()
    opened.open()
    return opened
