"""Hosts that are connected to a simulated board: they come, go, vanish, flood and do not listen; the board goes on."""

from __future__ import annotations

import os
import select
import socket
import time
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field

from hwloop.mock.session import DEAD_MAN_SECONDS

CHUNK_BYTES = 1 << 16
# A host that does not take its replies is not listened to either, so that a flood fills no memory.
UNTAKEN_BYTES = 1 << 20
WAITING_FRAMES = 64


@dataclass(eq=False)
class Host:
    """One connected host: its descriptor, what it said (coded frames without delimiters, empty ones too; the
    beginning of one more), and what it has yet to be told."""

    descriptor: int
    frames: deque[bytes] = field(default_factory=deque)
    rest: bytes = b""
    outgoing: bytearray = field(default_factory=bytearray)
    skipping: bool = False

    def says(self, data: bytes, longest: int) -> None:
        """Take in what it said; of a frame that gets longer than `longest` the beginning is kept only."""
        *blocks, self.rest = (self.rest + data).split(b"\0")
        if blocks and self.skipping:
            self.skipping = False
            del blocks[0]
        self.frames += blocks
        if len(self.rest) > longest and not self.skipping:
            self.frames.append(self.rest[: longest + 1])
            self.skipping = True
        if self.skipping:
            self.rest = b""


class HostServer(ABC):
    """Serves hosts until told to stop. One thread, no sleeping: it waits in select only.

    What a board does with the frames stands in the subclasses.
    """

    def __init__(self, max_frame_bytes: int):
        self.longest_coded_bytes = max_frame_bytes + max_frame_bytes // 254 + 1
        self.hosts: dict[int, Host] = {}
        self._listener: socket.socket | None = None
        self._owned: list[socket.socket] = []

    def listen(self, listener: socket.socket) -> None:
        """Accept hosts from a bound, listening socket."""
        listener.setblocking(False)
        self._listener = listener

    def attach(self, descriptor: int) -> None:
        """Talk over an open descriptor (a socket's, or the master of a pseudo-terminal)."""
        os.set_blocking(descriptor, False)
        self.hosts[descriptor] = Host(descriptor)

    @property
    def is_serving(self) -> bool:
        """Whether there is a host, or may be one again."""
        return bool(self.hosts or self._listener)

    def run(self) -> None:
        """Serve until the last host of a server without a listener is gone."""
        try:
            while self.is_serving:
                self._step()
        finally:
            self.end()
            for connection in self._owned:
                connection.close()

    @abstractmethod
    def end(self) -> None:
        """Keep what has to be kept, and ground the board."""

    @abstractmethod
    def take(self, now_seconds: float) -> None:
        """Deal with the frames that hosts have said; called after each look at them."""

    def own_descriptors(self) -> tuple[list[int], list[int]]:
        """Descriptors that the board itself wants to read from, and to write to."""
        return [], []

    def wait_seconds(self) -> float:
        """How long nothing may happen before `take` is called all the same."""
        return DEAD_MAN_SECONDS / 4

    def serve_own(self, readable: set[int], writable: set[int]) -> None:  # noqa: B027 - a board may have none
        """Read from and write to the board's own descriptors."""

    def tell(self, host: Host, data: bytes) -> None:
        """Send at once what the host takes, and the rest when it does."""
        host.outgoing += data
        self._flush(host)

    def _step(self) -> None:
        reading, writing = self.own_descriptors()
        reading += [host.descriptor for host in self.hosts.values() if _is_heard(host)]
        writing += [host.descriptor for host in self.hosts.values() if host.outgoing]
        if self._listener:
            reading.append(self._listener.fileno())
        readable, writable, _ = (set(ready) for ready in select.select(reading, writing, [], self.wait_seconds()))
        now_seconds = time.monotonic()
        for descriptor in list(self.hosts):
            if descriptor in readable:
                self._hear(self.hosts[descriptor])
            if descriptor in writable and descriptor in self.hosts:
                self._flush(self.hosts[descriptor])
        if self._listener and self._listener.fileno() in readable:
            self._accept(self._listener)
        self.serve_own(readable, writable)
        self.take(now_seconds)

    def hear_all(self) -> None:
        """Take in what hosts have said by now."""
        for host in [host for host in self.hosts.values() if _is_heard(host)]:
            self._hear(host)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # gone again already
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._owned.append(connection)
        self.attach(connection.fileno())

    def _hear(self, host: Host) -> None:
        try:
            data = os.read(host.descriptor, CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            host.says(data, self.longest_coded_bytes)
        else:
            self._drop(host)

    def _flush(self, host: Host) -> None:
        try:
            del host.outgoing[: os.write(host.descriptor, host.outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(host)

    def left(self, host: Host) -> None:  # noqa: B027 - a board need not care
        """A host is gone; what it said is still there."""

    def _drop(self, host: Host) -> None:
        if self.hosts.pop(host.descriptor, None):
            self.left(host)
        for connection in [c for c in self._owned if c.fileno() == host.descriptor]:
            self._owned.remove(connection)
            connection.close()


def _is_heard(host: Host) -> bool:
    return len(host.outgoing) < UNTAKEN_BYTES and len(host.frames) < WAITING_FRAMES
