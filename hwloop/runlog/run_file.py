"""One HDF5 file a run, in a NeXus layout: written whole or not at all, never overwritten, read piece by piece.

    /                    NXroot, default "entry"
    /entry               NXentry: title, start_time, program_name, run_kind, seed; default is the first convergence
    …/configuration, board, array    NXcollection: `json` (all of it) and one attribute a value ("board.serial")
    …/inputs             NXcollection: names, sha256
    …/factors_<i>        NXcollection: label, w, h                 i counts the folds from 1
    …/convergence_<i>    NXdata: iteration, analog, reference
    …/metrics, counters  NXcollection: one scalar each
    …/conductance_a, _b  NXdata: conductance (row, column) in S
    …/fields             NXcollection: what the kind of run adds
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hwloop.errors import DataError, UsageError
from hwloop.runlog.publish import publish, refuse_existing
from hwloop.runlog.record import ConductanceMaps, Convergence, FactorPair, Field, InputFile, Quantity, RunRecord

SUFFIX = ".h5"
_LAYOUT = 1
_TEXT = h5py.string_dtype("utf-8")


def write_run(path: Path | str, record: RunRecord) -> None:
    """Writes `record` to `path`, which appears complete or not at all.

    Raises UsageError where `path` exists or cannot be written (disk full); nothing half-written stays behind.
    """
    refuse_existing(path)
    # Built in memory: HDF5 cannot take back a file whose last write failed, plain bytes can be thrown away.
    with h5py.File(Path(path).name, "x", driver="core", backing_store=False) as file:
        file.attrs.update(
            NX_class="NXroot", default="entry", creator="hwloop", creator_version=record.code_version,
            hwloop_layout=_LAYOUT, file_name=_storable(Path(path).name), file_time=record.created,
        )
        _write_entry(_group(file, "entry", "NXentry"), record)
        file.flush()
        image = file.id.get_file_image()
    with publish(path) as out:
        out.write(image)


def create_run(folder: Path | str, record: RunRecord) -> Path:
    """Writes `record` under the next free name `<date>-<time>-<kind>-<n>.h5` (UTC) of `folder` and returns its path."""
    while True:
        path = next_run_path(folder, record)
        try:
            write_run(path, record)
        except UsageError:
            if not path.exists():
                raise
        else:
            return path


def next_run_path(folder: Path | str, record: RunRecord) -> Path:
    """The first name `<date>-<time>-<kind>-<n>.h5` in `folder` that is free now; nothing is reserved."""
    stem = f"{record.created[:10].replace('-', '')}-{record.created[11:19].replace(':', '')}-{record.kind}"
    number = 1
    while (path := Path(folder) / f"{stem}-{number}{SUFFIX}").exists():
        number += 1
    return path


def newest_run(folder: Path | str, kind: str) -> Path:
    """The run file of `kind` in `folder` that was created last, whatever its name.

    Raises DataError where there is none; files that are no run files are passed over.
    """
    found = []
    for path in Path(folder).glob(f"*{SUFFIX}"):
        try:
            run = read_run(path)
        except DataError:
            continue
        if run.kind == kind:
            # Runs of the same microsecond are told apart by the number in their names.
            found.append((run.created, [int(digits) for digits in re.findall(r"\d+", path.stem)], path))
    if not found:
        raise DataError(f"no {kind} run in {folder}; make one with `hwloop factorize {kind}`, or name a run file")
    return max(found)[2]


def read_run(path: Path | str) -> StoredRun:
    """The run in the file at `path`; only its kind and time are read now, the rest when asked for.

    Raises DataError where the file is missing, damaged or no run file of this layout.
    """
    with _open(path) as file:
        if file.attrs.get("creator") != "hwloop" or "entry" not in file:
            raise DataError(f"{path} is not a run file of hwloop; name a file written by `hwloop factorize`")
        if file.attrs["hwloop_layout"] != _LAYOUT:
            raise DataError(
                f"{path} has layout {file.attrs['hwloop_layout']}, this hwloop reads {_LAYOUT}; use the other one"
            )
        entry = file["entry"]
        return StoredRun(
            path=Path(path), kind=_text(entry["run_kind"]), created=_text(entry["start_time"]),
            code_version=entry["program_name"].attrs["version"], seed=int(entry["seed"][()]),
        )


@dataclass(frozen=True)
class StoredRun:
    """A run file on disk. Each property and method opens the file, reads its part and closes it again."""

    path: Path
    kind: str
    created: str
    code_version: str
    seed: int

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
        with _open(self.path) as file:
            group = file["entry/inputs"]
            return tuple(map(InputFile, _texts(group["names"]), _texts(group["sha256"])))

    @cached_property
    def metrics(self) -> tuple[Quantity, ...]:
        return self._quantities("metrics")

    @cached_property
    def counters(self) -> tuple[Quantity, ...]:
        return self._quantities("counters")

    def factors(self) -> tuple[FactorPair, ...]:
        with _open(self.path) as file:
            groups = _numbered(file["entry"], "factors")
            return tuple(FactorPair(_text(group["label"]), group["w"][()], group["h"][()]) for group in groups)

    def convergence(self) -> tuple[Convergence, ...]:
        with _open(self.path) as file:
            return tuple(
                Convergence(
                    label=_text(group["label"]), quantity=group["analog"].attrs["long_name"],
                    analog=group["analog"][()], reference=group["reference"][()], unit=group["analog"].attrs["units"],
                )
                for group in _numbered(file["entry"], "convergence")
            )

    def conductance(self) -> ConductanceMaps | None:
        with _open(self.path) as file:
            entry = file["entry"]
            if "conductance_a" not in entry:
                return None
            return ConductanceMaps(entry["conductance_a/conductance"][()], entry["conductance_b/conductance"][()])

    def field(self, name: str) -> Field:
        """The field `name`; raises DataError where this run has none of that name."""
        with _open(self.path) as file:
            fields = file["entry/fields"]
            if name not in fields:
                raise DataError(f"{self.path} has no field {name!r}, only {', '.join(fields) or 'none'}")
            stored = fields[name]
            values = _texts(stored) if h5py.check_string_dtype(stored.dtype) else stored[()]
            return Field(name, values, stored.attrs.get("units", "1"), stored.attrs.get("description", ""))

    def _mapping(self, name: str) -> Mapping[str, Any]:
        with _open(self.path) as file:
            return json.loads(_text(file[f"entry/{name}/json"]))

    def _quantities(self, name: str) -> tuple[Quantity, ...]:
        with _open(self.path) as file:
            return tuple(
                Quantity(key, stored[()].item(), stored.attrs["units"]) for key, stored in file[f"entry/{name}"].items()
            )


def _write_entry(entry: h5py.Group, record: RunRecord) -> None:
    for name, text in (("title", f"hwloop {record.kind}"), ("start_time", record.created), ("run_kind", record.kind)):
        _write_text(entry, name, text)
    _write_text(entry, "program_name", "hwloop").attrs["version"] = record.code_version
    _write_numbers(entry, "seed", record.seed, "1")
    for name in ("configuration", "board", "array"):
        _write_mapping(_group(entry, name, "NXcollection"), getattr(record, name))
    inputs = _group(entry, "inputs", "NXcollection")
    _write_text(inputs, "names", [source.name for source in record.inputs])
    _write_text(inputs, "sha256", [source.sha256 for source in record.inputs])
    for number, pair in enumerate(record.factors, start=1):
        group = _group(entry, f"factors_{number}", "NXcollection")
        _write_text(group, "label", pair.label)
        _write_numbers(group, "w", pair.w, "1")
        _write_numbers(group, "h", pair.h, "1")
    for number, curve in enumerate(record.convergence, start=1):
        _write_convergence(_group(entry, f"convergence_{number}", "NXdata"), curve)
    if record.convergence:
        entry.attrs["default"] = "convergence_1"
    for name in ("metrics", "counters"):
        group = _group(entry, name, "NXcollection")
        for quantity in getattr(record, name):
            _write_numbers(group, quantity.name, quantity.value, quantity.unit)
    if record.conductance is not None:
        _write_conductance(_group(entry, "conductance_a", "NXdata"), "array A", record.conductance.a_siemens)
        _write_conductance(_group(entry, "conductance_b", "NXdata"), "array B", record.conductance.b_siemens)
    fields = _group(entry, "fields", "NXcollection")
    for item in record.fields:
        if isinstance(item.values, tuple):
            stored = _write_text(fields, item.name, list(item.values))
        else:
            stored = _write_numbers(fields, item.name, item.values, item.unit)
        stored.attrs["description"] = item.description


def _write_convergence(group: h5py.Group, curve: Convergence) -> None:
    group.attrs.update(signal="analog", axes=["iteration"])
    group.attrs["auxiliary_signals"] = ["reference"]
    _write_text(group, "label", curve.label)
    _write_text(group, "title", f"{curve.quantity}, {curve.label}")
    _write_numbers(group, "iteration", np.arange(1, len(curve.analog) + 1), "1")
    _write_numbers(group, "analog", curve.analog, curve.unit).attrs["long_name"] = curve.quantity
    _write_numbers(group, "reference", curve.reference, curve.unit).attrs["long_name"] = f"{curve.quantity}, float64"


def _write_conductance(group: h5py.Group, title: str, siemens: np.ndarray) -> None:
    group.attrs.update(signal="conductance", axes=["row", "column"])
    _write_text(group, "title", f"conductance at 0.2 V, {title}")
    _write_numbers(group, "conductance", siemens, "S")
    for axis, length in zip(("row", "column"), siemens.shape, strict=True):
        _write_numbers(group, axis, np.arange(length), "1")


def _write_mapping(group: h5py.Group, mapping: Mapping[str, Any]) -> None:
    _write_text(group, "json", json.dumps(mapping, ensure_ascii=False, default=_plain))
    for name, value in _leaves(mapping):
        stored = value if isinstance(value, str | bool | int | float) else json.dumps(value, default=_plain)
        group.attrs[name] = _storable(stored) if isinstance(stored, str) else stored


def _leaves(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _plain(value: Any) -> Any:
    """What JSON does not know: numpy values as Python ones, the rest (paths, dates) as text."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def _group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    group = parent.create_group(name, track_order=True)  # fields read back in the order they were given
    group.attrs["NX_class"] = nx_class
    return group


def _write_text(group: h5py.Group, name: str, text: str | list[str]) -> h5py.Dataset:
    stored = _storable(text) if isinstance(text, str) else [_storable(item) for item in text]
    return group.create_dataset(name, data=stored, dtype=_TEXT)


def _storable(text: str) -> str:
    """File names may hold bytes that are no text; they are stored as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _write_numbers(group: h5py.Group, name: str, values: Any, unit: str) -> h5py.Dataset:
    stored = group.create_dataset(name, data=np.asarray(values))
    stored.attrs["units"] = unit
    return stored


@contextmanager
def _open(path: Path | str) -> Iterator[h5py.File]:
    try:
        file = h5py.File(path, "r", locking=False)
    except FileNotFoundError as failure:
        raise DataError(f"{path}: no such file; name a file written by `hwloop factorize`") from failure
    except OSError as failure:
        raise DataError(f"{path} cannot be read as a run file: {failure}") from failure
    with file:
        yield file


def _numbered(entry: h5py.Group, name: str) -> Iterator[h5py.Group]:
    number = 1
    while (group := entry.get(f"{name}_{number}")) is not None:
        yield group
        number += 1


def _text(stored: h5py.Dataset) -> str:
    return stored.asstr()[()]


def _texts(stored: h5py.Dataset) -> tuple[str, ...]:
    return tuple(stored.asstr()[()].tolist())
