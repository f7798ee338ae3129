"""The parts that a run file is put together from: NeXus groups, numbers with units, texts, tables that grow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_SMALL_BYTES = 1024


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
    packed = _PACKED if values.ndim and values.nbytes > _SMALL_BYTES else {}
    dataset = group.create_dataset(name, data=values, track_times=False, **packed)
    dataset.attrs["units"] = unit
    if description:
        dataset.attrs["description"] = description
    if long_name:
        dataset.attrs["long_name"] = long_name
    return dataset


def write_mapping(group: h5py.Group, mapping: Mapping[str, Any]) -> None:
    """A nested mapping: whole as `json`, and short values as attributes under dotted names."""
    write_text(group, "json", json.dumps(mapping, ensure_ascii=False, default=plain), "everything, as one JSON text")
    for name, value in _leaves(mapping):
        stored = value if isinstance(value, str | bool | int | float) else json.dumps(value, default=plain)
        stored = storable(stored) if isinstance(stored, str) else stored
        if not isinstance(stored, str) or len(stored.encode()) <= MOST_ATTRIBUTE_BYTES:
            group.attrs[name] = stored


def plot(group: h5py.Group, signal: str, axes: Sequence[str], title: str, auxiliary: Sequence[str] = ()) -> None:
    """Say what a viewer shows of an NXdata group; an axis "." is counted."""
    group.attrs["signal"] = signal
    group.attrs["axes"] = list(axes)
    if auxiliary:
        group.attrs["auxiliary_signals"] = list(auxiliary)
    write_text(group, "title", title)


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

    def append(self, count: int, **values: Any) -> None:
        """`count` rows: arrays (count,), or one value for all of them."""
        done = 0
        while done < count:
            part = min(count - done, self._block_rows - self._count)
            for name, held in self._held.items():
                value = values[name]
                held[self._count : self._count + part] = value[done : done + part] if np.ndim(value) else value
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


def _leaves(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
