"""What a person sees at a terminal."""


import pytest

from tests.terminals import at_a_terminal

MATRIX = ("factorize", "matrix", "m.npy", "--rank", "2", "--iterations", "3")


def hwloop_at_a_terminal(*arguments, **named):
    return at_a_terminal("-m", "hwloop", *arguments, **named)


def test_bars_of_every_phase_then_the_result(inputs):
    shown, code = hwloop_at_a_terminal(*MATRIX, NO_COLOR="1")
    assert code == 0
    for phase in ("float64 reference, iterations", "circuit, iterations", "matrices of this half-step"):
        assert phase in shown
    assert "3/3" in shown and shown.rindex("residual") > shown.rindex("circuit, iterations")
    assert "\x1b[?25h" in shown         # the cursor is back
    assert "\x1b[3" not in shown        # and nothing was coloured


def test_no_bars_where_they_are_not_wanted(inputs):
    shown, code = hwloop_at_a_terminal(*MATRIX, "--no-progress")
    assert code == 0 and "iterations 0" not in shown and "\x1b" not in shown


@pytest.mark.parametrize(("answer", "exit_code"), [("y\n", 0), ("\n", 4)])
def test_forming_asks(workplace, answer, exit_code):
    shown, code = hwloop_at_a_terminal("array", "form", "--pristine", "--rows", "0:4", answer=answer)
    assert code == exit_code
    assert "[y/N]" in shown and "irreversible" in shown
    assert ("formed     " in shown) == (exit_code == 0)
    assert ("not confirmed; nothing was driven" in shown) == (exit_code == 4)
