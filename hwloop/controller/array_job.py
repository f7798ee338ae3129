"""`array form|read|show`: the chip's cells, all at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwloop import rig
from hwloop.array.forming import FormingSettings, form, unformed_cells
from hwloop.config import RunSettings
from hwloop.controller.cell_meter import CellMeter
from hwloop.controller.cells import array_names, cells_of, check_rows, spread_text
from hwloop.controller.instrument_readings import Readings
from hwloop.controller.matrix_files import MATRIX_SUFFIXES, write_matrix
from hwloop.controller.output_files import check_target
from hwloop.controller.plan import DryRun
from hwloop.controller.run import begin_run
from hwloop.controller.session import Session, open_session
from hwloop.controller.source import LIVE, Source
from hwloop.errors import UsageError
from hwloop.report import Report
from hwloop.runlog.record import ConductanceMaps, Quantity

# A READ of `array read` takes at least this many samples: it is a measurement, not a verify step.
FEWEST_SAMPLES = 12
SMU = ("smu",)
COMPLIANCE_SIEMENS_A_VOLT, THRESHOLD_VOLTS = 98e-6, 0.6     # of the gate; design notes, section 4


@dataclass(frozen=True)
class ArrayResult:
    """What an `array` verb did: named facts for programs, lines for people."""

    facts: dict[str, Any]
    lines: tuple[str, ...]
    goal_missed: str | None = None

    def with_run_file(self, run_file: Path | None) -> ArrayResult:
        """The same, and where its run file is."""
        line = (f"run file   {run_file}",) if run_file else ()
        return ArrayResult({**self.facts, "run_file": run_file}, (*self.lines, *line), self.goal_missed)

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return self.facts

    def text(self) -> str:
        """For people."""
        return "\n".join(self.lines)


@dataclass(frozen=True)
class FormOptions:
    """Options of `array form`: A, B or both, and the rows (first, one past the last); None: all."""

    arrays: str = "both"
    rows: tuple[int, int] | None = None


def form_array(
    options: FormOptions, settings: RunSettings, report: Report, source: Source = LIVE
) -> ArrayResult | DryRun:
    """Form the pristine cells of the chosen rows. Irreversible: asks first."""
    arrays, rows = options.arrays, range(*options.rows) if options.rows else None
    check_rows(settings, rows)
    plan = FormingSettings()
    if settings.dry_run:
        return DryRun(f"form the pristine cells of {_chosen(arrays, rows)}: {_forming_text(plan)}")
    with begin_run("form", options, settings, report, source) as run:
        with open_session(settings, run.report, run) as session:
            chip = session.chip
            cells = cells_of(chip, arrays, rows)
            with session.clock.running():
                pristine = unformed_cells(chip, cells)
            if len(pristine):
                run.report.confirm(
                    f"form {len(pristine):,} of {len(cells):,} cells: {_forming_text(plan)}; irreversible"
                )
            with session.clock.running():
                result = form(chip, cells, plan, lambda done, total: run.report.step("forming", done, total))
        metrics = (Quantity("formed", len(result.formed)), Quantity("not_formed", len(result.not_formed)))
        run_file = run.finish(session.record("form", options, metrics=metrics))
    counters = session.counters()
    facts = {
        "cells": len(cells), "formed": len(result.formed), "already_formed": len(result.already_formed),
        "not_formed": len(result.not_formed), "stuck_high": len(result.stuck_high), **counters.document(),
    }
    lines = [f"formed     {len(result.formed):,} of {len(cells):,} cells with {result.pulses:,} pulses"]
    for count, what in (
        (len(result.already_formed), "were formed before"),
        (len(result.not_formed), "did not form and are on the chip's map now"),
        (len(result.stuck_high), "are stuck high and are on the chip's map now"),
    ):
        if count:
            lines.append(f"           {count:,} {what}")
    return ArrayResult(facts, (*lines, counters.text())).with_run_file(run_file)


def read_array(
    settings: RunSettings, report: Report, target: Path, arrays: str, rows: range | None, reader: str = "board"
) -> ArrayResult | DryRun:
    """Read conductances into a new file (.npy or .csv, siemens), by the "board" or the "smu".

    Raises UsageError for "daq", which has no way to a cell.
    """
    if reader == "daq":
        raise UsageError(
            "the DAQ cannot read cells: its pins see outputs, inputs and amplitudes of the board, and no cell's "
            "current; use --with smu (`solve --read-with daq` reads solutions by the DAQ)"
        )
    check_rows(settings, rows)
    check_target(target, *MATRIX_SUFFIXES)
    if reader == "smu":
        return _read_by_smu(settings, report, target, arrays, rows)
    samples = max(3 * settings.rig.program.averages, FEWEST_SAMPLES)
    if settings.dry_run:
        return DryRun(f"read {_chosen(arrays, rows)} with {samples} x 3 samples a cell into {target}")
    with open_session(settings, report) as session:
        chip = session.chip
        cells = cells_of(chip, arrays, rows)
        with session.clock.running():
            reads = chip.read(cells, samples)
    counters = session.counters()
    shape = _write_conductances(target, reads.conductance_siemens, arrays, chip.columns)
    facts = {
        "file": target, "with": reader, "shape": shape, "saturated": int(reads.saturated.sum()), **counters.document(),
    }
    lines = [f"read       {len(cells):,} cells into {target}, siemens; {spread_text(reads.conductance_siemens)}"]
    if reads.saturated.any():
        lines.append(f"           {int(reads.saturated.sum()):,} cells are beyond {_range_text(session)}")
    return ArrayResult(facts, (*lines, counters.text()))


def _read_by_smu(
    settings: RunSettings, report: Report, target: Path, arrays: str, rows: range | None
) -> ArrayResult | DryRun:
    rig.require_instruments(settings, SMU)
    if settings.dry_run:
        return DryRun(f"route {_chosen(arrays, rows)} to the SMU, cell by cell, and read each into {target}")
    with open_session(settings, report, instruments=SMU) as session:
        chip = session.chip
        cells = cells_of(chip, arrays, rows)
        meter = CellMeter(session.board, session.instruments.smu, Readings(None), report.step)
        with session.clock.running():
            found = meter.read(cells)
        identity = str(session.instruments.smu.identity)
    counters = session.counters()
    shape = _write_conductances(target, found.siemens, arrays, chip.columns)
    uncertainty, beyond = found.uncertainty_95_siemens, int(found.in_limit.sum())
    facts = {
        "file": target, "with": "smu", "instrument": identity, "shape": shape, "saturated": beyond,
        "uncertainty_95_siemens": {"max": float(uncertainty.max()), "median": float(np.median(uncertainty))},
        **counters.document(),
    }
    lines = [
        f"read       {len(cells):,} cells into {target}, siemens; {spread_text(found.siemens)}",
        f"by         {identity}",
        f"           +-{np.median(uncertainty) * 1e6:.2g} uS (95 %, median), at most {uncertainty.max() * 1e6:.2g} uS",
    ]
    if beyond:
        lines.append(f"           {beyond:,} cells are in the SMU's limit and conduct more than it says")
    return ArrayResult(facts, (*lines, counters.text()))


def _write_conductances(target: Path, conductance_siemens: np.ndarray, arrays: str, columns: int) -> list[int]:
    """Write the cells (n,) of one array or both as a matrix, or two, whose shape is given."""
    siemens = conductance_siemens.reshape(len(array_names(arrays)), -1, columns)
    written = siemens[0] if len(siemens) == 1 else siemens
    write_matrix(target, written)
    return list(written.shape)


def show_array(settings: RunSettings, report: Report, picture: Path | None) -> ArrayResult | DryRun:
    """Read everything and say how the chip stands."""
    if picture:
        check_target(picture, ".png")
    if settings.dry_run:
        return DryRun(f"read every cell{f' and draw {picture}' if picture else ''}")
    with open_session(settings, report) as session:
        chip = session.chip
        with session.clock.running():
            reads = chip.read(np.arange(chip.size))
            unformed = len(unformed_cells(chip, np.arange(chip.size)))
    counters, maps, serial = session.counters(), session.conductance_maps(), session.array_serial
    saturated = int(reads.saturated.sum())
    status = dict(sorted(chip.map.status.items()))
    facts: dict[str, Any] = {
        "array_serial": serial, "rows": chip.rows, "columns": chip.columns, "unformed": unformed,
        "beyond_range": saturated, "bad_cells": {str(cell): reason for cell, reason in status.items()},
    }
    lines = [f"chip       serial {serial}, 2 x {chip.rows} x {chip.columns} cells"]
    for name, siemens in (("A", maps.a_siemens), ("B", maps.b_siemens)):
        facts[f"median_{name.lower()}_siemens"] = float(np.median(siemens))
        lines.append(f"array {name}    {spread_text(siemens)}")
    hint = "; form them with `hwloop array form`" if unformed > chip.size / 2 else ""
    lines.append(f"unformed   {unformed:,} cells{hint}")
    lines.append(f"saturated  {saturated:,} cells are beyond {_range_text(session)}")
    reasons = sorted(set(status.values()))
    counts = (f"{sum(found == reason for found in status.values()):,} {reason}" for reason in reasons)
    lines.append(f"bad cells  {', '.join(counts) or 'none on the map'}")
    if picture:
        _draw(maps, picture)
        lines.append(f"picture    {picture}")
    return ArrayResult({**facts, **counters.document(), "picture": picture}, (*lines, counters.text()))


def _forming_text(plan: FormingSettings) -> str:
    volts = ", ".join(f"{value:g}" for value in plan.amplitudes_volts)
    compliance_siemens = COMPLIANCE_SIEMENS_A_VOLT * (plan.gate_volts - THRESHOLD_VOLTS)
    return (
        f"up to {len(plan.amplitudes_volts)} pulses of {volts} V, {plan.width_seconds * 1e6:g} us, compliance by the "
        f"gate at {plan.gate_volts:g} V (about {compliance_siemens * 1e6:.0f} uS), then RESET at {plan.reset_volts:g} V"
    )


def _chosen(arrays: str, rows: range | None) -> str:
    where = "all rows" if rows is None else f"row {rows[0]}" if len(rows) == 1 else f"rows {rows[0]} to {rows[-1]}"
    return f"{where} of {'both arrays' if arrays == 'both' else f'array {arrays}'}"


def _range_text(session: Session) -> str:
    return f"the reading range of {session.board.scales.range_siemens(1) * 1e6:g} uS"


def _draw(maps: ConductanceMaps, picture: Path) -> None:
    from hwloop.apps.pictures import draw_conductance, save_figure

    save_figure(draw_conductance(maps), picture)
