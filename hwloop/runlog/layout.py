"""The parts that a run file is put together from: NeXus groups, numbers with units, texts, tables that grow."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

LAYOUT = 2
CODES, TICKS, NOTHING = "counts", "0.1 us", "1"     # units of codes, of ticks, and of what has none
TEXT = h5py.string_dtype("utf-8")
BLOCK_ROWS = 1 << 16
MOST_ATTRIBUTE_BYTES = 4096
_PACKED = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
_SMALL_BYTES, _CHUNK_BYTES = 4096, 1 << 20


def new_group(parent: h5py.Group, name: str, nx_class: str, description: str = "") -> h5py.Group:
    """A group that gives its members back in the order in which they were made."""
    group = parent.create_group(name, track_order=True)
    group.attrs["NX_class"] = nx_class
    if description:
        group.attrs["description"] = description
    return group


def write_text(
    group: h5py.Group, name: str, text: str | Sequence[str], description: str = ""
) -> h5py.Dataset:
    """A text, or a list of them."""
    stored = storable(text) if isinstance(text, str) else [storable(item) for item in text]
    dataset = group.create_dataset(name, data=stored, dtype=TEXT, track_times=False)
    if description:
        dataset.attrs["description"] = description
    return dataset


def write_numbers(
    group: h5py.Group, name: str, values: Any, unit: str, description: str = "", long_name: str = ""
) -> h5py.Dataset:
    """A number or an array of them, packed where that pays."""
    values = np.asarray(values)
    packed = {}
    if values.ndim and values.nbytes > _SMALL_BYTES:
        row_bytes = values.nbytes // len(values)
        rows = min(max(_CHUNK_BYTES // row_bytes, 1), len(values))
        # Larger rows than a chunk should be are left to h5py to cut.
        packed = {"chunks": (rows, *values.shape[1:]) if row_bytes <= _CHUNK_BYTES else True, **_PACKED}
    dataset = group.create_dataset(name, data=values, track_times=False, **packed)
    dataset.attrs["units"] = unit
    if description:
        dataset.attrs["description"] = description
    if long_name:
        dataset.attrs["long_name"] = long_name
    return dataset


def write_mapping(group: h5py.Group, mapping: Mapping[str, Any]) -> None:
    """A nested mapping: whole as the text `json`, and its values as attributes of groups of the same structure."""
    write_text(group, "json", json.dumps(mapping, ensure_ascii=False, default=plain), "everything, as one JSON text")
    _write_attributes(group, mapping)


def _write_attributes(group: h5py.Group, mapping: Mapping[str, Any]) -> None:
    # What has no proper name, or is long, stays in the JSON text.
    for name, value in mapping.items():
        if not name.isidentifier() or not name.isascii():
            continue
        if isinstance(value, Mapping):
            if any(key.isidentifier() for key in value):
                _write_attributes(new_group(group, name, "NXcollection"), value)
            continue
        stored = value if isinstance(value, str | bool | int | float) else json.dumps(value, default=plain)
        stored = storable(stored) if isinstance(stored, str) else stored
        if not isinstance(stored, str) or len(stored.encode()) <= MOST_ATTRIBUTE_BYTES:
            group.attrs[name] = stored


def plot(group: h5py.Group, signal: str, axes: Sequence[str], title: str, auxiliary: Sequence[str] = ()) -> None:
    """Say what a viewer shows of an NXdata group: a signal over axes, which are members as well."""
    group.attrs["signal"] = signal
    group.attrs["axes"] = list(axes)
    if auxiliary:
        group.attrs["auxiliary_signals"] = list(auxiliary)
    write_text(group, "title", title)


def write_axis(group: h5py.Group, name: str, length: int) -> None:
    """An axis that counts from 0."""
    write_numbers(group, name, np.arange(length, dtype=np.uint32), NOTHING, f"{name}, from 0", name)


def storable(text: str) -> str:
    """Names of files may hold bytes that are no text, and HDF5 ends a text at a zero; they are stored as escapes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def plain(value: Any) -> Any:
    """What JSON does not know: numpy values as Python ones, the rest (paths, dates) as text."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


@dataclass(frozen=True)
class Column:
    """One column of a table. `of` computes it from the block of the other columns; without it, it is filled in."""

    name: str
    dtype: str
    unit: str
    description: str
    of: Callable[[Mapping[str, np.ndarray]], np.ndarray] | None = None


class Table:
    """Columns of one length as datasets of a group, to which rows are appended; one block of them is held in memory.

    The group is made with the first row, by `make`, so that a table without rows leaves nothing.
    """

    def __init__(self, columns: Sequence[Column], make: Callable[[], h5py.Group], block_rows: int = BLOCK_ROWS):
        self.rows = 0
        self._columns, self._make, self._block_rows = columns, make, block_rows
        self._held = {column.name: np.zeros(block_rows, column.dtype) for column in columns if column.of is None}
        self._count = 0
        self._datasets: dict[str, h5py.Dataset] = {}

    def append(self, count: int, /, **values: Any) -> None:
        """`count` rows: numpy arrays (count,), or one value for all of them."""
        done = 0
        while done < count:
            part = min(count - done, self._block_rows - self._count)
            for name, held in self._held.items():
                value = values[name]
                is_array = isinstance(value, np.ndarray)
                held[self._count : self._count + part] = value[done : done + part] if is_array else value
            self._count += part
            done += part
            if self._count == self._block_rows:
                self.flush()
        self.rows += count

    def flush(self) -> None:
        """Write what is held, and go on."""
        if self._count:
            if not self._datasets:
                self._create(self._make())
            for column, values in self._block():
                dataset = self._datasets[column.name]
                first = dataset.shape[0]
                dataset.resize(first + self._count, axis=0)
                dataset[first:] = values
            self._count = 0

    def close(self) -> None:
        """Write what is held, for the last time: a short table is not spread over chunks of which most is empty."""
        if self._datasets or not self._count:
            self.flush()
            return
        group = self._make()
        for column, values in self._block():
            write_numbers(group, column.name, values, column.unit, column.description)
        self._count = 0

    def _block(self) -> list[tuple[Column, np.ndarray]]:
        block = {name: held[: self._count] for name, held in self._held.items()}
        return [
            (column, block[column.name] if column.of is None else column.of(block).astype(column.dtype))
            for column in self._columns
        ]

    def _create(self, group: h5py.Group) -> None:
        for column in self._columns:
            dataset = group.create_dataset(
                column.name, shape=(0,), maxshape=(None,), chunks=(self._block_rows,), dtype=column.dtype,
                track_times=False, **_PACKED,
            )
            dataset.attrs.update(units=column.unit, description=column.description)
            self._datasets[column.name] = dataset
