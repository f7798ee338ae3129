"""`hwloop mock`: the simulated bench for other programs, and what it hides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from hwloop.cli import context, output
from hwloop.cli.frame import Group
from hwloop.cli.options import FILE, simulated_board
from hwloop.errors import UsageError


@dataclass(frozen=True)
class Served:
    """A simulated board that listens at `port`, and the VISA resources of its instruments by role."""

    port: str
    resources: Mapping[str, str] = field(default_factory=dict)
    rig: Path | None = None
    goal_missed: None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {"port": self.port, **self.resources, "rig": self.rig}

    def text(self) -> str:
        """For people."""
        how = f'a rig with [board] backend = "real", port = "{self.port}" talks to it'
        lines = [f"simulated board at {self.port}: {how}"]
        lines += [f"{role.upper()} at {resource}" for role, resource in self.resources.items()]
        lines += [f"rig for all of it: --rig {self.rig}"] if self.rig else []
        return "\n".join(lines)


@dataclass(frozen=True)
class Truth:
    """What a simulated bench hides: parameters of the board and of the chip, by the names of calibration files."""

    board: dict[str, Any]
    array: dict[str, Any]
    goal_missed: None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {"board": self.board, "array": self.array}

    def text(self) -> str:
        """For people."""
        lines = []
        for what, told in self.document().items():
            lines.append(f"{what} {told['name']} number {told['serial']}")
            lines += [f"  {one['name']:<36} {one['value']:.10g} {one['unit']}" for one in told["parameters"]]
        return "\n".join(lines)


@click.group("mock", cls=Group)
def command() -> None:
    """Serve the simulated bench on ports, or tell what it hides."""


@command.command("serve")
@click.option(
    "--port", default="tcp:127.0.0.1:7216", show_default=True, metavar="PORT", help="tcp:HOST:PORT, unix:PATH, or pty."
)
@click.option(
    "--write-rig", "rig_file", type=FILE, metavar="PATH",
    help="Serve the rig's SMU and DAQ as well, and write a rig file for all of it.",
)
@click.option(
    "--instrument-ports", default="tcp:127.0.0.1:0", show_default=True, metavar="PORT",
    help="tcp:HOST:0 for free ports, or pty: where SMU and DAQ are served.",
)
@click.option("--real-time", is_flag=True, help="Instruments take the time that they would take.")
@simulated_board
def serve(
    port: str, rig_file: Path | None, instrument_ports: str, real_time: bool, state: Path | None, pristine: bool | None
) -> None:
    """Serve the simulated board of the rig until interrupted; with --write-rig the whole bench.

    --backend host or emulated serves the C firmware instead of the Python board.
    pty opens a pseudo-terminal, a serial port like any other; its name is shown.
    """
    settings = context.settings(board_options={"state": state, "pristine": pristine})
    board = settings.rig.board
    if not board.is_simulated:
        raise UsageError(f"mock serve offers a simulated board, not backend {board.backend}; name another rig")
    if rig_file is not None and rig_file.exists():
        raise UsageError(f"{rig_file} exists already; choose another file for --write-rig")
    if context.is_dry_run():
        from hwloop.controller.plan import DryRun

        output.emit(DryRun(f"serve the simulated board {board.name} on {port}"))
        return

    import dataclasses

    from hwloop import rig
    from hwloop.mock.serve import serve_port

    wanted = rig.bench_instruments(settings, ("smu", "daq")) if rig_file is not None else ()
    wanted = tuple(dataclasses.replace(one, port=instrument_ports, real_time=real_time) for one in wanted)

    def ready(name: str, resources: dict[str, str]) -> None:
        if rig_file is not None:
            rig.write_served_rig(rig_file, settings, name, resources)
        output.emit(Served(name, resources, rig_file))

    serve_port(
        rig.bench_config(settings), port, ready=ready, firmware=rig.find_rig_firmware(settings), instruments=wanted
    )


@command.command("truth")
def truth() -> None:
    """Tell the hidden parameters of the simulated board and chip of the rig: what a calibration should find."""
    settings = context.settings()
    board = settings.rig.board
    if not board.is_simulated:
        raise UsageError(f"mock truth knows simulated boards, not backend {board.backend}; name another rig")

    from hwloop import rig
    from hwloop.mock.truth import truth_of

    output.emit(Truth(**truth_of(rig.bench_config(settings))))
