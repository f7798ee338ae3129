"""`hwloop replay`: a recorded run, again, without a board."""

from __future__ import annotations

from pathlib import Path

import click

from hwloop.cli import output, progress
from hwloop.cli.frame import Command
from hwloop.cli.options import FOLDER


@click.command("replay", cls=Command)
@click.argument("run", metavar="RUN")
@click.option("--pictures", type=FOLDER, metavar="FOLDER", help="Where pictures go.  [default: a new one in runs/]")
def command(run: str, pictures: Path | None) -> None:
    """Replay a run: the same controller code on the recorded exchanges. Strict: what differs stops it (exit 7)."""
    from hwloop.controller.replay_job import replay_run
    from hwloop.runlog.sources import find_run

    source = find_run(run)
    with progress.report() as report:
        output.emit(replay_run(source, report, pictures))
