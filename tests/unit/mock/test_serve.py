"""The simulated board on ports of every kind, in a process of its own: hosts come, go, vanish and compete."""

import contextlib
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from hwloop.drivers.board import Board
from hwloop.drivers.cells import CellPulses, Polarity
from hwloop.errors import DeviceError, UsageError
from hwloop.link.frames import Frame
from hwloop.link.link import Link
from hwloop.link.protocol import Command
from hwloop.link.transport import SocketTransport, open_transport
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.serve import serve_port

SCRIPT = """
import sys
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.serve import serve_port
serve_port(BenchConfig("hwloop-16x4"), sys.argv[1], ready=lambda name, resources: print(name, flush=True))
"""


@contextlib.contextmanager
def served(port: str):
    """(the name to connect to, the process)"""
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, port], stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def connected(name: str) -> Board:
    return Board(Link(open_transport(name), timeout_seconds=5))


def exercise(board: Board) -> None:
    """Many frames both ways."""
    cells = np.arange(128)
    one = np.ones(128)
    gate = np.linspace(1.0, 2.5, 128)
    for _ in range(5):
        reads = board.pulse_and_read(CellPulses(cells, cells * 0 + Polarity.SET, 1.2 * one, gate, 1e-6 * one), cells)
    assert (reads.conductance_siemens > 20e-6).mean() > 0.9
    assert board.link.counters.resent == 0 and board.link.counters.damaged == 0


@pytest.mark.parametrize("port", ["pty", "tcp:127.0.0.1:0", "unix:{folder}/board"])
def test_hosts_come_and_go(port, tmp_path):
    with served(port.format(folder=tmp_path)) as (name, process):
        with connected(name) as board:
            exercise(board)
        # Whoever vanishes in the middle of a frame does no harm to the next one.
        rude = open_transport(name)
        rude.send(b"\x05half a frame")
        rude.close()
        with connected(name) as board:
            exercise(board)
            boots = board.status().boot_counter
        assert process.poll() is None and boots == 1


def test_two_hosts_on_one_board():
    with served("tcp:127.0.0.1:0") as (name, _):
        with connected(name) as first:
            second = connected(name)
            with pytest.raises(DeviceError, match=f"another host has session {first.link.session} open"):
                second.open()
            exercise(first)
            # Making it safe is anybody's right.
            second.safe()
            assert not first.status().armed
            second.open()
            second.wait(1e-6)
            second.close()


def test_a_host_that_takes_no_replies_is_not_served_for_ever():
    """A flood of questions whose answers nobody reads: the board stops listening to it and serves the others."""
    with served("tcp:127.0.0.1:0") as (name, process):
        flood = Link(open_transport(name))
        question = Frame(Command.DESCRIBE, 0, 1, 1, b"").encode() * 5000
        connection = flood.transport._socket
        connection.setblocking(True)
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            for _ in range(1000):
                connection.sendall(question)
        with connected(name) as board:
            exercise(board)
        flood.close()
        with open(f"/proc/{process.pid}/status") as status:
            high_water = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
        assert high_water < 400_000, "kilobytes: the board's memory stays as it is"


def test_a_private_board_ends_with_its_host_and_leaves_ctrl_c_to_it():
    here, there = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-m", "hwloop.mock.serve", str(there.fileno()), BenchConfig("hwloop-16x4").to_json()],
        pass_fds=[there.fileno()],
    )
    there.close()
    board = Board(Link(SocketTransport(here, "private"), timeout_seconds=60))
    board.open()
    os.kill(process.pid, signal.SIGINT)
    board.wait(1e-3)
    board.close()
    assert process.wait(30) == 0


@pytest.mark.parametrize("port", ["", "tcp", "tcp:nowhere", "tcp:127.0.0.1:70000", "unix:", "usb:1"])
def test_names_of_no_port(port):
    with pytest.raises(UsageError, match="expected pty, unix:PATH or tcp:HOST:PORT"):
        serve_port(BenchConfig("hwloop-16x4"), port, ready=lambda name, resources: None)


def test_an_address_that_is_taken():
    with served("tcp:127.0.0.1:0") as (name, _):
        with pytest.raises(DeviceError, match="cannot listen there"):
            serve_port(BenchConfig("hwloop-16x4"), name, ready=lambda name, resources: None)
