"""Streams of random commands to a durable board whose process is killed again and again, and what came of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwloop.errors import LinkError
from hwloop.link import protocol as wire
from hwloop.link.link import Link, Request
from hwloop.link.protocol import BOARDS, Command
from hwloop.link.transport import SocketTransport
from hwloop.mock.bench import Bench
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.firmware import Firmware
from hwloop.mock.serve import serve_descriptor
from tests.unit.mock.talking import Host, mvm_section, pulse_section, read_request, solve_section, words

SMALL = "hwloop-16x4"
CELLS = 64      # an array
SOON_SECONDS = 0.02


class ForkedBoard:
    """A board in a process of its own, which starts in milliseconds: what this process has compiled is there."""

    def __init__(self, config: BenchConfig, firmware: Firmware | None = None):
        here, there = socket.socketpair()
        self.pid = os.fork()
        if not self.pid:
            try:
                here.close()
                serve_descriptor(config, there.detach(), firmware)
            finally:
                os._exit(0)
        there.close()
        self.transport = SocketTransport(here, "forked board")

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def kill_after(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self.kill)
        timer.start()
        return timer

    def wait(self) -> int:
        """Wait for its end; gives its exit code, as subprocess does."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def random_requests(random: np.random.Generator, count: int) -> list[Request]:
    """Commands of every kind for the board SMALL, each of which succeeds."""
    return [_MAKERS[random.integers(len(_MAKERS))](random) for _ in range(count)]


def _pulse(random: np.random.Generator) -> Request:
    def section() -> bytes:
        cells = random.choice(CELLS, random.integers(1, 20), replace=False).tolist()
        return pulse_section(
            *cells, array=int(random.integers(2)), polarity=int(random.integers(2)),
            width_ticks=int(random.integers(1, 20)), amplitude_code=int(random.integers(15000, 32000)),
            gate_code=int(random.integers(15000, 36000)),
        )

    return Command.PULSE, b"".join(section() for _ in range(random.integers(1, 4)))


def _read(random: np.random.Generator) -> Request:
    cells = random.choice(CELLS, random.integers(1, 20), replace=False).tolist()
    return Command.READ, read_request(*cells, array=int(random.integers(2)), averages=int(random.integers(1, 4)))


def _rows(random: np.random.Generator) -> list[int]:
    return sorted(random.choice(16, random.integers(1, 17), replace=False).tolist())


def _solve(random: np.random.Generator) -> Request:
    rows, solves = _rows(random), int(random.integers(1, 4))
    inputs = random.integers(0, 2000, solves * len(rows)).tolist()
    return Command.SOLVE, solve_section(*rows, *inputs, columns=0b111, row_count=len(rows), solves=solves)


def _mvm(random: np.random.Generator) -> Request:
    rows = _rows(random)
    inputs = random.integers(-2000, 2000, len(rows)).tolist()
    array = int(random.integers(2))
    return Command.MVM, mvm_section(*rows, *inputs, columns=0b1011, row_count=len(rows), array=array)


def _compensate(random: np.random.Generator) -> Request:
    rows = _rows(random)
    pairs = np.stack([rows, random.integers(0, 1024, len(rows))], axis=1)
    request = wire.CompensateRequest(int(random.integers(2))).pack()
    return Command.COMPENSATE, request + words(*pairs.ravel().tolist())


def _wait(random: np.random.Generator) -> Request:
    return Command.WAIT, wire.WaitRequest(int(random.integers(1, 10_000_000))).pack()


def _route(random: np.random.Generator) -> Request:
    route, array, row, column = (int(random.integers(stop)) for stop in (3, 2, 16, 4))
    return Command.ROUTE, wire.RouteRequest(route, array, row, column).pack()


_MAKERS = (_pulse, _pulse, _read, _solve, _mvm, _compensate, _wait, _route)


def as_killed(host: Host, folder: Path, **config) -> Host:
    """The board that comes up from the files as they are now, as if the one of `host` had just been killed."""
    folder.mkdir(exist_ok=True)
    path = host.board.bench.config.state
    for suffix in ("", ".log"):
        if os.path.exists(path + suffix):
            shutil.copy(path + suffix, folder / ("chip" + suffix))
    again = Host(state=str(folder / "chip"), **config)
    again.sequence, again.tag = host.sequence, host.tag
    return again


def log_of(path: Path) -> bytes:
    """The log of the state at `path`."""
    return path.with_name(path.name + ".log").read_bytes()


def done_some(host: Host, count: int = 40, seed: int = 0) -> Host:
    """The host, after random commands that succeeded."""
    for kind, payload in random_requests(np.random.default_rng(seed), count):
        host.done(kind, payload)
    return host


@dataclass(frozen=True)
class Outcome:
    """What a stream of commands came to: the replies' payloads, and the bench afterwards."""

    replies: list[bytes]
    bench: Bench


def uninterrupted(requests: list[Request]) -> Outcome:
    """All in one board that nobody touches."""
    host = Host(board_name=SMALL)
    host.open()
    return Outcome([host.done(kind, payload) for kind, payload in requests], host.board.bench)


def killed_again_and_again(
    requests: list[Request], config: BenchConfig, kills: int, random: np.random.Generator
) -> tuple[Outcome, int]:
    """The same stream, its board killed at random instants (while it starts, restores, works or writes) until it was
    killed often enough; also gives how often that was before the stream's end."""
    board = ForkedBoard(config)
    link = Link(board.transport, timeout_seconds=60)
    link.open()
    link.max_in_flight = BOARDS[SMALL].max_in_flight
    replies: list[bytes] = []
    killed, longest_seconds, settled = 0, SOON_SECONDS, True
    while len(replies) < len(requests):
        timer = board.kill_after(random.uniform(0.0, longest_seconds)) if killed < kills else None
        before = len(replies)
        try:
            if not settled:
                resumed = link.resume(board.transport)
                assert not resumed.grounded
                replies += resumed.replies
                settled = True
            replies += link.run(requests[len(replies) :])
        except LinkError:
            settled = False
        if timer is not None:
            timer.join()
            assert board.wait() == -signal.SIGKILL
            killed += 1
            # On a busy machine the stream has to go on all the same.
            longest_seconds = 1.5 * longest_seconds if len(replies) == before else SOON_SECONDS
            board = ForkedBoard(config)
            settled = False
    if not settled:
        link.resume(board.transport)
    with contextlib.suppress(LinkError):
        link.close()
    assert board.wait() == 0
    return Outcome(replies, Bench(config)), killed


def check_same(found: Outcome, expected: Outcome) -> None:
    """Byte for byte: replies, cells, pulse counts and bench time."""
    assert found.replies == expected.replies
    assert found.bench.ticks == expected.bench.ticks
    for name, values in expected.bench.cells.cell_state._asdict().items():
        assert np.array_equal(values, getattr(found.bench.cells.cell_state, name)), name


def run_with_kills(folder: Path, kills: int, commands_a_kill: int, seed: int) -> float:
    """A stream with so many kills has to come to what it comes to without; gives the seconds that it took."""
    random = np.random.default_rng(seed)
    requests = random_requests(random, kills * commands_a_kill)
    expected, began = uninterrupted(requests), time.monotonic()
    config = BenchConfig(SMALL, state=str(folder / "chip"), continues=True)
    found, killed = killed_again_and_again(requests, config, kills, random)
    found.bench.end()
    check_same(found, expected)
    assert killed == kills, f"only {killed} kills before the end of the stream"
    assert [path.name for path in folder.iterdir()] == ["chip"]
    return time.monotonic() - began
