"""Faults while running: each run ends in the safe state or goes on, nothing is lost, and resuming ends as it should.

Real processes on real ports; `reference` is the run that nobody disturbed. A pulse must never be given twice: the
board's own count of each cell's pulses is compared with what the journal says was answered.
"""

import os
import resource
import shutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hwloop import config
from hwloop.config import RunSettings
from hwloop.controller.replay_job import replay_run
from hwloop.errors import HwloopError
from hwloop.mock.firmware import find_firmware
from hwloop.report import Report
from hwloop.runlog.framing import Kind
from hwloop.runlog.journal import Journal
from hwloop.runlog.sources import find_run
from tests.processes import (
    Process,
    board_pulses,
    events,
    journal_pulses,
    journals,
    killed_afterwards,
    rounds,
    wait_for,
    wait_for_rounds,
)

JOB = ("factorize", "matrix", "m.npy", "--rank", "3", "--iterations", "30", "--json")
FORMING_PULSES = 4      # of every cell of a chip that was simulated as formed
RESUME_LINE = "hwloop: the run is kept and can be gone on with: hwloop logs resume runs/"


def has_ended(pid):
    """Whether a process that is not ours has come to its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The run that nobody disturbed: its folder, document, and the pulses of each cell."""
    folder, before = tmp_path_factory.mktemp("reference"), os.getcwd()
    os.chdir(folder)
    try:
        np.save("m.npy", np.random.default_rng(1).random((12, 9)))
        process = Process("reference", *JOB, "--state", "state")
        assert process.wait() == 0, process.err
        return SimpleNamespace(
            folder=folder, document=process.document, pulses=board_pulses(Path("state")),
            journal=journals()[0].absolute(),
        )
    finally:
        os.chdir(before)


@pytest.fixture
def here(tmp_path, monkeypatch, reference):
    """A folder of its own with the matrix; gives the list of processes that are killed at the end."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(reference.folder / "m.npy", ".")
    with killed_afterwards() as started:
        yield started


@pytest.fixture
def start(here):
    """Starts a command."""

    def start_process(*arguments, **options):
        process = Process(f"process-{len(here)}", *arguments, **options)
        here.append(process)
        return process

    return start_process


@pytest.fixture
def serve(start):
    """Starts a board with the state file `board` at `port`; gives its process and the port's name."""

    def start_server(*more, port="unix:socket"):
        server = start("mock", "serve", "--port", port, "--state", "board", *more)
        wait_for(lambda: "simulated board at " in server.err or not server.is_alive)
        assert server.is_alive, server.err
        name = server.err.split("simulated board at ")[1].split(": a rig with")[0]
        Path("real.toml").write_text(
            f'[board]\nbackend = "real"\nport = "{name}"\nreply_timeout = "300 ms"\nretries = 3\nclock = "bench"\n'
        )
        return server, name

    return start_server


def resumed(start, journal, *more):
    """The document of a resumed run, which replays to the same."""
    process = start("logs", "resume", journal, "--json", *more)
    assert process.wait() == 0, process.err
    assert replay_run(find_run(journal, Path("runs")), Report()).factors_sha256 == process.document["factors_sha256"]
    return process.document


def check_same(document, reference):
    """As the run that nobody disturbed, bit for bit."""
    assert document["factors_sha256"] == reference.document["factors_sha256"]
    assert document["residual"] == reference.document["residual"]


def check_close(document, reference):
    """As good as the run that nobody disturbed."""
    assert document["residual"] == pytest.approx(reference.document["residual"], abs=0.02)


def check_pulses(journal, state="board"):
    """The board gave what was answered, and at most once what nobody knows of."""
    answered, unknown = journal_pulses(journal)
    given = board_pulses(Path(state)) - FORMING_PULSES
    assert (answered <= given).all() and (given <= answered + unknown).all()
    return answered, unknown


def ended(server):
    """The server ends in order, which leaves its state in one file."""
    server.send(signal.SIGTERM)
    server.wait()


@pytest.mark.parametrize("port", ["unix:socket", "pty"])
def test_a_controller_that_is_killed_goes_on_bit_for_bit(start, serve, reference, port):
    server, _ = serve(port=port)
    run = start(*JOB, "--rig", "real.toml")
    journal = wait_for_rounds(run, 15)
    run.kill()
    document = resumed(start, journal)
    check_same(document, reference)
    assert document["run_file"] == str(journal.with_suffix(".h5"))
    assert [event["settled"] for event in events(journal, "resumed")] == ["cache"]
    ended(server)
    check_pulses(journal)
    assert np.array_equal(board_pulses(Path("board")), reference.pulses)


@pytest.mark.parametrize("with_board", [False, True])
def test_a_private_board_goes_on_from_its_state_beside_the_journal(start, reference, with_board):
    run = start(*JOB)
    journal = wait_for_rounds(run, 20)
    boards = run.children()
    if with_board:
        for board in boards:
            os.kill(board, signal.SIGKILL)
    run.kill()
    assert journal.with_suffix(".state").exists()
    again = start("logs", "resume", journal, "--json")      # killed while it is being resumed, too
    wait_for(lambda: rounds(journal) >= 35 or not again.is_alive)
    again.kill()
    check_same(resumed(start, journal), reference)
    assert len(events(journal, "resumed")) == 2
    answered, unknown = journal_pulses(journal)
    assert np.array_equal(answered + FORMING_PULSES, reference.pulses) and not unknown.any()
    left = sorted(path.suffix for path in Path("runs").iterdir() if path.is_file())
    assert left == [".h5", ".journal", ".png", ".png", ".png"]


def test_a_run_that_was_asked_to_stop_goes_on(start, serve, reference):
    server, _ = serve()
    run = start(*JOB, "--rig", "real.toml")
    journal = wait_for_rounds(run, 10)
    run.send(signal.SIGTERM)
    assert run.wait() == 143 and RESUME_LINE in run.err
    status = start("board", "info", "--rig", "real.toml", "--json")
    assert status.wait() == 0 and not status.document["armed"]
    (stopped,) = events(journal, "stopped")
    assert stopped["resumable"]
    check_close(resumed(start, journal), reference)
    ended(server)
    check_pulses(journal)


def test_unplugged_and_plugged_in_again(start, serve, here, reference):
    server, name = serve()
    os.rename("socket", "inner")
    cable = plugged(start, "inner")
    run = start(*JOB, "--rig", "real.toml")
    journal = wait_for_rounds(run, 15)
    cable.kill()
    Path("socket").unlink()
    assert run.wait() == 5 and RESUME_LINE in run.err
    refused = start("logs", "resume", journal)
    assert refused.wait() == 3 and "nothing answers there" in refused.err
    cable = plugged(start, "inner", "elsewhere")
    check_close(resumed(start, journal, "--port", "unix:elsewhere"), reference)
    cable.kill()
    ended(server)
    check_pulses(journal)


def plugged(start, inner, outer="socket"):
    """A cable between the socket `outer`, which appears, and a board's at `inner`: a process that may be killed."""
    process = start("mock", before=lambda: relay(outer, inner))
    wait_for(Path(outer).exists)
    return process


def relay(outer, inner):
    """Pass bytes on, one host at a time, until killed."""
    import select
    import socket

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(outer)
        listener.listen()
        while True:
            host, _ = listener.accept()
            with socket.socket(socket.AF_UNIX) as board, host:
                board.connect(inner)
                others = {host: board, board: host}
                while True:
                    ready = select.select(list(others), [], [])[0]
                    pieces = [(end, end.recv(65536)) for end in ready]
                    for end, piece in pieces:
                        others[end].sendall(piece)
                    if not all(piece for _, piece in pieces):
                        break


def test_a_board_that_was_reset_is_read_back(start, serve, reference):
    server, _ = serve()
    run = start(*JOB, "--rig", "real.toml")
    journal = wait_for_rounds(run, 15)
    server.kill()       # and with it the session
    assert run.wait() == 5 and RESUME_LINE in run.err
    Path("socket").unlink()
    server, _ = serve()
    check_close(resumed(start, journal), reference)
    assert [event["settled"] for event in events(journal, "resumed")] == ["read-back"]
    ended(server)
    check_pulses(journal)


def test_controller_and_board_lose_their_power_at_once(start, serve, reference):
    server, _ = serve()
    run = start(*JOB, "--rig", "real.toml")
    journal = wait_for_rounds(run, 15)
    for process in (server, run):
        process.send(signal.SIGKILL)
    run.wait()
    server.wait()
    Path("socket").unlink()
    server, _ = serve()
    check_close(resumed(start, journal), reference)
    ended(server)
    answered, unknown = check_pulses(journal)
    assert unknown.sum() < 100      # one step


def test_firmware_which_has_lost_its_session_is_read_back(start, reference):
    try:
        find_firmware("host", "hwloop-128x16", None)
    except HwloopError as error:
        pytest.skip(str(error))
    run = start(*JOB, "--backend", "host", "--state", "chip")
    journal = wait_for_rounds(run, 15)
    run.kill()
    check_close(resumed(start, journal), reference)
    assert [event["settled"] for event in events(journal, "resumed")] == ["read-back"]
    _, unknown = check_pulses(journal, "chip")
    assert unknown.sum() < 100


@pytest.mark.parametrize("lost", [1, 4])
def test_the_end_of_a_journal_that_was_lost_with_the_power_is_in_the_boards_cache(start, serve, reference, lost):
    server, _ = serve()
    run = start(*JOB, "--rig", "real.toml")
    journal = wait_for_rounds(run, 15)
    run.kill()
    time.sleep(0.3)
    cut_records(journal, lost)
    check_same(resumed(start, journal), reference)
    ended(server)
    assert np.array_equal(board_pulses(Path("board")), reference.pulses)


def cut_records(journal, count):
    """Take the last records away."""
    with Journal.open(journal) as opened:
        offsets = [record.offset for record in opened.records()]
    os.truncate(journal, offsets[-count])


@pytest.mark.parametrize("seconds", [3.0])
def test_a_controller_that_sleeps_through_the_dead_man(start, serve, reference, seconds):
    server, _ = serve()
    run = start(*JOB, "--rig", "real.toml")
    journal = wait_for_rounds(run, 10)
    run.send(signal.SIGSTOP)
    time.sleep(seconds)
    run.send(signal.SIGCONT)
    code = run.wait()
    if code:
        assert RESUME_LINE in run.err
        document = resumed(start, journal)
    else:
        document = run.document
    check_close(document, reference)
    ended(server)
    check_pulses(journal)


def test_a_disk_that_is_full(start, serve, reference):
    def limit():
        # A third of it are the calibrations that the run goes by; then it has pulsed for a while.
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))

    server, _ = serve()
    run = start(*JOB, "--rig", "real.toml", before=limit)
    assert run.wait() == 2 and RESUME_LINE in run.err and "File too large" in run.err
    (journal,) = journals()
    with Journal.open(journal) as opened:
        assert opened.check().ok
    status = start("board", "info", "--rig", "real.toml", "--json")
    assert status.wait() == 0 and not status.document["armed"]
    check_close(resumed(start, journal), reference)
    ended(server)
    check_pulses(journal)


@pytest.mark.parametrize("what", ["journal", "folder"])
def test_a_journal_that_is_removed_is_saved_elsewhere(start, serve, reference, what):
    server, _ = serve()
    run = start(*JOB[:-2], "3000", "--rig", "real.toml")
    journal = wait_for_rounds(run, 10)
    if what == "journal":
        journal.unlink()
    else:
        shutil.rmtree("runs")
    assert run.wait(5) == 2 and "removed or replaced" in run.err
    saved = Path(run.err.split("hwloop logs resume ")[1].split()[0])
    try:
        assert rounds(saved) >= 10
        status = start("board", "info", "--rig", "real.toml", "--json")
        assert status.wait() == 0 and not status.document["armed"]
    finally:
        saved.unlink()


def test_the_clock_is_set_back(start, serve, reference):
    def set_back():
        real_ns = time.time_ns
        time.time_ns = lambda: real_ns() - 3_600_000_000_000

    server, _ = serve()
    run = start(*JOB, "--rig", "real.toml")
    journal = wait_for_rounds(run, 15)
    run.kill()
    again = start("logs", "resume", journal, "--json", before=set_back)
    assert again.wait() == 0, again.err
    check_same(again.document, reference)
    with Journal.open(journal) as opened:
        times = [record.time_ns for record in opened.records()]
        assert opened.check().ok
    assert times == sorted(times)
    ended(server)
    check_pulses(journal)


def test_a_second_writer_is_refused_and_does_no_harm(start, serve, reference):
    server, _ = serve()
    run = start(*JOB, "--rig", "real.toml")
    journal = wait_for_rounds(run, 5)
    second = start("logs", "resume", journal)
    assert second.wait() == 3 and "is being written by another process" in second.err
    assert run.wait() == 0, run.err
    check_same(run.document, reference)
    third = start("logs", "resume", journal)
    assert third.wait() == 2 and "is finished, there is nothing to resume" in third.err


def test_another_board_is_refused(start, serve):
    server, _ = serve()
    run = start(*JOB, "--rig", "real.toml")
    journal = wait_for_rounds(run, 5)
    run.kill()
    ended(server)
    Path("board").unlink()
    server, _ = serve("--serial-number", "7")
    again = start("logs", "resume", journal)
    assert again.wait() == 3 and "board 7 with chip 1 answers, the run was on board 1" in again.err
    ended(server)
    assert (board_pulses(Path("board")) == FORMING_PULSES).all()


@pytest.mark.parametrize("when", ["before the first event", "before the first exchange"])
def test_killed_before_anything_was_pulsed(start, reference, when):
    run = start(*JOB)
    wait_for(lambda: journals() and rounds(journals()[0]) > 1)
    (mock,) = run.children()
    run.kill()
    # The board keeps its state once more when it ends, which is later than its host does.
    wait_for(lambda: has_ended(mock))
    (journal,) = journals()
    for leftover in Path("runs").glob("*.state*"):
        leftover.unlink()
    with Journal.open(journal) as opened:
        records = list(opened.records())
    first_request = next(record.sequence for record in records if record.kind is Kind.REQUEST)
    number = {"before the first event": 0, "before the first exchange": first_request}[when]
    os.truncate(journal, records[number].offset)
    again = start("logs", "resume", journal, "--json")
    code = again.wait()
    if number == 0:
        assert code == 6 and "ends before its run began" in again.err
    else:
        assert code == 0, again.err
        check_same(again.document, reference)


def test_killed_while_the_run_file_is_written(start, reference):
    """The journal is whole then, and no board is needed any more."""
    Path("runs").mkdir()
    journal = Path("runs") / reference.journal.name
    shutil.copy(reference.journal, journal)
    shutil.copy(reference.folder / "state", "state")
    check_same(resumed(start, journal), reference)
    run_file = journal.with_suffix(".h5")
    assert run_file.read_bytes() == reference.journal.with_suffix(".h5").read_bytes()


def test_a_chip_that_drifted_meanwhile_is_brought_back(start, reference):
    run = start(*JOB, "--state", "chip")
    journal = wait_for_rounds(run, 20)
    run.kill()
    age_chip("chip", hours=24)
    check_close(resumed(start, journal), reference)
    (found,) = events(journal, "restored")
    assert found["cells"] > 0


def age_chip(state, hours):
    """Somebody else works with the board for a while."""
    from hwloop.controller.session import open_session

    settings = RunSettings(config.load_rig("default", options={"board": {"state": state}}))
    with open_session(settings, Report()) as session:
        session.board.wait(hours * 3600.0)
