"""`hwloop image`: pictures back from compressed factors."""

from pathlib import Path

import click

from hwloop.cli import context, output
from hwloop.cli.frame import Group
from hwloop.cli.options import FILE


@click.group("image", cls=Group)
def command() -> None:
    """Restore a picture from its compressed factors."""


@command.command("decode")
@click.argument("source", metavar="FILE", type=FILE)
@click.argument("target", metavar="OUT.png", type=FILE)
def decode(source: Path, target: Path) -> None:
    """Restore the picture of a file of `factorize image --compressed`, from that file alone."""
    from hwloop.controller import image_job

    output.emit(image_job.decode_image(source, target, dry_run=context.is_dry_run()))
