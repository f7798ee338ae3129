"""Puts a simulated instrument on a TCP socket or a pseudo-terminal, in a daemon thread.

Like the raw socket ports of the LAN instruments that are simulated here, a port serves one controller at a time: a
second connection is closed at once, and the next controller finds the instrument as the last one left it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import tty
from collections.abc import Callable
from typing import Protocol

from hwloop.errors import DeviceError, UsageError
from hwloop.mock.instruments.faults import Faults, PowerLossError

CHUNK_BYTES = 1 << 16


class Instrument(Protocol):
    """What can be served: a synchronous state machine with a modelled clock."""

    faults: Faults
    clock_seconds: float

    def say(self, data: bytes) -> bytes:
        """Hear bytes, answer bytes. Raises PowerLossError where the power is gone."""

    def forget_input(self) -> None:
        """A new controller: a half message is dropped."""


class ServedInstrument:
    """An instrument behind a port. `name` is "tcp:HOST:PORT" or the path of the pseudo-terminal."""

    def __init__(self, instrument: Instrument, port: str, lock: threading.Lock, real_time: bool = False):
        self.instrument = instrument
        self._lock, self._real_time = lock, real_time
        self._stack = contextlib.ExitStack()
        self._wake, waker = socket.socketpair()
        self._waker = self._stack.enter_context(waker)
        self._stack.enter_context(self._wake)
        self._selector = self._stack.enter_context(selectors.DefaultSelector())
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._closing = threading.Event()
        self._controller: socket.socket | None = None
        self._listener: socket.socket | None = None
        try:
            self.name = self._open_terminal() if port == "pty" else self._listen(port)
        except BaseException:
            self._stack.close()
            raise
        self._thread = threading.Thread(target=self._run, name=f"instrument {self.name}", daemon=True)
        self._thread.start()

    def __enter__(self) -> ServedInstrument:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the port; the controller sees its connection end."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._waker.send(b"!")
        self._thread.join()

    def _open_terminal(self) -> str:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self._stack.callback(os.close, self._master)
        self._stack.callback(os.close, slave)  # kept open, so that a controller may come and go
        self._selector.register(self._master, selectors.EVENT_READ)
        return os.ttyname(slave)

    def _listen(self, port: str) -> str:
        kind, _, address = port.partition(":")
        host, _, number = address.rpartition(":")
        if kind != "tcp" or not host or not number.isdigit() or int(number) > 65535:
            raise UsageError(f"port {port!r} of a simulated instrument: expected pty or tcp:HOST:PORT")
        try:
            self._listener = self._stack.enter_context(socket.create_server((host, int(number))))
        except OSError as error:
            raise DeviceError(f"{port}: cannot listen there ({error.strerror}); choose another address") from error
        self._selector.register(self._listener, selectors.EVENT_READ)
        return f"tcp:{host}:{self._listener.getsockname()[1]}"

    def _run(self) -> None:
        with self._stack:
            try:
                while self._serve_once():
                    pass
            except PowerLossError:
                pass  # the port is gone with the power
            finally:
                if self._listener is not None:
                    self._listener.close()  # before the controller sees its connection end
                self._hang_up()

    def _serve_once(self) -> bool:
        """One round; whether there is to be another."""
        for key, _ in self._selector.select(timeout=0.05):
            if key.fileobj is self._wake:
                return False
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._controller:
                self._hear_controller()
            else:
                self._answer(os.read(self._master, CHUNK_BYTES), self._write_terminal)
        return not self.instrument.faults.is_off

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        if self._controller is not None:
            connection.close()
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._controller = connection
        self.instrument.forget_input()
        self._selector.register(connection, selectors.EVENT_READ)

    def _hear_controller(self) -> None:
        controller = self._controller
        try:
            data = controller.recv(CHUNK_BYTES)
            if data:
                self._answer(data, controller.sendall)
                return
        except OSError:
            pass  # gone, as it seems
        self._hang_up()

    def _hang_up(self) -> None:
        if self._controller is not None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(self._controller)
            self._controller.close()
            self._controller = None

    def _write_terminal(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._master, data) :]

    def _answer(self, data: bytes, send: Callable[[bytes], object]) -> None:
        with self._lock:
            began_seconds = self.instrument.clock_seconds
            reply = self.instrument.say(data)
            took_seconds = self.instrument.clock_seconds - began_seconds
        faults = self.instrument.faults
        self._closing.wait(took_seconds * self._real_time + faults.reply_delay_seconds * bool(reply))
        if faults.is_off:
            raise PowerLossError
        if reply:
            send(faults.damaged(reply))


def serve_instrument(
    instrument: Instrument, port: str, lock: threading.Lock, real_time: bool = False
) -> ServedInstrument:
    """Serve on "tcp:HOST:PORT" (0 takes a free one) or "pty"; `lock` is held round every call of the instrument.

    With `real_time` a reply comes after the modelled time that it took. Raises UsageError, DeviceError.
    """
    return ServedInstrument(instrument, port, lock, real_time)
