"""`hwloop calibrate`: board and array against instruments, and the calibrations that are kept."""

from __future__ import annotations

from pathlib import Path

import click

from hwloop.calibration.kinds import KINDS
from hwloop.cli import context, output, progress
from hwloop.cli.frame import Command, Group
from hwloop.cli.options import FILE


@click.group("calibrate", cls=Group)
def command() -> None:
    """Calibrate board and array against instruments, or look at calibrations.

    Each kind shows its plan, waits for a stable temperature, measures, fits, checks and writes a new file.
    """


def _calibrate(kinds: tuple[str, ...], folder: Path | None) -> None:
    settings = context.settings(calibration_options={"folder": folder})

    from hwloop.controller import calibrate_job

    with progress.report() as report:
        output.emit(calibrate_job.calibrate(kinds, settings, report))


_FOLDER = click.Option(
    ["--folder"], type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Where calibrations are kept.  [default: calibration]",
)


def _kind_command(name: str, text: str, kinds: tuple[str, ...]) -> Command:
    return Command(
        name, callback=lambda folder: _calibrate(kinds, folder), params=[_FOLDER], help=text,
        short_help=text.split(".")[0],
    )


command.add_command(_kind_command("all", "Every kind, each by what those before it found.", tuple(KINDS)))
for _kind in KINDS.values():
    _title = _kind.title[0].upper() + _kind.title[1:]
    command.add_command(_kind_command(_kind.name, f"{_title}.", (_kind.name,)))


@command.command("list")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Where they are kept.")
def list_them(folder: Path | None) -> None:
    """List all calibrations that are kept, the newest of each kind first."""
    settings = context.settings(calibration_options={"folder": folder})

    from hwloop.controller import calibrations_job

    output.emit(calibrations_job.list_calibrations(settings))


@command.command("show")
@click.argument("path", metavar="FILE", type=FILE)
def show(path: Path) -> None:
    """Show one calibration: values with uncertainty, method, instruments, for how long it holds."""
    settings = context.settings()

    from hwloop.controller import calibrations_job

    output.emit(calibrations_job.show_calibration(settings, path))


@command.command("compare")
@click.argument("before", metavar="A", type=FILE)
@click.argument("after", metavar="B", type=FILE)
def compare(before: Path, after: Path) -> None:
    """Compare two calibrations of one kind: what drifted, and whether more than their uncertainties say."""
    settings = context.settings()

    from hwloop.controller import calibrations_job

    output.emit(calibrations_job.compare_calibrations(settings, before, after))


@command.command("check")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Where they are kept.")
def check(folder: Path | None) -> None:
    """Test quickly, without instruments, that the calibrations in use still hold: loop back and reference resistors."""
    settings = context.settings(calibration_options={"folder": folder})

    from hwloop.controller import check_job

    with progress.report() as report:
        output.emit(check_job.check_calibrations(settings, report))
