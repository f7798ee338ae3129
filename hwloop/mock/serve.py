"""The simulated board as a process: on an inherited socket, a TCP or Unix socket, or a pseudo-terminal.

The board is the Python one, or C firmware that runs beside it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import sys
import tty
from collections.abc import Callable
from pathlib import Path

from hwloop.errors import DeviceError, HwloopError, UsageError
from hwloop.link.frames import FrameReader
from hwloop.mock.bench import Bench, BenchConfig
from hwloop.mock.bench_config import BenchInstrument
from hwloop.mock.board import SimulatedBoard
from hwloop.mock.firmware import Firmware
from hwloop.mock.firmware_server import FirmwareServer
from hwloop.mock.hosts import HostServer


class BoardServer(HostServer):
    """Answers hosts as the Python board does."""

    def __init__(self, board: SimulatedBoard):
        super().__init__(board.bench.geometry.max_frame_bytes)
        self.board, self.bench = board, board.bench
        self._reader = FrameReader(board.bench.geometry.max_frame_bytes)

    def end(self) -> None:
        """See HostServer."""
        with self.board.bench.lock:
            self.board.end()

    def take(self, now_seconds: float) -> None:
        """See HostServer."""
        for host in list(self.hosts.values()):
            while host.frames:
                for frame in self._reader.feed(host.frames.popleft() + b"\0"):
                    with self.board.bench.lock:
                        reply = self.board.handle(frame, now_seconds)
                    if reply is not None:
                        # Told at once, so that the host works on this reply while the board works on the next request.
                        self.tell(host, reply.encode())
        # After listening: while the board itself was busy the host may have spoken. A board whose last host is gone is
        # about to end as it stands.
        if self.is_serving:
            with self.board.bench.lock:
                self.board.check_dead_man(now_seconds)


def _server(config: BenchConfig, firmware: Firmware | None) -> BoardServer | FirmwareServer:
    """The Python board, or the given firmware, whose session has died with its process."""
    if firmware is None:
        return BoardServer(SimulatedBoard(Bench(config)))
    return FirmwareServer(Bench(dataclasses.replace(config, continues=False)), firmware)


def _served(bench: Bench, wanted: tuple[BenchInstrument, ...]) -> contextlib.AbstractContextManager[dict[str, str]]:
    """The instruments beside a board; most boards have none, and do not wait for what those need to be loaded."""
    if not wanted:
        return contextlib.nullcontext({})
    from hwloop.mock.bench_instruments import served

    return served(bench, wanted)


def serve_descriptor(
    config: BenchConfig, descriptor: int, firmware: Firmware | None = None,
    instruments: tuple[BenchInstrument, ...] = (), told: int | None = None,
) -> None:
    """Serve the host at the other end of an inherited socket, until it closes, and `instruments` meanwhile; their VISA
    resources by role are written to the descriptor `told`, as JSON."""
    server = _server(config, firmware)
    server.attach(descriptor)
    with _served(server.bench, instruments) as resources:
        if told is not None:
            with open(told, "w") as out:
                json.dump(resources, out)
        server.run()


def serve_port(
    config: BenchConfig, port: str, ready: Callable[[str, dict[str, str]], None], firmware: Firmware | None = None,
    instruments: tuple[BenchInstrument, ...] = (),
) -> None:
    """Serve on "tcp:HOST:PORT" (0 takes a free one), "unix:PATH" or "pty"; `ready` is told the name to connect to, and
    the VISA resources of the `instruments` by role.

    Raises UsageError on another kind of name, DeviceError where the address is taken or the firmware does not run.
    """
    with contextlib.ExitStack() as stack:
        resources: dict[str, str] = {}

        def make_server() -> HostServer:
            server = _server(config, firmware)
            resources.update(stack.enter_context(_served(server.bench, instruments)))
            return server

        serve_hosts(make_server, port, lambda name: ready(name, resources))


def serve_hosts(make_server: Callable[[], HostServer], port: str, ready: Callable[[str], None]) -> None:
    """Serve any server, which is made once the port is there; ports as in `serve_port`."""
    with contextlib.ExitStack() as stack:
        if port == "pty":
            server = make_server()
            master, slave = os.openpty()
            tty.setraw(slave)
            stack.callback(os.close, master)
            stack.callback(os.close, slave)  # kept open, so that a host may come and go
            server.attach(master)
            ready(os.ttyname(slave))
        else:
            listener, name = _listen(port, stack)
            server = make_server()
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
    # The private board of one rig. Arguments: the inherited descriptor; the configuration as JSON; where the board is
    # firmware, which one, as JSON, else null; where there are instruments, which, as JSON, and the descriptor that
    # their resources are written to. Ctrl-C is for the controller, which still needs the board to be safe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        told_firmware = json.loads(sys.argv[3]) if len(sys.argv) > 3 else None
        chosen = Firmware(**told_firmware) if told_firmware else None
        with_them = tuple(BenchInstrument(**one) for one in json.loads(sys.argv[4])) if len(sys.argv) > 4 else ()
        serve_descriptor(
            BenchConfig.from_json(sys.argv[2]), int(sys.argv[1]), chosen, with_them,
            int(sys.argv[5]) if len(sys.argv) > 5 else None,
        )
    except HwloopError as error:
        sys.stderr.write(f"simulated board: {error}\n")
        sys.exit(error.exit_code)
