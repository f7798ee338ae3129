"""`hwloop replay`: a recorded run, again, without a board."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import click

from hwloop.cli import context, output, progress
from hwloop.cli.frame import Command
from hwloop.cli.options import FOLDER
from hwloop.errors import UsageError


@dataclass(frozen=True)
class ServedRecording:
    """A recording that listens at `port`."""

    name: str
    port: str
    goal_missed: None = None

    def document(self) -> dict[str, str]:
        return {"run": self.name, "port": self.port}

    def text(self) -> str:
        return (
            f'recording {self.name} at {self.port}: a rig with [board] backend = "real", port = "{self.port}" '
            "talks to it"
        )


@click.command("replay", cls=Command)
@click.argument("run", metavar="RUN")
@click.option("--pictures", type=FOLDER, metavar="FOLDER", help="Where pictures go.  [default: a new one in runs/]")
@click.option("--against", metavar="OTHER", help="Compare with another run: where do they part?")
@click.option("--serve", metavar="PORT", help="Serve the recording as a board: tcp:HOST:PORT, unix:PATH, or pty.")
@click.option("--speed", type=click.Choice(["full", "recorded"]), help="Of --serve.  [default: full]")
@click.option(
    "--set", "changes", multiple=True, metavar="TABLE.KEY=VALUE",
    help="What if this had been so, such as ratings.clip_high=4.5. May be given several times.",
)
def command(
    run: str, pictures: Path | None, changes: tuple[str, ...], against: str | None, serve: str | None,
    speed: str | None,
) -> None:  # fmt: skip
    """Replay a run: the same controller code on the recorded exchanges. Strict: what differs stops it (exit 7).

    RUN is a run file, a journal, or the name of a run in runs/. A recording that is served answers what was asked then,
    in that order, each session from its beginning; a controller that knows other bad cells diverges.
    """
    if speed is not None and serve is None:
        raise UsageError("--speed is about --serve PORT: a replay takes no time of its own")
    if serve is not None:
        if pictures is not None:
            raise UsageError("--pictures does not go with --serve: whoever asks the recording draws them")
        if changes:
            raise UsageError("--set does not go with --serve: a recording that is served has its own replies only")
        _serve(run, serve, speed == "recorded")
        return

    if against is not None:
        if pictures is not None or changes:
            raise UsageError("--against compares what was recorded; --pictures and --set belong to a replay")
        _compare(run, against)
        return

    from hwloop.controller.replay_job import replay_run
    from hwloop.runlog.sources import find_run

    source = find_run(run)
    with progress.report() as report:
        output.emit(replay_run(source, report, pictures, changes))


def _compare(run: str, other: str) -> None:
    from hwloop.controller.against_job import compare_runs

    found = compare_runs(run, other)
    output.emit(found)
    found.raise_if_different()


def _serve(run: str, port: str, at_recorded_speed: bool) -> None:
    from hwloop.mock.recorded import RecordedBoard, RecordedServer
    from hwloop.mock.serve import serve_hosts
    from hwloop.runlog.served import RecordedExchanges
    from hwloop.runlog.sources import find_run

    source = find_run(run)
    with source.journal() as journal:
        exchanges = RecordedExchanges(journal)

        def refused(*what: object) -> None:
            sys.stderr.write(f"hwloop: {exchanges.unanswered(*what)}\n")
            sys.stderr.flush()

        server = RecordedServer(RecordedBoard(exchanges, refused), at_recorded_speed)
        if context.is_dry_run():
            from hwloop.controller.plan import DryRun

            output.emit(DryRun(f"serve the recording {source.name} on {port}"))
            return
        serve_hosts(lambda: server, port, ready=lambda name: output.emit(ServedRecording(source.name, name)))
