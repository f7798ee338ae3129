"""Run files read piece by piece: HDF5 in a NeXus layout.

    /                    NXroot, default "entry"
    /entry               NXentry: status, title, times, program, run_kind, seed; default is the first convergence
    …/configuration, board, array    `json` (all of it) and one attribute a value ("board.serial")
    …/inputs             names, sha256, and the files themselves where the journal has them
    …/exchanges, pulses, reads, solves, …    NXdata: tables, raw codes beside physical values
    …/programming        rounds, steps and cells of write-verify
    …/conductance_a, _b, conductance_maps_a, _b    NXdata: at the end, and by round
    …/iterations_<i>, convergence_<i>, factors_<i>, metrics, counters, fields, events    i counts from 1
    …/journal            NXnote: the journal, verbatim

All of it is described in schema.json. Files of layout 1 (no journal, no tables) are read as well.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py

from hwloop.errors import DataError
from hwloop.runlog.framing import MAGIC, RUN_FILE_SUFFIX
from hwloop.runlog.journal import Journal
from hwloop.runlog.layout import LAYOUT
from hwloop.runlog.record import (
    ConductanceMaps,
    Convergence,
    FactorPair,
    Field,
    InputFile,
    Quantity,
)

_COPY_BYTES = 1 << 22


@contextmanager
def journal_of(path: Path | str) -> Iterator[Journal]:
    """The journal of a run, from its run file or from the journal itself.

    Raises DataError where the file cannot be read, is damaged, or is a run file without a journal.
    """
    if is_journal(path):
        with Journal.open(path) as journal:
            yield journal
        return
    with open_file(path) as file:
        _check_layout(file, path)
        if "entry/journal/bytes" not in file:
            raise DataError(f"{path} was written by an older hwloop and has no journal; only its results can be read")
        group = file["entry/journal"]
        with tempfile.TemporaryFile() as copy:
            digest = hashlib.sha256()
            try:
                for first in range(0, group["bytes"].size, _COPY_BYTES):
                    block = group["bytes"][first : first + _COPY_BYTES].tobytes()
                    digest.update(block)
                    copy.write(block)
            except OSError as failure:
                raise DataError(f"the journal in {path} cannot be read: {failure}") from failure
            if digest.hexdigest() != _text(group["sha256"]):
                raise DataError(f"the journal in {path} is damaged: its SHA-256 does not fit")
            copy.seek(0)
            yield Journal(copy, f"{path} (journal)")


def is_journal(path: Path | str) -> bool:
    """Whether the file begins as a journal does. Raises DataError where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as failure:
        raise DataError(f"{path} cannot be read: {failure.strerror}; name a run file or a journal") from failure


def newest_run(folder: Path | str, kind: str) -> Path:
    """The run file of a complete run of `kind` in `folder` that was created last, whatever its name.

    Raises DataError where there is none; files that are no run files are passed over.
    """
    found = []
    for path in Path(folder).glob(f"*{RUN_FILE_SUFFIX}"):
        try:
            run = read_run(path)
        except DataError:
            continue
        if run.kind == kind and run.status == "complete":
            # Runs of the same microsecond are told apart by the number in their names.
            found.append((run.created, [int(digits) for digits in re.findall(r"\d+", path.stem)], path))
    if not found:
        raise DataError(f"no {kind} run in {folder}; make one with `hwloop factorize {kind}`, or name a run file")
    return max(found)[2]


def read_run(path: Path | str) -> StoredRun:
    """The run in the file at `path`; only its kind and time are read now, the rest when asked for.

    Raises DataError where the file is missing, damaged or no run file of a layout that this hwloop reads.
    """
    with open_file(path) as file:
        _check_layout(file, path)
        entry = file["entry"]
        return StoredRun(
            path=Path(path), kind=_text(entry["run_kind"]), created=_text(entry["start_time"]),
            code_version=entry["program_name"].attrs["version"], seed=int(entry["seed"][()]),
            status=_text(entry["status"]) if "status" in entry else "complete",
            layout=int(file.attrs["hwloop_layout"]),
        )


@dataclass(frozen=True)
class StoredRun:
    """A run file on disk. Each property and method opens the file, reads its part and closes it again.

    `status` is "complete", "stopped" or "partial"; of a run that is not complete, what there is.
    """

    path: Path
    kind: str
    created: str
    code_version: str
    seed: int
    status: str
    layout: int

    @cached_property
    def configuration(self) -> Mapping[str, Any]:
        return self._mapping("configuration")

    @cached_property
    def board(self) -> Mapping[str, Any]:
        return self._mapping("board")

    @cached_property
    def array(self) -> Mapping[str, Any]:
        return self._mapping("array")

    @cached_property
    def inputs(self) -> tuple[InputFile, ...]:
        with open_file(self.path) as file:
            group = file["entry/inputs"]
            return tuple(map(InputFile, _texts(group["names"]), _texts(group["sha256"])))

    @cached_property
    def metrics(self) -> tuple[Quantity, ...]:
        return self._quantities("metrics")

    @cached_property
    def counters(self) -> tuple[Quantity, ...]:
        return self._quantities("counters")

    def factors(self) -> tuple[FactorPair, ...]:
        with open_file(self.path) as file:
            groups = _numbered(file["entry"], "factors")
            return tuple(FactorPair(_text(group["label"]), group["w"][()], group["h"][()]) for group in groups)

    def convergence(self) -> tuple[Convergence, ...]:
        with open_file(self.path) as file:
            return tuple(
                Convergence(
                    label=_text(group["label"]), quantity=group["analog"].attrs["long_name"],
                    analog=group["analog"][()], reference=group["reference"][()], unit=group["analog"].attrs["units"],
                )
                for group in _numbered(file["entry"], "convergence")
            )

    def conductance(self) -> ConductanceMaps | None:
        with open_file(self.path) as file:
            entry = file["entry"]
            if "conductance_a" not in entry:
                return None
            return ConductanceMaps(entry["conductance_a/conductance"][()], entry["conductance_b/conductance"][()])

    @cached_property
    def field_names(self) -> tuple[str, ...]:
        with open_file(self.path) as file:
            return tuple(file["entry/fields"])

    def field(self, name: str) -> Field:
        """The field `name`; raises DataError where this run has none of that name."""
        with open_file(self.path) as file:
            fields = file["entry/fields"]
            if name not in fields:
                raise DataError(f"{self.path} has no field {name!r}, only {', '.join(fields) or 'none'}")
            stored = fields[name]
            values = _texts(stored) if h5py.check_string_dtype(stored.dtype) else stored[()]
            return Field(name, values, stored.attrs.get("units", "1"), stored.attrs.get("description", ""))

    def _mapping(self, name: str) -> Mapping[str, Any]:
        with open_file(self.path) as file:
            return json.loads(_text(file[f"entry/{name}/json"]))

    def _quantities(self, name: str) -> tuple[Quantity, ...]:
        with open_file(self.path) as file:
            return tuple(
                Quantity(key, stored[()].item(), stored.attrs["units"]) for key, stored in file[f"entry/{name}"].items()
            )


@contextmanager
def open_file(path: Path | str) -> Iterator[h5py.File]:
    """An HDF5 file, to be read. Raises DataError where it cannot be."""
    try:
        file = h5py.File(path, "r", locking=False)
    except FileNotFoundError as failure:
        raise DataError(f"{path}: no such file; name a file written by `hwloop factorize`") from failure
    except OSError as failure:
        raise DataError(f"{path} cannot be read as a run file: {failure}") from failure
    with file:
        yield file


def _check_layout(file: h5py.File, path: Path | str) -> None:
    if file.attrs.get("creator") != "hwloop" or "entry" not in file:
        raise DataError(f"{path} is not a run file of hwloop; name a file written by `hwloop factorize`")
    layout = file.attrs["hwloop_layout"]
    if layout > LAYOUT:
        raise DataError(f"{path} has layout {layout}, this hwloop reads up to {LAYOUT}; use the newer one")


def _numbered(entry: h5py.Group, name: str) -> Iterator[h5py.Group]:
    number = 1
    while (group := entry.get(f"{name}_{number}")) is not None:
        yield group
        number += 1


def _text(stored: h5py.Dataset) -> str:
    return stored.asstr()[()]


def _texts(stored: h5py.Dataset) -> tuple[str, ...]:
    return tuple(stored.asstr()[()].tolist())
