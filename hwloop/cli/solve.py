"""`hwloop solve`: one non-negative regression on the analog circuit."""

from __future__ import annotations

from pathlib import Path

import click

from hwloop.cli import context, output, progress
from hwloop.cli.frame import Command
from hwloop.cli.options import FILE, Penalty, simulated_board

PENALTY = Penalty()


@click.command("solve", cls=Command)
@click.argument("matrix", metavar="X", type=FILE)
@click.argument("right_side", metavar="Y", type=FILE)
@click.option("--output", "target", type=FILE, metavar="OUT", help="Write the solution (.npy or .csv).")
@click.option("--ridge", type=PENALTY, default=0.0, show_default=True, help="Squared penalty.")
@click.option("--l1", type=PENALTY, default=0.0, show_default=True, help="Linear penalty.")
@click.option(
    "--read-with", type=click.Choice(["board", "daq"]), default="board", show_default=True,
    help="What reads the outputs: the board's ADCs, or the DAQ at its pins.",
)
@simulated_board
def command(
    matrix: Path, right_side: Path, target: Path | None, ridge: float, l1: float, read_with: str,
    state: Path | None, pristine: bool | None,
) -> None:  # fmt: skip
    """Solve min |X h - y|, h >= 0, on the circuit, for the matrix file X and every column y of the file Y.

    The exact float64 solution is computed beside it, and both residuals are shown.
    """
    settings = context.settings(board_options={"state": state, "pristine": pristine})

    from hwloop.controller import solve_job

    with progress.report() as report:
        options = solve_job.SolveOptions(matrix, right_side, target, ridge, l1, read_with)
        output.emit(solve_job.run_solve(options, settings, report))
