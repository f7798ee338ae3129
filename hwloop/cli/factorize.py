"""`hwloop factorize`: photographs, ratings and matrices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hwloop.cli import context, output, progress
from hwloop.cli.frame import Group
from hwloop.cli.options import FILE, FOLDER, simulated_board
from hwloop.config import RATINGS_DEFAULTS
from hwloop.runscript import ImageOptions, MatrixOptions, RatingsOptions
from hwloop.tables import Source, record_from

_RUN_FILE = click.option("--run-file", type=FILE, metavar="OUT.h5", help="Run file.  [default: a new one in runs/]")
_FACTOR_BITS = click.option(
    "--factor-bits", metavar="1..16", help="Round factors to so many bits before figures are taken.  [default: none]"
)
_PICTURES = click.option("--pictures", type=FOLDER, metavar="DIR", help="Pictures.  [default: beside the run file]")


def _number(name: str, default: object, text: str) -> Any:
    return click.option(name, metavar="N", help=f"{text}  [default: {default}]")


def _options_from(record_class: type, given: dict[str, object]) -> Any:
    """The application's options: what was given over its defaults, checked as in a run script."""
    return record_from(record_class, [Source("command line", {k: v for k, v in given.items() if v is not None})])


@click.group("factorize", cls=Group)
def command() -> None:
    """Factorize a photograph, ratings or a matrix."""


@command.command("image")
@click.argument("path", required=False, type=FILE)
@_number("--patch", ImageOptions.patch, "Side of a patch, pixels.")
@_number("--rank", ImageOptions.rank, "Components of a patch.")
@_number("--iterations", ImageOptions.iterations, "ANLS iterations.")
@click.option(
    "--metric", metavar="psnr|ssim|rmse|mae",
    help=f"Figure after every iteration; ssim takes some 0.2 s a megapixel.  [default: {ImageOptions.metric}]",
)
@click.option("--reference", type=FILE, metavar="PICTURE", help="Figures are against this.  [default: the photograph]")
@_FACTOR_BITS
@click.option("--compressed", type=FILE, metavar="OUT", help="Write the factors in 8 bits, for `hwloop image decode`.")
@_RUN_FILE
@_PICTURES
@simulated_board
def image(state: Path | None, pristine: bool | None, **given: object) -> None:
    """Factorize the patches of a photograph: any that Pillow reads, or the default one (without PATH)."""
    settings = context.settings(board_options={"state": state, "pristine": pristine})
    options = _options_from(ImageOptions, given)

    from hwloop.controller import image_job

    with progress.report() as report:
        output.emit(image_job.run_image(options, settings, report))


@command.command("ratings")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--fold", metavar="1..5|all", help=f"Test fold.  [default: {RatingsOptions.fold}]")
@_number("--rank", RatingsOptions.rank, "Components.")
@_number("--iterations", RatingsOptions.iterations, "ANLS iterations.")
@_number("--ridge", "chosen on training data", "Ridge a rating.")
@_number("--clip-low", "lowest rating", "Predictions are no lower.")
@_number("--clip-high", "highest rating", "Predictions are no higher.")
@click.option("--metric", metavar="rmse|mae", help=f"Figure by iteration.  [default: {RatingsOptions.metric}]")
@_FACTOR_BITS
@_RUN_FILE
@_PICTURES
@simulated_board
def ratings(state: Path | None, pristine: bool | None, **given: object) -> None:
    """Factorize ratings: a GroupLens folder, its five test folds alone, or a CSV file user,item,rating."""
    settings = context.settings(RATINGS_DEFAULTS, board_options={"state": state, "pristine": pristine})
    options = _options_from(RatingsOptions, given)

    from hwloop.controller import ratings_job

    with progress.report() as report:
        output.emit(ratings_job.run_ratings(options, settings, report))


@command.command("matrix")
@click.argument("path", type=FILE)
@_number("--rank", MatrixOptions.rank, "Components.")
@_number("--iterations", MatrixOptions.iterations, "ANLS iterations.")
@_number("--tolerance", MatrixOptions.tolerance, "Relative change that ends the iterations.")
@click.option("--start", metavar="random|nndsvd", help=f"First factors.  [default: {MatrixOptions.start}]")
@_number("--ridge", MatrixOptions.ridge, "Penalty on the squared factors.")
@_number("--l1", MatrixOptions.l1, "Penalty on the sum of the factors.")
@click.option("--missing", is_flag=True, default=None, help="What a sparse file does not store is unknown, not zero.")
@_FACTOR_BITS
@click.option("--factors", type=FILE, metavar="OUT.npz", help="Write the factors W and H.")
@_RUN_FILE
@_PICTURES
@simulated_board
def matrix(state: Path | None, pristine: bool | None, **given: object) -> None:
    """Factorize a non-negative matrix file: .npy, .npz (scipy.sparse) or .csv."""
    settings = context.settings(board_options={"state": state, "pristine": pristine})
    options = _options_from(MatrixOptions, given)

    from hwloop.controller import matrix_job

    with progress.report() as report:
        output.emit(matrix_job.run_matrix(options, settings, report))
