"""An opened run for other programs: pandas, xarray, CSV, MATLAB."""

from __future__ import annotations

import csv
import importlib
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwloop.errors import UsageError
from hwloop.runlog.publish import publish
from hwloop.runlog.record import Quantity

if TYPE_CHECKING:
    from hwloop.runlog.opened import OpenedRun, Values

_LEFT_OUT = re.compile(r"journal(/|$)|inputs/file_\d+(/|$)")
_BLOCK_ROWS = 1 << 16
_MOST_MAT_BYTES = 1 << 31


def to_pandas(run: OpenedRun, name: str):
    """See OpenedRun.to_pandas."""
    pandas = _package("pandas")
    if run.is_group(name):
        columns = run.columns(name)
        if not columns:
            raise UsageError(f"{name} has no columns; name an array in it: {', '.join(run.members(name))}")
        table = pandas.DataFrame({key: values[()] for key, values in columns.items()})
        table.attrs["units"] = {key: values.unit for key, values in columns.items()}
        return table
    values = run[name]
    if len(values.shape) not in (1, 2):
        raise UsageError(f"{name} has {len(values.shape)} dimensions, a pandas object has 1 or 2; use to_xarray")
    made = (pandas.Series if len(values.shape) == 1 else pandas.DataFrame)(values[()])
    made.attrs["units"] = values.unit
    return made


def to_xarray(run: OpenedRun, name: str):
    """See OpenedRun.to_xarray."""
    xarray = _package("xarray")

    def variable(values: Values, dims: Sequence[str]):
        told = {"units": values.unit, "description": values.description}
        return xarray.Variable(dims, values[()], {key: text for key, text in told.items() if text})

    if not run.is_group(name):
        values = run[name]
        return xarray.DataArray(variable(values, _dims(run, values)), name=name)
    members = {key: values for key, values in run.members(name).items() if values.shape}
    made = {key: variable(values, _dims(run, values)) for key, values in members.items()}
    axes = {axis for axis in _axes(run, name) if axis in made}
    data = {key: found for key, found in made.items() if key not in axes}
    return xarray.Dataset(data, {axis: made[axis] for axis in axes}, {"title": run.attributes(name).get("title", name)})


def export_csv(run: OpenedRun, folder: Path) -> tuple[Path, ...]:
    """See OpenedRun.export_csv."""
    paths: list[Path] = []
    for group in run.groups():
        if _LEFT_OUT.match(group):
            continue
        stem = group.replace("/", "-")
        columns, members = run.columns(group), run.members(group)
        if columns:
            heads = [_head(values) for values in columns.values()]
            paths.append(_write_csv(folder / f"{stem}.csv", heads, _rows(columns.values())))
        others = members.keys() - columns.keys() - set(_axes(run, group))
        for name in sorted(others):
            values = members[name]
            if values.shape:
                heads = [*_dims(run, values), _head(values)]
                paths.append(_write_csv(folder / f"{stem}-{name}.csv", heads, _long_rows(values)))
        scalars = [
            Quantity(name, values[()], values.unit) for name, values in members.items()
            if not values.shape and not values.is_text
        ]
        if scalars and not columns:
            rows = ((one.name, *_cells(np.array([one.value])), one.unit) for one in scalars)
            paths.append(_write_csv(folder / f"{stem}.csv", ["name", "value", "unit"], rows))
    return tuple(paths)


def export_mat(run: OpenedRun, path: Path) -> None:
    """See OpenedRun.export_mat."""
    from scipy.io import savemat

    tree: dict[str, Any] = {}
    for name in run:
        if _LEFT_OUT.match(name):
            continue
        values = run[name]
        size_bytes = int(np.prod(values.shape)) * values.dtype.itemsize
        if size_bytes >= _MOST_MAT_BYTES:
            raise UsageError(
                f"{name} has {size_bytes / 1e9:.3g} GB, a MATLAB 5 file takes up to 2.1 GB an array; read the run file "
                "itself in MATLAB (h5read), or export CSV"
            )
        *parents, own = map(_mat_name, name.split("/"))
        at = tree
        for parent in parents:
            at = at.setdefault(parent, {})
        at[own] = values[()]
    with publish(path) as out:
        savemat(out, {"run": tree}, long_field_names=True, do_compression=True)


def _package(name: str):
    try:
        return importlib.import_module(name)
    except ImportError as failure:
        raise UsageError(f"{name} is not installed; `pip install {name}` adds it") from failure


def _axes(run: OpenedRun, group: str) -> list[str]:
    axes = run.attributes(group).get("axes", ())
    return [axes] if isinstance(axes, str) else list(axes)


def _dims(run: OpenedRun, values: Values) -> list[str]:
    """Names of an array's dimensions: the axes of its group where they fit and count, else "index" and the like."""
    group, _, own = values.name.rpartition("/")
    axes = _axes(run, group) if group else []
    members = run.members(group) if axes else {}
    if own in axes:
        return [own if _counts(values) else "index"]
    lengths = tuple(len(members[axis]) if axis in members else -1 for axis in axes)
    if lengths == values.shape:
        return [axis if _counts(members[axis]) else "index" for axis in axes]
    if len(values.shape) == 1:
        return ["index"]
    return [f"{own}_{number}" for number in range(len(values.shape))]


def _counts(axis: Values) -> bool:
    """Whether an axis tells its points apart."""
    values = axis[()]
    return bool((values[1:] > values[:-1]).all())


def _head(values: Values) -> str:
    own = values.name.rpartition("/")[2]
    return own if values.unit in (None, "1") else f"{own} [{values.unit}]"


def _rows(columns) -> Iterator[tuple]:
    columns = list(columns)
    for first in range(0, len(columns[0]), _BLOCK_ROWS):
        yield from zip(*(_cells(values[first : first + _BLOCK_ROWS]) for values in columns), strict=True)


def _long_rows(values: Values) -> Iterator[tuple]:
    for first in range(len(values)):
        block = np.asarray(values[first : first + 1])
        for index, cell in zip(np.ndindex(block.shape), _cells(block.ravel()), strict=True):
            yield (first, *index[1:], cell)


def _cells(values: np.ndarray) -> list:
    # The shortest text that reads back as the same single-precision number.
    return values.astype(str).tolist() if values.dtype == np.float32 else values.tolist()


def _write_csv(path: Path, heads: Sequence[str], rows: Iterator[tuple]) -> Path:
    with publish(path) as out:
        text = io.TextIOWrapper(out, "utf-8", newline="")
        writer = csv.writer(text)
        writer.writerow(heads)
        writer.writerows(rows)
        text.flush()
        text.detach()
    return path


def _mat_name(name: str) -> str:
    """A name that MATLAB takes for a field."""
    proper = re.sub(r"\W", "_", name, flags=re.ASCII)
    return (proper if proper[:1].isalpha() else f"x{proper}")[:63]
