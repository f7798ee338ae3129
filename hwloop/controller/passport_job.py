"""`array passport`: what the chip's cells got so far, shown and exported; no board is opened."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwloop.array.passport import KIND_NAMES, Passport, passport_path
from hwloop.config import RunSettings
from hwloop.controller.array_job import ArrayResult
from hwloop.controller.cells import array_names
from hwloop.controller.mask_job import map_path
from hwloop.controller.output_files import check_target
from hwloop.errors import CalibrationError, UsageError
from hwloop.runlog.publish import publish

SHOWN_CELLS = 16
_KINDS = tuple(name.lower() for name in KIND_NAMES)
HEADER = (
    "array", "row", "column", "cycles",
    *(f"{kind}_{what}" for kind in _KINDS for what in ("pulses", "largest_volts", "largest_gate_volts",
                                                       "longest_seconds")),
)  # fmt: skip


@dataclass(frozen=True)
class PassportOptions:
    """Options of `array passport`: which cells (None: all), and a new .csv file for them."""

    arrays: str = "both"
    row: int | None = None
    column: int | None = None
    export: Path | None = None


def show_passport(options: PassportOptions, settings: RunSettings) -> ArrayResult:
    """What the chosen cells got. Raises UsageError where the rig does not say which chip it is, CalibrationError where
    it has no passport yet."""
    if options.export is not None:
        check_target(options.export, ".csv")
    path = passport_path(map_path(settings))
    if not path.exists():
        raise CalibrationError(f"there is no passport {path}: no pulse was given to this chip yet, as far as is known")
    passport = Passport.load(path)
    cells = _chosen(passport, options)
    pulses = passport.pulses[:, cells].sum(axis=1, dtype=np.int64)
    largest = passport.largest_volts[:, cells].max(axis=1)
    facts: dict[str, Any] = {
        "passport": path, "array_serial": passport.array_serial, "cells": len(cells),
        "pulsed": int((passport.pulses[:, cells].sum(axis=0) > 0).sum()),
        "pulses": dict(zip(_KINDS, pulses.tolist(), strict=True)),
        "largest_volts": {kind: round(float(volts), 6) for kind, volts in zip(_KINDS, largest, strict=True)},
        "most_forming_attempts": int(passport.forming_attempts[cells].max(initial=0)),
        "most_cycles": int(passport.cycles[cells].max(initial=0)), "export": options.export,
    }
    counts = ", ".join(f"{count:,} {kind.upper()}" for kind, count in facts["pulses"].items())
    volts = ", ".join(f"{kind.upper()} {value:.3g} V" for kind, value in facts["largest_volts"].items() if value)
    limits = passport.limits
    lines = [
        f"chip       serial {passport.array_serial}, {facts['pulsed']:,} of {len(cells):,} cells were pulsed",
        f"pulses     {counts}",
        f"largest    {volts or 'none'}",
        f"forming    {facts['most_forming_attempts']} attempts at most on a cell, of {limits.forming_attempts} allowed",
        f"cycles     {facts['most_cycles']:,} at most on a cell, of {limits.cycles:,} allowed",
    ]
    if len(cells) <= SHOWN_CELLS:
        facts["each"] = [dict(zip(HEADER, entry, strict=True)) for entry in _entries(passport, cells)]
        lines += [f"{passport.place_of(cell):<10} {_cell_text(passport, cell)}" for cell in cells.tolist()]
    if options.export is not None:
        _export(options.export, passport, cells)
        lines.append(f"exported   {len(cells):,} cells to {options.export}")
    lines.append(f"passport   {path}")
    return ArrayResult(facts, tuple(lines))


def _chosen(passport: Passport, options: PassportOptions) -> np.ndarray:
    for name, value, size in (("row", options.row, passport.rows), ("column", options.column, passport.columns)):
        if value is not None and value >= size:
            raise UsageError(f"{name} is {value}, allowed 0 to {size - 1} on this chip; choose another one")
    rows = np.arange(passport.rows) if options.row is None else np.array([options.row])
    columns = np.arange(passport.columns) if options.column is None else np.array([options.column])
    arrays = np.array(["AB".index(name) for name in array_names(options.arrays)])
    first = ((arrays[:, None] * passport.rows + rows) * passport.columns).ravel()
    return (first[:, None] + columns).ravel()


def _cell_text(passport: Passport, cell: int) -> str:
    parts = [
        f"{passport.pulses[kind, cell]:,} {name} up to {passport.largest_volts[kind, cell]:.3g} V, gate "
        f"{passport.largest_gate_volts[kind, cell]:.3g} V, {passport.longest_seconds[kind, cell] * 1e6:.3g} us"
        for kind, name in enumerate(KIND_NAMES) if passport.pulses[kind, cell]
    ]
    return "; ".join([*parts, f"{passport.cycles[cell]:,} cycles"])


def _entries(passport: Passport, cells: np.ndarray) -> list[list[Any]]:
    """One line a cell, as HEADER says."""
    array_row, column = np.divmod(cells, passport.columns)
    array, row = np.divmod(array_row, passport.rows)
    columns: list[list[Any]] = [["AB"[each] for each in array.tolist()], row.tolist(), column.tolist()]
    columns.append(passport.cycles[cells].tolist())
    for kind in range(len(_KINDS)):
        columns.append(passport.pulses[kind, cells].tolist())
        for values in (passport.largest_volts, passport.largest_gate_volts, passport.longest_seconds):
            columns.append([float(f"{value:.6g}") for value in values[kind, cells].tolist()])
    return [list(entry) for entry in zip(*columns, strict=True)]


def _export(target: Path, passport: Passport, cells: np.ndarray) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADER)
    writer.writerows(_entries(passport, cells))
    with publish(target) as file:
        file.write(text.getvalue().encode())
