"""The entry point: the nouns, and what every failure looks like: one line on stderr and an exit code."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Sequence

import click

from hwloop import __version__, signals
from hwloop.cli.frame import LazyGroup, OutputError
from hwloop.errors import DivergenceError, HwloopError

EXIT_USAGE, EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_BROKEN_PIPE, EXIT_TERMINATED = 2, 70, 130, 141, 143

# Letters that file names and messages may hold, for terminals that only know ASCII.
_ASCII = {"µ": "u", "Ω": "Ohm", "°": "", "−": "-", "–": "-", "×": "x", "≥": ">=", "≤": "<=", "…": "..."}
_ASCII_ERRORS = "hwloop-ascii"

NOUNS = {
    "board": "Identify the board, or make it safe.",
    "array": "Form, read, program, show, test or mask the arrays' cells.",
    "calibrate": "Calibrate board and array against instruments; list, show, compare or check calibrations.",
    "characterize": "Characterize cells: forming, I-V, gate, endurance, retention, noise, disturb.",
    "solve": "Solve one non-negative regression on the circuit.",
    "factorize": "Factorize a photograph, ratings or a matrix.",
    "image": "Restore a picture from its compressed factors.",
    "recommend": "Recommend items to a user, from a ratings run.",
    "run": "Run a run script (TOML).",
    "replay": "Replay a run without a board, compare two, or serve one.",
    "logs": "List, show, check, recover, resume, export or report runs.",
    "mock": "Serve the simulated bench on ports, or tell what it hides.",
}


@click.group(
    cls=LazyGroup, nouns=NOUNS, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, "--version", message="hwloop %(version)s")
@click.pass_context
def hwloop(ctx: click.Context) -> None:
    """Program, verify and compute with HfO2 memristor arrays, hardware in the loop."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """The console script `hwloop`."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and give its exit code. Every failure ends as one line on stderr."""
    _open_streams()
    try:
        signals.raise_on_termination()
        with hwloop.make_context("hwloop", list(arguments)) as ctx:
            hwloop.invoke(ctx)
        # Here, where a reader that has gone is still one of the failures below.
        sys.stdout.flush()
        return 0
    except click.exceptions.Exit as request:
        return request.exit_code
    except click.UsageError as error:
        return _fail(_usage_text(error), EXIT_USAGE)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted", EXIT_INTERRUPTED)
    except signals.TerminatedRun:
        return _fail("terminated", EXIT_TERMINATED)
    except BrokenPipeError:
        _abandon_stdout()
        return EXIT_BROKEN_PIPE
    except HwloopError as error:
        if isinstance(error, OutputError):
            _abandon_stdout()
        if isinstance(error, DivergenceError) and error.shown:
            with contextlib.suppress(OSError):
                sys.stderr.write(f"{error.shown}\n")
        return _fail(str(error), error.exit_code)
    except Exception as error:
        return _fail(f"internal error, {type(error).__name__}; please send the report {_write_report()}", EXIT_INTERNAL)


def _abandon_stdout() -> None:
    """Nobody takes what is still to be written; Python must not find that out again when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_streams() -> None:
    """Standard streams that exist and take every character, whatever the caller closed and whatever the locale is."""
    codecs.register_error(_ASCII_ERRORS, _in_ascii)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ASCII_ERRORS)


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that the terminal or the locale does not have."""
    missing = error.object[error.start : error.end]
    return "".join(_ASCII.get(character, "?") for character in missing), error.end


def _fail(text: str, exit_code: int) -> int:
    # One line whatever a library put into its message. Where nobody can be told, the exit code has to do.
    with contextlib.suppress(OSError):
        sys.stderr.write(f"hwloop: error: {' '.join(text.split())}\n")
        sys.stderr.flush()
    return exit_code


def _usage_text(error: click.UsageError) -> str:
    message = error.format_message().rstrip(".")
    if error.ctx is None:
        return message
    where, command = error.ctx.command_path, error.ctx.command
    if isinstance(command, click.Group) and message == "Missing command":
        message = f"a verb is missing; allowed: {', '.join(command.list_commands(error.ctx))}"
    return f"{where.removeprefix('hwloop ')}: {message}; see `{where} --help`"


def _write_report() -> str:
    """Write the exception at hand, and what it happened on, to a file to send; gives its path."""
    import platform
    import tempfile
    import traceback

    lines = [f"hwloop {__version__}", f"Python {sys.version}", platform.platform(), f"arguments {sys.argv[1:]}"]
    with tempfile.NamedTemporaryFile("w", prefix="hwloop-report-", suffix=".txt", delete=False) as file:
        file.write("\n".join([*lines, "", traceback.format_exc()]))
    return file.name
