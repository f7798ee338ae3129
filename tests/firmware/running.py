"""Firmware that runs in this test: its chips at hand, to be broken, and its process, to be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

from hwloop.link import protocol as wire
from hwloop.link.frames import Frame, FrameReader
from hwloop.link.protocol import Command, Status
from hwloop.mock.bench import Bench
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.firmware import HOST, find_firmware
from hwloop.mock.firmware_server import FirmwareServer

BOARD_NAME = "hwloop-16x4"
SESSION = 0x0B0B
ANSWER_SECONDS = 10.0


class Host:
    """A host at one socket of the board; counts sequence numbers."""

    def __init__(self, connection: socket.socket, session: int = SESSION):
        self.connection, self.session, self.sequence, self.tag = connection, session, 0, 0
        self._reader, self._heard = FrameReader(), []

    def say(self, kind: Command, payload: bytes = b"", sequence: int | None = None) -> None:
        """A sequenced command with the next number, unless one is given."""
        if sequence is None:
            sequence, self.sequence = self.sequence, self.sequence + 1
        self.connection.sendall(Frame(kind, 0, self.session, sequence, payload).encode())

    def hear(self, seconds: float = ANSWER_SECONDS) -> Frame | None:
        """The next reply; None where none comes in time."""
        deadline = time.monotonic() + seconds
        while not self._heard and (left := deadline - time.monotonic()) > 0:
            self.connection.settimeout(left)
            with contextlib.suppress(TimeoutError):
                self._heard += self._reader.feed(self.connection.recv(1 << 16))
        return self._heard.pop(0) if self._heard else None

    def command(self, kind: Command, payload: bytes = b"", sequence: int | None = None) -> Frame:
        """The reply to a sequenced command."""
        self.say(kind, payload, sequence)
        reply = self.hear()
        assert reply is not None, f"no reply to {kind.name}"
        return reply

    def done(self, kind: Command, payload: bytes = b"") -> bytes:
        """The payload of the reply to a command that has to succeed."""
        reply = self.command(kind, payload)
        assert reply.status == Status.OK, reply
        return reply.payload

    def ask(self, kind: Command, payload: bytes = b"") -> Frame:
        """The reply to an unsequenced request. Asked again where the board was just starting."""
        self.tag += 1
        for _ in range(5):
            self.say(kind, payload, self.tag)
            if (reply := self.hear(2.0)) is not None:
                return reply
        raise AssertionError(f"no reply to {kind.name}")

    def status(self) -> wire.StatusReply:
        return wire.StatusReply.unpack(self.ask(Command.STATUS).payload)

    def open(self, resume: int = 0) -> Frame:
        reply = self.ask(Command.OPEN, wire.OpenRequest(wire.WIRE_HASH, resume).pack())
        if reply.status == Status.OK:
            self.sequence = wire.OpenReply.unpack(reply.payload).expected_sequence
        return reply


class RunningFirmware:
    """The firmware, served by a thread. `panel` are its chips; `host` is connected and has not opened yet."""

    def __init__(self, server: FirmwareServer, host: Host):
        self.server, self.panel, self.bench, self.host = server, server.panel, server.bench, host

    def connect(self, session: int) -> Host:
        """Another host."""
        here, there = socket.socketpair()
        self.server.attach(there.detach())
        return Host(here, session)

    def kill(self) -> None:
        """End the firmware as nothing but the kernel can."""
        os.kill(self.server.process.pid, signal.SIGKILL)

    def kill_in_the_next_command(self, share: float) -> threading.Event:
        """Kill the firmware when the chips have been sent `share` of the next burst that drives lines, and before they
        answer; the event is set when it has happened, and the lines are looked at right then."""
        happened, feed = threading.Event(), self.panel.feed

        def feed_and_kill(data: bytes) -> bytes:
            if happened.is_set() or len(data) < 100:
                return feed(data)
            feed(data[: round(len(data) * share)])
            self.kill()
            happened.set()
            return b""

        self.panel.feed = feed_and_kill
        return happened


@contextlib.contextmanager
def running(
    prepare: Callable[[Bench], None] = lambda bench: None, backend: str = HOST, **config
) -> Iterator[RunningFirmware]:
    """Firmware on a bench of this configuration, which no fault may lead beyond a limit."""
    bench = Bench(BenchConfig(**{"board_name": BOARD_NAME, "preset": "ideal"} | config))
    prepare(bench)
    server = FirmwareServer(bench, find_firmware(backend, bench.config.board_name))
    here, there = socket.socketpair()
    server.attach(there.detach())
    thread = threading.Thread(target=server.run)
    thread.start()
    firmware = RunningFirmware(server, Host(here))
    try:
        yield firmware
    finally:
        here.close()
        for host in list(server.hosts.values()):
            with contextlib.suppress(OSError):
                socket.socket(fileno=os.dup(host.descriptor)).shutdown(socket.SHUT_RDWR)
        thread.join(20)
    assert not thread.is_alive()
