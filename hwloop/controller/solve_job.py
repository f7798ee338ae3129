"""`solve`: one non-negative regression on the circuit, with the exact solution beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwloop.anls.exact import exact_half_step
from hwloop.anls.regression import DenseRegression
from hwloop.apps.matrix import load_matrix
from hwloop.config import RunSettings
from hwloop.controller.counters import Counters
from hwloop.controller.matrix_files import MATRIX_SUFFIXES, write_matrix
from hwloop.controller.output_files import check_target
from hwloop.controller.plan import Plan, check_simulated_fit, plan_solve
from hwloop.controller.run import begin_run
from hwloop.controller.session import open_session
from hwloop.controller.source import LIVE, Source
from hwloop.errors import DataError
from hwloop.report import Report
from hwloop.runlog.record import Field, InputFile, Quantity

SHOWN = 12


@dataclass(frozen=True)
class SolveResult:
    """Solutions (k, n) of the circuit and of float64, and their relative residuals."""

    solution: np.ndarray
    exact: np.ndarray
    residual: float
    exact_residual: float
    target: Path | None
    counters: Counters
    run_file: Path | None
    goal_missed: None = None

    @property
    def deviation(self) -> float:
        """Relative distance of the circuit's solution from the exact one."""
        norm = np.linalg.norm(self.exact) or 1.0
        return float(np.linalg.norm(self.solution - self.exact) / norm)

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "solution": self.solution, "exact": self.exact, "deviation": self.deviation, "residual": self.residual,
            "reference": {"residual": self.exact_residual}, "file": self.target, "run_file": self.run_file,
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
            self.counters.text(),
        ]
        lines += [f"file       {self.target}"] if self.target else []
        return "\n".join(lines + ([f"run file   {self.run_file}"] if self.run_file else []))


@dataclass(frozen=True)
class SolveOptions:
    """Options of `solve`: files of X and of the right sides, a new file for the solutions, the two penalties."""

    matrix: Path
    right_side: Path
    target: Path | None = None
    ridge: float = 0.0
    l1: float = 0.0


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
    if settings.dry_run:
        return plan_solve(settings, m, targets.shape[1], rank)
    check_simulated_fit(settings, m, rank)
    regression = DenseRegression(design[None], targets[None], options.ridge, options.l1)
    read = {"matrix": [matrix], "right_side": [right_side]}
    with begin_run("solve", options, settings, report, source, read) as run:
        with open_session(settings, run.report, run) as session:
            session.check_fit(m, rank)
            with session.clock.running():
                solution = session.half_step()(regression)[0]
        exact = exact_half_step(regression)[0]
        norm = float(np.linalg.norm(targets)) or 1.0
        residual, exact_residual = (float(np.linalg.norm(design @ h - targets)) / norm for h in (solution, exact))
        record = session.record(
            "solve", options, tuple(map(InputFile.of, (matrix, right_side))),
            metrics=(Quantity("residual", residual), Quantity("reference_residual", exact_residual)),
            fields=(
                Field("solution", solution, "1", "coefficients (k, right sides) from the circuit"),
                Field("exact", exact, "1", "coefficients (k, right sides) in float64"),
            ),
        )
        if target is not None:
            write_matrix(target, solution)
        run_file = run.finish(record)
    return SolveResult(solution, exact, residual, exact_residual, target, session.counters(), run_file)


def _dense(values: Any) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else values.toarray()
