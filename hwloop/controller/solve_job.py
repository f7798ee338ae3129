"""`solve`: one non-negative regression on the circuit, with the exact solution beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwloop import rig
from hwloop.anls.exact import exact_half_step
from hwloop.anls.regression import DenseRegression
from hwloop.apps.matrix import load_matrix
from hwloop.config import RunSettings, SolverConfig
from hwloop.controller.counters import Counters
from hwloop.controller.daq_solution import DaqSolution, distance, solve_by_daq
from hwloop.controller.matrix_files import MATRIX_SUFFIXES, write_matrix
from hwloop.controller.output_files import check_target
from hwloop.controller.plan import Plan, check_simulated_fit, plan_solve
from hwloop.controller.run import begin_run
from hwloop.controller.session import open_session
from hwloop.controller.source import LIVE, Source
from hwloop.errors import DataError, UsageError
from hwloop.report import Report
from hwloop.runlog.record import Field, InputFile, Quantity

SHOWN = 12


@dataclass(frozen=True)
class SolveResult:
    """Solutions (k, n) of the circuit and of float64, and their relative residuals; `daq` where the DAQ read them."""

    solution: np.ndarray
    exact: np.ndarray
    residual: float
    exact_residual: float
    target: Path | None
    counters: Counters
    run_file: Path | None
    daq: DaqSolution | None = None
    goal_missed: None = None

    @property
    def deviation(self) -> float:
        """Relative distance of the circuit's solution from the exact one."""
        return distance(self.solution, self.exact)

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "solution": self.solution, "exact": self.exact, "deviation": self.deviation, "residual": self.residual,
            "reference": {"residual": self.exact_residual}, "file": self.target, "run_file": self.run_file,
            "read_with": "daq" if self.daq else "board", **(self.daq.document(self.exact) if self.daq else {}),
            **self.counters.document(),
        }

    def text(self) -> str:
        """For people."""
        count, sides = self.solution.shape
        lines = [f"solution   {'circuit':>11} {'float64':>11}"]
        for analog, exact in list(zip(self.solution[:, 0], self.exact[:, 0], strict=True))[:SHOWN]:
            lines.append(f"           {analog:11.5g} {exact:11.5g}")
        if self.solution.size > min(SHOWN, count):
            lines.append(f"           ... the first of {sides} right sides, {count} coefficients each; --output: all")
        lines += [
            f"residual   {self.residual:.4g} of the right side on the circuit, {self.exact_residual:.4g} in float64",
            f"deviation  {self.deviation:.3g} of the float64 solution",
            *(self.daq.lines(self.exact) if self.daq else []),
            self.counters.text(),
        ]
        lines += [f"file       {self.target}"] if self.target else []
        return "\n".join(lines + ([f"run file   {self.run_file}"] if self.run_file else []))


@dataclass(frozen=True)
class SolveOptions:
    """Options of `solve`: files of X and of the right sides, a new file for the solutions, the two penalties; what
    reads the outputs, the "board" or the "daq"."""

    matrix: Path
    right_side: Path
    target: Path | None = None
    ridge: float = 0.0
    l1: float = 0.0
    read_with: str = "board"


def run_solve(
    options: SolveOptions, settings: RunSettings, report: Report, source: Source = LIVE
) -> SolveResult | Plan:
    """Solve min |X h - y|² + ridge |h|² (halves) + l1 Σh, h ≥ 0, for every column y of the right sides."""
    matrix, right_side, target = options.matrix, options.right_side, options.target
    if target is not None:
        check_target(target, *MATRIX_SUFFIXES)
    design, targets = _dense(load_matrix(matrix).values), _dense(load_matrix(right_side, negative=True).values)
    if len(targets) != len(design) and targets.shape == (1, len(design)):
        targets = targets.T
    if len(targets) != len(design):
        raise DataError(
            f"{right_side} has {len(targets)} rows, {matrix} has {len(design)}; both need one row a measurement"
        )
    m, rank = design.shape
    roles = ("daq",) if options.read_with == "daq" else ()
    if not source.is_replay:
        rig.require_instruments(settings, roles)
    if roles:
        _check_readable(settings.rig.solver)
    if settings.dry_run:
        return plan_solve(settings, m, targets.shape[1], rank)
    check_simulated_fit(settings, m, rank)
    regression = DenseRegression(design[None], targets[None], options.ridge, options.l1)
    read = {"matrix": [matrix], "right_side": [right_side]}
    with begin_run("solve", options, settings, report, source, read) as run:
        with open_session(settings, run.report, run, roles) as session:
            session.check_fit(m, rank)
            with session.clock.running():
                daq = solve_by_daq(session, regression) if roles else None
                solution = daq.by_daq if daq else session.half_step()(regression)[0]
        exact = exact_half_step(regression)[0]
        norm = float(np.linalg.norm(targets)) or 1.0
        residual, exact_residual = (float(np.linalg.norm(design @ h - targets)) / norm for h in (solution, exact))
        record = session.record(
            "solve", options, tuple(map(InputFile.of, (matrix, right_side))),
            metrics=(Quantity("residual", residual), Quantity("reference_residual", exact_residual)),
            fields=(
                Field("solution", solution, "1", "coefficients (k, right sides) from the circuit"),
                Field("exact", exact, "1", "coefficients (k, right sides) in float64"),
                *([Field("board_solution", daq.by_board, "1", "as the board read the same solves")] if daq else []),
            ),
        )
        if target is not None:
            write_matrix(target, solution)
        run_file = run.finish(record)
    return SolveResult(solution, exact, residual, exact_residual, target, session.counters(), run_file, daq)


def _check_readable(solver: SolverConfig) -> None:
    """Raises UsageError where solves depend on outputs that were read, or are not solves of the circuit."""
    if solver.method != "ginv" or solver.shadow != "off":
        raise UsageError(
            f"--read-with daq reads the circuit's own solutions, uncorrected: [solver] method is {solver.method} and "
            f"shadow is {solver.shadow}, allowed ginv and off; change the rig"
        )


def _dense(values: Any) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else values.toarray()
