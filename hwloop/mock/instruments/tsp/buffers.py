"""Reading buffers: nvbuffer1, nvbuffer2 and those that scripts make."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from hwloop.mock.instruments.tsp.errors import TspError
from hwloop.mock.instruments.tsp.tree import Attribute, Group, Node, argument, choice, number

NV_CAPACITY = 60_000  # readings with time stamps and source values, as the data sheet says
_COLUMNS = (
    "readings",
    "timestamps",
    "sourcevalues",
    "measureranges",
    "measurefunctions",
    "sourceranges",
    "sourcefunctions",
    "sourceoutputstates",
    "statuses",
    "units",
)


class Entry(NamedTuple):
    """One stored reading, in the words of the manual; `seconds` is the instrument's modelled time."""

    readings: float
    seconds: float
    sourcevalues: float
    measureranges: float
    measurefunctions: str
    sourceranges: float
    sourcefunctions: str
    sourceoutputstates: str
    statuses: float
    units: str


class Column(NamedTuple):
    """One column of a buffer, e.g. its time stamps; printbuffer takes it."""

    buffer: ReadingBuffer
    name: str

    def value(self, index: int) -> Any:
        """Item `index` (from 1)."""
        return self.buffer.value(self.name, index)


class ReadingBuffer:
    """Readings with their circumstances. `catch_up` is called before anyone looks, so that a running sweep counts."""

    def __init__(self, capacity: int, catch_up: Callable[[], None]):
        self.capacity = capacity
        self.entries: list[Entry] = []
        self.changed: Callable[[], None] = lambda: None  # called when readings come or go
        self._catch_up = catch_up
        only_while_empty = self._only_while_empty
        self.settings = Group(
            "reading_buffer",
            appendmode=Attribute(0.0, choice(0, 1)),
            cachemode=Attribute(1.0, choice(0, 1)),
            collectsourcevalues=Attribute(0.0, only_while_empty(choice(0, 1))),
            collecttimestamps=Attribute(1.0, only_while_empty(choice(0, 1))),
            timestampresolution=Attribute(1e-6, only_while_empty(number(1e-6, math.inf))),
            fillmode=Attribute(0.0, choice(0, 1)),
            fillcount=Attribute(float(capacity), number(1, capacity)),
        )

    def begin(self) -> None:
        """A measurement command is about to store; without append mode that clears first."""
        if not self.settings.appendmode:
            self.entries.clear()
            self.changed()

    def store(self, entry: Entry) -> None:
        """Keeps a reading; a full buffer keeps what it has, or with FILL_WINDOW the newest."""
        window = int(self.settings.fillcount) if self.settings.fillmode else self.capacity
        if len(self.entries) >= window:
            if not self.settings.fillmode:
                return
            del self.entries[0]
        self.entries.append(entry)
        self.changed()

    @property
    def is_full(self) -> bool:
        """Whether further readings would be lost."""
        return len(self.entries) >= self.capacity

    def clear(self) -> None:
        """Forgets all readings."""
        self._catch_up()
        self.entries.clear()
        self.changed()

    def count(self) -> float:
        """How many readings there are."""
        self._catch_up()
        return float(len(self.entries))

    def value(self, column: str, index: float) -> Any:
        """Item `index` (from 1) of a column; error 4900 outside. Times count from the first reading."""
        self._catch_up()
        if not 1 <= index <= len(self.entries):
            raise TspError(4900, f"{index:g}")
        entry = self.entries[int(index) - 1]
        if column == "timestamps":
            if not self.settings.collecttimestamps:
                raise TspError(4900, f"{index:g}")
            resolution = self.settings.timestampresolution
            return round((entry.seconds - self.entries[0].seconds) / resolution) * resolution
        if column == "sourcevalues" and not self.settings.collectsourcevalues:
            raise TspError(4900, f"{index:g}")
        return getattr(entry, column)

    def node(self) -> Node:
        """The buffer as scripts see it."""
        node = self.settings.node(
            clear=lambda *_: self.clear(),
            clearcache=lambda *_: None,
            **{name: self._column_node(name) for name in _COLUMNS},
        )
        node.getters["n"] = self.count
        node.getters["capacity"] = lambda: float(self.capacity)
        node.getters["next"] = lambda: self.count() % self.capacity + 1.0
        node.getters["basetimestamp"] = lambda: self.entries[0].seconds if self.entries else 0.0
        node.get_index = lambda index: self.value("readings", index)
        node.owner = self
        return node

    def statistics(self) -> list[tuple[str, Any]]:
        """Mean, standard deviation, count, least and greatest of the readings, as smuX.buffer.getstats() names them."""
        self._catch_up()
        values = [entry.readings for entry in self.entries]
        if not values:
            raise TspError(4900, "1")
        mean = math.fsum(values) / len(values)
        squares = math.fsum((value - mean) ** 2 for value in values)
        return [
            ("n", float(len(values))),
            ("mean", mean),
            ("stddev", math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else 0.0),
            ("min", min(values)),
            ("max", max(values)),
        ]

    def _column_node(self, name: str) -> Node:
        column = Column(self, name)
        return Node(
            "synchronous_table",
            objects={"getreading": lambda *arguments: column.value(argument(arguments, 1))},
            get_index=column.value,
            owner=column,
        )

    def _only_while_empty(self, check: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def checked(value: Any) -> Any:
            if self.entries:
                raise TspError(5032)
            return check(value)

        return checked
