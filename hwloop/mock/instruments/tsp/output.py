"""How the instrument prints numbers: `format` and the transfer of buffers as text or as binary blocks."""

from __future__ import annotations

import numpy as np

from hwloop.mock.instruments.tsp.buffers import Column, ReadingBuffer
from hwloop.mock.instruments.tsp.errors import TspError
from hwloop.mock.instruments.tsp.tree import Attribute, Group, Node, argument, as_number, number_argument

_ASCII, _REAL32, _REAL64 = 1.0, 2.0, 3.0
_BIG, _LITTLE = 0.0, 1.0


class Output:
    """`format` and everything printed since the last message, as bytes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.format = Group(
            "format",
            data=Attribute(_ASCII, _one_of(1406, _ASCII, _REAL32, _REAL64)),
            asciiprecision=Attribute(6.0, _one_of(1405, *map(float, range(1, 17)))),
            byteorder=Attribute(_LITTLE, _one_of(1404, _BIG, _LITTLE)),
        )

    def take(self) -> bytes:
        """What was printed, once."""
        printed, self._parts = b"".join(self._parts), []
        return printed

    def clear(self) -> None:
        """Empties the output queue (*CLS)."""
        self._parts.clear()

    @property
    def is_waiting(self) -> bool:
        """Whether something was printed and not yet taken."""
        return bool(self._parts)

    def text(self, text: str) -> None:
        """Prints text as it is."""
        self._parts.append(text.encode("latin-1"))

    def number(self, value: float) -> str:
        """A number as print() shows it: 1.00000e+00."""
        return f"{value:.{int(self.format.asciiprecision) - 1}e}"

    def print_number(self, *values: object) -> None:
        """printnumber(1, 2, …)"""
        argument(values, 1)
        self._print([as_number(value) for value in values])

    def print_buffer(self, *arguments: object) -> None:
        """printbuffer(first, last, column or buffer, …): the columns interleaved, one line or one block."""
        first, last = (number_argument(arguments, position) for position in (1, 2))
        argument(arguments, 3)
        columns = [self._column(source, position) for position, source in enumerate(arguments[2:], 3)]
        most = min(len(column.buffer.entries) if column.buffer.count() else 0 for column in columns)
        if first < 1 or last > most or first > last:
            raise TspError(5038)
        indices = range(int(first), int(last) + 1)
        self._print([column.value(index) for index in indices for column in columns])

    def node(self) -> Node:
        """`format` as scripts see it."""
        return self.format.node(
            ASCII=_ASCII,
            SREAL=_REAL32,
            REAL32=_REAL32,
            REAL=_REAL64,
            REAL64=_REAL64,
            DREAL=_REAL64,
            NORMAL=_BIG,
            NETWORK=_BIG,
            BIGENDIAN=_BIG,
            SWAPPED=_LITTLE,
            LITTLEENDIAN=_LITTLE,
        )

    def _print(self, values: list) -> None:
        if self.format.data == _ASCII:
            shown = [value if isinstance(value, str) else self.number(value) for value in values]
            self.text(", ".join(shown) + "\n")
            return
        kind = ("<" if self.format.byteorder == _LITTLE else ">") + ("f4" if self.format.data == _REAL32 else "f8")
        if any(isinstance(value, str) for value in values):
            raise TspError(1406)
        self._parts.append(b"#0" + np.array(values, dtype=kind).tobytes() + b"\n")

    @staticmethod
    def _column(source: object, position: int) -> Column:
        if isinstance(source, ReadingBuffer):
            return Column(source, "readings")
        if isinstance(source, Column):
            return source
        raise TspError(1401, position)


def _one_of(error: int, *allowed: float):
    def check(value: object) -> float:
        value = as_number(value)
        if value not in allowed:
            raise TspError(error)
        return value

    return check
