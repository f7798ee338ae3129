"""`factorize image`: a photograph's patches, factorized on the circuit, measured, pictured and kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwloop import config
from hwloop.anls.loop import Factorization, Progress, factorize
from hwloop.apps import image
from hwloop.apps.compressed import read_compressed, write_compressed
from hwloop.array.placement import check_fit
from hwloop.config import RunSettings
from hwloop.controller.counters import Counters
from hwloop.controller.half_step import AnalogHalfStep
from hwloop.controller.output_files import OutputFiles
from hwloop.controller.plan import Plan, plan_dense
from hwloop.controller.session import Session, open_session
from hwloop.link.protocol import BOARDS
from hwloop.report import Report
from hwloop.runlog.digest import factors_sha256
from hwloop.runlog.record import Convergence, FactorPair, InputFile, Quantity, RunRecord
from hwloop.runscript import ImageOptions

STORED_BITS = 8


@dataclass(frozen=True)
class Iteration:
    """Relative residual and PSNR after one iteration, on the circuit and in float64."""

    iteration: int
    residual: float
    psnr_db: float
    reference_residual: float
    reference_psnr_db: float


@dataclass(frozen=True)
class ImageResult:
    """What `factorize image` found."""

    photograph: str
    shape: tuple[int, int, int]
    matrices: int
    patch: int
    rank: int
    psnr_db: float
    ssim: float
    stored_numbers: int
    picture_numbers: int
    reference_psnr_db: float
    reference_ssim: float
    svd_bound_db: float
    iterations: tuple[Iteration, ...]
    counters: Counters
    placement: dict[str, Any]
    run_file: Path
    pictures: tuple[Path, ...]
    compressed: Path | None
    compressed_bytes: int | None
    seed: int
    factors_sha256: str
    goal_missed: str | None = None

    @property
    def storage_ratio(self) -> float:
        """Stored numbers to the picture's numbers."""
        return self.stored_numbers / self.picture_numbers

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "photograph": self.photograph, "shape": list(self.shape), "matrices": self.matrices, "patch": self.patch,
            "rank": self.rank, "psnr_db": self.psnr_db, "ssim": self.ssim, "storage_ratio": self.storage_ratio,
            "stored_numbers": self.stored_numbers, "picture_numbers": self.picture_numbers,
            "reference": {
                "psnr_db": self.reference_psnr_db, "ssim": self.reference_ssim, "svd_bound_db": self.svd_bound_db,
            },
            "iterations": [vars(iteration) for iteration in self.iterations],
            **self.counters.document(), "placement": self.placement,
            "run_file": self.run_file, "pictures": list(self.pictures), "compressed": self.compressed,
            "compressed_bytes": self.compressed_bytes, "seed": self.seed, "factors_sha256": self.factors_sha256,
        }

    def text(self) -> str:
        """For people."""
        height, width, channels = self.shape
        p, k = self.patch, self.rank
        lines = [
            f"photograph {self.photograph}, {width} x {height}, {channels} channel{'s' * (channels > 1)}: {self.matrices:,} matrices of "
            f"{p}x{p} = ({p}x{k})({k}x{p})",
            f"storage    {self.storage_ratio:.3f} of the picture's numbers ({self.stored_numbers:,} of {self.picture_numbers:,})",
            f"PSNR       {self.psnr_db:.2f} dB on the circuit, {self.reference_psnr_db:.2f} dB in float64 (SVD bound {self.svd_bound_db:.2f} dB)",
            f"SSIM       {self.ssim:.4f} on the circuit, {self.reference_ssim:.4f} in float64",
            self.counters.text(),
        ]
        if self.compressed:
            lines.append(f"compressed {self.compressed}, {self.compressed_bytes:,} bytes")
        return "\n".join([*lines, f"run file   {self.run_file}", *(f"picture    {path}" for path in self.pictures)])


def run_image(options: ImageOptions, settings: RunSettings, report: Report) -> ImageResult | Plan:
    """Factorize a photograph on the rig's board. Raises DataError, UsageError, and what the board raises."""
    photograph = image.load_photograph(options.path)
    shape = photograph.pixels.shape
    image.check_patch(shape, options.patch, options.rank)
    files = OutputFiles("image", options.run_file, options.pictures)
    files.refuse_existing(options.compressed)
    matrices = image.to_patches(photograph.pixels, options.patch)
    if settings.dry_run:
        return plan_dense(settings, matrices.shape[0], options.patch, options.patch, options.rank, options.iterations)
    if settings.rig.board.backend == "mock":
        check_fit(options.patch, options.rank, *_geometry(settings))
    with open_session(settings, report) as session:
        check_fit(options.patch, options.rank, session.board.rows, session.board.columns)
        reference = _track(photograph.pixels, matrices, options, settings.seed, report, "float64 reference", None)
        solver = AnalogHalfStep(session.solver, settings.rig.solver, session.clock, report)
        with session.clock.running():
            analog = _track(photograph.pixels, matrices, options, settings.seed, report, "circuit", session, solver)
    return _finish(options, settings, files, session, photograph, analog, reference)


@dataclass(frozen=True)
class _Tracked:
    """Factors and the PSNR (iterations,) after each iteration."""

    factors: Factorization
    psnr_db: np.ndarray


def _track(
    pixels: np.ndarray, matrices: np.ndarray, options: ImageOptions, seed: int, report: Report, phase: str,
    session: Session | None, solver: AnalogHalfStep | None = None,
) -> _Tracked:
    psnr_db: list[float] = []

    def after(progress: Progress) -> None:
        if session is None:
            psnr_db.append(image.psnr_db(pixels, image.rebuild(progress.W, progress.H, pixels.shape)))
        else:
            with session.clock.paused():
                psnr_db.append(image.psnr_db(pixels, image.rebuild(progress.W, progress.H, pixels.shape)))
        report.step(f"{phase}, iterations", progress.iteration, options.iterations)

    if session is not None:
        session.solver.on_round = lambda done, total: report.step("matrices of this half-step", done, total)
    arguments = {"solver": solver} if solver else {}
    factors = factorize(matrices, options.rank, iterations=options.iterations, seed=seed, callback=after, **arguments)
    return _Tracked(factors, np.array(psnr_db))


def _finish(
    options: ImageOptions, settings: RunSettings, files: OutputFiles, session: Session, photograph: image.Photograph,
    analog: _Tracked, reference: _Tracked,
) -> ImageResult:
    from hwloop.apps import pictures

    shape = photograph.pixels.shape
    picture, reference_picture = (image.rebuild(t.factors.W, t.factors.H, shape) for t in (analog, reference))
    stored = image.storage(shape, options.patch, options.rank)
    bound_db = image.svd_bound_db(photograph.pixels, options.patch, options.rank)
    ssim, reference_ssim = image.ssim(photograph.pixels, picture), image.ssim(photograph.pixels, reference_picture)
    convergence = (
        Convergence("image", "relative residual", analog.factors.residual, reference.factors.residual),
        Convergence("image", "PSNR", analog.psnr_db, reference.psnr_db, "dB"),
    )
    counters, maps = session.counters(), session.conductance_maps()
    record = RunRecord(
        kind="image", seed=settings.seed,
        configuration={"options": config.describe(options), "rig": config.describe(settings.rig)},
        inputs=(InputFile(photograph.name, photograph.sha256),), board=session.describe_board(), array=session.describe_array(),
        factors=(FactorPair("image", analog.factors.W, analog.factors.H),), convergence=convergence,
        metrics=(
            Quantity("psnr", float(analog.psnr_db[-1]), "dB"), Quantity("ssim", ssim),
            Quantity("reference_psnr", float(reference.psnr_db[-1]), "dB"), Quantity("reference_ssim", reference_ssim),
            Quantity("svd_bound", bound_db, "dB"), Quantity("storage_ratio", stored.ratio),
        ),
        counters=counters.quantities(), conductance=maps,
    )
    compressed_bytes = None
    if options.compressed:
        compressed_bytes = write_compressed(options.compressed, analog.factors.W, analog.factors.H, shape)
    run_file = files.write_run(record)
    drawn = {
        "comparison": pictures.draw_comparison(photograph.pixels, picture),
        "convergence": pictures.draw_convergence(convergence[:1]),
        "conductance": pictures.draw_conductance(maps),
    }
    return ImageResult(
        photograph=photograph.name, shape=shape, matrices=len(analog.factors.W), patch=options.patch, rank=options.rank,
        psnr_db=float(analog.psnr_db[-1]), ssim=ssim, stored_numbers=stored.stored_numbers,
        picture_numbers=stored.picture_numbers, reference_psnr_db=float(reference.psnr_db[-1]),
        reference_ssim=reference_ssim, svd_bound_db=bound_db,
        iterations=tuple(
            Iteration(i + 1, float(analog.factors.residual[i]), float(analog.psnr_db[i]), float(reference.factors.residual[i]),
                      float(reference.psnr_db[i]))
            for i in range(min(len(analog.psnr_db), len(reference.psnr_db)))
        ),
        counters=counters, placement=vars(session.solver.totals).copy(), run_file=run_file,
        pictures=files.write_pictures(run_file, drawn), compressed=options.compressed, compressed_bytes=compressed_bytes,
        seed=settings.seed, factors_sha256=factors_sha256([(analog.factors.W, analog.factors.H)]),
    )


@dataclass(frozen=True)
class DecodedImage:
    """A picture restored from a compressed file alone."""

    source: Path
    target: Path
    shape: tuple[int, int, int]
    goal_missed: None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {"source": self.source, "picture": self.target, "shape": list(self.shape)}

    def text(self) -> str:
        """For people."""
        height, width, channels = self.shape
        return f"{self.target}: {width} x {height}, {channels} channel{'s' * (channels > 1)}, from {self.source}"


def decode_image(source: Path, target: Path) -> DecodedImage:
    """Restore the picture of `write_compressed`. Raises DataError on a damaged file, UsageError where `target` exists."""
    pixels = read_compressed(source)
    image.write_picture(target, pixels)
    return DecodedImage(source, target, pixels.shape)


def _geometry(settings: RunSettings) -> tuple[int, int]:
    geometry = BOARDS[settings.rig.board.name]
    return geometry.rows, geometry.columns
