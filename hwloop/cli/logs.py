"""`hwloop logs`: runs that were kept, whole or not, and runs that are going on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hwloop.cli import context, output, progress
from hwloop.cli.frame import Group
from hwloop.cli.options import FILE, FOLDER
from hwloop.errors import GoalNotReachedError

if TYPE_CHECKING:
    from hwloop.controller.run_show import ShownRun

INTERRUPTED = 130


@click.group("logs", cls=Group)
def command() -> None:
    """List, show, check, recover, resume, export or report runs.

    RUN is a run file, a journal, or the name of a run in runs/.
    """


@command.command("list")
@click.argument("folder", metavar="[FOLDER]", required=False, type=click.Path(path_type=Path))
def list_(folder: Path | None) -> None:
    """List the runs in a folder, newest first.  [default: runs]"""
    from hwloop.controller import run_list
    from hwloop.runlog.sources import RUNS

    output.emit(run_list.list_runs(folder or RUNS))


@command.command("show")
@click.argument("run", metavar="RUN")
@click.option("--follow", is_flag=True, help="Watch it until it ends; with --json one line an event.")
def show(run: str, follow: bool) -> None:
    """Show a run: what was run, how far it came, what it cost, how it ended.

    With --follow it reads the journal only: the run does not notice. Exit code 1 where the run's process has died.
    """
    if follow:
        _follow(run)
        return

    from hwloop.controller import run_show

    output.emit(run_show.show_run(run))


@command.command("check")
@click.argument("run", metavar="RUN")
def check(run: str) -> None:
    """Check every record of a run's journal: CRC and number. Exit code 6 where one is bad."""
    from hwloop.controller import logs_job

    found = logs_job.check_run(run)
    if found.ok or context.wants_json():
        output.emit(found)
    found.raise_if_bad()


@command.command("recover")
@click.argument("run", metavar="RUN")
@click.option("--output", "target", type=FILE, metavar="X.h5", help="The run file to write.")
def recover(run: str, target: Path | None) -> None:
    """Make a run file of what is whole of a journal, torn wherever it may be."""
    from hwloop.controller import logs_job

    output.emit(logs_job.recover_run(run, target, context.is_dry_run()))


@command.command("resume")
@click.argument("run", metavar="RUN")
@click.option("--port", metavar="PORT", help="Where the run's board is now.  [default: where it was]")
def resume(run: str, port: str | None) -> None:
    """Go on with a run that was cut off: killed, stopped, unplugged, out of power.

    Nothing is pulsed before it is known what became of the step that was under way. Prints what the run would have.
    """
    from hwloop.controller import resume_job

    with progress.report() as report:
        output.emit(resume_job.resume_run(run, report, port, context.is_dry_run()))


@command.command("export")
@click.argument("run", metavar="RUN")
@click.argument("folder", metavar="FOLDER", type=FOLDER)
@click.option("--format", "form", type=click.Choice(["csv", "mat"]), default="csv", show_default=True, help="As what.")
def export(run: str, folder: Path, form: str) -> None:
    """Export a run's data into a new or empty folder."""
    from hwloop.controller import logs_job

    output.emit(logs_job.export_run(run, folder, form, context.is_dry_run()))


@command.command("report")
@click.argument("run", metavar="RUN")
@click.option("--output", "target", type=FILE, metavar="X.html", help="The page to write.  [default: beside the run]")
def report(run: str, target: Path | None) -> None:
    """Write a page about a run: one HTML file that needs nothing else, also of a run that is not finished."""
    from hwloop.controller import logs_job

    output.emit(logs_job.report_run(run, target, context.is_dry_run()))


def _follow(run: str) -> None:
    from hwloop.controller import run_follow

    try:
        if context.wants_json():
            shown = run_follow.follow_run(run, progress.LineReport(), tell=output.emit)
        elif context.wants_progress() and sys.stderr.isatty():
            with progress.report() as report:
                shown = run_follow.follow_run(run, report, begin=_say_head)
        else:
            shown = run_follow.follow_run(run, progress.LineReport(), begin=_say_head)
    except KeyboardInterrupt:
        # Whoever watches leaves; the run goes on, and there is nothing to say.
        raise click.exceptions.Exit(INTERRUPTED) from None
    if not context.wants_json():
        output.emit(run_follow.Ending(shown))
    elif shown.goal_missed:
        raise GoalNotReachedError(shown.goal_missed)


def _say_head(shown: ShownRun) -> None:
    sys.stderr.write("\n".join(shown.head_lines()) + "\n")
