"""The command line as a person meets it: real runs of `python -m hwloop`."""

import os
import signal
import subprocess
import sys

import pytest

from tests.terminals import at_a_terminal

COMMAND = [sys.executable, "-m", "hwloop"]
VERBS = (
    "board info", "board safe", "array form", "array read", "array program", "array show", "array mask", "solve",
    "factorize image", "factorize ratings", "factorize matrix", "image decode", "recommend", "run", "mock serve",
)  # fmt: skip


def hwloop(*arguments, environment=None, **options):
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})}, **options,
    )  # fmt: skip


def test_help_names_every_noun():
    done = hwloop("--help")
    assert done.returncode == 0
    for noun in ("board", "array", "solve", "factorize", "image", "recommend", "run", "mock"):
        assert f"  {noun} " in done.stdout


def test_every_verb_has_help_and_the_global_options_without_heavy_imports():
    program = "import sys; from hwloop.cli.main import run; code = run(sys.argv[1:]); print(code, sorted(sys.modules))"
    for verb in ("", *VERBS):
        done = subprocess.run(
            [sys.executable, "-c", program, *verb.split(), "--help"], capture_output=True, text=True, timeout=60
        )
        assert "--serial-number" in done.stdout and f"Usage: hwloop {verb}".strip() in done.stdout
        *_, last = done.stdout.splitlines()
        assert last.startswith("0 ")
        assert not any(f"'{heavy}'" in last for heavy in ("numpy", "scipy", "h5py", "rich", "numba", "matplotlib"))


def test_nothing_said_shows_the_help_and_version_is_one_line():
    assert hwloop().stdout == hwloop("--help").stdout
    assert hwloop("--version").stdout.startswith("hwloop ")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["baord", "info"], "no such command 'baord'; did you mean board?"),
        (["board"], "board: a verb is missing; allowed: info, safe"),
        (["board", "inof"], "board: no such command 'inof'; did you mean info?"),
        (["board", "info", "--sede", "1"], "board info: No such option"),
        (["board", "info", "extra"], "board info: Got unexpected extra argument (extra)"),
        (["--seed", "1", "board", "info", "--seed", "2"], "--seed is given twice, as 1 and as 2"),
        (["--rig", "default", "board", "--rig", "ideal", "info"], "--rig is given twice, as default and as ideal"),
        (["board", "info", "--seed", "-1"], "Invalid value for '--seed'"),
        (["board", "info", "--rig", "nowhere"], "no rig 'nowhere': neither a file nor one of default, ideal"),
        (["board", "info", "--backend", "hots"], "backend is 'hots'"),
        (["board", "info", "--backend", "real"], "[board] port is needed"),
        (["array", "form", "--rows", "5:5"], "'5:5' is empty"),
        (["array", "program", "x.npy", "--strategy", "ispav"], "did you mean 'ispva'?"),
        (["factorize", "image", "--rank", "0"], "rank is '0': expected a whole number, 1 or more"),
        (["factorize", "ratings"], "factorize ratings: Missing argument 'PATH'"),
        (["factorize", "ratings", "x", "--fold", "6"], "fold is '6': allowed all, 1, 2, 3, 4, 5"),
        (["run", "nowhere.toml"], "cannot read nowhere.toml: No such file or directory"),
        (["recommend"], "recommend: Missing option '--user'"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_2(arguments, text):
    done = hwloop(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("hwloop: error: ") and done.stderr.count("\n") == 1
    assert text in done.stderr


def test_the_same_option_twice_with_one_value_is_no_conflict():
    done = hwloop("--rig", "nowhere", "board", "info", "--rig", "nowhere", "--json", "--json")
    assert "no rig 'nowhere'" in done.stderr


def test_the_environment_names_the_rig_and_the_command_line_wins():
    assert "no rig 'there'" in hwloop("board", "info", environment={"HWLOOP_RIG": "there"}).stderr
    assert "no rig 'here'" in hwloop("board", "info", "--rig", "here", environment={"HWLOOP_RIG": "there"}).stderr
    done = hwloop("board", "info", environment={"HWLOOP_SEED": "x"})
    assert done.returncode == 2 and "HWLOOP_SEED is 'x'" in done.stderr


def test_a_run_script_with_an_unknown_key_is_refused_with_a_suggestion(tmp_path):
    script = tmp_path / "run.toml"
    script.write_text('application = "image"\n[image]\nrnk = 2\n')
    done = hwloop("run", str(script))
    assert done.returncode == 2 and f"{script} [image]: unknown key 'rnk'; did you mean 'rank'?" in done.stderr


def test_an_internal_error_names_a_report_to_send_and_shows_no_traceback(tmp_path):
    # A broken installation: the standard library's TOML reader is shadowed.
    (tmp_path / "tomllib.py").write_text("raise RuntimeError('broken on purpose')\n")
    path = f"{tmp_path}:{os.environ['PYTHONPATH']}"
    done = hwloop("board", "info", environment={"PYTHONPATH": path, "TMPDIR": str(tmp_path)})
    assert done.returncode == 70
    assert done.stderr.startswith("hwloop: error: internal error, RuntimeError") and done.stderr.count("\n") == 1
    (report,) = tmp_path.glob("hwloop-report-*.txt")
    assert str(report) in done.stderr
    assert "broken on purpose" in report.read_text() and "board" in report.read_text()


def test_a_reader_that_has_gone_is_no_error_message():
    process = subprocess.Popen([*COMMAND, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 141
    process.stderr.close()


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_command_with_its_exit_code(tmp_path, number, exit_code):
    # A run script that never comes: reading the named pipe waits.
    pipe = tmp_path / "run.toml"
    os.mkfifo(pipe)
    process = subprocess.Popen([*COMMAND, "run", str(pipe)], stderr=subprocess.PIPE, text=True)
    with open_when_read(pipe):
        process.send_signal(number)
        assert process.wait(timeout=60) == exit_code
    assert process.stderr.read().count("\n") == 1
    process.stderr.close()


def open_when_read(pipe):
    """Waits until the other side reads the named pipe."""
    return open(pipe, "w")


ASK = """
from hwloop.cli.progress import TerminalReport
from hwloop.errors import SafetyError
report = TerminalReport(bars=True, consent={consent})
for done in range(4):
    report.step("forming", done, 3)
try:
    report.confirm("form 4096 cells?")
    print("confirmed")
except SafetyError as error:
    print(error)
report.close()
"""


def asked_at_a_terminal(program, answer=""):
    """Everything that a program shows at a terminal where `answer` is typed."""
    return at_a_terminal("-c", program, answer=answer, NO_COLOR="1")[0]


def test_bars_and_questions_appear_asked_at_a_terminal():
    shown = asked_at_a_terminal(ASK.format(consent=False), "y\n")
    assert "forming" in shown and "3/3" in shown
    assert "form 4096 cells? [y/N]" in shown and "confirmed" in shown
    assert "\x1b[3" not in shown  # NO_COLOR


def test_any_other_answer_is_a_no_and_yes_is_not_asked_for():
    assert "not confirmed; nothing was driven" in asked_at_a_terminal(ASK.format(consent=False), "\n")
    assert "[y/N]" not in asked_at_a_terminal(ASK.format(consent=True))


def test_without_a_terminal_consent_has_to_be_given_before():
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(consent=False)], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert "there is no terminal to ask at; pass --yes" in done.stdout
