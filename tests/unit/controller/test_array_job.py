"""`array form|program|read|show|mask` on durable chips: what is done survives from one session to the next."""

from pathlib import Path

import numpy as np
import pytest

from hwloop.controller.array_job import FormOptions, form_array, read_array, show_array
from hwloop.controller.mask_job import mask_array
from hwloop.controller.program_job import ProgramOptions, program_array
from hwloop.errors import LimitError, UnformedError, UsageError
from hwloop.report import Report


@pytest.fixture(scope="module")
def chip(workplace, settings_of):
    """Settings of a small durable chip, formed from its serial."""
    return settings_of(board={"name": "hwloop-16x4", "state": "chip"})


def test_a_program_is_read_back_in_another_session(chip, check_counters):
    wanted_siemens = np.full((6, 3), np.nan)
    wanted_siemens[1:5] = np.linspace(20e-6, 200e-6, 12).reshape(4, 3)
    np.save("wanted.npy", wanted_siemens)
    done = program_array(ProgramOptions(Path("wanted.npy"), "B", row=2, column=1), chip, Report())
    check_counters(done.document(), solves=False)
    assert done.document()["cells"] == 12
    read_array(chip, Report(), Path("read.npy"), "both", None)
    siemens = np.load("read.npy")
    assert siemens.shape == (2, 16, 4)
    error_siemens = (siemens[1, 2:8, 1:4] - wanted_siemens)[1:5]
    assert np.median(np.abs(error_siemens)) < 0.03 * 222e-6
    assert np.median(siemens[0]) < 20e-6
    assert (done.goal_missed is None) == (done.document()["accepted"] == 12)


def test_microsiemens_and_csv(chip):
    Path("wanted.csv").write_text("50,,100\n")
    done = program_array(ProgramOptions(Path("wanted.csv"), "A", unit="uS"), chip, Report())
    assert done.document()["cells"] == 2
    read_array(chip, Report(), Path("read.csv"), "A", range(0, 1))
    assert np.loadtxt("read.csv", delimiter=",").shape == (4,)
    with pytest.raises(LimitError, match="5e\\+07 uS, allowed 3 to 225 uS"):
        program_array(ProgramOptions(Path("wanted.csv"), "A", column=2), chip, Report())


def test_masked_cells_are_left_alone_and_listed(chip):
    path = Path("chip.cells.csv")
    before = path.read_text() if path.exists() else ""
    done = mask_array(chip, "A", range(8, 10), None, False, None)
    assert done.document()["bad_cells"]["masked"] == 8 and "masked     8 cells" in done.text()
    np.save("row.npy", np.full((1, 4), 100e-6))
    done = program_array(ProgramOptions(Path("row.npy"), "A", row=8), chip, Report())
    assert (done.document()["masked"], done.document()["cells"]) == (4, 0)
    assert "8 masked" in show_array(chip, Report(), None).text()
    mask_array(chip, "A", range(8, 10), None, True, None)
    assert len(path.read_text().splitlines()) == max(1, len(before.splitlines()))


def test_an_imported_list(chip):
    Path("list.csv").write_text("array,row,column,status\nB,15,3,stuck low\nB,14,,masked\n")
    assert mask_array(chip, "both", None, None, False, Path("list.csv")).document()["bad_cells"]["stuck low"] == 1
    Path("list.csv").write_text("array,row,column,status\nB,15,3,good\nB,14,,good\n")
    assert "stuck low" not in mask_array(chip, "both", None, None, False, Path("list.csv")).document()["bad_cells"]


def test_a_pristine_chip_is_formed_once_and_asks_first(settings_of, report):
    pristine = settings_of(board={"name": "hwloop-16x4", "state": "new", "pristine": True})
    np.save("small.npy", np.full((4, 4), 100e-6))
    with pytest.raises(UnformedError, match="form it with `hwloop array form`"):
        program_array(ProgramOptions(Path("small.npy")), pristine, Report())
    done = form_array(FormOptions(), pristine, report).document()
    assert done["formed"] >= 0.9 * 128 and done["formed"] + done["already_formed"] + done["not_formed"] == 128
    (question,) = report.questions
    assert f"form {done['formed'] + done['not_formed']} of 128 cells" in question
    assert "2.4, 2.65, 2.85, 3.05, 3.2 V" in question and "about 98 uS" in question and "irreversible" in question
    again = form_array(FormOptions(), pristine, report).document()
    assert again["formed"] == 0 and again["already_formed"] == 128 - again["not_formed"]
    assert program_array(ProgramOptions(Path("small.npy"), "A"), pristine, Report()).document()["accepted"] > 8


def test_dry_runs_open_nothing(settings_of, report):
    dry = settings_of(dry_run=True, board={"state": "never"})
    np.save("small.npy", np.full((4, 4), 100e-6))
    texts = [
        form_array(FormOptions("A", (2, 4)), dry, report).text(),
        read_array(dry, report, Path("never.npy"), "both", None).text(),
        show_array(dry, report, None).text(),
        program_array(ProgramOptions(Path("small.npy")), dry, report).text(),
        mask_array(dry, "A", range(3), None, False, None).text(),
    ]
    assert "rows 2 to 3 of array A" in texts[0] and "program 32 cells" in texts[3]
    assert all("dry run" in text for text in texts)
    assert not list(Path().glob("never*")) and not report.questions


def test_a_map_of_a_chip_that_is_forgotten_is_refused(settings_of):
    with pytest.raises(UsageError, match="keep it with --state PATH"):
        mask_array(settings_of(), "A", None, None, False, None)


def test_a_picture_of_the_chip(chip):
    done = show_array(chip, Report(), Path("map.png"))
    assert Path("map.png").read_bytes().startswith(b"\x89PNG") and "picture    map.png" in done.text()
