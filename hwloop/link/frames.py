"""Frames on the wire: COBS of header, payload and CRC-32, ended by a zero byte. Bytes in, frames out; no ports."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from cobs import cobs

from hwloop.link.protocol import Header, Status

CRC = struct.Struct("<I")
OVERHEAD_BYTES = Header.STRUCT.size + CRC.size
# Statuses of a command that the board did not take, so that its sequence number is still free (wire table, "Sequence
# numbers"). A gap and a stale number are about other commands than the one refused.
NOT_TAKEN = frozenset({Status.NOT_OPEN, Status.BUSY, Status.SAFE_LATCHED})


@dataclass(frozen=True)
class Frame:
    """One frame that passed its CRC: the header's fields and the payload."""

    kind: int
    status: int
    session: int
    sequence: int
    payload: bytes

    def encode(self) -> bytes:
        """The bytes on the wire, delimiter included."""
        body = Header.STRUCT.pack(self.kind, self.status, self.session, self.sequence) + self.payload
        return cobs.encode(body + CRC.pack(zlib.crc32(body))) + b"\0"


class FrameReader:
    """Cuts a byte stream into frames. What is damaged is dropped and counted in `damaged`; what is longer than
    `max_frame_bytes` before COBS is never collected."""

    def __init__(self, max_frame_bytes: int = 1 << 16):
        self.max_frame_bytes = max_frame_bytes
        self.damaged = 0
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes, in order."""
        *blocks, self._rest = (self._rest + data).split(b"\0")
        frames = []
        for block in blocks:
            skipped, self._skipping = self._skipping, False
            frame = None if skipped else self._decode(block)
            if frame is not None:
                frames.append(frame)
            elif block or skipped:
                self.damaged += 1
        if len(self._rest) > self._coded_limit():
            self._rest, self._skipping = b"", True
        return frames

    def _decode(self, block: bytes) -> Frame | None:
        if not block or len(block) > self._coded_limit():
            return None
        try:
            body = cobs.decode(block)
        except cobs.DecodeError:
            return None
        if not OVERHEAD_BYTES <= len(body) <= self.max_frame_bytes:
            return None
        if CRC.unpack_from(body, len(body) - CRC.size)[0] != zlib.crc32(body[: -CRC.size]):
            return None
        return Frame(*Header.STRUCT.unpack_from(body), body[Header.STRUCT.size : -CRC.size])

    def _coded_limit(self) -> int:
        return self.max_frame_bytes + self.max_frame_bytes // 254 + 1
