"""`solve`: one non-negative regression on the circuit, with the exact solution beside it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwloop.anls.exact import exact_half_step
from hwloop.anls.regression import DenseRegression
from hwloop.apps.matrix import load_matrix
from hwloop.array.placement import check_fit
from hwloop.config import RunSettings
from hwloop.controller.counters import Counters
from hwloop.controller.half_step import AnalogHalfStep
from hwloop.controller.plan import Plan, plan_dense
from hwloop.controller.session import open_session
from hwloop.errors import DataError, UsageError
from hwloop.report import Report
from hwloop.runlog.publish import publish, refuse_existing

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
    goal_missed: None = None

    @property
    def deviation(self) -> float:
        """Relative distance of the circuit's solution from the exact one."""
        norm = np.linalg.norm(self.exact)
        return float(np.linalg.norm(self.solution - self.exact) / norm) if norm else float(np.linalg.norm(self.solution))

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "solution": self.solution.tolist(), "exact": self.exact.tolist(), "deviation": self.deviation, "residual": self.residual,
            "reference": {"residual": self.exact_residual}, "file": self.target, **self.counters.document(),
        }

    def text(self) -> str:
        """For people."""
        lines = ["           circuit      exact"]
        for analog, exact in list(zip(self.solution[:, 0], self.exact[:, 0], strict=True))[:SHOWN]:
            lines.append(f"         {analog:9.5g}  {exact:9.5g}")
        if self.solution.size > min(SHOWN, len(self.solution)):
            lines.append(f"         ... {self.solution.shape[0]}x{self.solution.shape[1]} in all")
        lines.append(f"residual   {self.residual:.4g} on the circuit, {self.exact_residual:.4g} exact; solutions differ by {self.deviation:.3g}")
        return "\n".join([*lines, self.counters.text()] + ([f"solution   {self.target}"] if self.target else []))


def run_solve(
    settings: RunSettings, report: Report, matrix: Path, right_side: Path, target: Path | None, ridge: float, l1: float
) -> SolveResult | Plan:
    """Solve min |X h - y|² + ridge |h|² (halves) + l1 Σh, h ≥ 0, for every column y of `right_side`."""
    if target is not None:
        refuse_existing(target)
        if target.suffix not in (".npy", ".csv"):
            raise UsageError(f"{target} ends in {target.suffix or 'nothing'!r}, allowed .npy and .csv; choose one")
    design, targets = _dense(load_matrix(matrix).values), _dense(load_matrix(right_side, negative=True).values)
    if len(targets) != len(design) and targets.shape == (1, len(design)):
        targets = targets.T
    if len(targets) != len(design):
        raise DataError(f"{right_side} has {len(targets)} rows, {matrix} has {len(design)}; both need one row a measurement")
    if settings.dry_run:
        return plan_dense(settings, 1, *design.shape[:1], targets.shape[1], design.shape[1], 1)
    regression = DenseRegression(design[None], targets[None], ridge, l1)
    with open_session(settings, report) as session:
        check_fit(len(design), design.shape[1], session.board.rows, session.board.columns)
        solver = AnalogHalfStep(session.solver, settings.rig.solver, session.clock, report)
        with session.clock.running():
            solution = solver(regression)[0]
    exact = exact_half_step(regression)[0]
    if target is not None:
        with publish(target) as file:
            if target.suffix == ".npy":
                np.save(file, solution)
            else:
                text = io.StringIO()
                np.savetxt(text, solution, fmt="%.9g", delimiter=",")
                file.write(text.getvalue().encode())
    norm = float(np.linalg.norm(targets)) or 1.0
    return SolveResult(
        solution, exact, float(np.linalg.norm(design @ solution - targets)) / norm,
        float(np.linalg.norm(design @ exact - targets)) / norm, target, session.counters(),
    )


def _dense(values: Any) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else values.toarray()
