"""`hwloop board`: who is there, whether it is sound, and the safe state."""

import click

from hwloop.cli import context, output, progress
from hwloop.cli.frame import Group


@click.group("board", cls=Group)
def command() -> None:
    """Identify the board, test it, or make it safe."""


@command.command("info")
def info() -> None:
    """Say what the board is: serial numbers, geometry, scales, limits, wire table, state. Changes no output."""
    settings = context.settings()

    from hwloop.controller import board_job

    with progress.report() as report:
        output.emit(board_job.board_info(settings, report))


@command.command("safe")
def safe() -> None:
    """Ground every line of the board now.

    A run that holds the port, in another terminal too, stops within 0.5 s and says why. With no such run the port is
    opened here.
    """
    settings = context.settings()

    from hwloop.controller import board_job

    with progress.report() as report:
        output.emit(board_job.board_safe(settings, report))


@command.command("selftest")
def selftest() -> None:
    """Accept a board without instruments: supply, DAC-ADC loop back, reference resistors, leakage, continuity.

    Every figure is measured against its limits, by the board's calibrations where they hold. Cells are read only.
    """
    settings = context.settings()

    from hwloop.controller import selftest_job

    with progress.report() as report:
        output.emit(selftest_job.self_test(settings, report))
