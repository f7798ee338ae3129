"""`hwloop characterize`: what cells do under pulses, over time, and when they are only read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hwloop.cli import context, output, progress
from hwloop.cli.frame import Command, Group
from hwloop.cli.options import ARRAYS, FILE, FOLDER, Quantity, range_of, simulated_board

_COUNT = click.IntRange(1)


@click.group("characterize", cls=Group)
def command() -> None:
    """Characterize chosen cells, or whole arrays.

    What is done to the cells, and how many pulses that takes, is shown before the first one, and asked for.
    """


def _characterization(what: str, text: str, *own: Callable) -> None:
    """The verb `what`, with options that are its own beside those that all have."""

    def callback(
        arrays: str, rows: range | None, columns: range | None, pictures: Path | None, run_file: Path | None,
        state: Path | None, pristine: bool | None, **chosen: Any,
    ) -> None:  # fmt: skip
        settings = context.settings(board_options={"state": state, "pristine": pristine})

        from hwloop.controller import characterize_job

        options = characterize_job.CharacterizeOptions(
            what, arrays, *((given.start, given.stop) if given is not None else None for given in (rows, columns)),
            pictures=pictures, run_file=run_file, **chosen,
        )
        with progress.report() as report:
            output.emit(characterize_job.run_characterize(options, settings, report))

    options = (
        click.option("--array", "arrays", type=ARRAYS, default="both", show_default=True, help="Which array."),
        range_of("rows"), range_of("columns"), *own,
        click.option("--pictures", type=FOLDER, metavar="DIR", help="Folder for the pictures.  [default: runs]"),
        click.option("--run-file", type=FILE, metavar="OUT.h5", help="The run file.  [default: a new one in runs]"),
        simulated_board,
    )
    for option in reversed(options):
        callback = option(callback)
    command.add_command(click.command(what, cls=Command, help=text, short_help=text.split(".")[0])(callback))


_characterization(
    "forming", "Form pristine cells by rising pulses: at which voltage each forms. Irreversible.",
)
_characterization(
    "iv", "Switching loops, pulse by pulse, and currents at low voltages in both states.",
    click.option("--with-smu", is_flag=True, help="Sweep the cells at low voltages with the source meter, one by one."),
)
_characterization("gate", "Conductance after SET against the gate voltage.")
_characterization(
    "endurance", "SET and RESET over and over: both states, cycle by cycle. Wears the cells.",
    click.option("--cycles", type=_COUNT, default=1000, show_default=True, help="How often."),
)
_characterization(
    "retention", "How programmed conductances drift, against the logarithm of time.",
    click.option(
        "--hold", "hold_seconds", type=Quantity("seconds", 1.0), default="10000 s", show_default=True,
        help="For how long; a real board takes that long.",
    ),
)
_characterization(
    "noise", "How much readings fluctuate, and which cells jump between two levels.",
    click.option("--reads", type=click.IntRange(16), default=256, show_default=True, help="Readings of a cell."),
)
_characterization(
    "disturb", "What many pulses do that are too small to program.",
    click.option("--pulses", type=_COUNT, default=1000, show_default=True, help="Pulses of a cell."),
    click.option(
        "--amplitude", "stress_volts", type=Quantity("volts", 0.0), default="0.4 V", show_default=True,
        help="Their amplitude.",
    ),
)
