"""TSP over a port: statements of Lua in one message, with the question for the error queue at its end."""

from __future__ import annotations

import numpy as np

from hwloop.drivers.scpi import raise_refusal, without_overflows
from hwloop.errors import GarbledReplyError, InstrumentTimeoutError
from hwloop.link.visa import VisaPort

_ERRORS = "errorqueue.next()"
# Code, text, severity and node of one entry; the code is 0 where the queue is empty.
_ENTRY_FIELDS = 4
# More than the instrument keeps; a queue that never empties is not read for ever.
_QUEUE_ENTRIES = 64


class Tsp:
    """An instrument's script side. Every message ends with the error queue, so an error is raised with its step.

    Statements go a line each: one that fails ends its own line, and the print at the end still runs.
    """

    def __init__(self, port: VisaPort):
        self.port = port

    def ask(self, statements: list[str], *values: str, expected_seconds: float = 0.0) -> list[str]:
        """Run `statements`; gives what `values`, expressions of Lua, then are, as printed.

        Raises InstrumentRefusalError with all entries of the error queue, GarbledReplyError where replies do not fit.
        """
        message = "\n".join([*statements, f"print({', '.join([*values, _ERRORS])})"])
        fields = self._printed(message, expected_seconds)
        self._check(message, fields[-_ENTRY_FIELDS:])
        if len(fields) != len(values) + _ENTRY_FIELDS:
            raise self.garbled(message, "\t".join(fields))
        return fields[:-_ENTRY_FIELDS]

    def ask_doubles(
        self, statements: list[str], rows: int, columns: list[str], expected_seconds: float = 0.0
    ) -> np.ndarray:
        """Run `statements`; gives the first `rows` of buffers' `columns`, as (rows, columns), overflows as NaN."""
        count = rows * len(columns)
        message = "\n".join([*statements, f"printbuffer(1, {rows}, {', '.join(columns)})", f"print({_ERRORS})"])
        block, text = self.port.query_block(message, 8 * count, expected_seconds)
        entry = self.port.next_line(message) if block else text
        self._check(message, entry.split("\t"))
        if len(block) != 8 * count:
            raise self.garbled(message, text)
        return without_overflows(np.frombuffer(block, "<f8")).reshape(rows, len(columns))

    def number(self, message: str, field: str) -> float:
        """One printed number. Raises GarbledReplyError."""
        try:
            return float(field)
        except ValueError as error:
            raise self.garbled(message, field) from error

    def garbled(self, message: str, reply: str) -> GarbledReplyError:
        """The error for a reply that cannot be understood."""
        self.port.in_step = False
        remedy = "check that nothing else talks to the instrument, then configure it again"
        return GarbledReplyError(self.port.name, message, f"garbled reply {reply[:60]!r}", remedy)

    def _printed(self, message: str, expected_seconds: float) -> list[str]:
        """The fields of one print. Where the print itself fails, the error queue says why."""
        try:
            return self.port.query(message, expected_seconds).split("\t")
        except InstrumentTimeoutError as error:
            try:
                entry = self.port.query(f"print({_ERRORS})")
            except InstrumentTimeoutError:
                raise error from None
            self._check(message, entry.split("\t"))
            raise

    def _check(self, message: str, fields: list[str]) -> None:
        entries = [self._entry(message, fields)]
        while entries[-1][0] != 0 and len(entries) < _QUEUE_ENTRIES:
            query = f"print({_ERRORS})"
            entries.append(self._entry(query, self.port.query(query).split("\t")))
        raise_refusal(self.port.name, message, tuple(entry for entry in entries if entry[0] != 0))

    def _entry(self, message: str, fields: list[str]) -> tuple[int, str]:
        if len(fields) != _ENTRY_FIELDS:
            raise self.garbled(message, "\t".join(fields))
        return int(self.number(message, fields[0])), fields[1]
