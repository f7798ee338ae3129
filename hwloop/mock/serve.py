"""The simulated board as a process: on an inherited socket, a TCP or Unix socket, or a pseudo-terminal."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hwloop.errors import DeviceError, HwloopError, UsageError
from hwloop.link.frames import FrameReader
from hwloop.mock.bench import Bench, BenchConfig
from hwloop.mock.board import DEAD_MAN_SECONDS, SimulatedBoard

CHUNK_BYTES = 1 << 16
# A host that does not take its replies is not listened to either, so that a flood fills no memory.
UNTAKEN_BYTES = 1 << 20


@dataclass
class _Host:
    """One connected host: its descriptor, what it said and what it has yet to be told."""

    descriptor: int
    reader: FrameReader
    outgoing: bytearray = field(default_factory=bytearray)


class BoardServer:
    """Answers hosts until told to stop. One thread, no sleeping: it waits in select only."""

    def __init__(self, board: SimulatedBoard):
        self.board = board
        self._hosts: dict[int, _Host] = {}
        self._listener: socket.socket | None = None
        self._owned: list[socket.socket] = []

    def listen(self, listener: socket.socket) -> None:
        """Accept hosts from a bound, listening socket."""
        listener.setblocking(False)
        self._listener = listener

    def attach(self, descriptor: int) -> None:
        """Talk over an open descriptor (a socket's, or the master of a pseudo-terminal)."""
        os.set_blocking(descriptor, False)
        self._hosts[descriptor] = _Host(descriptor, FrameReader(self.board.bench.geometry.max_frame_bytes))

    def run(self) -> None:
        """Serve until the last host of a server without a listener is gone."""
        try:
            while self._hosts or self._listener:
                self._step()
        finally:
            self.board.bench.ground()
            self.board.bench.save_clock()
            for connection in self._owned:
                connection.close()

    def _step(self) -> None:
        reading: list[int | socket.socket] = [
            host.descriptor for host in self._hosts.values() if len(host.outgoing) < UNTAKEN_BYTES
        ]
        if self._listener:
            reading.append(self._listener)
        writing = [host.descriptor for host in self._hosts.values() if host.outgoing]
        readable, writable, _ = select.select(reading, writing, [], DEAD_MAN_SECONDS / 4)
        now_seconds = time.monotonic()
        for ready in readable:
            if isinstance(ready, int):
                self._hear(self._hosts[ready], now_seconds)
            else:
                self._accept(ready)
        for descriptor in writable:
            if descriptor in self._hosts:
                self._tell(self._hosts[descriptor])
        # After listening: while the board itself was busy the host may have spoken.
        self.board.check_dead_man(now_seconds)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # gone again already
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._owned.append(connection)
        self.attach(connection.fileno())

    def _hear(self, host: _Host, now_seconds: float) -> None:
        try:
            data = os.read(host.descriptor, CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(host)
            return
        for frame in host.reader.feed(data):
            reply = self.board.handle(frame, now_seconds)
            if reply is not None:
                host.outgoing += reply.encode()
                # Told at once, so that the host works on this reply while the board works on the next request.
                self._tell(host)

    def _tell(self, host: _Host) -> None:
        try:
            del host.outgoing[: os.write(host.descriptor, host.outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(host)

    def _drop(self, host: _Host) -> None:
        self._hosts.pop(host.descriptor, None)
        for connection in [c for c in self._owned if c.fileno() == host.descriptor]:
            self._owned.remove(connection)
            connection.close()


def serve_descriptor(config: BenchConfig, descriptor: int) -> None:
    """Serve the host at the other end of an inherited socket, until it closes."""
    server = BoardServer(SimulatedBoard(Bench(config)))
    server.attach(descriptor)
    server.run()


def serve_port(config: BenchConfig, port: str, ready: Callable[[str], None]) -> None:
    """Serve on "tcp:HOST:PORT" (0 takes a free one), "unix:PATH" or "pty"; `ready` is told the name to connect to.

    Raises UsageError on another kind of name, DeviceError where the address is taken.
    """
    server = BoardServer(SimulatedBoard(Bench(config)))
    with contextlib.ExitStack() as stack:
        if port == "pty":
            master, slave = os.openpty()
            tty.setraw(slave)
            stack.callback(os.close, master)
            stack.callback(os.close, slave)  # kept open, so that a host may come and go
            server.attach(master)
            ready(os.ttyname(slave))
        else:
            listener, name = _listen(port, stack)
            server.listen(listener)
            ready(name)
        server.run()


def _listen(port: str, stack: contextlib.ExitStack) -> tuple[socket.socket, str]:
    kind, _, address = port.partition(":")
    try:
        if kind == "unix" and address:
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            stack.callback(Path(address).unlink, missing_ok=True)
            listener.listen()
            return listener, port
        host, _, number = address.rpartition(":")
        if kind == "tcp" and host and number.isdigit() and int(number) < 65536:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = stack.enter_context(socket.create_server((host.strip("[]"), int(number)), family=family))
            return listener, f"tcp:{host}:{listener.getsockname()[1]}"
    except OSError as error:
        raise DeviceError(f"{port}: cannot listen there ({error.strerror}); choose another address") from error
    raise UsageError(f"port {port!r}: expected pty, unix:PATH or tcp:HOST:PORT")


if __name__ == "__main__":
    # The private board of one rig: argument 1 is the inherited descriptor, argument 2 the configuration as JSON.
    # Ctrl-C is for the controller, which still needs the board to be safe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        serve_descriptor(BenchConfig.from_json(sys.argv[2]), int(sys.argv[1]))
    except HwloopError as error:
        sys.stderr.write(f"simulated board: {error}\n")
        sys.exit(error.exit_code)
