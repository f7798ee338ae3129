"""Stopping a run: Ctrl-C, SIGTERM and `board safe` end it soon, with the lines grounded and no process left over."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from hwloop.runlog.journal import Journal

LONG = ("factorize", "matrix", "m.npy", "--rank", "3", "--iterations", "3000")
REFERENCE_ALONE = ("--iterations", "100000")        # keeps the float64 reference busy, before the board is driven
SOON_SECONDS = 2.0      # the machine may be busy; the 0.5 s that count are measured by `board safe` itself


@pytest.fixture
def running(start, inputs):
    """Starts the long run and waits until it drives its board; gives the process."""

    def start_run(*more):
        process = start(*LONG[: -2 if REFERENCE_ALONE[0] in more else None], *more)
        registry = Path(os.environ["XDG_RUNTIME_DIR"]) / "hwloop"
        wait_for(lambda: registry.is_dir() and any(path.suffix != ".safe" for path in registry.iterdir()))
        if REFERENCE_ALONE[0] in more:
            wait_for(lambda: has_told(process, "board"))
            time.sleep(0.5)     # until the reference is under way
        else:
            wait_for(lambda: has_told(process, "programmed"))
        assert process.poll() is None, process.stderr.read()
        return process

    return start_run


def has_told(process, event):
    """Whether the journal of the only run has that event: "board" once the session is open, "programmed" once cells
    were written."""
    assert process.poll() is None, process.stderr.read()
    for path in Path("runs").glob("*.journal"):
        with Journal.open(path) as journal:
            return journal.first_event(event) is not None
    return False


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ended(process, before=2):
    """Exit code and the last line on stderr, after `before` others: where the journal is, and how to go on with it."""
    start_seconds = time.monotonic()
    process.wait(timeout=30)
    assert time.monotonic() - start_seconds < SOON_SECONDS
    *others, line = process.stderr.read().splitlines()
    assert len(others) == before, others
    if others:
        journal = Path(others[0].removeprefix("hwloop: journal "))
        assert journal.suffix == ".journal"
    if before == 2:
        assert journal.exists()
        assert others[1] == f"hwloop: the run is kept and can be gone on with: hwloop logs resume {journal}"
    return process.returncode, line


@pytest.mark.parametrize(
    ("number", "times", "exit_code", "text"),
    [
        (signal.SIGINT, 1, 130, "hwloop: error: interrupted"),
        (signal.SIGINT, 2, 130, "hwloop: error: interrupted"),
        (signal.SIGTERM, 1, 143, "hwloop: error: terminated"),
    ],
)
def test_a_signal_ends_a_run_on_a_private_board(running, inputs, number, times, exit_code, text):
    process = running()
    mocks = children(process.pid)
    for _ in range(times):
        process.send_signal(number)
    code, line = ended(process)
    assert (code, text in line) == (exit_code, True)
    assert len(mocks) == 1 and not any(map(alive, mocks))


def test_a_signal_does_not_wait_for_the_float64_reference(running):
    process = running(*REFERENCE_ALONE)
    process.send_signal(signal.SIGINT)
    assert ended(process, before=1)[0] == 130
    assert not Path("runs").exists()    # nothing was pulsed


def test_board_safe_ends_every_run_on_a_private_board(running, here):
    process = running()
    done = here("board", "safe", "--json")
    (stopped,) = json.loads(done.stdout)["stopped"]
    assert (stopped["pid"], stopped["safe"]) == (process.pid, True) and stopped["seconds"] < 0.5
    assert ended(process) == (
        4, "hwloop: error: stopped by `hwloop board safe` from another terminal; the board is in its safe state"
    )


def test_a_killed_run_leaves_no_board_behind(running):
    process = running()
    (mock,) = children(process.pid)
    process.kill()
    process.wait()
    wait_for(lambda: not alive(mock))


@pytest.mark.parametrize(
    ("port", "how", "exit_code", "text"),
    [
        ("unix:socket", "SIGINT", 130, "interrupted"),
        ("unix:socket", "safe", 4, "stopped by `hwloop board safe`"),
        ("pty", "SIGTERM", 143, "terminated"),
        ("pty", "safe", 4, "stopped by `hwloop board safe`"),
    ],
)
def test_a_run_on_a_real_port_is_stopped_and_its_board_grounded(
    running, serve, here, real_rig, port, how, exit_code, text
):
    server, name = serve(port=port)
    rig = real_rig(name)
    process = running("--rig", rig)
    if how == "safe":
        done = here("board", "safe", "--rig", rig)
        assert done.returncode == 0 and f"process {process.pid}" in done.stderr
    else:
        process.send_signal(getattr(signal, how))
    code, line = ended(process)
    assert code == exit_code and text in line
    status = json.loads(here("board", "info", "--rig", rig, "--json").stdout)
    assert not status["armed"]
    assert server.poll() is None


def test_a_board_whose_host_was_killed_grounds_itself(running, serve, here, real_rig):
    _, name = serve(port="unix:socket")
    rig = real_rig(name)
    process = running("--rig", rig)
    process.kill()
    process.wait()
    wait_for(lambda: not json.loads(here("board", "info", "--rig", rig, "--json").stdout)["armed"])


def test_a_board_that_goes_away_is_a_link_error(running, serve, real_rig):
    server, name = serve(port="unix:socket")
    process = running("--rig", real_rig(name))
    server.kill()
    code, line = ended(process)
    assert code == 5 and "unix:" in line


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_server_ends_on_a_signal_and_takes_its_socket_away(serve, number, exit_code):
    server, _ = serve(port="unix:socket")
    server.send_signal(number)
    assert ended(server, before=0)[0] == exit_code
    assert not Path("socket").exists()
