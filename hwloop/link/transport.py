"""Byte streams to a board: serial port, TCP or Unix socket. They move bytes and know nothing of frames."""

from __future__ import annotations

import select
import socket
import threading
import time
from typing import Protocol

import serial

from hwloop.errors import DeviceError, LinkError, UsageError


class Transport(Protocol):
    """What a link needs of a port."""

    name: str

    def send(self, data: bytes) -> None:
        """Write all of `data`. Raises LinkError where the port is gone or stays blocked."""

    def receive(self, timeout_seconds: float) -> bytes:
        """What has arrived, waiting at most `timeout_seconds` for the first byte; empty on time-out.
        Raises LinkError where the port is gone."""

    def close(self) -> None:
        """Give the port back; may be called twice."""


class _StreamTransport:
    """A descriptor that select waits for. One thread receives; any may send."""

    BLOCKED_SECONDS = 10.0
    CHUNK_BYTES = 1 << 16

    def __init__(self, name: str):
        self.name = name
        self._arrived = bytearray()
        self._taking = threading.Lock()

    def send(self, data: bytes) -> None:
        """See Transport. While the port is full, arriving bytes are taken in: full buffers cannot lock each other."""
        view, deadline = memoryview(data), time.monotonic() + self.BLOCKED_SECONDS
        try:
            while view:
                if time.monotonic() > deadline:
                    seconds = f"{self.BLOCKED_SECONDS:g} s"
                    raise LinkError(f"{self.name}: nothing could be sent for {seconds}; is the board alive?")
                if select.select([], [self._fileno()], [], 0)[1]:
                    written = self._write(view)
                    if written:
                        view, deadline = view[written:], time.monotonic() + self.BLOCKED_SECONDS
                elif select.select([self._fileno()], [self._fileno()], [], 0.1)[0]:
                    self._take_in()
        except (OSError, ValueError, TypeError) as error:
            raise LinkError(f"{self.name}: connection lost while sending ({_reason(error)})") from error

    def receive(self, timeout_seconds: float) -> bytes:
        """See Transport."""
        try:
            if not self._arrived and select.select([self._fileno()], [], [], max(timeout_seconds, 0.0))[0]:
                self._take_in()
        except (OSError, ValueError, TypeError) as error:
            raise LinkError(f"{self.name}: connection lost ({_reason(error)})") from error
        with self._taking:
            arrived, self._arrived = bytes(self._arrived), bytearray()
        return arrived

    def _take_in(self) -> None:
        with self._taking:
            self._arrived += self._read()

    def _fileno(self) -> int:
        raise NotImplementedError

    def _write(self, view: memoryview) -> int:
        """Write what goes without waiting; gives the bytes written."""
        raise NotImplementedError

    def _read(self) -> bytes:
        """What is there now. Raises OSError or LinkError where the other end is gone."""
        raise NotImplementedError


class SocketTransport(_StreamTransport):
    """A connected TCP or Unix socket."""

    def __init__(self, connection: socket.socket, name: str):
        super().__init__(name)
        self._socket = connection
        self._socket.setblocking(False)

    def close(self) -> None:
        """See Transport."""
        self._socket.close()

    def _fileno(self) -> int:
        return self._socket.fileno()

    def _write(self, view: memoryview) -> int:
        try:
            return self._socket.send(view)
        except BlockingIOError:
            return 0

    def _read(self) -> bytes:
        try:
            data = self._socket.recv(self.CHUNK_BYTES)
        except BlockingIOError:
            return b""
        if not data:
            raise LinkError(f"{self.name}: the board closed the connection")
        return data


class SerialTransport(_StreamTransport):
    """A serial port (a USB bridge, an on-board UART, a pseudo-terminal)."""

    def __init__(self, port: str, baud_rate: int):
        super().__init__(port)
        try:
            self._serial = serial.Serial(port, baud_rate, timeout=0, write_timeout=0, exclusive=True)
        except (OSError, ValueError) as error:
            raise DeviceError(
                f"{port}: cannot be opened as a serial port ({_reason(error)}); check its name, cable and rights"
            ) from error

    def close(self) -> None:
        """See Transport."""
        self._serial.close()

    def _fileno(self) -> int:
        return self._serial.fileno()

    def _write(self, view: memoryview) -> int:
        return self._serial.write(view) or 0

    def _read(self) -> bytes:
        return self._serial.read(self.CHUNK_BYTES)


def open_transport(port: str, baud_rate: int = 1_000_000) -> Transport:
    """Open `port`: "tcp:HOST:PORT", "unix:PATH", or the name of a serial port ("/dev/ttyACM0").

    Raises DeviceError where nothing answers there, UsageError where the name is malformed.
    """
    if port.startswith("unix:"):
        return SocketTransport(_connect(socket.AF_UNIX, port[5:], port), port)
    if port.startswith("tcp:"):
        host, _, number = port[4:].rpartition(":")
        if not host or not number.isdecimal() or not 0 < int(number) < 65536:
            raise UsageError(f"port {port!r}: expected tcp:HOST:PORT with a port number of 1 to 65535")
        connection = _connect(socket.AF_INET6 if ":" in host else socket.AF_INET, (host.strip("[]"), int(number)), port)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return SocketTransport(connection, port)
    return SerialTransport(port, baud_rate)


def _connect(family: int, address: str | tuple[str, int], name: str) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.settimeout(5.0)
    try:
        connection.connect(address)
    except OSError as error:
        connection.close()
        raise DeviceError(
            f"{name}: nothing answers there ({_reason(error)}); is the board, or `hwloop mock serve`, running?"
        ) from error
    return connection


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
