"""The same frames to the Python board and to the firmware: every reply is the same to the byte, and so are the cells.

Bench ticks come from the tick rules and randomness from the world, so nothing of a reply may depend on what the board
is made of, how fast it is, or where it cut a reading into pieces.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from hwloop.link import protocol as wire
from hwloop.link.frames import Frame
from hwloop.link.protocol import Command
from hwloop.mock.bench import Bench
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.board import SimulatedBoard
from hwloop.mock.firmware_server import FirmwareServer
from tests.contract.conftest import firmware_of
from tests.contract.stories import SESSION, Story

pytestmark = pytest.mark.simulated_bench("compares with the Python board, and looks at the cells")

either_firmware = pytest.mark.parametrize("firmware", ["host", "emulated"])
SMALL, USUAL, LARGE = "hwloop-16x4", "hwloop-128x16", "hwloop-4096x16"
REPLY_SECONDS = 60.0
NO_NOISE = ("chain_noise", "cell_noise", "rtn")


@contextlib.contextmanager
def firmware_running(backend: str, bench: Bench) -> Iterator[tuple[FirmwareServer, socket.socket]]:
    """Firmware on `bench`, served by a thread, and a host's socket to it."""
    server = FirmwareServer(bench, firmware_of(backend, bench.config.board_name))
    here, there = socket.socketpair()
    server.attach(there.fileno())
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        here.settimeout(wire.SESSION_HEARTBEAT_MILLISECONDS * 1e-3)
        yield server, here
    finally:
        here.close()
        thread.join(20)
        there.close()
    assert not thread.is_alive()


def exchange(connection: socket.socket, frame: Frame) -> bytes:
    """The coded reply to one frame; heartbeats keep a board alive that works on it for long."""
    connection.sendall(frame.encode())
    reply, deadline = b"", time.monotonic() + REPLY_SECONDS
    while not reply.endswith(b"\0"):
        assert time.monotonic() < deadline, f"no reply to {frame}"
        try:
            data = connection.recv(1 << 16)
            assert data, "the board has ended"
            reply += data
        except TimeoutError:
            connection.sendall(Frame(Command.HEARTBEAT, 0, SESSION, 0, b"").encode())
    return reply


def compare(backend: str, story: Story, same_ticks: bool = True, **config) -> FirmwareServer:
    """Tell a story to both boards."""
    config = BenchConfig(story.geometry.name, **config)
    python, bench = SimulatedBoard(Bench(config)), Bench(config)
    python.bench.port_volts = bench.port_volts = 0.123
    with firmware_running(backend, bench) as (server, connection):
        for number, frame in enumerate(story.frames):
            wanted = python.handle(frame, 0.0).encode()
            found = exchange(connection, frame)
            assert found == wanted, f"frame {number}: {frame}\nfound  {found.hex()}\nwanted {wanted.hex()}"
            check_same_ports(bench, python.bench)
        assert server.panel.routed_cell == python.panel.registers.routed_cell
        assert server.panel.outputs_routed == python.panel.registers.outputs_routed
    assert server.panel.violations == []
    for name, mine, theirs in zip(
        bench.cells.cell_state._fields, bench.cells.cell_state, python.bench.cells.cell_state, strict=True
    ):
        assert np.array_equal(mine, theirs), name
    assert bench.boot_counter == python.bench.boot_counter
    assert bench.ticks == python.bench.ticks or not same_ticks
    assert (bench.last_command, bench.last_completed) == (python.bench.last_command, python.bench.last_completed)
    return server


def check_same_ports(found: Bench, wanted: Bench) -> None:
    """What instruments see after a command."""
    assert found.outputs_routed == wanted.outputs_routed
    for name, value in vars(wanted.connection).items():
        assert np.array_equal(getattr(found.connection, name), value), name


def long_story(board_name: str, seed: int, commands: int = 60) -> Story:
    story = Story(wire.BOARDS[board_name], seed)
    story.commands(commands)
    story.retries_and_gaps()
    story.refusals()
    story.grounded_and_opened_again()
    story.tighten()
    story.commands(commands // 3)
    return story


@either_firmware
@pytest.mark.parametrize(
    "config", [{}, {"seed": 7, "preset": "ideal"}, {"seed": 3, "off": NO_NOISE}, {"array_serial": 5, "pristine": True}],
    ids=["noise", "ideal", "without noise", "pristine"],
)  # fmt: skip
def test_every_command_and_refusal(firmware, config):
    compare(firmware, long_story(SMALL, config.get("seed", 0)), **config)


@either_firmware
def test_the_usual_board(firmware):
    compare(firmware, long_story(USUAL, 1, commands=15 if firmware == "emulated" else 60), seed=1)


def test_the_large_board():
    """On the PC only: the microcontroller has no memory for 4096 rows."""
    compare("host", long_story(LARGE, 2), seed=2)


@either_firmware
def test_a_changing_temperature(firmware):
    story = long_story(SMALL, 4, commands=20)
    compare(firmware, story, temperature_celsius=-20.3, temperature_drift_per_hour_celsius=900.0)


@either_firmware
def test_readings_and_solves_of_many_samples(firmware):
    """More results than fit into the firmware at once: where it cuts them changes nothing."""
    story = Story(wire.BOARDS[SMALL], 6)
    for averages in (1, 700, 1000):
        story.pulse()
        story.read(averages)
        story.solve(averages // 10 + 1)
        story.multiply()
        story.sample(averages)
    compare(firmware, story, seed=6)


@either_firmware
def test_beyond_the_temperature_of_the_model(firmware):
    """The world cannot answer: the command is a FAULT on both, and the board is grounded. How much of its time has
    passed by then depends on how much of it was queued."""
    story = Story(wire.BOARDS[SMALL], 8)
    story.read()
    story.command(Command.WAIT, wire.WaitRequest(20 * wire.TICK_HERTZ).pack())
    story.temperature()
    story.read()
    story.frames.append(Frame(Command.TEMPERATURE, 0, SESSION, story.sequence, b""))
    compare(firmware, story, same_ticks=False, temperature_celsius=-39.9, temperature_drift_per_hour_celsius=-36.0)


@either_firmware
def test_too_hot(firmware):
    story = Story(wire.BOARDS[SMALL], 9)
    story.read()
    story.command(Command.WAIT, wire.WaitRequest(40 * wire.TICK_HERTZ).pack())
    story.read()
    story.ask(Command.STATUS)
    story.open(resume=1)
    story.frames.append(Frame(Command.TEMPERATURE, 0, SESSION, story.sequence, b""))
    compare(firmware, story, temperature_celsius=84.9, temperature_drift_per_hour_celsius=36.0)
