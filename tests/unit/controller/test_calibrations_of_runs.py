"""What a run was converted by stays with it: refused before anything moves, kept in its file, used by a replay."""

from pathlib import Path

import numpy as np
import pytest

from hwloop.calibration.record import Subject, Versions
from hwloop.calibration.store import Store
from hwloop.calibration.usage import InUse
from hwloop.controller.matrix_job import run_matrix
from hwloop.controller.replay_job import replay_run
from hwloop.errors import CalibrationError
from hwloop.link.protocol import WIRE_HASH
from hwloop.report import Report
from hwloop.runlog.run_file import journal_of
from hwloop.runlog.sources import find_run
from hwloop.runscript import MatrixOptions
from tests.unit.calibration.making import calibration, parameter

SERIAL = 4321       # nobody calibrated this board
OPTIONS = MatrixOptions(path=Path("m.npy"), rank=2, iterations=1)
GAIN = np.linspace(0.98, 1.02, 4)


@pytest.fixture
def settings(settings_of, tmp_path):
    """Settings of that board with its errors, calibrations in a folder of the test's own."""

    def make(allow_stale):
        return settings_of(
            board={"name": "hwloop-16x4", "serial": SERIAL}, environment={"off": ("chip_spread",)},
            calibration={"folder": str(tmp_path), "allow_stale": allow_stale},
        )

    return make


@pytest.fixture
def kept(tmp_path):
    """The path of its only calibration, which another wire table makes stale, and the calibration."""
    made = calibration(
        "tia", parameter("read_volts", "V", 0.21), parameter("tia_coarse_gain", "A/A", GAIN),
        subject=Subject("board", "hwloop-16x4", SERIAL), versions=Versions(1, WIRE_HASH ^ 1, 1, "0.1.0"),
    )
    path = Store((tmp_path,)).save(made)
    return path, Store((tmp_path,)).read(path).calibration


def test_a_board_without_calibrations_is_refused_and_nothing_is_left(inputs, settings):
    before = sorted(Path("runs").glob("*")) if Path("runs").exists() else []
    with pytest.raises(CalibrationError, match=f"board hwloop-16x4 number {SERIAL} has no calibration") as refusal:
        run_matrix(OPTIONS, settings(allow_stale=False), Report())
    assert refusal.value.exit_code == 6
    assert (sorted(Path("runs").glob("*")) if Path("runs").exists() else []) == before


def test_a_run_file_holds_the_calibrations_it_went_by(inputs, settings, kept, report, tmp_path):
    path, calibrated = kept
    found = run_matrix(OPTIONS, settings(allow_stale=True), report)
    assert any(f"calibration {path.name} is used although it was taken with other firmware" in note
               for note in report.notes)
    assert any(note.startswith("taken as nominal: dac, adc, input-resistors,") for note in report.notes)
    text = path.read_text()
    path.unlink()
    with journal_of(found.outcome.run_file) as journal:
        event = journal.first_event("calibrations")
        in_use = InUse.recorded(event.fields, event.arrays)
    (used,) = in_use.used
    assert (used.name, used.text, used.calibration.sha256) == (path.name, text, calibrated.sha256)
    assert event.fields["files"][0]["sha256"] == calibrated.sha256 and "other firmware" in used.stale
    assert "dac" in in_use.nominal and "tia" not in in_use.nominal and "--allow-stale" in in_use.reason
    # The file of the bench is gone: a replay converts by what the run keeps, and asks for the same.
    again = replay_run(find_run(found.outcome.run_file), Report(), tmp_path / "replay")
    assert again.document()["factors_sha256"] == found.factors_sha256


def test_other_constants_make_another_run(inputs, settings, kept):
    """They are not only told: what is programmed and solved goes by them."""
    stale = run_matrix(OPTIONS, settings(allow_stale=True), Report())
    kept[0].unlink()
    nominal = run_matrix(OPTIONS, settings(allow_stale=True), Report())
    assert stale.factors_sha256 != nominal.factors_sha256
