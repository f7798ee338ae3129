"""An instrument at the other end of a real TCP socket: it hears lines, and answers what a test tells it to."""

import contextlib
import socket
import threading
from collections.abc import Callable

IDENTITY = "KEITHLEY INSTRUMENTS,MODEL 2450,04400001,1.7.3b"


class PowerOffError(Exception):
    """Raised by an answer: the instrument loses its power here, after sending `last`."""

    def __init__(self, last: bytes = b""):
        self.last = last
        super().__init__()


class StandInInstrument:
    """Serves one connection after the other on the local host.

    `answer(line)` gives the bytes to send, or None for silence; *IDN? is answered with `identity`. `heard` are the
    lines so far.
    """

    def __init__(self, answer: Callable[[str], bytes | None] = lambda line: None, identity: str = IDENTITY):
        self.answer, self.identity = answer, identity
        self.heard: list[str] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.resource = f"TCPIP::127.0.0.1::{self.port}::SOCKET"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def __enter__(self) -> "StandInInstrument":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                self.connections += 1
                with connection, contextlib.suppress(OSError):
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        for line in connection.makefile("rb"):
            text = line.decode().removesuffix("\n")
            self.heard.append(text)
            try:
                reply = f"{self.identity}\n".encode() if text == "*IDN?" else self.answer(text)
            except PowerOffError as end:
                connection.sendall(end.last)
                return
            if reply is not None:
                connection.sendall(reply)
