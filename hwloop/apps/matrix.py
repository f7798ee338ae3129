"""A plain non-negative matrix from a file: .npy, .npz (SciPy sparse, or one array) or .csv."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy import sparse

from hwloop.errors import DataError
from hwloop.runlog.record import InputFile

_FORMATS = (".npy", ".npz", ".csv")
# What NumPy, SciPy and zipfile raise on files of another kind, cut short or damaged.
_DAMAGED = (
    ValueError, LookupError, EOFError, TypeError, AttributeError, RuntimeError, MemoryError, zlib.error,
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class MatrixInput:
    """A finite, non-negative matrix of at least one entry, float64, and the file it came from.

    `values`: a dense (rows, columns) array, or a CSR array where the file was sparse; it is never densified, and
    entries stored as zero stay stored.
    """

    source: InputFile
    values: np.ndarray | sparse.csr_array


def load_matrix(path: Path | str, negative: bool = False, gaps: bool = False) -> MatrixInput:
    """The matrix in the file at `path`, by its suffix: .npy, .npz or .csv (comma-separated numbers, no header).

    `negative` allows entries below 0; `gaps` allows NaN (an empty field of a .csv file) for entries that are left out.
    Raises DataError where the file cannot be read as such, or where the matrix is not two-dimensional, empty, not
    real numbers, or has an entry that is not allowed (the first is named, rows and columns counted from 0).
    """
    path = Path(path)
    readers = {".npy": _read_npy, ".npz": _read_npz, ".csv": partial(_read_csv, gaps=gaps)}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path} ends in {path.suffix or 'nothing'!r}, allowed {', '.join(_FORMATS)}; convert it")
    try:
        values = reader(path)
    except OSError as failure:
        raise DataError(f"{path}: {failure.strerror or failure}; give a matrix file") from failure
    return MatrixInput(InputFile.of(path), _checked(values, path.name, negative, gaps))


def _read_npy(path: Path) -> np.ndarray:
    try:
        with open(path, "rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except _DAMAGED as failure:
        raise DataError(f"{path} is no usable .npy file ({failure}); save the matrix with numpy.save") from failure


def _read_npz(path: Path) -> np.ndarray | sparse.sparray:
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            if "format" not in names:
                if len(names) != 1:
                    raise DataError(f"{path} holds {len(names)} arrays, allowed one; save the matrix alone")
                return archive[names[0]]
        return sparse.csr_array(sparse.load_npz(path))
    except _DAMAGED as failure:
        raise DataError(f"{path} is no usable .npz file ({failure}); save it with scipy.sparse.save_npz") from failure


def _read_csv(path: Path, gaps: bool) -> np.ndarray:
    rows: list[np.ndarray] = []
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                fields = line.split(",")
                if gaps:
                    fields = [field if field.strip() else "nan" for field in fields]
                rows.append(_csv_row(fields, f"{path.name} line {number}"))
                if len(rows[-1]) != len(rows[0]):
                    raise DataError(
                        f"{path.name} line {number} has {len(rows[-1])} entries, the first row has {len(rows[0])}; "
                        "all rows must have one length"
                    )
    except UnicodeDecodeError as failure:
        raise DataError(f"{path} is no text file ({failure.reason}); give comma-separated numbers") from failure
    return np.array(rows).reshape(len(rows), -1) if rows else np.empty((0, 0))


def _csv_row(fields: list[str], where: str) -> np.ndarray:
    try:
        return np.array(fields, dtype=np.float64)
    except ValueError:
        for column, text in enumerate(fields, start=1):
            try:
                float(text)
            except ValueError:
                raise DataError(f"{where}, entry {column} is {text.strip()!r}, not a number; mend it") from None
        raise


def _checked(
    values: np.ndarray | sparse.csr_array, name: str, negative: bool, gaps: bool
) -> np.ndarray | sparse.csr_array:
    if values.ndim != 2:
        raise DataError(f"{name} has {values.ndim} dimensions {values.shape}, allowed 2; reshape the matrix")
    if 0 in values.shape:
        raise DataError(f"{name} is empty, {values.shape[0]}x{values.shape[1]}; give a matrix with at least one entry")
    if values.dtype.kind not in "buif":
        raise DataError(f"{name} holds {values.dtype}, allowed real numbers; convert the matrix")
    values = values.astype(np.float64)
    if sparse.issparse(values):
        values.sum_duplicates()
        entries = values.data
    else:
        values = np.ascontiguousarray(values)
        entries = values.ravel()
    good = np.isfinite(entries) if negative else np.isfinite(entries) & (entries >= 0.0)
    bad = np.flatnonzero(~(good | np.isnan(entries) if gaps else good))
    if bad.size:
        row, column = _position(values, int(bad[0]))
        raise DataError(
            f"{name}: entry at row {row}, column {column} (from 0) is {entries[bad[0]]:g}, "
            f"allowed finite{'' if negative else ' and 0 or more'}; {bad.size} such entries, mend them"
        )
    return values


def _position(values: np.ndarray | sparse.csr_array, index: int) -> tuple[int, int]:
    """Row and column of the entry that is number `index` of those stored."""
    if sparse.issparse(values):
        return int(np.searchsorted(values.indptr, index, side="right")) - 1, int(values.indices[index])
    return divmod(index, values.shape[1])
