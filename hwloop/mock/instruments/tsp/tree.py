"""The object tree that scripts see: groups of checked attributes, constants and functions, declared as data.

On the instrument every object is a table with a metatable whose `Getters`, `Setters` and `Objects` list what it has;
programs on the host read these to find out what an instrument can do, so they are the form used here too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hwloop.mock.instruments.tsp.errors import TspError

Check = Callable[[Any], Any]


@dataclass(eq=False)
class Node:
    """One object of the tree. `owner` is what functions receive when a script passes the object as an argument."""

    luatype: str
    getters: dict[str, Callable[[], Any]] = field(default_factory=dict)
    setters: dict[str, Callable[[Any], None]] = field(default_factory=dict)
    objects: dict[str, Any] = field(default_factory=dict)
    get_index: Callable[[int], Any] | None = None
    set_index: Callable[[int, Any], None] | None = None
    call: Callable[..., Any] | None = None
    owner: Any = None


@dataclass(frozen=True)
class Attribute:
    """An attribute that scripts read and, where `check` is given, write. `check` returns the value kept, or raises."""

    default: Any
    check: Check | None = None


class Group:
    """Attributes of one object, kept as Python attributes under their manual names; `reset` restores the defaults."""

    def __init__(self, luatype: str, **attributes: Attribute):
        self._luatype = luatype
        self._attributes = attributes
        self.before_write: Callable[[], None] = _nothing
        self.reset()

    def reset(self) -> None:
        """Every attribute takes its default."""
        for name, attribute in self._attributes.items():
            setattr(self, name, attribute.default)

    def write(self, name: str, value: Any) -> None:
        """What an assignment in a script does: checks, then keeps."""
        check = self._attributes[name].check
        if check is None:
            raise TspError(1100)
        self.before_write()
        setattr(self, name, check(value))

    def node(self, **objects: Any) -> Node:
        """The group as scripts see it, with further `objects` (functions, constants, nodes)."""
        names = self._attributes
        return Node(
            self._luatype,
            {name: lambda name=name: getattr(self, name) for name in names},
            {name: lambda value, name=name: self.write(name, value) for name in names if names[name].check},
            objects,
            owner=self,
        )


def number(low: float = -math.inf, high: float = math.inf) -> Check:
    """A number between two bounds; outside: errors 1102 and 1101."""

    def check(value: Any) -> float:
        value = as_number(value)
        if value < low:
            raise TspError(1102)
        if value > high:
            raise TspError(1101)
        return value

    return check


def choice(*allowed: float) -> Check:
    """One of some numbers; true and false count as 1 and 0; else error -224."""

    def check(value: Any) -> float:
        value = as_number(value)
        if value not in allowed:
            raise TspError(-224)
        return value

    return check


def switch(value: Any) -> bool:
    """true or false, or 1 or 0."""
    return bool(choice(0.0, 1.0)(value))


def text(value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise TspError(-104)
    return value


def as_number(value: Any) -> float:
    """A Lua number (or boolean, or numeric string) as float; errors -109 for nil and -104 for anything else."""
    if value is None:
        raise TspError(-109)
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise TspError(-104) from None
    if math.isnan(result):
        raise TspError(-104)
    return result


def _nothing() -> None:
    """A group that nobody watches."""


def argument(arguments: tuple, position: int) -> Any:
    """Argument number `position` (from 1) of a call; error 1400 when it is missing."""
    if len(arguments) < position or arguments[position - 1] is None:
        raise TspError(1400, position)
    return arguments[position - 1]


def number_argument(arguments: tuple, position: int, default: float | None = None) -> float:
    """Numeric argument number `position` (from 1); errors 1400 and 1401."""
    if default is not None and (len(arguments) < position or arguments[position - 1] is None):
        return default
    try:
        return as_number(argument(arguments, position))
    except TspError as error:
        raise error if error.number == 1400 else TspError(1401, position) from None
