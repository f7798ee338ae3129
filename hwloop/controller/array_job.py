"""`array form|read|program|show|mask`: the chip's cells, one by one or all at once."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwloop import rig
from hwloop.apps.matrix import load_matrix
from hwloop.array.cellmap import GOOD, MASKED, CellMap
from hwloop.array.chip import Chip
from hwloop.array.forming import FormingSettings, form, unformed_cells
from hwloop.array.program.common import Outcome, ProgramResult
from hwloop.config import RunSettings
from hwloop.controller.counters import Counters
from hwloop.controller.session import open_session
from hwloop.errors import LimitError, UsageError
from hwloop.link.protocol import BOARDS
from hwloop.report import Report
from hwloop.runlog.publish import publish, refuse_existing
from hwloop.runlog.record import ConductanceMaps

MICROSIEMENS = 1e6


@dataclass(frozen=True)
class ArrayResult:
    """What an `array` verb did: named facts for programs, lines for people."""

    facts: dict[str, Any]
    lines: tuple[str, ...]
    goal_missed: str | None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return self.facts

    def text(self) -> str:
        """For people."""
        return "\n".join(self.lines)


def form_array(settings: RunSettings, report: Report, arrays: str, rows: range | None) -> ArrayResult:
    """Form the pristine cells of the chosen rows. Irreversible: asks first."""
    plan = FormingSettings()
    with open_session(settings, report) as session:
        chip = session.chip
        cells = _cells(chip, arrays, rows)
        pristine = unformed_cells(chip, cells)
        volts = ", ".join(f"{v:g}" for v in plan.amplitudes_volts)
        question = (
            f"form {len(pristine):,} of {len(cells):,} cells: up to {len(plan.amplitudes_volts)} pulses of {volts} V, "
            f"{plan.width_seconds * 1e6:g} us, compliance by the gate at {plan.gate_volts:g} V (about {98 * (plan.gate_volts - 0.6):.0f} uS), "
            f"then RESET at {plan.reset_volts:g} V; irreversible"
        )
        if settings.dry_run:
            return ArrayResult({"dry_run": True, "pristine": len(pristine), "cells": len(cells)}, (f"would {question}",))
        if len(pristine):
            report.confirm(question)
        with session.clock.running():
            result = form(chip, cells, plan, lambda done, total: report.step("forming", done, total))
        counters = session.counters()
    facts = {
        "cells": len(cells), "formed": len(result.formed), "already_formed": len(result.already_formed),
        "not_formed": len(result.not_formed), "stuck_high": len(result.stuck_high), **counters.document(),
    }
    lines = (
        f"formed     {len(result.formed):,} of {len(cells):,} cells with {result.pulses:,} pulses; {len(result.already_formed):,} were formed "
        f"before, {len(result.not_formed):,} did not form, {len(result.stuck_high):,} are stuck high (both are on the chip's map)",
        counters.text(),
    )
    return ArrayResult(facts, lines)


def read_array(settings: RunSettings, report: Report, target: Path, arrays: str, rows: range | None) -> ArrayResult:
    """Read conductances into a new file (.npy or .csv, siemens)."""
    refuse_existing(target)
    if target.suffix not in (".npy", ".csv"):
        raise UsageError(f"{target} ends in {target.suffix or 'nothing'!r}, allowed .npy and .csv; choose one")
    with open_session(settings, report) as session:
        chip = session.chip
        cells = _cells(chip, arrays, rows)
        with session.clock.running():
            reads = chip.read(cells, max(3 * settings.rig.program.averages, 12))
        counters = session.counters()
    siemens = reads.conductance_siemens.reshape(len(arrays.replace("both", "AB")), -1, chip.columns)
    matrix = siemens[0] if len(siemens) == 1 else siemens
    with publish(target) as file:
        if target.suffix == ".npy":
            np.save(file, matrix)
        else:
            text = io.StringIO()
            np.savetxt(text, siemens.reshape(-1, chip.columns), fmt="%.6e", delimiter=",")
            file.write(text.getvalue().encode())
    facts = {"file": target, "shape": list(matrix.shape), "saturated": int(reads.saturated.sum()), **counters.document()}
    return ArrayResult(facts, (f"read       {len(cells):,} cells into {target}, siemens, {_spread(reads.conductance_siemens)}", counters.text()))


def program_array(
    settings: RunSettings, report: Report, source: Path, arrays: str, row: int, column: int, unit: str
) -> ArrayResult:
    """Program and verify a matrix of conductances whose first entry goes to (row, column); NaN entries are left alone."""
    wanted = load_matrix(source, gaps=True).values
    if not isinstance(wanted, np.ndarray):
        wanted = wanted.toarray()
    wanted = wanted * (1e-6 if unit == "uS" else 1.0)
    conductance = settings.rig.program
    allowed = f"{conductance.conductance_min_siemens * 1e6:g} to {conductance.conductance_max_siemens * 1e6:g}"
    outside = (wanted < conductance.conductance_min_siemens) | (wanted > conductance.conductance_max_siemens)
    if outside.any():
        where = np.argwhere(outside)[0]
        raise LimitError(
            f"{source}: conductance at row {where[0]}, column {where[1]}", float(wanted[tuple(where)]) * 1e6, allowed, "uS",
            "nothing was pulsed; scale the matrix into the range (or check --unit)",
        )
    if settings.rig.board.backend == "mock":
        geometry = BOARDS[settings.rig.board.name]
        _check_place(wanted.shape, row, column, geometry.rows, geometry.columns)
    if settings.dry_run:
        count = int(np.isfinite(wanted).sum()) * len(arrays.replace("both", "AB"))
        return ArrayResult({"dry_run": True, "cells": count}, (f"dry run    would program {count:,} cells; nothing was opened or driven",))
    with open_session(settings, report) as session:
        chip = session.chip
        _check_place(wanted.shape, row, column, chip.rows, chip.columns)
        here = np.argwhere(np.isfinite(wanted))
        cells = [
            ((("AB".index(name) * chip.rows) + here[:, 0] + row) * chip.columns + here[:, 1] + column)
            for name in arrays.replace("both", "AB")
        ]
        targets = np.tile(wanted[tuple(here.T)], len(cells))
        cells = np.concatenate(cells)
        usable = chip.map.usable().ravel()[cells]
        with session.clock.running():
            result = chip.program(cells[usable], targets[usable])
        counters = session.counters()
    return _programmed(result, int((~usable).sum()), settings.rig.program.tolerance, chip, counters)


def _programmed(result: ProgramResult, masked: int, tolerance: float, chip: Chip, counters: Counters) -> ArrayResult:
    error_siemens = result.error_siemens[result.accepted]
    reasons = {
        outcome.name.lower().replace("_", " "): int((result.outcome == outcome).sum()) for outcome in Outcome if outcome > 0
    }
    given_up = len(result.cells) - int(result.accepted.sum())
    facts = {
        "cells": len(result.cells), "accepted": int(result.accepted.sum()), "given_up": reasons, "masked": masked, "steps": result.steps,
        "cell_pulses": result.cell_pulses, "error_siemens": {
            "mean": float(error_siemens.mean()) if len(error_siemens) else None,
            "standard_deviation": float(error_siemens.std()) if len(error_siemens) else None,
            "largest": float(np.abs(error_siemens).max()) if len(error_siemens) else None,
        }, **counters.document(),
    }
    spread = f"error {error_siemens.mean() * 1e6:+.2f} +- {error_siemens.std() * 1e6:.2f} uS" if len(error_siemens) else "no error to report"
    lines = [
        f"programmed {facts['accepted']:,} of {len(result.cells):,} cells within +-{tolerance:.3g} of the range in {result.steps} steps, "
        f"{result.cell_pulses:,} cell pulses; {spread}"
    ]
    lines += [f"given up   {count:,} cells: {reason}" for reason, count in reasons.items() if count]
    lines += [f"masked     {masked:,} cells were left alone"] if masked else []
    missed = f"{given_up:,} of {len(result.cells):,} cells were not brought to their targets" if given_up else None
    return ArrayResult(facts, (*lines, counters.text()), missed)


def show_array(settings: RunSettings, report: Report, picture: Path | None) -> ArrayResult:
    """Read everything and say how the chip stands."""
    if picture:
        refuse_existing(picture)
    with open_session(settings, report) as session:
        chip = session.chip
        with session.clock.running():
            reads = chip.read(np.arange(chip.size))
        maps, serial = session.conductance_maps(), session.array_serial
        status = dict(sorted(chip.map.status.items()))
        counters = session.counters()
    unformed = int((reads.conductance_siemens < 0.1e-6).sum())
    facts: dict[str, Any] = {
        "array_serial": serial, "rows": chip.rows, "columns": chip.columns, "below_100_nanosiemens": unformed,
        "beyond_range": int(reads.saturated.sum()), "bad_cells": {str(cell): reason for cell, reason in status.items()},
    }
    lines = [f"chip       serial {serial}, 2 x {chip.rows} x {chip.columns} cells"]
    for name, siemens in (("A", maps.a_siemens), ("B", maps.b_siemens)):
        facts[f"median_{name.lower()}_siemens"] = float(np.median(siemens))
        lines.append(f"array {name}    {_spread(siemens)}")
    lines.append(f"pristine   {unformed:,} cells below 0.1 uS{'; form them with `hwloop array form`' if unformed > chip.size / 2 else ''}")
    lines.append(f"range      {int(reads.saturated.sum()):,} cells beyond the reading range of {session.board.scales.range_siemens(1) * 1e6:g} uS")
    reasons = sorted(set(status.values()))
    lines.append("bad cells  " + (", ".join(f"{sum(s == r for s in status.values()):,} {r}" for r in reasons) or "none on the map"))
    if picture:
        _draw(maps, picture)
        lines.append(f"picture    {picture}")
    return ArrayResult({**facts, **counters.document(), "picture": picture}, tuple(lines))


def mask_array(
    settings: RunSettings, report: Report, arrays: str, rows: range | None, columns: range | None, clear: bool,
    status_list: Path | None,
) -> ArrayResult:
    """Change or list the chip's map of bad cells; no board is opened where the rig says which chip it is."""
    if rig.is_forgotten(settings):
        raise UsageError("this rig's simulated chip is forgotten at the end, and its map with it; keep it with --state PATH")
    if settings.rig.array.serial is None and settings.rig.board.backend == "real":
        raise UsageError("the map belongs to a chip: say which one in the rig, [array] serial")
    path = rig.cell_map_path(settings, settings.rig.array.serial or rig.DEFAULT_SERIAL)
    geometry = BOARDS[settings.rig.board.name]
    cell_map = CellMap(geometry.rows, geometry.columns)
    if path.exists():
        cell_map.import_list(path)
    lines: list[str] = []
    if status_list:
        lines.append(f"imported   {cell_map.import_list(status_list):,} entries of {status_list}")
    if rows is not None or columns is not None or clear:
        cells = [
            cell_map.cells_of(name, r, c, "array mask")
            for name in arrays.replace("both", "AB")
            for r in (rows if rows is not None else (None,))
            for c in (columns if columns is not None else (None,))
        ]
        chosen = np.unique(np.concatenate(cells))
        cell_map.mark(chosen, GOOD if clear else MASKED)
        lines.append(f"{'unmasked' if clear else 'masked':<10} {len(chosen):,} cells")
    if lines and not settings.dry_run:
        cell_map.save(path)
    reasons = sorted(set(cell_map.status.values()))
    counts = {reason: sum(status == reason for status in cell_map.status.values()) for reason in reasons}
    lines.append("bad cells  " + (", ".join(f"{count:,} {reason}" for reason, count in counts.items()) or "none on the map"))
    lines.append(f"map        {path}")
    return ArrayResult({"map": path, "bad_cells": counts, "total": len(cell_map.status)}, tuple(lines))


def _cells(chip: Chip, arrays: str, rows: range | None) -> np.ndarray:
    if rows is not None and rows[-1] >= chip.rows:
        raise UsageError(f"row is {rows[-1]}, allowed 0 to {chip.rows - 1} on this chip")
    chosen = np.arange(chip.rows) if rows is None else np.array(rows)
    first = np.concatenate([("AB".index(name) * chip.rows + chosen) * chip.columns for name in arrays.replace("both", "AB")])
    return (first[:, None] + np.arange(chip.columns)).ravel()


def _check_place(shape: tuple[int, int], row: int, column: int, rows: int, columns: int) -> None:
    if row + shape[0] > rows or column + shape[1] > columns:
        raise UsageError(
            f"a {shape[0]}x{shape[1]} matrix at row {row}, column {column} does not fit: the chip has {rows} rows and {columns} columns"
        )


def _spread(siemens: np.ndarray) -> str:
    low, median, high = np.percentile(siemens, [5, 50, 95]) * MICROSIEMENS
    return f"5/50/95 %: {low:.2f}/{median:.2f}/{high:.2f} uS"


def _draw(maps: ConductanceMaps, picture: Path) -> None:
    from hwloop.apps.pictures import draw_conductance, save_figure

    save_figure(draw_conductance(maps), picture)
