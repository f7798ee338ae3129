"""`hwloop array`: the cells of arrays A and B."""

from __future__ import annotations

from pathlib import Path

import click

from hwloop.cli import context, output, progress
from hwloop.cli.frame import Group
from hwloop.cli.options import ARRAYS, FILE, range_of, simulated_board


@click.group("array", cls=Group)
def command() -> None:
    """Form, read, program, show, test or mask the arrays' cells."""


@command.command("form")
@range_of("rows")
@click.option("--array", "arrays", type=ARRAYS, default="both", show_default=True, help="Which array.")
@simulated_board
def form(rows: range | None, arrays: str, state: Path | None, pristine: bool | None) -> None:
    """Form cells that never were. Irreversible: shows voltages, compliance and number of cells, and asks."""
    settings = context.settings(board_options={"state": state, "pristine": pristine})

    from hwloop.controller import array_job

    with progress.report() as report:
        chosen = (rows.start, rows.stop) if rows is not None else None
        output.emit(array_job.form_array(array_job.FormOptions(arrays, chosen), settings, report))


@command.command("read")
@click.argument("target", metavar="OUT", type=FILE)
@click.option("--array", "arrays", type=ARRAYS, default="A", show_default=True, help="Which array; both: stacked A, B.")
@range_of("rows")
@click.option("--averages", type=click.IntRange(1, 1000), metavar="N", help="Samples a cell.")
@click.option(
    "--with", "reader", type=click.Choice(["board", "smu", "daq"]), default="board", show_default=True,
    help="What reads: the board itself, or an instrument at its ports.",
)
@simulated_board
def read(
    target: Path, arrays: str, rows: range | None, averages: int | None, reader: str, state: Path | None,
    pristine: bool | None,
) -> None:  # fmt: skip
    """Read conductances into a matrix file (.npy or .csv, siemens); an existing file is kept and refused."""
    settings = context.settings(
        board_options={"state": state, "pristine": pristine}, program_options={"averages": averages}
    )

    from hwloop.controller import array_job

    with progress.report() as report:
        output.emit(array_job.read_array(settings, report, target=target, arrays=arrays, rows=rows, reader=reader))


@command.command("program")
@click.argument("source", metavar="MATRIX", type=FILE)
@click.option("--array", "arrays", type=ARRAYS, default="both", show_default=True, help="Which array.")
@click.option("--row", type=click.IntRange(0), default=0, show_default=True, help="Row of the matrix's first row.")
@click.option("--column", type=click.IntRange(0), default=0, show_default=True, help="Column of its first column.")
@click.option("--unit", type=click.Choice(["S", "uS"]), default="S", show_default=True, help="Unit of the entries.")
@click.option("--strategy", metavar="adaptive|ispva|igvva", help="How to program.")
@click.option("--tolerance", metavar="FRACTION", help="Accepted deviation, as a fraction of the conductance range.")
@click.option("--table", type=FILE, metavar="OUT.csv", help="Write the outcome of every cell.")
@click.option(
    "--verify-with", type=click.Choice(["board", "smu"]), default="board", show_default=True,
    help="What says in the end which cells are at their targets.",
)
@simulated_board
def program(
    source: Path, arrays: str, row: int, column: int, unit: str, strategy: str | None, tolerance: str | None,
    table: Path | None, verify_with: str, state: Path | None, pristine: bool | None,
) -> None:  # fmt: skip
    """Program and verify the conductances of a matrix file (.npy or .csv); empty or NaN entries are left alone."""
    settings = context.settings(
        board_options={"state": state, "pristine": pristine},
        program_options={"strategy": strategy, "tolerance": tolerance},
    )

    from hwloop.controller import program_job

    with progress.report() as report:
        options = program_job.ProgramOptions(source, arrays, row, column, unit, table, verify_with)
        output.emit(program_job.program_array(options, settings, report))


@command.command("show")
@click.option("--picture", type=FILE, metavar="OUT.png", help="Write the conductance map as a picture too.")
@simulated_board
def show(picture: Path | None, state: Path | None, pristine: bool | None) -> None:
    """Show the arrays: conductances, unformed, stuck and masked cells."""
    settings = context.settings(board_options={"state": state, "pristine": pristine})

    from hwloop.controller import array_job

    with progress.report() as report:
        output.emit(array_job.show_array(settings, report, picture=picture))


@command.command("mask")
@click.option("--array", "arrays", type=ARRAYS, default="both", show_default=True, help="Which array.")
@range_of("rows")
@range_of("columns")
@click.option("--clear", is_flag=True, help="Use these cells again.")
@click.option("--import", "status_list", type=FILE, metavar="CSV", help="Chip-status list: array,row,column,status.")
@simulated_board
def mask(
    arrays: str, rows: range | None, columns: range | None, clear: bool, status_list: Path | None,
    state: Path | None, pristine: bool | None,
) -> None:  # fmt: skip
    """Take cells out of use, by hand or from a chip-status list; without options, list what is masked."""
    settings = context.settings(board_options={"state": state, "pristine": pristine})

    from hwloop.controller import mask_job

    output.emit(
        mask_job.mask_array(
            settings, arrays=arrays, rows=rows, columns=columns, clear=clear, status_list=status_list
        )
    )


@command.command("passport")
@click.option("--array", "arrays", type=ARRAYS, default="both", show_default=True, help="Which array.")
@click.option("--row", type=click.IntRange(0), help="Only this row.  [default: all]")
@click.option("--column", type=click.IntRange(0), help="Only this column.  [default: all]")
@click.option("--export", type=FILE, metavar="OUT.csv", help="Write a line for every cell.")
@simulated_board
def passport(
    arrays: str, row: int | None, column: int | None, export: Path | None, state: Path | None, pristine: bool | None
) -> None:
    """Show what the chip's cells got so far: pulses by kind, largest voltages, forming attempts, cycles."""
    settings = context.settings(board_options={"state": state, "pristine": pristine})

    from hwloop.controller import passport_job

    options = passport_job.PassportOptions(arrays, row, column, export)
    output.emit(passport_job.show_passport(options, settings))


@command.command("yield")
@click.option("--array", "arrays", type=ARRAYS, default="both", show_default=True, help="Which array.")
@range_of("rows")
@click.option(
    "--avoid", type=click.Choice(["slow", "noisy"]), multiple=True,
    help="Do not use such cells; may be given twice.  [default: they are used]",
)
@simulated_board
def test_yield(
    arrays: str, rows: range | None, avoid: tuple[str, ...], state: Path | None, pristine: bool | None
) -> None:
    """Test the cells by a cycle and readings: unformed, stuck, slow, noisy; bad ones are not used any more."""
    settings = context.settings(board_options={"state": state, "pristine": pristine})

    from hwloop.controller import yield_job

    options = yield_job.YieldOptions(arrays, (rows.start, rows.stop) if rows is not None else None, avoid)
    with progress.report() as report:
        output.emit(yield_job.run_yield(options, settings, report))
