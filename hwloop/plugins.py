"""Parts that other packages bring along, by entry points: programmers, solvers, boards and instruments of one's own.

A package names them in its pyproject.toml, for example

    [project.entry-points."hwloop.programmers"]
    gentle = "my_lab.gentle:new_programmer"

and a rig chooses them by that name ([program] strategy, [solver] method, [board] backend, an instrument's driver).
What each group loads:

hwloop.programmers  new_programmer(size, settings: ProgramSettings), which gives
                    program(port, cells, target_siemens) -> ProgramResult
hwloop.solvers      new_half_step(session: Session) -> HalfStep
hwloop.boards       connect(config: BoardConfig) -> Transport: a way to a board that speaks the wire table
hwloop.smus         a class like those in hwloop.drivers.smu: a Smu with `models`, made of (port, identity, channel)
hwloop.daqs         a class like those in hwloop.drivers.daq: a Daq with `models`, made of (port, identity)
"""

from __future__ import annotations

from importlib import metadata
from typing import Any

from hwloop.errors import UsageError

PROGRAMMERS, SOLVERS, BOARDS = "hwloop.programmers", "hwloop.solvers", "hwloop.boards"
SMUS, DAQS = "hwloop.smus", "hwloop.daqs"


def names(group: str) -> tuple[str, ...]:
    """What installed packages offer in `group`, sorted."""
    return tuple(sorted({entry.name for entry in metadata.entry_points(group=group)}))


def load(group: str, name: str) -> Any:
    """The object behind `name`. Raises UsageError where there is none or its package cannot be imported."""
    found = metadata.entry_points(group=group, name=name)
    if not found:
        raise UsageError(f"no plug-in {name!r} in {group}; installed: {', '.join(names(group)) or 'none'}")
    entry = next(iter(found))
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"plug-in {name!r} of {group} ({entry.value}) cannot be loaded: {error}") from error
