"""`factorize matrix`: any non-negative matrix, dense or sparse, factorized on the circuit; factors out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwloop import signals
from hwloop.anls import HalfStep, Masked
from hwloop.anls.exact import exact_half_step
from hwloop.anls.loop import Factorization, Progress, factorize
from hwloop.anls.problem import relative_residual
from hwloop.apps.matrix import MatrixInput, load_matrix
from hwloop.apps.rounding import round_factors
from hwloop.config import RunSettings
from hwloop.controller.outcome import RunOutcome
from hwloop.controller.output_files import OutputFiles, check_target
from hwloop.controller.plan import Plan, check_simulated_fit, plan_dense
from hwloop.controller.run import Run, begin_run
from hwloop.controller.session import Session, open_session
from hwloop.controller.source import LIVE, Source
from hwloop.controller.tracking import Watch
from hwloop.errors import UsageError
from hwloop.report import Report
from hwloop.runlog.digest import factors_sha256
from hwloop.runlog.publish import publish
from hwloop.runlog.record import Convergence, FactorPair, Quantity
from hwloop.runscript import MatrixOptions

# Larger pictures than this show nothing that a smaller one does not.
MOST_PICTURED = 4_000_000


@dataclass(frozen=True)
class MatrixResult:
    """What `factorize matrix` found; residuals are relative, |R - W H| / |R|: those of the factors as they are after
    each iteration, and two at the end, which are of factors rounded to `factor_bits` where that was asked for."""

    name: str
    shape: tuple[int, int]
    stored: int
    rank: int
    residual: np.ndarray
    reference_residual: np.ndarray
    last_residual: float
    last_reference_residual: float
    factor_bits: int | None
    converged: bool
    factors: Path | None
    factors_sha256: str
    outcome: RunOutcome
    goal_missed: None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        curves = zip(self.residual.tolist(), self.reference_residual.tolist(), strict=False)
        return {
            "matrix": self.name, "shape": list(self.shape), "stored": self.stored, "rank": self.rank,
            "factor_bits": self.factor_bits, "residual": self.last_residual, "converged": self.converged,
            "reference": {"residual": self.last_reference_residual},
            "iterations": [
                {"iteration": number, "residual": residual, "reference_residual": reference}
                for number, (residual, reference) in enumerate(curves, start=1)
            ],
            "factors": self.factors, "factors_sha256": self.factors_sha256, **self.outcome.document(),
        }

    def text(self) -> str:
        """For people."""
        m, n = self.shape
        count = len(self.residual)
        lines = [
            f"matrix     {self.name}, {m} x {n}, {self.stored:,} entries = ({m}x{self.rank})({self.rank}x{n})",
            f"residual   {self.last_residual:.4g} of the matrix on the circuit, {self.last_reference_residual:.4g} in "
            f"float64, after {count} iteration{'s' * (count > 1)}{' (converged)' if self.converged else ''}",
        ]
        if self.factor_bits:
            lines.append(f"rounded    factors to {self.factor_bits} bits before the residual was taken")
        lines += [f"factors    {self.factors}"] if self.factors else []
        return "\n".join([*lines, *self.outcome.lines()])


def run_matrix(
    options: MatrixOptions, settings: RunSettings, report: Report, source: Source = LIVE
) -> MatrixResult | Plan:
    """Factorize a matrix file on the rig's board. Raises DataError, UsageError, and what the board raises."""
    if options.path is None:
        raise UsageError("path of the matrix is missing: a .npy, .npz or .csv file")
    loaded = load_matrix(options.path)
    if options.missing and isinstance(loaded.values, np.ndarray):
        raise UsageError(f"{options.path} stores every entry, so none is missing; --missing is for sparse .npz files")
    m, n = loaded.values.shape
    if options.rank > min(m, n):
        raise UsageError(f"rank is {options.rank}, allowed 1 to {min(m, n)} for a {m}x{n} matrix; lower the rank")
    files = OutputFiles("matrix", options.run_file, options.pictures, options.factors)
    if options.factors:
        check_target(options.factors, ".npz")
    if settings.dry_run:
        return plan_dense(settings, 1, m, n, options.rank, options.iterations)
    check_simulated_fit(settings, m, options.rank)
    with begin_run("matrix", options, settings, report, source, {"path": [options.path]}) as run:
        with open_session(settings, run.report, run) as session:
            session.check_fit(m, options.rank)
            reference = _factorize(loaded, options, settings.seed, exact_half_step, run, "float64 reference")
            with session.clock.running():
                analog = _factorize(loaded, options, settings.seed, session.half_step(), run, "circuit")
        return _finish(loaded, options, files, session, run, analog, reference)


def _factorize(
    loaded: MatrixInput, options: MatrixOptions, seed: int, solver: HalfStep, run: Run, label: str
) -> Factorization:
    watch = Watch(label, options.iterations, "relative residual", "1", run)

    def after(progress: Progress) -> None:
        watch(progress, None)
        signals.check()

    return factorize(
        _data(loaded, options), options.rank, solver=solver, start=options.start,
        iterations=options.iterations, tolerance=options.tolerance, ridge=options.ridge, l1=options.l1, seed=seed,
        callback=after,
    )


def _data(loaded: MatrixInput, options: MatrixOptions) -> Any:
    return Masked(loaded.values) if options.missing else loaded.values


def _last_residual(loaded: MatrixInput, options: MatrixOptions, found: Factorization) -> float:
    """That of the last iteration, or of its factors once they are rounded."""
    if options.factor_bits is None:
        return float(found.residual[-1])
    rounded = round_factors(found.W, found.H, options.factor_bits)
    return relative_residual(_data(loaded, options), *rounded)


def _finish(
    loaded: MatrixInput, options: MatrixOptions, files: OutputFiles, session: Session, run: Run,
    analog: Factorization, reference: Factorization,
) -> MatrixResult:
    from hwloop.apps import pictures

    w, h = analog.W.reshape(-1, options.rank), analog.H.reshape(options.rank, -1)
    residual, reference_residual = (_last_residual(loaded, options, found) for found in (analog, reference))
    count = min(len(analog.residual), len(reference.residual))
    convergence = (Convergence("matrix", "relative residual", analog.residual[:count], reference.residual[:count]),)
    record = session.record(
        "matrix", options, (loaded.source,), (FactorPair("matrix", w, h),), convergence,
        metrics=(
            Quantity("residual", residual), Quantity("reference_residual", reference_residual),
        ),
    )
    if options.factors:
        with publish(options.factors) as file:
            np.savez(file, W=w, H=h)
    run_file = run.finish(record)
    drawn = {
        "convergence": pictures.draw_convergence(convergence),
        "conductance": pictures.draw_conductance(record.conductance),
    }
    values = loaded.values
    dense = isinstance(values, np.ndarray)
    if dense and values.size <= MOST_PICTURED and values.any():
        top = values.max()
        shown_w, shown_h = round_factors(w, h, options.factor_bits)
        shown = np.clip(shown_w @ shown_h / top, 0.0, 1.0)
        drawn["comparison"] = pictures.draw_comparison(values[:, :, None] / top, shown[:, :, None])
    return MatrixResult(
        name=loaded.source.name, shape=values.shape, stored=values.size if dense else values.nnz, rank=options.rank,
        residual=analog.residual, reference_residual=reference.residual, last_residual=residual,
        last_reference_residual=reference_residual, factor_bits=options.factor_bits, converged=analog.converged,
        factors=options.factors, factors_sha256=factors_sha256([(w, h)]),
        outcome=session.outcome(run_file, files.write_pictures(run.stem, drawn)),
    )
