"""The C firmware behind hosts' ports: the world and the chips in this process, the firmware in a child of it."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections import OrderedDict, deque

from cobs import cobs

from hwloop.errors import DeviceError
from hwloop.link.protocol import REPLY_BIT, Header, ResetCause
from hwloop.mock.bench import Bench
from hwloop.mock.chips import wiring
from hwloop.mock.chips.panel import ChipPanel
from hwloop.mock.firmware import EMULATED, Firmware, FirmwareProcess
from hwloop.mock.hosts import CHUNK_BYTES, Host, HostServer

# Frames on their way into the firmware's port; the rest waits with the hosts, which take turns.
PORT_BYTES = 4096
ASKED_FRAMES = 1024
# What the last byte of FINISH and HELLO may be, and how long more bytes are waited for.
ASKING, GATHER_SECONDS = (wiring.STREAM_FINISH, wiring.STREAM_VERSION), 2e-4
START_SECONDS = 20.0
# A firmware that keeps dying as soon as it is started is given up.
QUICK_SECONDS, QUICK_DEATHS = 2.0, 5


class FirmwareServer(HostServer):
    """Passes whole frames between hosts and the firmware's port, and the firmware's stream to the chips.

    A reply goes to the host that asked last with its kind, session and sequence. Where the firmware dies, every line is
    grounded and it is started again, as by its watchdog. Raises DeviceError where it does not live.
    """

    def __init__(self, bench: Bench, firmware: Firmware):
        super().__init__(bench.geometry.max_frame_bytes)
        self.bench, self.panel, self.firmware = bench, ChipPanel(bench), firmware
        self._asked: OrderedDict[tuple[int, int, int], Host] = OrderedDict()
        self._orphaned: deque[bytes] = deque()
        self._to_port, self._to_chips, self._said = bytearray(), bytearray(), b""
        self._quick_deaths = 0
        # Before the firmware waits for an answer, and its dead-man for the host.
        self.panel.compile_kernels()
        self.process = FirmwareProcess(firmware)

    def end(self) -> None:
        """See HostServer."""
        self.process.close()
        with self.bench.lock:
            self.panel.cut()
        for sentence in [*self.panel.violations, *filter(None, [self.panel.failure])]:
            sys.stderr.write(f"simulated chips: {sentence}\n")
        self.bench.end()

    def left(self, host: Host) -> None:
        """Its frames are still carried out; a half one reaches the firmware as what it is."""
        self._orphaned += host.frames
        if host.rest:
            self._orphaned.append(host.rest)

    def own_descriptors(self) -> tuple[list[int], list[int]]:
        """See HostServer."""
        port, chips = self.process.port.fileno(), self.process.chips.fileno()
        return [port, chips], [port] * bool(self._to_port) + [chips] * bool(self._to_chips)

    def serve_own(self, readable: set[int], writable: set[int]) -> None:
        """See HostServer."""
        process = self.process
        if not self.panel.is_running and time.monotonic() - process.started_seconds > START_SECONDS:
            raise DeviceError(
                f"{self.firmware.path}: the firmware says nothing for {START_SECONDS:g} s after its start; is it one?"
            )
        try:
            if process.chips.fileno() in readable:
                emulated = self.firmware.backend == EMULATED
                stream = _gathered(process.chips) if emulated else _received(process.chips)
                with self.bench.lock:
                    self._to_chips += self.panel.feed(stream)
                # The firmware looks at its port before its dead-man: what hosts said meanwhile has to be there first.
                self.hear_all()
                self.take(time.monotonic())
            if self.process is not process:
                return
            _send(process.chips, self._to_chips)
            if process.port.fileno() in readable:
                self._pass_replies(_received(process.port))
            _send(process.port, self._to_port)
        except (OSError, EOFError):
            self._start_again("it ended")
        except DeviceError as error:
            self._start_again(str(error))

    def take(self, now_seconds: float) -> None:
        """Frames of the hosts, one of each in turn, as far as the port takes them; a microcontroller that has not
        started yet would lose them."""
        while self.panel.is_running and len(self._to_port) < PORT_BYTES:
            turn = [host for host in self.hosts.values() if host.frames]
            if self._orphaned:
                self._to_port += self._orphaned.popleft() + b"\0"
            elif not turn:
                break
            for host in turn:
                block = host.frames.popleft()
                self._note_asked(block, host)
                self._to_port += block + b"\0"
        try:
            _send(self.process.port, self._to_port)
        except OSError:
            self._start_again("it ended")

    def _pass_replies(self, data: bytes) -> None:
        *blocks, self._said = (self._said + data).split(b"\0")
        for block in filter(None, blocks):
            asker = self._asked.get(_key_of(block))
            if asker is None and len(self.hosts) == 1:
                (asker,) = self.hosts.values()
            if asker is not None and self.hosts.get(asker.descriptor) is asker:
                self.tell(asker, block + b"\0")

    def _note_asked(self, block: bytes, host: Host) -> None:
        key = _key_of(block)
        if key is not None:
            self._asked[key] = host
            self._asked.move_to_end(key)
            if len(self._asked) > ASKED_FRAMES:
                self._asked.popitem(last=False)

    def _start_again(self, reason: str) -> None:
        lived_seconds = time.monotonic() - self.process.started_seconds
        status = self.process.close()
        with self.bench.lock:
            self.panel.cut(ResetCause.WATCHDOG)
        self._quick_deaths = self._quick_deaths + 1 if lived_seconds < QUICK_SECONDS else 0
        if self._quick_deaths >= QUICK_DEATHS:
            raise DeviceError(
                f"{self.firmware.path}: the firmware ended {self._quick_deaths} times right after its start, the last "
                f"time with exit status {status} ({reason}); run it by hand to see why"
            )
        self._to_port.clear()
        self._to_chips.clear()
        self._said = b""
        self.process = FirmwareProcess(self.firmware)


def _received(connection: socket.socket) -> bytes:
    """What has arrived. Raises EOFError where the other end is gone."""
    data = connection.recv(CHUNK_BYTES)
    if not data:
        raise EOFError
    return data


def _gathered(connection: socket.socket) -> bytes:
    """As `_received`, gathered until it may end in something that is to be answered: an emulator says byte after byte,
    and each look at them costs more than the byte."""
    data = _received(connection)
    while data[-1] not in ASKING and len(data) < CHUNK_BYTES:
        time.sleep(GATHER_SECONDS)
        try:
            data += _received(connection)
        except BlockingIOError:
            break
    return data


def _send(connection: socket.socket, data: bytearray) -> None:
    """Send what goes at once, and take it off `data`."""
    if data:
        try:
            del data[: connection.send(data)]
        except BlockingIOError:
            pass


def _key_of(block: bytes) -> tuple[int, int, int] | None:
    """(kind without the reply bit, session, sequence) of a coded frame; None where it is damaged."""
    try:
        kind, _, session, sequence = Header.STRUCT.unpack_from(cobs.decode(block))
    except (cobs.DecodeError, struct.error):
        return None
    return kind & ~REPLY_BIT, session, sequence
