"""`array program`: a matrix of conductances onto the chip, written and verified."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwloop import rig
from hwloop.apps.matrix import load_matrix
from hwloop.array.program.common import Outcome, ProgramResult
from hwloop.config import ProgramConfig, RunSettings
from hwloop.controller.array_job import SMU, ArrayResult
from hwloop.controller.cells import array_names, check_place
from hwloop.controller.output_files import check_target
from hwloop.controller.plan import DryRun
from hwloop.controller.run import begin_run
from hwloop.controller.session import Session, open_session
from hwloop.controller.smu_verification import SmuVerification, verify_by_smu
from hwloop.controller.source import LIVE, Source
from hwloop.errors import DataError, LimitError
from hwloop.link.protocol import BOARDS
from hwloop.report import Report
from hwloop.runlog.publish import publish
from hwloop.runlog.record import InputFile, Quantity

SCALES_SIEMENS = {"S": 1.0, "uS": 1e-6}
# Cells relax after their last pulse; this long after programming they are read once more.
RELAXATION_SECONDS = 1.0
# Every chip has a few dead cells: programming misses its goal where a smaller share than this is accepted.
GOAL_ACCEPTED = 0.98


@dataclass(frozen=True)
class ProgramOptions:
    """Options of `array program`: the file of conductances in `unit`, where its first entry goes, a new .csv file
    `table` for the outcome of every cell, and what verifies the cells in the end: the "board" or the "smu"."""

    matrix: Path
    arrays: str = "both"
    row: int = 0
    column: int = 0
    unit: str = "S"
    table: Path | None = None
    verify_with: str = "board"


def program_array(
    options: ProgramOptions, settings: RunSettings, report: Report, source: Source = LIVE
) -> ArrayResult | DryRun:
    """Program and verify a matrix of conductances from (row, column) on; NaN entries are left alone."""
    arrays, row, column, table = options.arrays, options.row, options.column, options.table
    if table is not None:
        check_target(table, ".csv")
    wanted_siemens = _load(options.matrix, options.unit, settings.rig.program)
    if settings.rig.board.is_simulated:
        geometry = BOARDS[settings.rig.board.name]
        check_place(wanted_siemens.shape, row, column, geometry.rows, geometry.columns)
    here = np.argwhere(np.isfinite(wanted_siemens))
    names = array_names(arrays)
    roles = SMU if options.verify_with == "smu" else ()
    if not source.is_replay:
        rig.require_instruments(settings, roles)
    if settings.dry_run:
        verified = " and verify each by the SMU" if roles else ""
        return DryRun(f"program {len(here) * len(names):,} cells{verified}")
    with begin_run("program", options, settings, report, source, {"matrix": [options.matrix]}) as run:
        with open_session(settings, run.report, run, roles) as session:
            chip = session.chip
            check_place(wanted_siemens.shape, row, column, chip.rows, chip.columns)
            cells = np.concatenate([
                ("AB".index(name) * chip.rows + here[:, 0] + row) * chip.columns + here[:, 1] + column
                for name in names
            ])
            targets_siemens = np.tile(wanted_siemens[tuple(here.T)], len(names))
            usable = chip.map.usable().ravel()[cells]
            with session.clock.running():
                result = chip.program(cells[usable], targets_siemens[usable])
                session.board.wait(RELAXATION_SECONDS)
                relaxed_siemens = chip.read(result.cells).conductance_siemens if len(result.cells) else np.zeros(0)
                verified = None
                if roles:
                    verified = verify_by_smu(session, result, relaxed_siemens, settings.rig.program.tolerance)
        found = _result(result, relaxed_siemens, int((~usable).sum()), settings.rig.program, session, table, verified)
        metrics = (Quantity("accepted", found.facts["accepted"]), Quantity("cells", found.facts["cells"]))
        record = session.record("program", options, (InputFile.of(options.matrix),), metrics=metrics)
        if table is not None:
            _write_table(table, result, relaxed_siemens, chip.rows, chip.columns, verified)
        run_file = run.finish(record)
    return found.with_run_file(run_file)


def _load(source: Path, unit: str, program: ProgramConfig) -> np.ndarray:
    """The conductances of a file, siemens. Raises LimitError outside the range, DataError where there are none."""
    values = load_matrix(source, gaps=True).values
    wanted_siemens = (values if isinstance(values, np.ndarray) else values.toarray()) * SCALES_SIEMENS[unit]
    if not np.isfinite(wanted_siemens).any():
        raise DataError(f"{source} has no number in it, so there is nothing to program; give conductances")
    low, high = program.conductance_min_siemens, program.conductance_max_siemens
    outside = np.argwhere((wanted_siemens < low) | (wanted_siemens > high))
    if len(outside):
        first = tuple(outside[0].tolist())
        raise LimitError(
            f"{source}: conductance at row {first[0]}, column {first[1]} (from 0)", float(wanted_siemens[first]) * 1e6,
            f"{low * 1e6:g} to {high * 1e6:g}", "uS",
            "nothing was pulsed; scale the matrix into the range, or check --unit",
        )
    return wanted_siemens


def _write_table(
    table: Path, result: ProgramResult, relaxed_siemens: np.ndarray, rows: int, columns: int,
    verified: SmuVerification | None,
) -> None:
    """One line a cell: where, what was asked, how it ended, what it read at verify and after relaxation, and what the
    SMU says."""
    array_row, column = np.divmod(result.cells, columns)
    array, row = np.divmod(array_row, rows)
    lines = ["array,row,column,target_siemens,outcome,pulses,verified_siemens,relaxed_siemens"]
    lines += [
        f"{'AB'[a]},{r},{c},{target:.6e},{_words(outcome)},{pulses},{verified:.6e},{relaxed:.6e}"
        for a, r, c, target, outcome, pulses, verified, relaxed in zip(
            array, row, column, result.target_siemens, result.outcome, result.pulses, result.conductance_siemens,
            relaxed_siemens, strict=True,
        )
    ]
    if verified is not None:
        more = (",".join(SmuVerification.COLUMNS), *verified.table_lines())
        lines = [f"{line},{added}" for line, added in zip(lines, more, strict=True)]
    with publish(table) as file:
        file.write("\n".join([*lines, ""]).encode())


def _result(
    result: ProgramResult, relaxed_siemens: np.ndarray, masked: int, program: ProgramConfig, session: Session,
    table: Path | None, verified: SmuVerification | None,
) -> ArrayResult:
    counters = session.counters()
    error_siemens = result.error_siemens[result.accepted]
    relaxed_error_siemens = (relaxed_siemens - result.target_siemens)[result.accepted]
    accepted, total = len(error_siemens), len(result.cells)
    reasons = {
        _words(outcome): int((result.outcome == outcome).sum())
        for outcome in Outcome if outcome > 0
    }
    facts: dict[str, Any] = {
        "cells": total, "accepted": accepted, "given_up": reasons, "masked": masked, "steps": result.steps,
        "cell_pulses": result.cell_pulses, "error_siemens": _statistics(error_siemens),
        "relaxed_error_siemens": _statistics(relaxed_error_siemens), "table": table, **counters.document(),
    }
    lines = [
        f"programmed {accepted:,} of {total:,} cells within +-{program.tolerance * 100:.3g} % of the range, in "
        f"{result.steps} steps, {result.cell_pulses:,} cell pulses"
    ]
    if accepted:
        lines.append(
            f"error      {error_siemens.mean() * 1e6:+.2f} +- {error_siemens.std() * 1e6:.2f} uS, "
            f"at most {np.abs(error_siemens).max() * 1e6:.2f} uS; "
            f"{relaxed_error_siemens.mean() * 1e6:+.2f} +- {relaxed_error_siemens.std() * 1e6:.2f} uS "
            f"{RELAXATION_SECONDS:g} s later"
        )
    lines += [f"given up   {count:,} cells: {reason}" for reason, count in reasons.items() if count]
    lines += [f"masked     {masked:,} cells were left alone"] if masked else []
    lines += [f"table      {table}"] if table else []
    if verified is not None:
        # The instrument has the last word on what is accepted.
        accepted = int(verified.accepted.sum())
        facts |= {"accepted_by_board": facts["accepted"], "accepted": accepted, "smu": verified.document()}
        lines += verified.lines()
    missed = None
    if accepted < GOAL_ACCEPTED * total:
        missed = f"{total - accepted:,} of {total:,} cells were not brought to their targets, more than 2 %"
    return ArrayResult(facts, (*lines, counters.text()), missed)


def _words(outcome: int) -> str:
    return Outcome(outcome).name.lower().replace("_", " ")


def _statistics(error_siemens: np.ndarray) -> dict[str, float | None]:
    if not len(error_siemens):
        return {"mean": None, "standard_deviation": None, "largest": None}
    return {
        "mean": float(error_siemens.mean()), "standard_deviation": float(error_siemens.std()),
        "largest": float(np.abs(error_siemens).max()),
    }
