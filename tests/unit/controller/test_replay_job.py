"""A replay is the same run again, without a board: the same factors, figures and pictures, or it stops."""

import os
import subprocess
import sys

import numpy as np
import pytest

from hwloop import config
from hwloop.config import RunSettings
from hwloop.controller import program_job
from hwloop.controller.matrix_job import run_matrix
from hwloop.controller.program_job import ProgramOptions, program_array
from hwloop.controller.replay_job import replay_run
from hwloop.controller.solve_job import SolveOptions, run_solve
from hwloop.errors import DivergenceError, ReplayEndError
from hwloop.report import Report
from hwloop.runlog.journal import Journal
from hwloop.runlog.sources import find_run
from hwloop.runscript import MatrixOptions

# Seconds, paths and what a journal cost are of the process, not of the run; its way out (SAFE, CLOSE) is not replayed.
OWN = {
    "host_seconds", "mock_seconds", "wall_seconds", "pictures", "journal", "run_file", "factors", "file", "table",
    "bytes_sent", "bytes_received",
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Folder, document and journal of a matrix run."""
    folder = tmp_path_factory.mktemp("recorded")
    matrix = np.random.default_rng(0).random((12, 3)) @ np.random.default_rng(1).random((3, 9))
    np.save(folder / "matrix.npy", matrix)
    options = MatrixOptions(
        folder / "matrix.npy", 3, 2, run_file=folder / "run.h5", pictures=folder / "pictures",
        factors=folder / "factors.npz",
    )
    found = run_matrix(options, RunSettings(config.load_rig("default")), Report())
    (folder / "matrix.npy").unlink()    # a replay has its own
    return folder, found.document(), folder / "run.journal"


def replayed(path, folder, changes=()):
    return replay_run(find_run(path), Report(), folder, changes)


@pytest.mark.parametrize("source", ["run.journal", "run.h5"])
def test_the_same_document_and_the_same_pictures(recorded, tmp_path, source):
    folder, document, _ = recorded
    alone = tmp_path / "elsewhere" / source
    alone.parent.mkdir()
    alone.write_bytes((folder / source).read_bytes())
    found = replayed(alone, tmp_path / "replay").document()
    assert {name: value for name, value in found.items() if name not in OWN} == {
        name: value for name, value in document.items() if name not in OWN
    }
    for mine, theirs in zip(found["pictures"], document["pictures"], strict=True):
        assert mine != theirs and mine.read_bytes() == theirs.read_bytes()
    assert np.load(tmp_path / "replay" / "factors.npz")["W"].tobytes() == np.load(folder / "factors.npz")["W"].tobytes()


def test_nothing_is_started_and_nothing_is_opened(recorded, tmp_path):
    """In a process that cannot make a socket or a simulated board."""
    program = (
        "import socket, sys\n"
        "from hwloop import holders, rig\n"
        "from hwloop.cli.main import run\n"
        "def refused(*what, **named): raise AssertionError(what)\n"
        "socket.socket = socket.socketpair = rig.MockProcess = rig._transport = holders.hold = refused\n"
        f"sys.exit(run(['replay', {str(recorded[2])!r}, '--json', '--pictures', {str(tmp_path / 'replay')!r}]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    assert recorded[1]["factors_sha256"] in done.stdout


def test_other_code_is_told_by_the_first_request_that_differs(recorded, tmp_path, monkeypatch):
    from hwloop.array.program import adaptive

    monkeypatch.setattr("hwloop.array.program.adaptive._aim", shifted(adaptive._aim))
    with pytest.raises(DivergenceError) as found:
        replayed(recorded[2], tmp_path / "replay")
    assert found.value.exit_code == 7 and "replay diverged at exchange" in str(found.value)
    assert found.value.recorded != found.value.asked


def shifted(aim):
    """Gates that are aimed 20 mV higher."""
    def aimed(*arguments, **named):
        found = aim(*arguments, **named)
        return tuple(part + 0.02 if isinstance(part, np.ndarray) and part.dtype.kind == "f" else part for part in found)

    return aimed


def test_a_recording_that_ends_early_says_so(recorded, tmp_path):
    with Journal.open(recorded[2]) as journal:
        middle = list(journal.records())[80].offset
    cut = tmp_path / "cut.journal"
    cut.write_bytes(recorded[2].read_bytes()[:middle])
    with pytest.raises(ReplayEndError, match="logs resume") as found:
        replayed(cut, tmp_path / "replay")
    assert found.value.exit_code == 1


def test_programming_and_solving_are_replayed_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = RunSettings(config.load_rig("default"))
    np.save("x.npy", np.random.default_rng(2).random((6, 2)))
    np.save("y.npy", np.random.default_rng(3).random((6, 4)))
    np.save("siemens.npy", np.random.default_rng(4).uniform(5e-6, 200e-6, (4, 3)))
    solved = run_solve(SolveOptions(tmp_path / "x.npy", tmp_path / "y.npy"), settings, Report())
    again = replayed(solved.run_file.with_suffix(".journal"), tmp_path / "solve")
    assert np.array_equal(again.solution, solved.solution)
    options = ProgramOptions(tmp_path / "siemens.npy", table=tmp_path / "table.csv")
    programmed = program_array(options, settings, Report())
    again = replayed(programmed.facts["run_file"].with_suffix(".journal"), tmp_path / "program")
    assert again.facts["cell_pulses"] == programmed.facts["cell_pulses"]
    assert (tmp_path / "program" / "table.csv").read_bytes() == (tmp_path / "table.csv").read_bytes()
    assert program_job.GOAL_ACCEPTED < 1
