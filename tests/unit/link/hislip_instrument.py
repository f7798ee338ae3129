"""An instrument that speaks HiSLIP (IVI-6.1): as much of the protocol as a VISA library needs for text and clear."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

_HEADER = struct.Struct("!2sBBIQ")
_INITIALIZE, _INITIALIZED, _DATA, _DATA_END, _CLEAR_COMPLETE, _CLEARED = 0, 1, 6, 7, 8, 9
_MAX_SIZE, _MAX_SIZE_REPLY, _ASYNC_INITIALIZE, _ASYNC_INITIALIZED, _ASYNC_CLEAR, _ASYNC_CLEARED = 15, 16, 17, 18, 19, 23


class HislipInstrument:
    """`answer(line)` gives the bytes of a reply, None for silence, or raises to end the connection."""

    def __init__(self, answer: Callable[[str], bytes | None]):
        self.answer = answer
        self.heard: list[str] = []
        self.clears = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.resource = f"TCPIP::127.0.0.1::hislip0,{self._listener.getsockname()[1]}::INSTR"
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> "HislipInstrument":
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._talk, args=(self._listener.accept()[0],), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        message = b""
        with connection, contextlib.suppress(OSError, ConnectionAbortedError):
            while header := stream.read(_HEADER.size):
                _, kind, _, parameter, length = _HEADER.unpack(header)
                payload = stream.read(length)
                if kind == _INITIALIZE:
                    send(connection, _INITIALIZED, parameter=0x0100_0001)
                elif kind == _ASYNC_INITIALIZE:
                    send(connection, _ASYNC_INITIALIZED)
                elif kind == _MAX_SIZE:
                    send(connection, _MAX_SIZE_REPLY, payload=payload)
                elif kind == _ASYNC_CLEAR:
                    self.clears += 1
                    send(connection, _ASYNC_CLEARED)
                elif kind == _CLEAR_COMPLETE:
                    send(connection, _CLEARED)
                elif kind in (_DATA, _DATA_END):
                    message += payload
                    if kind == _DATA_END:
                        text, message = message.decode().strip(), b""
                        self.heard.append(text)
                        if (reply := self.answer(text)) is not None:
                            send(connection, _DATA_END, parameter, reply)


def send(connection: socket.socket, kind: int, parameter: int = 0, payload: bytes = b"") -> None:
    """One message of the protocol."""
    connection.sendall(_HEADER.pack(b"HS", kind, 0, parameter, len(payload)) + payload)
