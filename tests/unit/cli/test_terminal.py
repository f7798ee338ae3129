"""What a person sees at a terminal."""

import os
import pty
import subprocess
import sys

import pytest

MATRIX = ("factorize", "matrix", "m.npy", "--rank", "2", "--iterations", "3")


def at_a_terminal(*arguments, answer="", **environment):
    """All that `hwloop ARGUMENTS` shows at a terminal of 120 columns where `answer` is typed, and its exit code."""
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "hwloop", *arguments], stdin=inside, stdout=inside, stderr=inside,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", **environment},
    )  # fmt: skip
    os.close(inside)
    os.write(terminal, answer.encode())
    shown = b""
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:
        pass
    os.close(terminal)
    return shown.decode(), process.wait(timeout=60)


def test_bars_of_every_phase_then_the_result(inputs):
    shown, code = at_a_terminal(*MATRIX, NO_COLOR="1")
    assert code == 0
    for phase in ("float64 reference, iterations", "circuit, iterations", "matrices of this half-step"):
        assert phase in shown
    assert "3/3" in shown and shown.rindex("residual") > shown.rindex("circuit, iterations")
    assert "\x1b[?25h" in shown         # the cursor is back
    assert "\x1b[3" not in shown        # and nothing was coloured


def test_no_bars_where_they_are_not_wanted(inputs):
    shown, code = at_a_terminal(*MATRIX, "--no-progress")
    assert code == 0 and "iterations 0" not in shown and "\x1b" not in shown


@pytest.mark.parametrize(("answer", "exit_code"), [("y\n", 0), ("\n", 4)])
def test_forming_asks(workplace, answer, exit_code):
    shown, code = at_a_terminal("array", "form", "--pristine", "--rows", "0:4", answer=answer)
    assert code == exit_code
    assert "[y/N]" in shown and "irreversible" in shown
    assert ("formed     " in shown) == (exit_code == 0)
    assert ("not confirmed; nothing was driven" in shown) == (exit_code == 4)
