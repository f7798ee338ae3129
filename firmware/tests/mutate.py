"""Does a test notice when the firmware is made less safe? Each fault of mutations.toml, built and tested on its own.

Run from anywhere: python firmware/tests/mutate.py [--only NAME]. Ends with 1 where a fault goes unnoticed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

FIRMWARE = Path(__file__).resolve().parents[1]
# Without sanitizers, so that what catches a fault is a test and not luck; quick to build as well.
PLAIN = ("TEST_FLAGS=-O1", "WARNINGS=-w")
HANGS_SECONDS = 5.0


@dataclass(frozen=True)
class Mutation:
    """One deliberate fault: in `file`, `old`, which stands there once, becomes `new`."""

    name: str
    what: str
    file: str
    old: str
    new: str


class MutationError(Exception):
    """A fault that cannot be tried: it does not apply, or does not compile."""


def load_mutations() -> list[Mutation]:
    """All faults, in the order of the file."""
    return [Mutation(**entry) for entry in tomllib.loads((FIRMWARE / "tests/mutations.toml").read_text())["mutation"]]


def caught_by(tree: Path, mutation: Mutation) -> list[str]:
    """Names of the tests in the copy `tree` that fail with the fault in it. Raises MutationError."""
    path = tree / mutation.file
    sound = path.read_text()
    if sound.count(mutation.old) != 1:
        raise MutationError(f"{mutation.file} has {sound.count(mutation.old)} times, not once: {mutation.old}")
    path.write_text(sound.replace(mutation.old, mutation.new))
    try:
        build(tree)
        return failing_tests(tree)
    finally:
        path.write_text(sound)


def build(tree: Path) -> None:
    """Compile every test of the copy. Raises MutationError."""
    command = ["make", "-s", "-j2", "-C", tree, *PLAIN, "test-programs"]
    made = subprocess.run(command, capture_output=True, text=True, env=_environment())
    if made.returncode:
        raise MutationError(f"does not compile: {made.stderr}")


def failing_tests(tree: Path) -> list[str]:
    """Names of the tests that fail, crash or hang."""
    return [program.stem for program in sorted((tree / "build/test").glob("*.test")) if not _passes(program)]


def _passes(program: Path) -> bool:
    try:
        return subprocess.run([program], capture_output=True, timeout=HANGS_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _environment() -> dict[str, str]:
    # Not the flags of a make that this may be part of.
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


def copy_of_firmware(folder: str) -> Path:
    """A copy of the sources to break, built once."""
    tree = Path(folder) / "firmware"
    shutil.copytree(FIRMWARE, tree, ignore=shutil.ignore_patterns("build", "corpus", "__pycache__"))
    build(tree)
    if failing := failing_tests(tree):
        raise MutationError(f"tests fail without any fault: {', '.join(failing)}")
    return tree


def main() -> int:
    """Print the table of faults; 1 where one went unnoticed."""
    parser = argparse.ArgumentParser(description="Deliberate faults in the firmware, and the tests that catch them")
    parser.add_argument("--only", metavar="NAME", help="this fault alone")
    only = parser.parse_args().only
    mutations = [mutation for mutation in load_mutations() if only in (None, mutation.name)]
    unnoticed = 0
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        try:
            tree = copy_of_firmware(folder)
        except MutationError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        for mutation in mutations:
            try:
                tests = caught_by(tree, mutation)
            except MutationError as error:
                tests, unnoticed = [f"cannot be tried: {error}"], unnoticed + 1
            unnoticed += not tests
            sys.stdout.write(f"{mutation.name:32} | {', '.join(tests) or 'NOT CAUGHT'}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(mutations) - unnoticed} of {len(mutations)} faults caught\n")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
