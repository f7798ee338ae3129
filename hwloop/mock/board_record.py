"""What the Python board keeps beside its bench: session, registers and cached replies; all of it, or what changed."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hwloop.link import protocol as wire
from hwloop.link.frames import Frame
from hwloop.mock.packing import pack_columns, unpack_columns
from hwloop.mock.session import remember

_HEAD = struct.Struct("<?H?BHHH")
_LENGTH = struct.Struct("<I")


class SessionState(NamedTuple):
    """Whose the board is, and where it stands. What a board has that was reset stands as the defaults."""

    session: int = 0
    armed: bool = False
    safe_reason: int = wire.SafeReason.RESET
    open_tag: int = 0
    expected: int = 0


@dataclass(frozen=True)
class BoardRecord:
    """The board after something happened. `whole`: nothing before it counts, registers not named are as after a reset.

    `register_index` (k,) and `register_value` (k,) are places and values in BoardRegisters.values(); `replies` are the
    newest in the cache, in order.
    """

    whole: bool
    session: SessionState
    register_index: np.ndarray
    register_value: np.ndarray
    replies: tuple[Frame, ...]

    def pack(self) -> bytes:
        """As bytes."""
        parts = [_HEAD.pack(self.whole, *self.session, len(self.replies))]
        parts.append(pack_columns([self.register_index, self.register_value]))
        for reply in self.replies:
            head = wire.Header.STRUCT.pack(reply.kind, reply.status, reply.session, reply.sequence)
            parts += [head, _LENGTH.pack(len(reply.payload)), reply.payload]
        return b"".join(parts)

    @classmethod
    def unpack(cls, data: bytes) -> BoardRecord:
        """What `pack` made."""
        whole, session, armed, safe_reason, open_tag, expected, count = _HEAD.unpack_from(data)
        (index, value), at = unpack_columns(data, _HEAD.size, 2)
        replies = []
        for _ in range(count):
            head = wire.Header.STRUCT.unpack_from(data, at)
            at += wire.Header.STRUCT.size
            (length,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size + length
            replies.append(Frame(*head, data[at - length : at]))
        return cls(whole, SessionState(session, armed, safe_reason, open_tag, expected), index, value, tuple(replies))


def replayed(
    records: Iterable[bytes], reset_values: np.ndarray
) -> tuple[SessionState, np.ndarray, OrderedDict[int, Frame]]:
    """Session, registers and reply cache after packed BoardRecords; `reset_values` are the registers after a reset."""
    session, values, cache = SessionState(), reset_values.copy(), OrderedDict()
    for record in map(BoardRecord.unpack, records):
        if record.whole:
            values[:] = reset_values
            cache.clear()
        session = record.session
        values[record.register_index] = record.register_value
        for reply in record.replies:
            remember(cache, reply)
    return session, values, cache
