"""`array yield`: a short test of the chip's cells, whose verdict goes onto the map that placement goes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hwloop.array.cellmap import GOOD, MASKED, USED_ALL_THE_SAME, CellMap
from hwloop.config import RunSettings
from hwloop.controller.array_job import ArrayResult
from hwloop.controller.cells import cells_of, check_rows
from hwloop.controller.planned import PlannedWork
from hwloop.controller.run import begin_run
from hwloop.controller.session import open_session
from hwloop.controller.source import LIVE, Source
from hwloop.link.protocol import BOARDS
from hwloop.procedures.characterize_yield import STATUSES, YieldTest
from hwloop.procedures.tools import Tools
from hwloop.report import Report


@dataclass(frozen=True)
class YieldOptions:
    """Options of `array yield`: which cells, and kinds of cells (slow, noisy) that are not to be used from now on."""

    arrays: str = "both"
    rows: tuple[int, int] | None = None
    avoid: tuple[str, ...] = ()


def run_yield(
    options: YieldOptions, settings: RunSettings, report: Report, source: Source = LIVE
) -> ArrayResult | PlannedWork:
    """Plan, ask, test, mark. What was masked by hand, or was found to be bad before, stays on the map."""
    work, rows = YieldTest(), range(*options.rows) if options.rows else None
    check_rows(settings, rows)
    if settings.dry_run:
        geometry = BOARDS[settings.rig.board.name]
        count = len(cells_of(geometry, options.arrays, rows))
        return PlannedWork("array yield", work.plan(count, geometry.columns))
    with begin_run("yield", options, settings, report, source) as run:
        with open_session(settings, run.report, run) as session:
            cells = cells_of(session.chip, options.arrays, rows)
            plan = work.plan(len(cells), session.chip.columns)
            session.check_dose(cells, work.cycles)
            for line in plan.lines[1:]:
                run.report.note(line)
            run.report.confirm(f"array yield: {plan.lines[0]}; up to {plan.pulses:,} cell pulses")
            with session.clock.running():
                study = work.run(Tools(board=session.board, chip=session.chip, on_step=run.report.step), cells)
            mark(session.chip.map, cells, study.values("status"), options.avoid)
        run_file = run.finish(session.record("yield", options, metrics=study.metrics, fields=study.fields))
    counters, usable = session.counters(), session.chip.map.usable().ravel()[cells]
    facts: dict[str, Any] = {
        "cells": len(cells), "planned_pulses": plan.pulses, "usable": int(usable.sum()),
        **{quantity.name: quantity.value for quantity in study.metrics}, **counters.document(),
    }
    lines = (
        *study.lines,
        f"map        {int(usable.sum()):,} of {len(cells):,} cells may be used"
        + (f"; {' and '.join(options.avoid)} ones are avoided" if options.avoid else ""),
        counters.text(),
    )
    return ArrayResult(facts, lines).with_run_file(run_file)


def mark(cell_map: CellMap, cells: np.ndarray, status: np.ndarray, avoid: tuple[str, ...]) -> None:
    """Put what was found (n,), numbers in STATUSES, of `cells` (n,) onto the map. Kinds to `avoid` are not used."""
    known = np.array([cell_map.status.get(cell, GOOD) for cell in cells.tolist()])
    for number, name in enumerate(STATUSES):
        found = status == number
        if name == GOOD or name in USED_ALL_THE_SAME:
            # Bad cells stay bad: a short test may have met one in a good moment.
            found &= np.isin(known, [GOOD, *USED_ALL_THE_SAME])
        found &= known != MASKED
        cell_map.mark(cells[found], f"{name}, avoided" if name in avoid else name)
