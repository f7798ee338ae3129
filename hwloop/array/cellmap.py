"""Which cells of a chip are not to be used, and why: found while programming, masked by hand, or imported as a list."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hwloop.errors import CalibrationError, UsageError

HEADER = ["array", "row", "column", "status"]
SUFFIX = ".cells.csv"
GOOD = "good"
MASKED = "masked"
# Cells of these kinds are worth knowing, and are used all the same: write-verify gets along with them.
SLOW, NOISY = "slow", "noisy"
USED_ALL_THE_SAME = frozenset({SLOW, NOISY})


@dataclass
class CellMap:
    """Bad cells of one chip with two arrays of `rows` × `columns`: flat cell index → status, such as "stuck high".
    Cells that are "slow" or "noisy" are on the list, too, but are used.

    As a file: a CSV list with the columns array (A or B), row, column, status, counted from 0. A row or column left
    empty stands for all of them; the status "good" takes a cell off the list.
    """

    rows: int
    columns: int
    status: dict[int, str] = field(default_factory=dict)

    def mark(self, cells: np.ndarray, status: str) -> None:
        """Put cells (flat indices) on the list, or take them off it where `status` is "good"."""
        for cell in np.asarray(cells).ravel().tolist():
            if status == GOOD:
                self.status.pop(cell, None)
            else:
                self.status[cell] = status

    def usable(self) -> np.ndarray:
        """Bool (2, rows, columns): cells that nothing on the list keeps from being used."""
        usable = np.ones(2 * self.rows * self.columns, bool)
        usable[[cell for cell, status in self.status.items() if status not in USED_ALL_THE_SAME]] = False
        return usable.reshape(2, self.rows, self.columns)

    def cells_of(self, array: str, row: int | None, column: int | None, where: str) -> np.ndarray:
        """Flat indices of a cell, or of a whole row (column None), column (row None) or array.

        Raises UsageError outside the chip.
        """
        if array not in ("A", "B"):
            raise UsageError(f"{where}: array is {array!r}, allowed A or B")
        for name, value, size in (("row", row, self.rows), ("column", column, self.columns)):
            if value is not None and not 0 <= value < size:
                raise UsageError(f"{where}: {name} is {value}, allowed 0 to {size - 1} on this chip")
        rows = np.arange(self.rows) if row is None else np.array([row])
        columns = np.arange(self.columns) if column is None else np.array([column])
        return ((("AB".index(array) * self.rows + rows) * self.columns)[:, None] + columns).ravel()

    def import_list(self, path: Path) -> int:
        """Take over a chip-status list; gives how many entries it had. Nothing is taken over where one is wrong."""
        marks = []
        try:
            with open(path, newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                if reader.fieldnames != HEADER:
                    raise CalibrationError(
                        f"{path}: the first line is {reader.fieldnames}, expected {','.join(HEADER)}"
                    )
                for entry in reader:
                    where = f"{path} line {reader.line_num}"
                    row, column = (_index(entry[name], f"{where}: {name}") for name in ("row", "column"))
                    if not entry["status"]:
                        raise CalibrationError(
                            f"{where}: no status; write {GOOD}, {MASKED} or what is wrong with the cell"
                        )
                    marks.append((self.cells_of(entry["array"], row, column, where), entry["status"]))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise CalibrationError(f"{path}: cannot be read as a chip-status list ({error})") from error
        for cells, status in marks:
            self.mark(cells, status)
        return len(marks)

    def save(self, path: Path) -> None:
        """Write the list, atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".new")
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            for cell, status in sorted(self.status.items()):
                array_row, column = divmod(cell, self.columns)
                array, row = divmod(array_row, self.rows)
                writer.writerow(["AB"[array], row, column, status])
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)


def _index(text: str | None, where: str) -> int | None:
    if not text:
        return None
    if not text.isdigit():
        raise CalibrationError(f"{where} is {text!r}, expected a whole number, or nothing for all")
    return int(text)
