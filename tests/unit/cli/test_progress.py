"""What a run tells is shown: bars with the time that remains, and a line with figures, pulses and errors."""

from hwloop.cli.progress import LineReport, TerminalReport
from hwloop.report import iteration_text
from tests.terminals import at_a_terminal

WORK = """
import time
from hwloop.cli.progress import TerminalReport
report = TerminalReport(bars=True, consent=True)
for done in range(6):
    report.step("[red] circuit, iterations", done, 10)
    report.iteration("circuit", done + 1, 10, 0.125, 30.0 + done, "PSNR", "dB")
    report.programmed(done + 1, 40, 39, 1, 60)
    report.resent(2)
    time.sleep(0.15)
report.step("matrices", 5, 8)
report.step("matrices", 1, 8)
time.sleep(0.3)
report.close()
"""


def shown_at_a_terminal(columns):
    return at_a_terminal("-c", WORK, NO_COLOR="1", COLUMNS=str(columns))[0]


def test_bars_say_how_much_is_left_and_how_good_it_is():
    shown = shown_at_a_terminal(150)
    assert "[red] circuit, iterations" in shown and "5/10" in shown
    assert "0:00:00 left" in shown or "0:00:01 left" in shown       # 5 more at 0.15 s each
    assert "circuit, iteration 6 of 10: residual 0.125, PSNR 35.00 dB" in shown
    assert "360 cell pulses in 6 rounds · 6 cells given up · 2 frames sent again" in shown
    assert "1/8" in shown.rpartition("5/8")[2]      # begun anew


def test_a_narrow_terminal_gets_one_line_each():
    assert "circuit, iteration 6" in shown_at_a_terminal(60)


def test_nothing_is_told_where_nothing_happened():
    assert TerminalReport(bars=False, consent=False).status() == ""


def test_without_a_terminal_a_line_an_iteration(capsys):
    report = LineReport()
    for done in (1, 2):
        report.step("circuit, iterations", done, 3)
    report.iteration("circuit", 2, 3, None, 0.95, "test RMSE", "1")
    report.programmed(1, 40, 39, 1, 60)
    report.note("a note")
    assert capsys.readouterr().err.splitlines() == [
        "hwloop: circuit, iterations, 1 of 3", "hwloop: circuit, iteration 2 of 3: test RMSE 0.9500", "hwloop: a note",
    ]


def test_an_iteration_may_know_nothing_but_its_number():
    assert iteration_text("fold 1", 2, 3, None, None, "PSNR", "dB") == "fold 1, iteration 2 of 3"
