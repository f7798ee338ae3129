"""The frame of all commands: groups that import a noun only when it is used, and the global options of every level."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

import click

from hwloop.errors import UsageError
from hwloop.limits import SEED_MAX

_META_KEY = "hwloop.global_options"


class OutputError(UsageError):
    """A result that stdout does not take, such as on a full disk."""


def given_options() -> dict[str, Any]:
    """The global options that were given, at any level of the running command, by name."""
    return click.get_current_context().meta.setdefault(_META_KEY, {})


def _record(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Note a global option; twice the same value is fine, another value is a conflict."""
    given = ctx.meta.setdefault(_META_KEY, {})
    for item in value if isinstance(value, tuple) else ([True] if value else []):
        if given.setdefault(parameter.name, item) != item:
            raise click.UsageError(f"{parameter.opts[0]} is given twice, as {given[parameter.name]} and as {item}", ctx)


def _global_options() -> list[click.Option]:
    def valued(name: str, kind: Any, metavar: str, text: str) -> click.Option:
        # `multiple` shows every value that was given, so that a conflict can be told.
        return click.Option(
            [name], type=kind, multiple=True, metavar=metavar, help=text, callback=_record, expose_value=False
        )

    def flag(name: str, text: str) -> click.Option:
        return click.Option([name], is_flag=True, help=text, callback=_record, expose_value=False)

    return [
        valued("--rig", str, "NAME|PATH", "Rig: default, ideal, or a TOML file."),
        valued("--backend", str, "mock|host|emulated|real|PLUGIN", "Simulated, real, or a plug-in's board."),
        valued("--serial-number", click.IntRange(0), "N", "Serial number of the board."),
        valued("--seed", click.IntRange(0, SEED_MAX), "N", "Seed of the simulation and of the start.  [default: 0]"),
        flag("--json", "Print one JSON document on stdout."),
        flag("--dry-run", "Plan and check; drive nothing."),
        flag("--no-progress", "No progress bars."),
        flag("--allow-stale", "Go on with calibrations that do not hold, or with none; recorded in the run."),
        flag("--yes", "Do not ask before forming and other irreversible steps."),
    ]


class _GlobalOptions(click.Command):
    """Adds the global options, shown in a section of their own."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *self._globals]

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self._globals = _global_options()

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = [parameter for parameter in super().get_params(ctx) if isinstance(parameter, click.Option)]
        for title, options in (("Options", own), ("Global options", self._globals)):
            with formatter.section(title):
                formatter.write_dl([row for row in (option.get_help_record(ctx) for option in options) if row])


class Command(_GlobalOptions):
    """A verb."""


class Group(_GlobalOptions, click.Group):
    """A noun with verbs."""

    command_class = Command

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self.no_args_is_help = False

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        names = self.list_commands(ctx)
        if args[0] not in names:
            near = difflib.get_close_matches(args[0], names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"allowed: {', '.join(names)}"
            raise click.UsageError(f"no such command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """The nouns: each in the module of hwloop.cli of its name, imported when used. `nouns` has their short help."""

    def __init__(self, *arguments: Any, nouns: dict[str, str], **named: Any):
        super().__init__(*arguments, **named)
        self._nouns = nouns

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._nouns)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return importlib.import_module(f"hwloop.cli.{name}").command if name in self._nouns else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self._nouns.items()))
