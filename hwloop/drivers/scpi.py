"""SCPI over a port: commands in one message, with the question for the error queue at its end."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from hwloop.errors import (
    GarbledReplyError,
    InstrumentRefusalError,
    InstrumentTimeoutError,
    InterlockError,
)
from hwloop.link.visa import VisaPort

_Reply = TypeVar("_Reply")
ERROR_QUERY = ":SYST:ERR?"
# More than any of these instruments keeps; a queue that never empties is not read for ever.
_QUEUE_ENTRIES = 64
_ENTRY = re.compile(r'([-+]?\d+)\s*,\s*"(.*)"', re.DOTALL)
_FIELD = re.compile(r'(?:[^";]|"[^"]*")+')
# What SCPI answers for a value that is none (1999, volume 1, 7.2.1.4): not a number, and both infinities.
_NO_NUMBER = 9.9e37


class Scpi:
    """An instrument's SCPI side. Every message ends with the error query, so an error is raised with its step."""

    def __init__(self, port: VisaPort):
        self.port = port

    def ask(self, *parts: str, expected_seconds: float = 0.0) -> list[str]:
        """Send `parts`, commands and queries, as one message; gives the replies to its queries.

        Raises InstrumentRefusalError with all entries of the error queue, GarbledReplyError where replies do not fit.
        """
        message, fields = self._fields(parts, expected_seconds)
        if len(fields) != sum("?" in part for part in parts):
            raise self.garbled(message, ";".join(fields))
        return fields

    def ask_text(self, query: str) -> str:
        """The reply to one query that may have semicolons in it. Raises as `ask`."""
        return ";".join(self._fields((query,), 0.0)[1])

    def ask_doubles(self, count: int, *parts: str, expected_seconds: float = 0.0) -> np.ndarray:
        """As `ask`; the only query among `parts` answers with a block of little-endian doubles, given as (count,).

        Values that SCPI gives for "not a number" and "infinite" come as NaN.
        """
        message = ";".join([*parts, ERROR_QUERY])
        block, rest = self._or_refusal(message, lambda: self.port.query_block(message, 8 * count, expected_seconds))
        self.check(message, rest.lstrip(";"))
        if len(block) != 8 * count:
            raise self.garbled(message, rest)
        return without_overflows(np.frombuffer(block, "<f8"))

    def check(self, message: str, entry: str) -> None:
        """Raises InstrumentRefusalError where `entry`, the answer to the error query, is an error."""
        entries = [self._entry(message, entry)]
        while entries[-1][0] != 0 and len(entries) < _QUEUE_ENTRIES:
            entries.append(self._entry(ERROR_QUERY, self.port.query(ERROR_QUERY)))
        raise_refusal(self.port.name, message, tuple(entry for entry in entries if entry[0] != 0))

    def garbled(self, message: str, reply: str) -> GarbledReplyError:
        """The error for a reply that cannot be understood."""
        self.port.in_step = False
        remedy = "check that nothing else talks to the instrument, and that it speaks SCPI, then configure it again"
        return GarbledReplyError(self.port.name, message, f"garbled reply {reply[:60]!r}", remedy)

    def numbers(self, message: str, text: str, count: int) -> np.ndarray:
        """`count` numbers of a reply, separated by commas, as (count,); overflows as NaN. Raises GarbledReplyError."""
        try:
            values = np.array(text.split(","), float)
        except ValueError as error:
            raise self.garbled(message, text) from error
        if values.size != count:
            raise self.garbled(message, f"{values.size} numbers instead of {count}: {text}")
        return without_overflows(values)

    def number(self, message: str, field: str) -> float:
        """One number of a reply. Raises GarbledReplyError."""
        try:
            return float(field)
        except ValueError as error:
            raise self.garbled(message, field) from error

    def _fields(self, parts: tuple[str, ...], expected_seconds: float) -> tuple[str, list[str]]:
        """The message that was sent, and the fields of its reply before that of the error query."""
        message = ";".join([*parts, ERROR_QUERY])
        fields = _FIELD.findall(self._or_refusal(message, lambda: self.port.query(message, expected_seconds)))
        self.check(message, fields[-1] if fields else "")
        return message, [field.strip() for field in fields[:-1]]

    def _or_refusal(self, message: str, exchange: Callable[[], _Reply]) -> _Reply:
        """A parser may drop the rest of a message behind an error, the error query too: then the queue says why."""
        try:
            return exchange()
        except (InstrumentTimeoutError, GarbledReplyError) as error:
            try:
                entry = self.port.query(ERROR_QUERY)
            except InstrumentTimeoutError:
                raise error from None
            self.check(message, entry)
            raise

    def _entry(self, message: str, text: str) -> tuple[int, str]:
        match = _ENTRY.fullmatch(text.strip())
        if match is None:
            raise self.garbled(message, text)
        # Keithleys append severity and date to the text, behind semicolons.
        return int(match[1]), match[2].split(";")[0]


def raise_refusal(resource: str, message: str, entries: tuple[tuple[int, str], ...]) -> None:
    """Raises InterlockError or InstrumentRefusalError where there are `entries`."""
    if any("interlock" in text.lower() for _, text in entries):
        raise InterlockError(resource, message, entries)
    if entries:
        raise InstrumentRefusalError(resource, message, entries)


def without_overflows(values: np.ndarray) -> np.ndarray:
    """`values` with NaN where SCPI's numbers for "not a number" or "infinite" stand."""
    return np.where(np.abs(values) < _NO_NUMBER, values, np.nan)
