"""Faults of a simulated instrument, set by tests and teachers, never over the wire."""

from __future__ import annotations

from dataclasses import dataclass


class PowerLossError(Exception):
    """The simulated instrument has just lost its power: nothing more is answered."""


@dataclass
class Faults:
    """What is wrong with an instrument. All of it may change while the instrument is served.

    `reply_delay_seconds` is real time before each reply; the next `garbled_replies` replies are damaged;
    `readings_until_power_loss` counts down at each reading; `is_off`: the mains switch.
    """

    reply_delay_seconds: float = 0.0
    garbled_replies: int = 0
    readings_until_power_loss: int | None = None
    interlock_open: bool = False
    is_off: bool = False

    def count_reading(self) -> None:
        """One reading begins. Raises PowerLossError where it was one too many."""
        if self.readings_until_power_loss is not None:
            if self.readings_until_power_loss <= 0:
                self.is_off = True
                raise PowerLossError
            self.readings_until_power_loss -= 1

    def damaged(self, reply: bytes) -> bytes:
        """The reply as it leaves: every third byte but the terminator is another one where it is to be garbled."""
        if not reply or self.garbled_replies <= 0:
            return reply
        self.garbled_replies -= 1
        body = bytearray(reply)
        body[:-1:3] = bytes(byte ^ 0x5F or 0x7E for byte in body[:-1:3])
        return bytes(body).replace(b"\n", b"~")[:-1] + reply[-1:]
