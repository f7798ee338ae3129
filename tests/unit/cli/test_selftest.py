"""`board selftest` and `calibrate check` from the command line: one page, one document, and exit 1 where one fails."""

import dataclasses
import json
from pathlib import Path

import pytest

from hwloop.calibration.record import Subject
from hwloop.calibration.store import Store
from hwloop.controller.calibrations import OWN_FOLDER

OWN_BOARD = Subject("board", "hwloop-128x16", 1)


def copy_calibrations(to: Subject) -> None:
    """The default board's own calibrations as those of another one, in the folder that a rig goes by."""
    for kept in Store((OWN_FOLDER,)).of(OWN_BOARD):
        Store((Path("calibration"),)).save(dataclasses.replace(kept.calibration, subject=to))


def test_the_default_board_passes_on_one_page(here):
    done = here("board", "selftest", "--no-progress")
    assert done.returncode == 0 and done.stdout == "" and done.stderr.isascii()
    lines = done.stderr.splitlines()
    assert lines[0] == "self-test of board hwloop-128x16 number 1, by 10 calibrations"
    assert lines[-1] == "passed: 19 checks" and all(line.startswith("pass ") for line in lines[1:-1])
    assert max(map(len, lines)) <= 132


def test_its_calibrations_hold(here):
    done = here("calibrate", "check", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0 and document["passed"] and not document["missing"]
    measured = {each["kind"] for each in document["calibrations"] if each["measured"]}
    assert measured == {"dac", "adc", "tia"} and all(each["valid"] for each in document["calibrations"])
    assert {check["unit"] for check in document["checks"]} == {"V", "S", "A"}


def test_calibrations_of_another_board_under_its_number(here):
    copy_calibrations(Subject("board", "hwloop-128x16", 2))
    done = here("calibrate", "check", "--serial-number", "2", "--no-progress")
    assert done.returncode == 1 and "drifted: loop back at 0.28 V by" in done.stderr
    done = here("board", "selftest", "--serial-number", "2", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 1 and not document["passed"]
    assert set(document["checks"][0]) == {"name", "value", "low", "high", "unit", "passed", "detail"}
    by_name = {check["name"]: check["passed"] for check in document["checks"]}
    assert by_name["supply"] and not by_name["loop back at 0.28 V"]
    assert "checks failed: loop back" in done.stderr


def test_calibrations_that_do_not_hold_by_their_terms_are_measured_all_the_same(here):
    warm = Path("warm.toml")
    warm.write_text('[environment]\ntemperature = "50 C"\n')
    done = here("calibrate", "check", "--json", "--rig", warm)
    document = json.loads(done.stdout)
    assert done.returncode == 1 and not document["passed"] and document["temperature_celsius"] == 50.0
    adc = next(each for each in document["calibrations"] if each["kind"] == "adc")
    assert not adc["valid"] and "it holds from 15 to 35 C" in adc["objection"]
    assert document["checks"] and all(check["passed"] for check in document["checks"])


def test_a_board_without_calibrations(here):
    done = here("calibrate", "check", "--serial-number", "3", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 1 and {"dac", "adc", "tia"} <= set(document["missing"]) and document["checks"] == []
    assert "calibrations missing: dac" in done.stderr


@pytest.mark.parametrize("command", [("board", "selftest"), ("calibrate", "check")])
def test_a_dry_run_opens_nothing(here, command):
    done = here(*command, "--dry-run", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["dry_run"]


def test_a_board_that_is_taken_at_its_word_has_nothing_to_check(here):
    done = here("calibrate", "check", "--rig", "ideal")
    assert done.returncode == 0 and "0 (the board is simulated without errors)" in done.stderr
