"""`characterize …`: what cells do, measured as a run: planned and agreed to, journalled, kept with pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwloop.config import RunSettings
from hwloop.controller.array_job import ArrayResult
from hwloop.controller.cells import cells_of, check_rows
from hwloop.controller.characterize_pictures import draw_study
from hwloop.controller.output_files import OutputFiles
from hwloop.controller.planned import PlannedWork
from hwloop.controller.run import begin_run
from hwloop.controller.session import Session, open_session
from hwloop.controller.source import LIVE, Source
from hwloop.errors import UsageError
from hwloop.link.protocol import BOARDS
from hwloop.procedures.characterize_disturb import DisturbStudy
from hwloop.procedures.characterize_endurance import EnduranceStudy
from hwloop.procedures.characterize_forming import FormingStudy
from hwloop.procedures.characterize_gate import GateStudy
from hwloop.procedures.characterize_iv import IvStudy
from hwloop.procedures.characterize_noise import NoiseStudy
from hwloop.procedures.characterize_retention import RetentionStudy
from hwloop.procedures.characterize_smu import SweepCells
from hwloop.procedures.characterize_study import Characterization
from hwloop.procedures.tools import Tools
from hwloop.report import Report

KINDS = ("forming", "iv", "gate", "endurance", "retention", "noise", "disturb")


@dataclass(frozen=True)
class CharacterizeOptions:
    """Options of `characterize WHAT`: cells, and of each kind its own; folder for the pictures, file of the run."""

    what: str
    arrays: str = "both"
    rows: tuple[int, int] | None = None
    columns: tuple[int, int] | None = None
    cycles: int = 1000
    hold_seconds: float = 1e4
    reads: int = 256
    pulses: int = 1000
    stress_volts: float = 0.4
    with_smu: bool = False
    pictures: Path | None = None
    run_file: Path | None = None

    def characterization(self) -> Characterization:
        """What is to be done."""
        match self.what:
            case "forming":
                return FormingStudy()
            case "iv":
                return IvStudy(sweep=SweepCells() if self.with_smu else None)
            case "gate":
                return GateStudy()
            case "endurance":
                return EnduranceStudy(cycles=self.cycles)
            case "retention":
                return RetentionStudy(hold_seconds=self.hold_seconds)
            case "noise":
                return NoiseStudy(reads=self.reads)
            case "disturb":
                return DisturbStudy(pulses=self.pulses, stress_volts=self.stress_volts)
        raise UsageError(f"characterize {self.what!r}: allowed are {', '.join(KINDS)}")


def run_characterize(
    options: CharacterizeOptions, settings: RunSettings, report: Report, source: Source = LIVE
) -> ArrayResult | PlannedWork:
    """Plan, ask, measure, keep. Cells on the chip's map of bad cells are left out, but where forming is at issue."""
    work = options.characterization()
    files = OutputFiles("characterize", options.run_file, options.pictures)
    rows, columns = (range(*chosen) if chosen else None for chosen in (options.rows, options.columns))
    check_rows(settings, rows, columns)
    if settings.dry_run:
        geometry = BOARDS[settings.rig.board.name]
        count = len(cells_of(geometry, options.arrays, rows, columns))
        return PlannedWork(f"characterize {options.what}", work.plan(count, geometry.columns))
    if options.with_smu and source.journal is not None:
        raise UsageError(
            "this run was measured with a source meter, whose readings are not in its journal; its run file has them, "
            "and what was not finished has to be measured again"
        )
    with begin_run("characterize", options, settings, report, source) as run:
        with open_session(settings, run.report, run, ("smu",) if options.with_smu else ()) as session:
            cells = cells_of(session.chip, options.arrays, rows, columns)
            if options.what != "forming":
                cells = cells[session.chip.map.usable().ravel()[cells]]
            if not len(cells):
                raise UsageError("all of these cells are on the chip's map of bad cells; choose others")
            plan = work.plan(len(cells), session.chip.columns)
            session.check_dose(cells, work.cycles)
            for line in plan.lines[1:]:
                run.report.note(line)
            run.report.confirm(
                f"characterize {options.what}: {plan.lines[0]}; up to {plan.pulses:,} cell pulses, about "
                f"{plan.seconds:.3g} s on the bench"
            )
            with session.clock.running():
                study = work.run(_tools(session, run.report), cells)
        record = session.record("characterize", options, metrics=study.metrics, fields=study.fields)
        run_file = run.finish(record)
        pictures = files.write_pictures(run.stem, draw_study(options.what, study, record.conductance))
    counters = session.counters()
    facts: dict[str, Any] = {
        "what": options.what, "cells": len(cells), "planned_pulses": plan.pulses,
        **{quantity.name: quantity.value for quantity in study.metrics},
        **counters.document(), "pictures": list(pictures),
    }
    lines = (*study.lines, counters.text(), *(f"picture    {path}" for path in pictures))
    return ArrayResult(facts, lines).with_run_file(run_file)


def _tools(session: Session, report: Report) -> Tools:
    return Tools(board=session.board, chip=session.chip, smu=session.instruments.smu, on_step=report.step)
