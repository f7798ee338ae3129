"""`hwloop mock`: the simulated board for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from hwloop.cli import context, progress
from hwloop.cli.frame import Group
from hwloop.cli.options import simulated_board


@click.group("mock", cls=Group)
def command() -> None:
    """Serve the simulated board on a port."""


@command.command("serve")
@click.option(
    "--port", default="tcp:127.0.0.1:7216", show_default=True, metavar="PORT", help="tcp:HOST:PORT, unix:PATH, or pty."
)
@simulated_board
def serve(port: str, state: Path | None, pristine: bool | None) -> None:
    """Serve the simulated board of the rig until interrupted; a rig with backend "real" and this port talks to it.

    pty opens a pseudo-terminal, a serial port like any other; its name is printed.
    """
    from hwloop.mock import server

    settings = context.settings(board_options={"state": state, "pristine": pristine})
    with progress.report() as report:
        server.serve(settings.rig, seed=settings.seed, port=port, report=report)
