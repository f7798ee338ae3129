"""`hwloop recommend`: what a user may like, from the factors of a ratings run."""

from __future__ import annotations

from pathlib import Path

import click

from hwloop.cli import output
from hwloop.cli.frame import Command
from hwloop.cli.options import FILE


@click.command("recommend", cls=Command)
@click.option("--user", required=True, metavar="ID", help="User, as named in the ratings.")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Number of items.")
@click.option("--run-file", type=FILE, metavar="RUN.h5", help="Ratings run.  [default: the newest in runs/]")
def command(user: str, top: int, run_file: Path | None) -> None:
    """Recommend items that a user has not rated, best first, with titles where the ratings have them."""
    from hwloop.controller import recommend_job

    output.emit(recommend_job.recommend(user=user, top=top, run_file=run_file))
