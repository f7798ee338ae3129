"""A run opened for analysis: its arrays by name, with shapes and units, read when they are looked at.

    with hwloop.open_run("runs/20260304-050607-image-1.h5") as run:
        reads = run["reads/conductance_siemens"]        # shape, unit, description; nothing is read yet
        reads[-1000:]                                   # a numpy array
        run.to_pandas("programming/steps")              # a table
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from hwloop.errors import DataError, UsageError
from hwloop.runlog.journal import Journal
from hwloop.runlog.reading import is_journal, open_file, read_run

if TYPE_CHECKING:
    import pandas
    import xarray

_ENTRY = "entry"


class Values:
    """An array of a run on disk: `values[...]` reads a part of it, `numpy.asarray(values)` all of it."""

    def __init__(self, name: str, stored: h5py.Dataset):
        self.name, self._stored = name, stored
        self.shape: tuple[int, ...] = stored.shape
        self.is_text = h5py.check_string_dtype(stored.dtype) is not None
        self.dtype = np.dtype(object) if self.is_text else stored.dtype
        self.unit: str | None = None if self.is_text else stored.attrs.get("units", "1")
        self.description: str = stored.attrs.get("description", "")

    def __getitem__(self, key: Any) -> Any:
        return (self._stored.asstr() if self.is_text else self._stored)[key]

    def __len__(self) -> int:
        return len(self._stored)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[()], dtype)

    def __repr__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"<{self.name}: {self.dtype} {self.shape}{unit}>"


class OpenedRun:
    """A run file or a journal, opened. Names are those below /entry, such as "reads/code" (schema.json has them all).

    What a journal holds is decoded when it is first asked for, into a temporary file. Close it after use, or use it as
    a context manager.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self._stack = ExitStack()
        self._opened: h5py.File | None = None
        self._is_journal = is_journal(path)
        if self._is_journal:
            with Journal.open(path) as journal:
                begin = journal.first_event("run")
            fields = begin.fields if begin else {}
            self.kind, self.created = fields.get("kind", "unknown"), fields.get("created", "")
        else:
            run = read_run(path)
            self.kind, self.created = run.kind, run.created

    @property
    def status(self) -> str:
        """"complete", "stopped" or "partial" (killed, or still going on)."""
        return str(self["status"][()]) if "status" in self else "complete"

    def close(self) -> None:
        """Give the file back; arrays of it cannot be read any more."""
        self._stack.close()

    def __enter__(self) -> OpenedRun:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{self.kind} run of {self.created or 'unknown time'}: {self.path}>"

    def __iter__(self) -> Iterator[str]:
        """Names of all arrays and numbers."""
        return _dataset_names(self._entry)

    def __contains__(self, name: str) -> bool:
        return name in self._entry

    def __getitem__(self, name: str) -> Values:
        """The array `name`. Raises DataError where there is none."""
        node = self._node(name)
        if isinstance(node, h5py.Group):
            raise DataError(f"{name} is a group, not an array; name one of its members: {', '.join(node)}")
        return Values(name, node)

    def groups(self) -> list[str]:
        """Names of the groups that hold arrays."""
        return sorted({name.rpartition("/")[0] for name in self} - {""})

    def members(self, group: str) -> dict[str, Values]:
        """The arrays and numbers of a group, by their own names."""
        node = self._node(group)
        if not isinstance(node, h5py.Group):
            raise DataError(f"{group} is an array, not a group; name {group.rpartition('/')[0] or 'a group'}")
        return {
            name: Values(f"{group}/{name}", member) for name, member in node.items() if isinstance(member, h5py.Dataset)
        }

    def columns(self, group: str) -> dict[str, Values]:
        """The members of a group that are columns of one length: the group as a table. None where what it shows has
        more dimensions."""
        members = self.members(group)
        found = {name: values for name, values in members.items() if len(values.shape) == 1}
        signal = self.attributes(group).get("signal")
        if not found or (signal is not None and signal not in found):
            return {}
        shape = found[signal or next(iter(found))].shape
        return {name: values for name, values in found.items() if values.shape == shape}

    def attributes(self, name: str) -> dict[str, Any]:
        """Attributes of a group or array."""
        return dict(self._node(name).attrs)

    def to_pandas(self, name: str) -> pandas.DataFrame | pandas.Series:
        """A group as a table (units in `.attrs["units"]`), or an array of one or two dimensions.

        Raises UsageError where pandas is not installed or the array has more dimensions.
        """
        from hwloop.runlog import exporting

        return exporting.to_pandas(self, name)

    def to_xarray(self, name: str) -> xarray.Dataset | xarray.DataArray:
        """A group with its axes as coordinates, or one array. Raises UsageError where xarray is not installed."""
        from hwloop.runlog import exporting

        return exporting.to_xarray(self, name)

    def export_csv(self, folder: Path | str) -> tuple[Path, ...]:
        """Every table and array as a CSV file in `folder`, units in the heads; gives their paths.

        Raises UsageError where one of them exists or cannot be written.
        """
        from hwloop.runlog import exporting

        return exporting.export_csv(self, Path(folder))

    def export_mat(self, path: Path | str) -> None:
        """Everything but journal and input files as structs of a MATLAB 5 file.

        Raises UsageError where `path` exists or cannot be written, or where an array is too large for the format.
        """
        from hwloop.runlog import exporting

        exporting.export_mat(self, Path(path))

    def is_group(self, name: str) -> bool:
        """Whether `name` is a group. Raises DataError where there is nothing of that name."""
        return isinstance(self._node(name), h5py.Group)

    @property
    def _entry(self) -> h5py.Group:
        if self._opened is None:
            self._opened = self._decode() if self._is_journal else self._stack.enter_context(open_file(self.path))
        return self._opened[_ENTRY]

    def _decode(self) -> h5py.File:
        from hwloop.runlog.run_file import write_hdf5

        file = self._stack.enter_context(tempfile.TemporaryFile(buffering=0))
        try:
            with Journal.open(self.path) as journal:
                write_hdf5(journal, file)
        except OSError as failure:
            raise UsageError(
                f"cannot decode {self.path} in {tempfile.gettempdir()}: {failure.strerror or failure}; "
                "make room there, or set TMPDIR"
            ) from failure
        return self._stack.enter_context(h5py.File(file, "r"))

    def _node(self, name: str) -> h5py.Group | h5py.Dataset:
        entry = self._entry
        if name not in entry:
            raise DataError(f"{self.path} has no {name!r}; it has {', '.join(entry)}")
        return entry[name]


def _dataset_names(group: h5py.Group, prefix: str = "") -> Iterator[str]:
    # Not `visititems`, which passes over second names of the same dataset.
    for name, node in group.items():
        if isinstance(node, h5py.Dataset):
            yield prefix + name
        else:
            yield from _dataset_names(node, f"{prefix}{name}/")


def open_run(path: Path | str) -> OpenedRun:
    """A run file or a journal, of a run that is finished or not, opened for analysis.

    Raises DataError where it cannot be read.
    """
    return OpenedRun(path)
