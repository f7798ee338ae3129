"""Options that several verbs share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hwloop.errors import UsageError
from hwloop.units import parse_quantity

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
ARRAYS = click.Choice(["A", "B", "both"])


def simulated_board(function: Callable) -> Callable:
    """--state and --pristine, keys of [board] that belong to a simulated one."""
    state = click.option("--state", type=FILE, metavar="PATH", help="Keep the simulated cells in this file.")
    pristine = click.option("--pristine", is_flag=True, default=None, help="The simulated array starts unformed.")
    return state(pristine(function))


def range_of(name: str) -> Callable:
    """An option such as --rows 3 or --rows 0:16: first and one past the last, or None for all."""
    text = f"Only these {name}.  [default: all]"
    return click.option(f"--{name}", type=IndexRange(), metavar="N|FIRST:END", help=text)


class Penalty(click.ParamType):
    """A finite number, 0 or more."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if not (math.isfinite(found) and found >= 0.0):
            self.fail(f"{value!r}: expected a number, 0 or more", param, ctx)
        return found


class Quantity(click.ParamType):
    """A value with its unit, such as "0.4 V", to an SI float of at least `least`."""

    name = "quantity"

    def __init__(self, dimension: str, least: float):
        self._dimension, self._least = dimension, least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            found = parse_quantity(value, self._dimension, "the value")
        except UsageError as error:
            self.fail(str(error), param, ctx)
        if found < self._least:
            self.fail(f"{value!r}: expected {self._least:g} {self._dimension} or more", param, ctx)
        return found


class IndexRange(click.ParamType):
    """ "7" or "0:16" to a range; END is not included, as in Python."""

    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> range:
        if isinstance(value, range):
            return value
        first, colon, end = value.partition(":")
        if not _is_index(first) or (colon and not _is_index(end)):
            self.fail(f"{value!r} is not an index (7) or a range (0:16)", param, ctx)
        found = range(int(first), int(end) if colon else int(first) + 1)
        if not found:
            self.fail(f"{value!r} is empty: END is one past the last index", param, ctx)
        return found


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10
