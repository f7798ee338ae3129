"""Byte streams to a board: serial port, TCP or Unix socket. They move bytes and know nothing of frames."""

from __future__ import annotations

import select
import socket
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


class SocketTransport:
    """A connected TCP or Unix socket."""

    BLOCKED_SECONDS = 10.0
    CHUNK_BYTES = 1 << 16

    def __init__(self, connection: socket.socket, name: str):
        self.name = name
        self._socket = connection
        self._socket.setblocking(False)
        self._arrived = b""

    def send(self, data: bytes) -> None:
        """See Transport. Arriving bytes are taken in meanwhile, so that two full buffers cannot lock each other."""
        view, deadline = memoryview(data), time.monotonic() + self.BLOCKED_SECONDS
        while view:
            readable, writable, _ = select.select([self._socket], [self._socket], [], self.BLOCKED_SECONDS)
            if readable:
                self._arrived += self._take()
            if writable:
                try:
                    view = view[self._socket.send(view) :]
                except BlockingIOError:
                    pass
                except OSError as error:
                    raise LinkError(f"{self.name}: connection lost while sending ({error.strerror})") from error
            if view and time.monotonic() > deadline:
                raise LinkError(f"{self.name}: nothing could be sent for {self.BLOCKED_SECONDS:.0f} s; is the board alive?")

    def receive(self, timeout_seconds: float) -> bytes:
        """See Transport."""
        if not self._arrived and select.select([self._socket], [], [], max(timeout_seconds, 0.0))[0]:
            self._arrived = self._take()
        arrived, self._arrived = self._arrived, b""
        return arrived

    def close(self) -> None:
        """See Transport."""
        self._socket.close()

    def _take(self) -> bytes:
        try:
            data = self._socket.recv(self.CHUNK_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise LinkError(f"{self.name}: connection lost ({error.strerror})") from error
        if not data:
            raise LinkError(f"{self.name}: the board closed the connection")
        return data


class SerialTransport:
    """A serial port (a USB bridge, an on-board UART, a pseudo-terminal)."""

    BLOCKED_SECONDS = 10.0

    def __init__(self, port: str, baud_rate: int):
        self.name = port
        try:
            self._serial = serial.Serial(port, baud_rate, timeout=0, write_timeout=0, exclusive=True)
        except (serial.SerialException, OSError, ValueError) as error:
            raise DeviceError(f"{port}: cannot be opened as a serial port ({_reason(error)}); check the name, the cable and the rights") from error

    def send(self, data: bytes) -> None:
        """See Transport."""
        view, deadline = memoryview(data), time.monotonic() + self.BLOCKED_SECONDS
        try:
            while view:
                if select.select([], [self._serial], [], 0.05)[1]:
                    view = view[self._serial.write(view) or 0 :]
                if view and time.monotonic() > deadline:
                    raise LinkError(f"{self.name}: nothing could be sent for {self.BLOCKED_SECONDS:.0f} s; is the board alive?")
        except (serial.SerialException, OSError, TypeError) as error:
            raise LinkError(f"{self.name}: port lost while sending ({_reason(error)})") from error

    def receive(self, timeout_seconds: float) -> bytes:
        """See Transport."""
        try:
            if select.select([self._serial], [], [], max(timeout_seconds, 0.0))[0]:
                return self._serial.read(1 << 16)
        except (serial.SerialException, OSError, TypeError) as error:
            raise LinkError(f"{self.name}: port lost ({_reason(error)})") from error
        return b""

    def close(self) -> None:
        """See Transport."""
        self._serial.close()


def open_transport(port: str, baud_rate: int = 1_000_000) -> Transport:
    """Open `port`: "tcp:HOST:PORT", "unix:PATH", or the name of a serial port ("/dev/ttyACM0", "COM3").

    Raises DeviceError where nothing answers there, UsageError where the name is malformed.
    """
    if port.startswith("unix:"):
        return SocketTransport(_connect(socket.AF_UNIX, port[5:], port), port)
    if port.startswith("tcp:"):
        host, _, number = port[4:].rpartition(":")
        if not host or not number.isdigit() or not 0 < int(number) < 65536:
            raise UsageError(f"port {port!r}: expected tcp:HOST:PORT with a port number of 1 to 65535")
        connection = _connect(socket.AF_INET6 if ":" in host else socket.AF_INET, (host.strip("[]"), int(number)), port)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return SocketTransport(connection, port)
    return SerialTransport(port, baud_rate)


def _connect(family: int, address: object, name: str) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.settimeout(5.0)
    try:
        connection.connect(address)
    except OSError as error:
        connection.close()
        raise DeviceError(f"{name}: nothing answers there ({_reason(error)}); is the board, or `hwloop mock serve`, running?") from error
    return connection


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
