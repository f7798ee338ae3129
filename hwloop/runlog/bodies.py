"""What the records of a journal hold: controller events, requests about to be sent, replies as they came."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwloop.runlog.framing import Kind, Record

_EVENT = struct.Struct("<I")                    # bytes of the JSON text, UTF-8; arrays follow, one after the other
_REQUEST = struct.Struct("<IHHHHH")             # exchange, flags, session, first sequence, first index, frames
_REQUEST_FRAME = struct.Struct("<BBH")          # kind, 0, payload bytes; then all payloads
_REPLY = struct.Struct("<IHHIIQ")               # exchange, flags, frames, bytes sent and received since, bench ticks
_REPLY_FRAME = struct.Struct("<HBBHH")          # index within the exchange, status, frame flags, payload bytes, 0

RECOVERY = 1            # of a request: sent to find out what became of the run, not by the controller
UNKNOWN = 1             # of a reply's frame: nobody knows whether the board carried it out, and it is not sent again
COMPRESSED_FROM_BYTES = 256


@dataclass(frozen=True)
class Event:
    """Something that the controller says: `fields` as plain JSON values, `arrays` by name."""

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The body of its record."""
        listed, blobs = [], []
        for name, values in self.arrays.items():
            values = np.ascontiguousarray(values)
            # Indices mostly step evenly: as differences they compress to nearly nothing.
            is_delta = values.ndim == 1 and values.dtype.kind in "iu" and values.size > 1
            blob = (np.diff(values, prepend=values.dtype.type(0)) if is_delta else values).tobytes()
            packed = zlib.compress(blob, 1) if len(blob) >= COMPRESSED_FROM_BYTES else blob
            is_packed = len(packed) < 0.9 * len(blob)
            blobs.append(packed if is_packed else blob)
            listed.append({
                "name": name, "dtype": values.dtype.str, "shape": list(values.shape), "bytes": len(blobs[-1]),
                "zlib": is_packed, "delta": is_delta,
            })
        text = json.dumps({"event": self.name, "fields": self.fields, "arrays": listed}, ensure_ascii=False,
                          separators=(",", ":"), default=_plain).encode("utf-8", "backslashreplace")
        return b"".join((_EVENT.pack(len(text)), text, *blobs))

    @staticmethod
    def decode(body: bytes, with_arrays: bool = True) -> Event:
        """The event in a record's body; arrays, which may be large, are copies that may be written to."""
        size = _EVENT.unpack_from(body)[0]
        told = json.loads(body[_EVENT.size : _EVENT.size + size])
        arrays, offset = {}, _EVENT.size + size
        for item in told["arrays"] if with_arrays else ():
            blob = body[offset : offset + item["bytes"]]
            offset += item["bytes"]
            blob = zlib.decompress(blob) if item["zlib"] else blob
            values = np.frombuffer(blob, item["dtype"]).reshape(item["shape"])
            arrays[item["name"]] = np.cumsum(values, dtype=values.dtype) if item["delta"] else values.copy()
        return Event(told["event"], told["fields"], arrays)


@dataclass(frozen=True)
class Requests:
    """Frames (kind, payload) of one exchange, written before the first of them is sent.

    `exchange` counts exchanges of the run; the frames have the sequence numbers `sequence`, +1, … of `session` (one
    tag where they are not sequenced). Where an exchange is gone on with, what is left of it, from frame `first` on, is
    written again under the same `exchange`.
    """

    exchange: int
    session: int
    sequence: int
    frames: Sequence[tuple[int, bytes]]
    first: int = 0
    recovery: bool = False

    def encode(self) -> bytes:
        """The body of its record."""
        flags = RECOVERY if self.recovery else 0
        head = _REQUEST.pack(self.exchange, flags, self.session, self.sequence, self.first, len(self.frames))
        listed = [_REQUEST_FRAME.pack(kind, 0, len(payload)) for kind, payload in self.frames]
        return b"".join((head, *listed, *(payload for _, payload in self.frames)))

    @staticmethod
    def decode(body: bytes) -> Requests:
        """The frames in a record's body."""
        exchange, flags, session, sequence, first, count = _REQUEST.unpack_from(body)
        listed = _REQUEST_FRAME.iter_unpack(body[_REQUEST.size : _REQUEST.size + count * _REQUEST_FRAME.size])
        offset, frames = _REQUEST.size + count * _REQUEST_FRAME.size, []
        for kind, _, size in listed:
            frames.append((kind, body[offset : offset + size]))
            offset += size
        return Requests(exchange, session, sequence, frames, first, bool(flags & RECOVERY))


@dataclass(frozen=True)
class ReplyFrame:
    """The reply to frame `index` of its exchange. `unknown`: there is none and never will be; see UNKNOWN."""

    index: int
    status: int
    payload: bytes
    unknown: bool = False


@dataclass(frozen=True)
class Replies:
    """Replies that arrived together. `bytes_sent`, `bytes_received`: on the wire since the record before of the same
    exchange; `ticks`: bench time after the last of them, 0 where not known."""

    exchange: int
    bytes_sent: int
    bytes_received: int
    ticks: int
    frames: Sequence[ReplyFrame]
    recovery: bool = False

    def encode(self) -> bytes:
        """The body of its record."""
        head = _REPLY.pack(
            self.exchange, RECOVERY if self.recovery else 0, len(self.frames), self.bytes_sent, self.bytes_received,
            self.ticks,
        )
        listed = [
            _REPLY_FRAME.pack(frame.index, frame.status, UNKNOWN if frame.unknown else 0, len(frame.payload), 0)
            for frame in self.frames
        ]
        return b"".join((head, *listed, *(frame.payload for frame in self.frames)))

    @staticmethod
    def decode(body: bytes) -> Replies:
        """The replies in a record's body."""
        exchange, flags, count, sent, received, ticks = _REPLY.unpack_from(body)
        listed = _REPLY_FRAME.iter_unpack(body[_REPLY.size : _REPLY.size + count * _REPLY_FRAME.size])
        offset, frames = _REPLY.size + count * _REPLY_FRAME.size, []
        for index, status, frame_flags, size, _ in listed:
            frames.append(ReplyFrame(index, status, body[offset : offset + size], bool(frame_flags & UNKNOWN)))
            offset += size
        return Replies(exchange, sent, received, ticks, frames, bool(flags & RECOVERY))


def told_by(record: Record, with_arrays: bool = True) -> Event | Requests | Replies | None:
    """What a record says; None where this version does not know its kind. Events come without their arrays unless
    `with_arrays`."""
    match record.kind:
        case Kind.EVENT:
            return Event.decode(record.body, with_arrays)
        case Kind.REQUEST:
            return Requests.decode(record.body)
        case Kind.REPLY:
            return Replies.decode(record.body)
    return None


def _plain(value: Any) -> Any:
    """What JSON does not know: numpy values as Python ones, the rest (paths, dates) as text."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
