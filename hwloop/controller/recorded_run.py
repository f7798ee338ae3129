"""A run as its journal has it: options, rig and inputs, so that the same job can be done again with the same code."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwloop import config
from hwloop.config import RigConfig, RunSettings
from hwloop.controller.jobs import job
from hwloop.controller.source import versions
from hwloop.errors import DataError
from hwloop.runlog.bodies import Event
from hwloop.runlog.digest import file_sha256
from hwloop.runlog.journal import Journal

# Options that name a file to be written, beside the run file and the pictures.
OUTPUTS = ("compressed", "factors", "table", "target")


@dataclass(frozen=True)
class RecordedRun:
    """What a journal says of its run before the first exchange, and at its end (`result` None: not finished)."""

    journal: Path
    begin: Event
    inputs: tuple[Event, ...]
    result: Event | None

    @property
    def kind(self) -> str:
        """"image", "ratings", …"""
        return self.begin.fields["kind"]

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.begin.fields["name"]

    def settings(self) -> RunSettings:
        """Rig and seed. Raises DataError where this hwloop has no such rig."""
        return RunSettings(config.restore(RigConfig, self.begin.fields["rig"]), self.begin.fields["seed"])

    def options(self) -> Any:
        """The job's own options, paths as they were then."""
        return config.restore(job(self.kind)[0], self.begin.fields["options"])

    def differences(self, options: Any, settings: RunSettings) -> str:
        """What is not as it was when the run was made, in words; empty where nothing is known to differ. `options` and
        `settings` are those that it is done again with; where files are does not count."""
        then = self.begin.fields
        elsewhere = {*OUTPUTS, "pictures", "run_file", *(event.fields["option"] for event in self.inputs)}
        sides = []
        # What was not known then had its default, so it is compared with that.
        for chosen, made_with in ((self.options(), self.settings()), (options, settings)):
            own = {name: value for name, value in config.describe(chosen).items() if name not in elsewhere}
            sides.append({"seed": made_with.seed, **flat({"options": own, "rig": config.describe(made_with.rig)})})
        now = versions()
        sides[0] |= {name: then.get(name) for name in now}
        sides[1] |= now
        return "; ".join(
            f"{name} {was} then, {value} now" for name, (was, value) in changed(*sides).items()
        )

    @contextlib.contextmanager
    def restored_inputs(self) -> Iterator[Any]:
        """The options, with inputs as they were then: what the journal holds is written to a temporary folder.

        Raises DataError where an input is neither in the journal nor at its place, unchanged.
        """
        with tempfile.TemporaryDirectory(prefix="hwloop-inputs-") as folder:
            options, replaced = self.options(), {}
            for event in self.inputs:
                fields = event.fields
                option, name = fields["option"], fields["name"]
                if fields["embedded"]:
                    path = Path(folder) / option / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(event.arrays["data"].tobytes())
                    replaced[option] = path.parent if "/" in name else path
                else:
                    _check_unchanged(Path(getattr(options, option)), name, fields["sha256"])
            yield dataclasses.replace(options, **replaced)


def read_recorded_run(path: Path) -> RecordedRun:
    """The run in the journal `path`. Raises DataError where its beginning is missing."""
    with Journal.open(path) as journal:
        begin, inputs, result = None, [], None
        for _, event in journal.events("run", "input", "result"):
            if event.name == "run":
                begin = begin or event
            elif event.name == "input":
                inputs.append(event)
            else:
                result = event
    if begin is None:
        raise DataError(f"{path} ends before its run began; there is nothing to go on with or to replay")
    return RecordedRun(path, begin, tuple(inputs), result)


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping as one of "rig.board.name" and so on; tuples as lists, as JSON has them."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = list(value) if isinstance(value, tuple) else value
    return found


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What is not the same in two mappings, by name; None stands for what one of them does not have."""
    names = list(dict.fromkeys([*before, *after]))
    return {name: pair for name in names if (pair := (before.get(name), after.get(name)))[0] != pair[1]}


def _check_unchanged(chosen: Path, name: str, sha256: str) -> None:
    path = chosen / Path(name).name if chosen.is_dir() else chosen
    if not path.is_file() or file_sha256(path) != sha256:
        raise DataError(f"{path}: the run read this file, it is too large for the journal and not there unchanged")
