"""A run is found by file or name; what is nearly a name is suggested; a journal's writer is seen, not disturbed."""

import os
import signal
import subprocess
import sys

import pytest

from hwloop.errors import DataError
from hwloop.runlog.journal import Journal, JournalWriter
from hwloop.runlog.run_file import write_run_file
from hwloop.runlog.sources import find_journal, find_run, is_written, run_names
from tests.journals import complete_run


@pytest.fixture
def runs(tmp_path):
    complete_run(tmp_path / "one.journal")
    complete_run(tmp_path / "other.journal")
    with Journal.open(tmp_path / "one.journal") as journal:
        write_run_file(journal, tmp_path / "one.h5")
    return tmp_path


def test_a_name_finds_both_files_and_a_file_only_itself(runs):
    by_name = find_run("one", runs)
    assert (by_name.name, by_name.journal_path, by_name.run_file) == ("one", runs / "one.journal", runs / "one.h5")
    assert find_run("other", runs).run_file is None
    assert find_run(runs / "one.h5").journal_path is None
    assert find_run(runs / "one.journal").run_file is None
    assert find_run(runs / "one", runs / "elsewhere").journal_path == runs / "one.journal"
    assert run_names(runs) == ["one", "other"]


def test_both_files_hold_the_same_journal(runs):
    for name in ("one.journal", "one.h5"):
        with find_journal(runs / name) as path, Journal.open(path) as journal:
            assert path.name == "one.journal" and journal.check().ok
            assert path.read_bytes() == (runs / "one.journal").read_bytes()


@pytest.mark.parametrize(("name", "hint"), [
    ("onne", "did you mean one?"), ("othe", "did you mean other"), ("zzz", "there are 2 runs in"),
])
def test_what_is_not_there_is_refused_with_what_is(runs, name, hint):
    with pytest.raises(DataError, match="no run '") as error:
        find_run(name, runs)
    assert hint in str(error.value)


def test_an_empty_folder_and_a_strange_file_are_refused(tmp_path):
    with pytest.raises(DataError, match="there is no run in"):
        find_run("one", tmp_path)
    (tmp_path / "notes.txt").write_text("no journal")
    with pytest.raises(DataError, match="neither a journal nor a run file"):
        find_run(tmp_path / "notes.txt")


def test_a_journal_is_written_as_long_as_its_writer_lives(tmp_path):
    path = tmp_path / "a.journal"
    program = (
        "import sys, time; from pathlib import Path; from hwloop.runlog.journal import JournalWriter\n"
        "writer = JournalWriter.create(Path(sys.argv[1])); print('open', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "open\n"
        assert is_written(path) and is_written(path)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not is_written(path)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    JournalWriter.go_on(path).close()


def test_what_is_not_there_nobody_writes(tmp_path):
    assert not is_written(tmp_path / "a.journal")
