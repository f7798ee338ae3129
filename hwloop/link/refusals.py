"""What a board says when it refuses a command, as the error that it stands for."""

from __future__ import annotations

import struct

from hwloop.errors import (
    AmbiguousError,
    BoardError,
    DeviceError,
    HwloopError,
    LimitError,
    SafetyError,
    WireVersionError,
)
from hwloop.link.frames import Frame
from hwloop.link.protocol import WIRE_HASH, Command, Field, Refusal, SafeReason, Status


def refusal_error(kind: Command, reply: Frame) -> HwloopError:
    """The error that a refusing reply stands for."""
    try:
        status, refusal = Status(reply.status), Refusal.unpack(reply.payload)
    except (ValueError, struct.error) as error:
        return BoardError(f"{kind.name} was refused outside the wire table (status {reply.status}: {error})")
    about = Field(refusal.field).name if refusal.field in Field._value2member_map_ else f"field {refusal.field}"
    match status:
        case Status.OUT_OF_RANGE:
            return LimitError(
                f"{kind.name} {about} at entry {refusal.position}", refusal.value, f"{refusal.low} to {refusal.high}",
                "(board code)", "the board refused the whole command and moved no line",
            )
        case Status.WIRE_MISMATCH:
            return WireVersionError(WIRE_HASH, refusal.value & 0xFFFFFFFF, "unknown")
        case Status.BUSY:
            return DeviceError(
                f"another host has session {refusal.value} open on this board; end it, or wait for its dead-man"
            )
        case Status.SAFE_LATCHED:
            return SafetyError(
                f"{kind.name} was refused: the board is in its safe state (reason: {_safe_reason(refusal.value)}), its "
                "compensation and routing are gone; open a new session to go on"
            )
        case Status.NOT_OPEN:
            return SafetyError(f"{kind.name} was refused: this session is not open on the board (was it reset?)")
        case Status.SEQUENCE_STALE:
            return AmbiguousError(
                (f"{kind.name} {reply.sequence}",), "the board answered it so long ago that the reply is gone"
            )
        case Status.FAULT:
            return BoardError(f"{kind.name} failed: the board found itself broken and grounded every line")
    return BoardError(f"{kind.name} was refused: {status.name} ({about}, value {refusal.value})")


def expected_sequence(reply: Frame) -> int:
    """The sequence number that a board in a gap wants next. Raises BoardError where the refusal is malformed."""
    try:
        return Refusal.unpack(reply.payload).value & 0xFFFF
    except struct.error as error:
        raise BoardError(f"the board reports a sequence gap in a way that cannot be understood ({error})") from error


def _safe_reason(value: int) -> str:
    known = value in SafeReason._value2member_map_
    return SafeReason(value).name.lower().replace("_", "-") if known else f"number {value}"
