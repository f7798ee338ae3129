"""`factorize image`: a photograph's patches, factorized on the circuit, measured, pictured and kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwloop.anls.loop import factorize
from hwloop.apps import image
from hwloop.apps.compressed import read_compressed, write_compressed
from hwloop.apps.rounding import round_factors
from hwloop.config import RunSettings
from hwloop.controller.outcome import RunOutcome
from hwloop.controller.output_files import OutputFiles, check_target
from hwloop.controller.plan import DryRun, Plan, check_simulated_fit, plan_dense
from hwloop.controller.run import Run, begin_run
from hwloop.controller.session import Session, open_session
from hwloop.controller.source import LIVE, Source
from hwloop.controller.tracking import Tracked, Watch, tracked
from hwloop.errors import UsageError
from hwloop.report import Report
from hwloop.runlog.digest import factors_sha256
from hwloop.runlog.record import Convergence, FactorPair, Field, InputFile, Quantity
from hwloop.runscript import ImageOptions


@dataclass(frozen=True)
class Iteration:
    """Relative residual and the run's metric after one iteration, on the circuit and in float64."""

    iteration: int
    residual: float
    quality: float
    reference_residual: float
    reference_quality: float

    def document(self, key: str) -> dict[str, Any]:
        """The JSON entry of `iterations`; `key` is that of the metric."""
        return {
            "iteration": self.iteration, "residual": self.residual, key: self.quality,
            "reference_residual": self.reference_residual, f"reference_{key}": self.reference_quality,
        }


@dataclass(frozen=True)
class ImageResult:
    """What `factorize image` found. `against` is the picture that figures were taken against, where it is not the
    photograph; the SVD bound holds against the photograph alone."""

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
    svd_bound_db: float | None
    metric: str
    against: str | None
    factor_bits: int | None
    iterations: tuple[Iteration, ...]
    compressed: Path | None
    compressed_bytes: int | None
    factors_sha256: str
    outcome: RunOutcome
    goal_missed: None = None

    @property
    def storage_ratio(self) -> float:
        """Stored numbers to the picture's numbers."""
        return self.stored_numbers / self.picture_numbers

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        key, last = image.METRICS[self.metric].key, self.iterations[-1]
        return {
            "photograph": self.photograph, "shape": list(self.shape), "matrices": self.matrices, "patch": self.patch,
            "rank": self.rank, "psnr_db": self.psnr_db, "ssim": self.ssim, "storage_ratio": self.storage_ratio,
            "stored_numbers": self.stored_numbers, "picture_numbers": self.picture_numbers,
            "metric": self.metric, "against": self.against, "factor_bits": self.factor_bits, key: last.quality,
            "reference": {
                "psnr_db": self.reference_psnr_db, "ssim": self.reference_ssim, "svd_bound_db": self.svd_bound_db,
                key: last.reference_quality,
            },
            "iterations": [iteration.document(key) for iteration in self.iterations],
            "compressed": self.compressed, "compressed_bytes": self.compressed_bytes,
            "factors_sha256": self.factors_sha256, **self.outcome.document(),
        }

    def text(self) -> str:
        """For people."""
        height, width, channels = self.shape
        p, k = self.patch, self.rank
        lines = [
            f"photograph {self.photograph}, {width} x {height}, {channels} channel{'s' * (channels > 1)}",
            f"factors    {self.matrices:,} matrices of {p}x{p} = ({p}x{k})({k}x{p})",
            f"storage    {self.storage_ratio:.3f} of the picture's numbers "
            f"({self.stored_numbers:,} of {self.picture_numbers:,})",
        ]
        lines += [f"figures    against {self.against}, not the photograph"] if self.against else []
        lines += [f"rounded    factors to {self.factor_bits} bits before figures are taken"] if self.factor_bits else []
        lines += self._figures()
        if self.compressed:
            lines.append(f"compressed {self.compressed}, {self.compressed_bytes:,} bytes")
        return "\n".join([*lines, *self.outcome.lines()])

    def _figures(self) -> list[str]:
        """PSNR and SSIM, the run's metric first."""
        bound = "" if self.svd_bound_db is None else f" (SVD bound {self.svd_bound_db:.2f} dB)"
        last, chosen, db = self.iterations[-1], image.METRICS[self.metric], (self.psnr_db, self.reference_psnr_db)
        lines = {
            "psnr": f"PSNR       {db[0]:.2f} dB on the circuit, {db[1]:.2f} dB in float64{bound}",
            "ssim": f"SSIM       {self.ssim:.4f} on the circuit, {self.reference_ssim:.4f} in float64",
        }
        told = f"{chosen.quantity:<10} {last.quality:.4f} on the circuit, {last.reference_quality:.4f} in float64"
        return [lines.pop(self.metric, told), *lines.values()]


def run_image(
    options: ImageOptions, settings: RunSettings, report: Report, source: Source = LIVE
) -> ImageResult | Plan:
    """Factorize a photograph on the rig's board. Raises DataError, UsageError, and what the board raises."""
    photograph = image.load_photograph(options.path)
    original = photograph if options.reference is None else _reference(options.reference, photograph)
    image.check_patch(photograph.pixels.shape, options.patch, options.rank)
    files = OutputFiles("image", options.run_file, options.pictures, options.compressed)
    matrices = image.to_patches(photograph.pixels, options.patch)
    if settings.dry_run:
        return plan_dense(settings, len(matrices), options.patch, options.patch, options.rank, options.iterations)
    check_simulated_fit(settings, options.patch, options.rank)
    read = {"path": options.path, "reference": options.reference}
    inputs = {option: [path] for option, path in read.items() if path}
    with begin_run("image", options, settings, report, source, inputs) as run:
        with open_session(settings, run.report, run) as session:
            session.check_fit(options.patch, options.rank)
            reference = _factorize(original.pixels, matrices, options, settings.seed, run)
            analog = _factorize(original.pixels, matrices, options, settings.seed, run, session)
        return _finish(photograph, original, options, files, session, run, analog, reference)


def _reference(path: Path, photograph: image.Photograph) -> image.Photograph:
    """The picture that figures are taken against. Raises UsageError where its size is another."""
    found = image.load_photograph(path)
    if found.pixels.shape != photograph.pixels.shape:
        (height, width, channels), own = found.pixels.shape, photograph.pixels.shape
        raise UsageError(
            f"reference {path} has {width}x{height} pixels in {channels} channels, {photograph.name} {own[1]}x{own[0]} "
            f"in {own[2]}; give a picture of the same size"
        )
    return found


def _factorize(
    original: np.ndarray, matrices: np.ndarray, options: ImageOptions, seed: int, run: Run,
    session: Session | None = None,
) -> Tracked:
    """Factors and the metric against `original` by iteration; on the circuit of `session`, or in float64."""
    label, metric = "circuit" if session else "float64 reference", image.METRICS[options.metric]
    solver = {"solver": session.half_step()} if session else {}
    return tracked(
        lambda callback: factorize(
            matrices, options.rank, iterations=options.iterations, seed=seed, callback=callback, **solver
        ),
        lambda w, h: metric.figure(original, _picture(w, h, original.shape, options)),
        Watch(label, options.iterations, metric.quantity, metric.unit, run),
        session.clock if session else None,
    )


def _picture(w: np.ndarray, h: np.ndarray, shape: tuple[int, int, int], options: ImageOptions) -> np.ndarray:
    return image.rebuild(*round_factors(w, h, options.factor_bits), shape)


def _finish(
    photograph: image.Photograph, original: image.Photograph, options: ImageOptions, files: OutputFiles,
    session: Session, run: Run, analog: Tracked, reference: Tracked,
) -> ImageResult:
    from hwloop.apps import pictures

    shape = photograph.pixels.shape
    w, h = analog.factors.W, analog.factors.H
    picture = _picture(w, h, shape, options)
    reference_picture = _picture(reference.factors.W, reference.factors.H, shape, options)
    stored = image.storage(shape, options.patch, options.rank)
    is_own = original is photograph
    bound_db = image.svd_bound_db(photograph.pixels, options.patch, options.rank) if is_own else None
    psnr_db, reference_psnr_db = (image.psnr_db(original.pixels, found) for found in (picture, reference_picture))
    ssim, reference_ssim = (image.ssim(original.pixels, found) for found in (picture, reference_picture))
    metric = image.METRICS[options.metric]
    last = {options.metric: analog.quality[-1], f"reference_{options.metric}": reference.quality[-1]}
    convergence = (
        Convergence("image", "relative residual", analog.factors.residual, reference.factors.residual),
        Convergence("image", metric.quantity, analog.quality, reference.quality, metric.unit),
    )
    record = session.record(
        "image", options,
        tuple(InputFile(read.name, read.sha256) for read in ((photograph,) if is_own else (photograph, original))),
        (FactorPair("image", w, h),), convergence,
        metrics=(
            Quantity("psnr", psnr_db, "dB"), Quantity("ssim", ssim),
            Quantity("reference_psnr", reference_psnr_db, "dB"), Quantity("reference_ssim", reference_ssim),
            *((Quantity("svd_bound", bound_db, "dB"),) if is_own else ()), Quantity("storage_ratio", stored.ratio),
            *(Quantity(name, float(value)) for name, value in last.items() if options.metric not in ("psnr", "ssim")),
        ),
        fields=(Field("reconstruction", picture.astype(np.float32), "1", "picture rebuilt from the factors, peak 1"),),
    )
    compressed_bytes = write_compressed(options.compressed, w, h, shape) if options.compressed else None
    run_file = run.finish(record)
    drawn = {
        "comparison": pictures.draw_comparison(original.pixels, picture),
        "convergence": pictures.draw_convergence(convergence[:1]),
        "conductance": pictures.draw_conductance(record.conductance),
    }
    curves = (analog.factors.residual, analog.quality, reference.factors.residual, reference.quality)
    return ImageResult(
        photograph=photograph.name, shape=shape, matrices=len(w), patch=options.patch, rank=options.rank,
        psnr_db=psnr_db, ssim=ssim, stored_numbers=stored.stored_numbers,
        picture_numbers=stored.picture_numbers, reference_psnr_db=reference_psnr_db,
        reference_ssim=reference_ssim, svd_bound_db=bound_db, metric=options.metric,
        against=None if is_own else original.name, factor_bits=options.factor_bits,
        iterations=tuple(
            Iteration(number, *map(float, values)) for number, values in enumerate(zip(*curves, strict=True), start=1)
        ),
        compressed=options.compressed, compressed_bytes=compressed_bytes, factors_sha256=factors_sha256([(w, h)]),
        outcome=session.outcome(run_file, files.write_pictures(run.stem, drawn)),
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


def decode_image(source: Path, target: Path, dry_run: bool = False) -> DecodedImage | DryRun:
    """Restore the picture of `write_compressed`. Raises DataError on a damaged file, UsageError on a bad `target`."""
    check_target(target, ".png")
    pixels = read_compressed(source)
    if dry_run:
        return DryRun(f"write {target}, {pixels.shape[1]} x {pixels.shape[0]}")
    image.write_picture(target, pixels)
    return DecodedImage(source, target, pixels.shape)
