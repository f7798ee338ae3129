"""How the simulated board refuses a command: whole, before any line moves, with field, value and bounds."""

from __future__ import annotations

import numpy as np

from hwloop.link.protocol import Field, Refusal, Status


class Refused(Exception):
    """A command that is not carried out; `refusal` is the payload of the reply."""

    def __init__(self, status: Status, field: int = 0, position: int = 0, value: int = 0, low: int = 0, high: int = 0):
        self.status = status
        self.refusal = Refusal(int(field), int(position) & 0xFFFF, _int32(value), _int32(low), _int32(high))
        super().__init__(f"{status.name} {self.refusal}")


def check_range(field: Field, values: np.ndarray, low: int, high: int) -> None:
    """Refuse where a value (array of integers, or one) lies outside low…high."""
    values = np.atleast_1d(values)
    bad = (values < low) | (values > high)
    if bad.any():
        position = int(bad.argmax())
        raise Refused(Status.OUT_OF_RANGE, field, position, int(values[position]), low, high)


def _int32(value: int) -> int:
    return (int(value) + 2**31) % 2**32 - 2**31
