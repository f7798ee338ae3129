"""`hwloop mock`: the simulated board for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from hwloop.cli import context, output
from hwloop.cli.frame import Group
from hwloop.cli.options import simulated_board
from hwloop.errors import UsageError


@dataclass(frozen=True)
class Served:
    """A simulated board that listens at `port`."""

    port: str
    goal_missed: None = None

    def document(self) -> dict[str, str]:
        return {"port": self.port}

    def text(self) -> str:
        return f'simulated board at {self.port}: a rig with [board] backend = "real", port = "{self.port}" talks to it'


@click.group("mock", cls=Group)
def command() -> None:
    """Serve the simulated board on a port."""


@command.command("serve")
@click.option(
    "--port", default="tcp:127.0.0.1:7216", show_default=True, metavar="PORT", help="tcp:HOST:PORT, unix:PATH, or pty."
)
@simulated_board
def serve(port: str, state: Path | None, pristine: bool | None) -> None:
    """Serve the simulated board of the rig until interrupted.

    --backend host or emulated serves the C firmware instead of the Python board.
    pty opens a pseudo-terminal, a serial port like any other; its name is shown.
    """
    settings = context.settings(board_options={"state": state, "pristine": pristine})
    board = settings.rig.board
    if not board.is_simulated:
        raise UsageError(f"mock serve offers a simulated board, not backend {board.backend}; name another rig")
    if context.is_dry_run():
        from hwloop.controller.plan import DryRun

        output.emit(DryRun(f"serve the simulated board {board.name} on {port}"))
        return

    from hwloop.mock.serve import serve_port
    from hwloop.rig import bench_config, find_rig_firmware

    serve_port(
        bench_config(settings), port, ready=lambda name: output.emit(Served(name)),
        firmware=find_rig_firmware(settings),
    )
