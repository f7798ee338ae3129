"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
ARRAYS = click.Choice(["A", "B", "both"], case_sensitive=False)


def simulated_board(function: Callable) -> Callable:
    """--state and --pristine, keys of [board] that belong to a simulated one."""
    state = click.option("--state", type=FILE, metavar="PATH", help="Keep the simulated cells in this file.")
    pristine = click.option("--pristine", is_flag=True, default=None, help="The simulated array starts unformed.")
    return state(pristine(function))


def range_of(name: str) -> Callable:
    """An option such as --rows 3 or --rows 0:16: first and one past the last, or None for all."""
    text = f"Only these {name}.  [default: all]"
    return click.option(f"--{name}", type=IndexRange(), metavar="N|FIRST:END", help=text)


class IndexRange(click.ParamType):
    """ "7" or "0:16" to a range; END is not included, as in Python."""

    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> range:
        if isinstance(value, range):
            return value
        first, colon, end = value.partition(":")
        if not first.isdecimal() or (colon and not end.isdecimal()):
            self.fail(f"{value!r} is not an index (7) or a range (0:16)", param, ctx)
        found = range(int(first), int(end) if colon else int(first) + 1)
        if not found:
            self.fail(f"{value!r} is empty: END is one past the last index", param, ctx)
        return found
