"""`factorize matrix`: any non-negative matrix, dense or sparse, factorized on the circuit; factors out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwloop import config
from hwloop.anls import HalfStep, Masked
from hwloop.anls.exact import exact_half_step
from hwloop.anls.loop import Factorization, factorize
from hwloop.apps.matrix import MatrixInput, load_matrix
from hwloop.array.placement import check_fit
from hwloop.config import RunSettings
from hwloop.controller.counters import Counters
from hwloop.controller.half_step import AnalogHalfStep
from hwloop.controller.output_files import OutputFiles
from hwloop.controller.plan import Plan, plan_dense
from hwloop.controller.session import Session, open_session
from hwloop.errors import UsageError
from hwloop.report import Report
from hwloop.runlog.digest import factors_sha256
from hwloop.runlog.publish import publish
from hwloop.runlog.record import Convergence, FactorPair, Quantity, RunRecord
from hwloop.runscript import MatrixOptions

# Larger pictures than this show nothing that a smaller one does not.
MOST_PICTURED = 4_000_000


@dataclass(frozen=True)
class MatrixResult:
    """What `factorize matrix` found; residuals are relative, |R - W H| / |R|."""

    name: str
    shape: tuple[int, int]
    stored: int
    rank: int
    residual: np.ndarray
    reference_residual: np.ndarray
    converged: bool
    counters: Counters
    placement: dict[str, Any]
    factors: Path | None
    run_file: Path
    pictures: tuple[Path, ...]
    seed: int
    factors_sha256: str
    goal_missed: str | None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        count = min(len(self.residual), len(self.reference_residual))
        return {
            "matrix": self.name, "shape": list(self.shape), "stored": self.stored, "rank": self.rank,
            "residual": float(self.residual[-1]), "converged": self.converged, "reference": {"residual": float(self.reference_residual[-1])},
            "iterations": [
                {"iteration": i + 1, "residual": float(self.residual[i]), "reference_residual": float(self.reference_residual[i])}
                for i in range(count)
            ],
            **self.counters.document(), "placement": self.placement, "factors": self.factors, "run_file": self.run_file,
            "pictures": list(self.pictures), "seed": self.seed, "factors_sha256": self.factors_sha256,
        }

    def text(self) -> str:
        """For people."""
        m, n = self.shape
        lines = [
            f"matrix     {self.name}, {m} x {n}, {self.stored:,} entries, rank {self.rank}: ({m}x{self.rank})({self.rank}x{n})",
            f"residual   {self.residual[-1]:.4g} of the matrix on the circuit, {self.reference_residual[-1]:.4g} in float64, after "
            f"{len(self.residual)} iterations{' (converged)' if self.converged else ''}",
            self.counters.text(),
        ]
        lines += [f"factors    {self.factors}"] if self.factors else []
        return "\n".join([*lines, f"run file   {self.run_file}", *(f"picture    {path}" for path in self.pictures)])


def run_matrix(options: MatrixOptions, settings: RunSettings, report: Report) -> MatrixResult | Plan:
    """Factorize a matrix file on the rig's board. Raises DataError, UsageError, and what the board raises."""
    if options.path is None:
        raise UsageError("path of the matrix is missing: a .npy, .npz or .csv file")
    loaded = load_matrix(options.path)
    if options.missing and isinstance(loaded.values, np.ndarray):
        raise UsageError(f"{options.path} stores every entry, so none is missing; --missing is for sparse .npz files")
    m, n = loaded.values.shape
    if options.rank > min(m, n):
        raise UsageError(f"rank is {options.rank}, allowed 1 to {min(m, n)} for a {m}x{n} matrix; lower the rank")
    files = OutputFiles("matrix", options.run_file, options.pictures)
    files.refuse_existing(options.factors)
    if settings.dry_run:
        return plan_dense(settings, 1, m, n, options.rank, options.iterations)
    with open_session(settings, report) as session:
        check_fit(m, options.rank, session.board.rows, session.board.columns)
        reference = _factorize(loaded, options, settings.seed, exact_half_step, report, "float64 reference")
        solver = AnalogHalfStep(session.solver, settings.rig.solver, session.clock, report)
        with session.clock.running():
            analog = _factorize(loaded, options, settings.seed, solver, report, "circuit")
    return _finish(loaded, options, settings, files, session, analog, reference)


def _factorize(
    loaded: MatrixInput, options: MatrixOptions, seed: int, solver: HalfStep, report: Report, phase: str
) -> Factorization:
    return factorize(
        Masked(loaded.values) if options.missing else loaded.values, options.rank, solver=solver, start=options.start,
        iterations=options.iterations, tolerance=options.tolerance, ridge=options.ridge, l1=options.l1, seed=seed,
        callback=lambda progress: report.step(f"{phase}, iterations", progress.iteration, options.iterations),
    )


def _finish(
    loaded: MatrixInput, options: MatrixOptions, settings: RunSettings, files: OutputFiles, session: Session,
    analog: Factorization, reference: Factorization,
) -> MatrixResult:
    from hwloop.apps import pictures

    counters, maps = session.counters(), session.conductance_maps()
    w, h = analog.W.reshape(-1, options.rank), analog.H.reshape(options.rank, -1)
    count = min(len(analog.residual), len(reference.residual))
    convergence = (Convergence("matrix", "relative residual", analog.residual[:count], reference.residual[:count]),)
    record = RunRecord(
        kind="matrix", seed=settings.seed,
        configuration={"options": config.describe(options), "rig": config.describe(settings.rig)}, inputs=(loaded.source,),
        board=session.describe_board(), array=session.describe_array(), factors=(FactorPair("matrix", w, h),),
        convergence=convergence,
        metrics=(
            Quantity("residual", float(analog.residual[-1])), Quantity("reference_residual", float(reference.residual[-1])),
        ),
        counters=counters.quantities(), conductance=maps,
    )
    if options.factors:
        with publish(options.factors) as file:
            np.savez(file, W=w, H=h)
    run_file = files.write_run(record)
    drawn = {"convergence": pictures.draw_convergence(convergence), "conductance": pictures.draw_conductance(maps)}
    values = loaded.values
    if isinstance(values, np.ndarray) and values.size <= MOST_PICTURED and values.any():
        top = values.max()
        drawn["comparison"] = pictures.draw_comparison(values[:, :, None] / top, np.clip(w @ h / top, 0.0, 1.0)[:, :, None])
    return MatrixResult(
        loaded.source.name, values.shape, values.size if isinstance(values, np.ndarray) else values.nnz, options.rank,
        analog.residual, reference.residual, analog.converged, counters, vars(session.solver.totals).copy(), options.factors, run_file,
        files.write_pictures(run_file, drawn), settings.seed, factors_sha256([(w, h)]),
    )
