"""The recordings of tests/recordings are replayed strictly: the controller asks for what it asked for then."""

import re
import tomllib
from pathlib import Path

import pytest

import hwloop
from hwloop.controller.replay_job import replay_run
from hwloop.errors import ReplayEndError
from hwloop.report import Report
from hwloop.runlog.framing import VERSION
from hwloop.runlog.journal import Journal
from hwloop.runlog.sources import find_run

FOLDER = Path(__file__).parents[2] / "recordings"
EXPECTED = tomllib.loads((FOLDER / "expected.toml").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_what_comes_out_is_what_came_out_then(name, tmp_path):
    document = replay_run(find_run(FOLDER / f"{name}.journal"), Report(), tmp_path / "replay").document()
    assert {key: document[key] for key in EXPECTED[name]} == EXPECTED[name]


def test_a_run_that_was_cut_off_ends_where_its_recording_ends(tmp_path):
    with pytest.raises(ReplayEndError, match="logs resume"):
        replay_run(find_run(FOLDER / "cut.journal"), Report(), tmp_path / "replay")


def test_every_version_of_the_journal_that_was_ever_released_has_a_recording():
    """A recording of an old version is not made anew: it is kept under another name."""
    versions = {int.from_bytes(path.read_bytes()[8:10], "little") for path in FOLDER.glob("*.journal")}
    assert versions == set(range(1, VERSION + 1))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.journal")), ids=lambda path: path.stem)
def test_they_are_small_open_and_name_no_place(path):
    data = path.read_bytes()
    assert len(data) < 150_000
    assert not re.search(rb'"/[^"]*/', data)     # no text in it is a path from the root of a machine
    with hwloop.open_run(path) as run:
        assert len(run["reads/code"]) > 0
    with Journal.open(path) as journal:
        assert journal.first_event("run").fields["kind"] in ("image", "matrix", "solve", "program", "form")
