"""How the simulated board refuses a command: whole, before any line moves, with field, value and bounds."""

from __future__ import annotations

import numpy as np

from hwloop.link.protocol import Field, Refusal, Status


class RefusalError(Exception):
    """A command that is not carried out; `refusal` is the payload of the reply."""

    def __init__(
        self, status: Status, field: int = 0, position: int = 0, value: int = 0, low: int = 0, high: int = 0
    ):
        self.status = status
        self.refusal = Refusal(int(field), int(position) & 0xFFFF, _int32(value), _int32(low), _int32(high))
        super().__init__(f"{status.name} {self.refusal}")


def check_range(field: Field, values: np.ndarray | int, low: int, high: int, position: int = 0) -> None:
    """Refuse where a value (array of integers, or one) is outside low…high; `position` is where the first stands."""
    values = np.atleast_1d(values)
    bad = (values < low) | (values > high)
    if bad.any():
        at = int(bad.argmax())
        raise RefusalError(Status.OUT_OF_RANGE, field, position + at, int(values[at]), low, high)


def check_length(given_bytes: int, wanted_bytes: int) -> None:
    """Refuse a payload that is shorter or longer than its fields say."""
    if given_bytes != wanted_bytes:
        raise RefusalError(Status.BAD_LENGTH, Field.ENTRIES, 0, given_bytes, wanted_bytes, wanted_bytes)


def _int32(value: int) -> int:
    return (int(value) + 2**31) % 2**32 - 2**31
