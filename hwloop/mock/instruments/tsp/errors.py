"""The error queue: numbers, texts and severities as in the reference manual's error summary list."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

_CAPACITY = 100  # the manual names no figure; the last entry then becomes -350
RECOVERABLE, SERIOUS = 20.0, 30.0

TEXTS = {
    -420: "Query UNTERMINATED",
    -363: "Input Buffer Over-run",
    -350: "Queue Overflow",
    -292: "Referenced name does not exist",
    -286: "TSP Runtime error",
    -285: "Program Syntax",
    -282: "Illegal program name",
    -224: "Illegal Parameter Value",
    -222: "Parameter Data Out of Range",
    -221: "Settings Conflict",
    -113: "Undefined header",
    -109: "Missing Parameter",
    -104: "Data Type Error",
    802: "OUTPUT blocked by interlock",
    1100: "Command Unavailable",
    1101: "Parameter Too Big",
    1102: "Parameter Too Small",
    1400: "Expected at least %d parameters",
    1401: "Parameter %d is invalid",
    1404: "Invalid byte order",
    1405: "Invalid ASCII precision",
    1406: "Invalid data format",
    4900: "Reading buffer index %s is invalid",
    4901: "The maximum index for this buffer is %d",
    5005: "Value too big for range",
    5007: "Operation would exceed safe operating area of the instrument",
    5008: "Operation not permitted while output is on",
    5025: "Cannot set filter.count > 1 when measure.count > 1",
    5032: "Cannot change this setting unless buffer is cleared",
    5033: "Reading buffer not found within device",
    5038: "Index exceeds maximum reading",
    5040: "Cannot use same reading buffer for multiple overlapped measurements",
    5041: "Output Enable not asserted",
    5042: "Invalid while overlapped measure",
    5059: "trigger.source.action enabled without configuration",
    5060: "trigger.measure.action enabled without configuration",
}
_SERIOUS = {802, 5041}


class TspError(Exception):
    """Something that the instrument puts into its error queue; a script goes on after it."""

    def __init__(self, number: int, *parts: object, text: str | None = None):
        self.number = number
        self.text = text if text is not None else TEXTS[number] % parts
        super().__init__(f"{number}, {self.text}")


class QueuedError(NamedTuple):
    """One entry: number, text, severity (20 recoverable, 30 serious) and node, as errorqueue.next() returns them."""

    number: float
    text: str
    severity: float
    node: float


class ErrorQueue:
    """First in, first out; a full queue ends with -350."""

    def __init__(self, node: int = 1):
        self._node = float(node)
        self._entries: deque[QueuedError] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def push(self, error: TspError) -> None:
        """Adds an error."""
        if len(self._entries) == _CAPACITY:
            self._entries.pop()
            error = TspError(-350)
        severity = SERIOUS if error.number in _SERIOUS else RECOVERABLE
        self._entries.append(QueuedError(float(error.number), error.text, severity, self._node))

    def next(self) -> QueuedError:
        """Takes the oldest entry; number 0 when there is none."""
        return self._entries.popleft() if self._entries else QueuedError(0.0, "Queue Is Empty", 0.0, self._node)

    def clear(self) -> None:
        """Forgets all entries."""
        self._entries.clear()
