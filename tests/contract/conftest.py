"""The backends that the contract suite runs against: one list, one fixture, one body of tests.

`pytest tests/contract --rig my.toml` runs what holds for every board against a board of one's own. What needs an ideal
device, a bench of known serial numbers or a look behind the wire is marked `simulated_bench` and left out then.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from hwloop import rig
from hwloop.config import RunSettings, load_rig
from hwloop.drivers.board import Board
from hwloop.errors import DeviceError
from hwloop.link.link import Link
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.firmware import Firmware, find_firmware
from hwloop.rig import MockProcess

BACKENDS = ["mock", "host", "emulated"]
OWN_RIG = "rig"
BOARD_NAME = "hwloop-16x4"      # small enough for every backend
START_SECONDS, REPLY_SECONDS = 120.0, 10.0


def pytest_addoption(parser):
    parser.addoption("--rig", metavar="PATH", help="run the contract suite on the board of this rig")


def pytest_configure(config):
    config.addinivalue_line("markers", "simulated_bench(reason): not for a board of one's own")


def pytest_generate_tests(metafunc):
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", [OWN_RIG] if metafunc.config.getoption("--rig", None) else BACKENDS)


def pytest_collection_modifyitems(config, items):
    if config.getoption("--rig", None):
        left_out = [item for item in items if item.get_closest_marker("simulated_bench")]
        items[:] = [item for item in items if not item.get_closest_marker("simulated_bench")]
        config.hook.pytest_deselected(items=left_out)


@dataclass(frozen=True)
class Wanted:
    """A bench that a test needs: the device preset, serial numbers and seed."""

    preset: str = "ideal"
    board_serial: int = 1
    array_serial: int = 1
    seed: int = 0
    pristine: bool = False


def firmware_of(backend: str, board_name: str) -> Firmware | None:
    """The firmware that a backend is; a missing build is a failure, never a skip."""
    if backend == "mock":
        return None
    try:
        return find_firmware(backend, board_name)
    except DeviceError as error:
        pytest.fail(str(error), pytrace=False)


@contextlib.contextmanager
def _simulated(backend: str, wanted: Wanted) -> Iterator[Board]:
    """A board in a process of its own, behind a socket."""
    config = BenchConfig(
        BOARD_NAME, wanted.board_serial, wanted.array_serial, wanted.seed, wanted.preset, pristine=wanted.pristine
    )
    process = MockProcess(config, firmware_of(backend, BOARD_NAME))
    board = Board(Link(process.transport, START_SECONDS))
    board.link.timeout_seconds = REPLY_SECONDS
    yield board
    board.close()
    process.close()
    assert process.failure() is None


@contextlib.contextmanager
def _own(path: str, wanted: Wanted) -> Iterator[Board]:
    assert wanted == Wanted(), "this test needs the mark simulated_bench"
    with rig.open_rig(RunSettings(load_rig(path, os.environ))) as opened:
        yield opened.board


@pytest.fixture
def connect(backend, request) -> Iterator[Callable[..., Board]]:
    """`connect(preset=…, seed=…)` gives a board that was identified and not opened; all are closed afterwards."""
    with contextlib.ExitStack() as running:

        def start(**wanted) -> Board:
            if backend == OWN_RIG:
                return running.enter_context(_own(request.config.getoption("--rig"), Wanted(**wanted)))
            return running.enter_context(_simulated(backend, Wanted(**wanted)))

        yield start


@pytest.fixture
def board(connect) -> Board:
    """An open board with the ideal device."""
    opened = connect()
    opened.open()
    return opened
