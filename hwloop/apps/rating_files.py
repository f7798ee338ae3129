"""Rating files as people have them: tab-separated GroupLens tables, CSV, and the lists of titles and users."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwloop.errors import DataError


@dataclass(frozen=True)
class RatingTable:
    """The rows of one file in its order.

    `user_ids`, `item_ids`: text as it stands in the file. `values` (rows,) float64.
    `lines` (rows,) int64: line in the file.
    """

    path: Path
    user_ids: list[str]
    item_ids: list[str]
    values: np.ndarray
    lines: np.ndarray

    def where(self, row: int) -> str:
        return f"{self.path.name} line {self.lines[row]}"


def read_table(path: Path, lowest: float, highest: float) -> RatingTable:
    """Rows `user, item, rating[, more]` of a comma- or tab-separated file, with or without a header line.

    Raises DataError naming file and line for a row with too few fields, an empty id, or a rating that is no number
    from `lowest` to `highest`, and where there is no row at all.
    """
    user_ids, item_ids, values, lines = [], [], [], []
    text = read_text(path, "utf-8-sig")
    delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    try:
        for fields in reader:
            if not fields:
                continue
            where = f"{path.name} line {reader.line_num}"
            if len(fields) < 3:
                raise DataError(f"{where} has {len(fields)} fields: expected user, item, rating; mend the line")
            user_id, item_id = fields[0].strip(), fields[1].strip()
            value = _number(fields[2])
            if value is None and not lines and reader.line_num == 1 and fields[2].strip().lower() != "nan":
                continue  # a header line
            if not user_id or not item_id:
                raise DataError(f"{where} has an empty user or item id; mend the line")
            if value is None or not lowest <= value <= highest:
                raise DataError(
                    f"{where}: rating is {fields[2].strip()!r}, allowed {lowest:g} to {highest:g}; mend the line"
                )
            user_ids.append(user_id)
            item_ids.append(item_id)
            values.append(value)
            lines.append(reader.line_num)
    except csv.Error as failure:
        raise DataError(f"{path.name} line {reader.line_num}: {failure}; give a table of ratings") from failure
    if not lines:
        raise DataError(f"{path} holds no ratings; give a table of user, item, rating")
    return RatingTable(path, user_ids, item_ids, np.array(values), np.array(lines, dtype=np.int64))


def read_titles(path: Path) -> dict[str, str]:
    """Title by item id from a `u.item` file (Latin-1, fields separated by |); a line without a title is a DataError."""
    titles = {}
    # Not splitlines(): Latin-1 titles may hold bytes that it takes for line ends.
    for number, line in enumerate(read_text(path, "latin-1").rstrip("\n").split("\n"), start=1):
        fields = line.split("|")
        if len(fields) < 2:
            raise DataError(f"{path.name} line {number} has no title: expected id|title|…; mend the line")
        titles[fields[0].strip()] = fields[1].strip()
    return titles


def read_text(path: Path, encoding: str) -> str:
    """The text of a file; raises DataError where it cannot be read or is no text."""
    try:
        return path.read_text(encoding=encoding)
    except OSError as failure:
        raise DataError(f"{path}: {failure.strerror}; give a GroupLens folder or a CSV file") from failure
    except UnicodeDecodeError as failure:
        raise DataError(f"{path} is no text file ({failure.reason}); give a table of ratings") from failure


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value
