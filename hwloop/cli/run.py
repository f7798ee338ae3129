"""`hwloop run`: an application, its options and its rig from one committed file."""

from pathlib import Path

import click

from hwloop.cli import context, output, progress
from hwloop.cli.frame import Command
from hwloop.cli.options import FILE
from hwloop.config import RATINGS_DEFAULTS
from hwloop.runscript import load_run_script


@click.command("run", cls=Command)
@click.argument("script", metavar="FILE.toml", type=FILE)
def command(script: Path) -> None:
    """Run a run script, such as runs/nebula.toml: what `factorize` does, with all options in a file."""
    loaded = load_run_script(script)
    defaults = RATINGS_DEFAULTS if loaded.application == "ratings" else None
    settings = context.settings(defaults, script=loaded)
    with progress.report() as report:
        output.emit(_application(loaded.application)(loaded.options, settings, report))


def _application(name: str):
    """The controller's function for an application; only its module is imported."""
    if name == "image":
        from hwloop.controller.image_job import run_image as function
    elif name == "ratings":
        from hwloop.controller.ratings_job import run_ratings as function
    else:
        from hwloop.controller.matrix_job import run_matrix as function
    return function
