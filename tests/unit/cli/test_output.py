"""What a result looks like: one JSON document on stdout, or text on stderr."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import sys
import click
import numpy as np
from dataclasses import dataclass
from pathlib import Path
from hwloop.cli import output
from hwloop.cli.frame import Command

@dataclass(frozen=True)
class Measured:
    goal_missed: str | None = {goal}
    def document(self):
        return {{"psnr_db": np.float64(36.3), "iterations": np.arange(3), "file": Path("x.h5"), "none": np.inf}}
    def text(self):
        return "PSNR 36.3 dB"

command = click.command("measure", cls=Command)(lambda: output.emit(Measured()))
with command.make_context("measure", sys.argv[1:]) as ctx:
    command.invoke(ctx)
"""


def run(*arguments, goal=None):
    program = PROGRAM.format(goal=repr(goal))
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60)


def test_json_is_one_document_on_stdout_with_plain_types():
    done = run("--json")
    assert json.loads(done.stdout) == {"psnr_db": 36.3, "iterations": [0, 1, 2], "file": "x.h5", "none": None}
    assert done.stderr == ""


def test_text_for_people_is_on_stderr():
    done = run()
    assert (done.stdout, done.stderr) == ("", "PSNR 36.3 dB\n")


@pytest.mark.parametrize("option", ["--json", "--no-progress"])
def test_a_missed_goal_is_told_after_the_result(option):
    done = run(option, goal="95 % of the cells are within tolerance, asked for 98 %")
    assert "36.3" in done.stdout + done.stderr
    assert "GoalNotReachedError" in done.stderr
