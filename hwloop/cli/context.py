"""Global options of the running command, resolved: command line > environment > file > default."""

from __future__ import annotations

import os
from collections.abc import Mapping

from hwloop.cli.frame import given_options
from hwloop.config import RIG_VARIABLE, SEED_VARIABLE, RunSettings, load_rig
from hwloop.errors import UsageError
from hwloop.limits import SEED_MAX
from hwloop.runscript import RunScript


def settings(
    defaults: Mapping[str, Mapping[str, object]] | None = None,
    board_options: Mapping[str, object] | None = None,
    program_options: Mapping[str, object] | None = None,
    calibration_options: Mapping[str, object] | None = None,
    script: RunScript | None = None,
) -> RunSettings:
    """The rig, seed and dry-run switch of the running command.

    `defaults` are the application's own, {table: {key: value}}; the other mappings are options of the verb that are
    keys of [board], [program] and [calibration], None where not given; `script` is the run script that changes the rig.
    """
    given = given_options()
    options = {
        "board": {"backend": given.get("backend"), "serial": given.get("serial_number"), **(board_options or {})},
        "program": program_options or {},
        "calibration": {
            "allow_stale": True if given.get("allow_stale") else None, **(calibration_options or {}),
        },
    }
    rig = load_rig(
        rig=given.get("rig") or os.environ.get(RIG_VARIABLE) or (script and script.rig) or "default",
        environment=os.environ,
        options={table: _without_none(keys) for table, keys in options.items()},
        script=(str(script.path), script.rig_tables) if script else None,
        defaults=defaults,
    )
    return RunSettings(rig=rig, seed=_seed(given.get("seed"), script), dry_run=is_dry_run())


def is_dry_run() -> bool:
    return given_options().get("dry_run", False)


def wants_json() -> bool:
    return given_options().get("json", False)


def wants_progress() -> bool:
    given = given_options()
    return not (given.get("no_progress") or given.get("json"))


def consents() -> bool:
    """Whether --yes was given."""
    return given_options().get("yes", False)


def _without_none(keys: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in keys.items() if value is not None}


def _seed(given: int | None, script: RunScript | None) -> int:
    if given is not None:
        return given
    variable = os.environ.get(SEED_VARIABLE)
    if variable is not None:
        if not (variable.isascii() and variable.isdecimal() and int(variable) <= SEED_MAX):
            raise UsageError(
                f"environment {SEED_VARIABLE} is {variable!r}: expected a whole number, 0 to {SEED_MAX}"
            )
        return int(variable)
    return script.seed if script and script.seed is not None else 0
