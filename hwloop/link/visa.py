"""The way to an instrument by its VISA resource name: text and blocks, in bounded time, one program at a time."""

from __future__ import annotations

import contextlib
import functools
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyvisa
from pyvisa import constants

from hwloop import holders
from hwloop.errors import (
    DeviceError,
    GarbledReplyError,
    HeldInstrumentError,
    InstrumentError,
    InstrumentLostError,
    InstrumentTimeoutError,
    WrongInstrumentError,
)
from hwloop.link.blocks import block_bounds, block_message_length, line_length
from hwloop.link.bounded import BoundedCalls, StuckError
from hwloop.link.visa_resource import is_stream, open_resource, parse, reply_socket, resource_key

IDENTITY_QUERY = "*IDN?"
_CHUNK_BYTES = 4096
_POLL_SECONDS = 0.005
_QUIET_MILLISECONDS = 2
_ALIVE = "check that the instrument is on, its cable, and that nothing else talks to it"


@dataclass
class VisaCounters:
    """What crossed the port since it was opened. A command without a reply is an exchange as well."""

    exchanges: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0


class VisaPort:
    """One instrument, by its VISA name: "GPIB0::24::INSTR", "TCPIP::10.0.0.5::5025::SOCKET", "ASRL/dev/ttyUSB0::INSTR".

    Opening sends nothing. `timeout_seconds` bounds every exchange, on top of the seconds that the instrument is
    expected to work on it. `backend` is "@py" (pyvisa-py) or "@ivi" (NI-VISA or another installed VISA library).
    After an exchange that failed or was interrupted the port is out of step; the next one brings it into step first.
    Raises AbsentInstrumentError where nothing answers, HeldInstrumentError where another program of ours has it,
    UsageError where the name or the backend cannot be used.
    """

    def __init__(self, resource: str, timeout_seconds: float = 5.0, backend: str = "@py", baud_rate: int = 9600):
        parsed = parse(resource)
        self.name = resource
        self.timeout_seconds = timeout_seconds
        self.counters = VisaCounters()
        self.in_step = True
        self._identity = ""
        # How often it was asked for its name, and has not answered yet.
        self._identities_due = 0
        self._arrived = bytearray()
        self._calls = BoundedCalls()
        # Without a bus that marks the end of a message, only the new line does.
        self._is_stream = is_stream(parsed)
        try:
            self._hold = holders.hold(resource_key(parsed))
        except DeviceError as error:
            raise HeldInstrumentError(f"{resource}: {error}") from error
        try:
            self._resource = open_resource(resource, parsed, backend, baud_rate, timeout_seconds, self._calls)
        except BaseException:
            self._hold.release()
            raise
        self._socket = reply_socket(self._resource)

    def identify(self) -> str:
        """What the instrument says of itself; changes nothing in it. Raises WrongInstrumentError where that is no
        identity."""
        text = self.query(IDENTITY_QUERY)
        if len(text.split(",")) < 4:
            raise WrongInstrumentError(
                f"{self.name}: {IDENTITY_QUERY} is answered by {text[:80]!r}, no instrument's name; check the address"
            )
        self._identity = text
        return text

    def write(self, command: str) -> None:
        """Send `command`, which has no reply. Raises InstrumentError as `query`."""
        self._settle()
        self.counters.exchanges += 1
        self.in_step = False
        self._send(command)
        self.in_step = True

    def query(self, command: str, expected_seconds: float = 0.0) -> str:
        """The reply to `command`, without its end of line.

        Raises InstrumentTimeoutError, InstrumentLostError or GarbledReplyError, each naming resource and command.
        """
        reply = self._exchange(command, expected_seconds, line_length)
        try:
            return reply.decode("ascii").strip()
        except UnicodeDecodeError as error:
            self.in_step = False
            raise self._garbled(command, reply) from error

    def query_block(self, command: str, expected_bytes: int, expected_seconds: float = 0.0) -> tuple[bytes, str]:
        """The reply to `command` that begins with a block of `expected_bytes` (IEEE 488.2, of definite or indefinite
        length): the block, and the text behind it. A reply without one gives an empty block. Raises as `query`."""
        length = functools.partial(block_message_length, expected_bytes=expected_bytes)
        reply = self._exchange(command, expected_seconds, length)
        begin, end = block_bounds(reply, expected_bytes)
        if begin and end - begin != expected_bytes:
            self.in_step = False
            raise self._garbled(command, reply)
        return reply[begin:end], reply[end:].decode("ascii", "replace").strip()

    def next_line(self, command: str, expected_seconds: float = 0.0) -> str:
        """The next line of a reply to `command` that has several; nothing is sent. Raises as `query`."""
        self.in_step = False
        line = self._receive(command, time.monotonic() + self.timeout_seconds + expected_seconds, line_length)
        self.in_step = True
        return line.decode("ascii", "replace").strip()

    def resynchronize(self, first: str = "", expected_seconds: float = 0.0) -> None:
        """Send `first` at once, then drop what comes until the instrument answers to its name: nothing is on its way
        any more. Raises as `query`."""
        self.in_step = False
        self._arrived.clear()
        if not self._is_stream:
            # On a bus it frees a parser that waits for the end of a sweep; on streams the library's own can hang.
            self._visa(self._resource.clear, self.timeout_seconds, "device clear")
            self._identities_due = 0
        if first:
            self._send(first)
        self._identities_due += 1
        self._send(IDENTITY_QUERY)
        deadline = time.monotonic() + self.timeout_seconds + expected_seconds
        wanted, has_answered = self._identity.encode(), False
        while self._identities_due:
            try:
                line = self._receive(IDENTITY_QUERY, deadline, line_length).strip()
            except InstrumentTimeoutError:
                if not has_answered:
                    raise
                # It forgot the earlier questions: nothing came for all that time.
                break
            if line.endswith(wanted) if wanted else line.count(b",") >= 3:
                self._identities_due -= 1
                has_answered = True
        self._identities_due = 0
        self.in_step = True

    def acknowledge_safe(self) -> None:
        """Tell a waiting `board safe` that this instrument's output is off; see holders."""
        self._hold.acknowledge_safe()

    def close(self) -> None:
        """Give the resource back; may be called twice."""
        # Not behind a call that is stuck: closing is what ends it.
        self._calls = BoundedCalls()
        with contextlib.suppress(InstrumentError):
            self._visa(self._resource.close, self.timeout_seconds, "close")
        self._hold.release()

    def __enter__(self) -> VisaPort:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exchange(self, command: str, expected_seconds: float, length: Callable[[bytearray], int]) -> bytes:
        self._settle()
        self.counters.exchanges += 1
        self.in_step = False
        self._identities_due = int(command == IDENTITY_QUERY)
        self._send(command)
        reply = self._receive(command, time.monotonic() + self.timeout_seconds + expected_seconds, length)
        self._identities_due = 0
        self.in_step = True
        return reply

    def _settle(self) -> None:
        """Before a command: nothing may be on its way, or have come unasked."""
        if not self.in_step:
            self.resynchronize()
        elif self._arrived:
            self.in_step = False
            raise self._garbled("nothing", bytes(self._arrived))

    def _send(self, command: str) -> None:
        data = command.encode("ascii") + b"\n"
        # Only a stream may be cut: elsewhere every write ends a message.
        chunk_bytes = _CHUNK_BYTES if self._is_stream else len(data)
        for begin in range(0, len(data), chunk_bytes):
            chunk = data[begin : begin + chunk_bytes]
            if self._socket is not None and not select.select([], [self._socket], [], self.timeout_seconds)[1]:
                why = f"it takes nothing for {self.timeout_seconds:g} s"
                raise InstrumentTimeoutError(self.name, command, why, _ALIVE)
            self._visa(functools.partial(self._resource.write_raw, chunk), self.timeout_seconds, command)
        self.counters.bytes_sent += len(data)

    def _receive(self, command: str, deadline: float, length: Callable[[bytearray], int]) -> bytes:
        """The first message of what arrives; `length` gives its bytes, 0 while it is not all there."""
        begun = time.monotonic()
        while not (end := length(self._arrived)):
            try:
                self._arrived += self._take_in(command, deadline)
            except InstrumentTimeoutError as error:
                got = f"only {len(self._arrived)} bytes of a reply" if self._arrived else "no reply"
                why = f"{got} in {time.monotonic() - begun:.2g} s"
                raise InstrumentTimeoutError(self.name, command, why, f"{_ALIVE}, or allow more time") from error
        reply, self._arrived = bytes(self._arrived[:end]), self._arrived[end:]
        self.counters.bytes_received += len(reply)
        return reply

    def _take_in(self, command: str, deadline: float) -> bytes:
        """What arrives next. Sockets and serial ports are waited for here, where a signal can end it."""
        seconds = max(deadline - time.monotonic(), 0.0)
        if self._socket is not None:
            ready = select.select([self._socket], [], [], seconds)[0]
            self._check_open(command)
            if not ready:
                raise InstrumentTimeoutError(self.name, command, "no reply", _ALIVE)
            if self._is_stream:
                self._resource.timeout = _QUIET_MILLISECONDS
                return self._visa(self._read_stream, 0.0, command)
        elif self._is_stream and hasattr(self._resource, "bytes_in_buffer"):
            while not (count := self._visa(lambda: self._resource.bytes_in_buffer, 0.0, command)):
                if time.monotonic() >= deadline:
                    raise InstrumentTimeoutError(self.name, command, "no reply", _ALIVE)
                time.sleep(_POLL_SECONDS)
            return self._visa(lambda: self._read_stream(count), 0.0, command)
        if seconds == 0.0:
            raise InstrumentTimeoutError(self.name, command, "no reply", _ALIVE)
        self._resource.timeout = max(seconds * 1000, 1)
        data = self._visa(self._resource.read_raw, seconds, command)
        # On a bus the message ends where the bus says so, new line or not.
        return data if self._is_stream or data.endswith(b"\n") else data + b"\n"

    def _read_stream(self, count: int = 1 << 16) -> bytes:
        # The library's higher levels lose what they have read before a time-out.
        with self._resource.ignore_warning(constants.StatusCode.success_max_count_read):
            return self._resource.visalib.read(self._resource.session, count)[0]

    def _check_open(self, command: str) -> None:
        """Raises InstrumentLostError where the peer closed the connection; pyvisa-py would read on for ever."""
        try:
            if self._socket is None or not select.select([self._socket], [], [], 0)[0]:
                return
            if self._socket.recv(1, socket.MSG_PEEK):
                return
        except (OSError, ValueError) as error:
            raise self._lost(command, getattr(error, "strerror", None) or str(error)) from error
        raise self._lost(command, f"the instrument closed it{' in the middle of a reply' if self._arrived else ''}")

    def _visa(self, function: Callable[[], Any], seconds: float, command: str) -> Any:
        """A call to the VISA library, in bounded time, its errors as ours."""
        try:
            return self._calls.call(function, seconds)
        except StuckError:
            why = f"the VISA library does not come back from a call of {seconds:.3g} s"
            raise InstrumentTimeoutError(self.name, command, why, _ALIVE) from None
        except pyvisa.errors.VisaIOError as error:
            if error.error_code == constants.StatusCode.error_timeout:
                raise InstrumentTimeoutError(self.name, command, "no reply", _ALIVE) from error
            self._check_open(command)
            raise self._lost(command, error.abbreviation) from error
        except InstrumentError:
            raise
        except Exception as error:
            # Libraries raise errors of every kind where the other end is gone: EOFError, RuntimeError, their own.
            self._check_open(command)
            raise self._lost(command, getattr(error, "strerror", None) or str(error)) from error

    def _lost(self, command: str, why: str) -> InstrumentLostError:
        return InstrumentLostError(self.name, command, f"connection lost: {why}", _ALIVE)

    def _garbled(self, command: str, reply: bytes) -> GarbledReplyError:
        remedy = "check the cable, the baud rate of a serial port, and that nothing else talks to the instrument"
        return GarbledReplyError(self.name, command, f"garbled reply {reply[:40]!r}", remedy)
