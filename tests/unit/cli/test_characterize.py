"""`characterize`, `array yield` and `array passport` as commands: planned, refused, run, kept, replayed."""

import csv
import json
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from hwloop.array.passport import Passport

KEPT = ("--state", "chip.npz")
FEW = ("--rows", "0:2", "--array", "A")
KINDS = ("forming", "iv", "gate", "endurance", "retention", "noise", "disturb")


def document(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dry_run_tells_pulses_and_limits_and_opens_nothing(here, kind):
    planned = document(here("characterize", kind, *FEW, "--dry-run", "--json"))
    assert planned["dry_run"] and planned["pulses"] > 0 and planned["seconds"] > 0
    assert any(line.startswith("limits") and "3.3 V" in line for line in planned["lines"])
    assert not Path("runs").exists()


def test_without_consent_nothing_is_pulsed(here):
    done = here("characterize", "endurance", *FEW, *KEPT)
    assert done.returncode == 4 and "2,000 cell pulses" not in done.stdout
    assert "64,000 cell pulses" in done.stderr and "pass --yes" in done.stderr
    assert not list(Path("runs").glob("*.h5")) and not Path("chip.npz.passport.npz").exists()


@pytest.mark.parametrize(
    ("kind", "options", "fields"),
    [
        ("iv", (), {"loop_volts", "loop_siemens", "low_volts", "low_amps"}),
        ("endurance", ("--cycles", "20"), {"cycle", "lrs_siemens", "hrs_siemens"}),
        ("noise", ("--reads", "32"), {"seconds", "siemens", "relative_sigma", "two_levels"}),
    ],
)
def test_a_run_leaves_a_run_file_with_units_and_pictures(here, kind, options, fields):
    found = document(here("characterize", kind, *FEW, *options, "--yes", "--json"))
    assert found["pulses"] <= found["planned_pulses"]
    assert found["pictures"] and all(Path(picture).stat().st_size > 5000 for picture in found["pictures"])
    units = {}
    with h5py.File(found["run_file"]) as file:
        file.visititems(lambda name, item: units.update({name.rpartition("/")[2]: item.attrs.get("units")})
                        if isinstance(item, h5py.Dataset) else None)  # fmt: skip
    assert fields <= {name for name, unit in units.items() if unit}


def test_a_run_is_replayed_without_a_board(here):
    first = document(here("characterize", "retention", *FEW, "--hold", "100 s", "--yes", "--json"))
    again = document(here("replay", first["run_file"], "--json"))
    for name in ("programmed", "pulses", "change_sigma_50_siemens"):
        assert again[name] == first[name]


def test_cells_beyond_the_chip_and_values_without_unit_are_refused(here):
    for arguments, told in (
        (("gate", "--columns", "20"), "column is 20, allowed 0 to 15"),
        (("disturb", "--amplitude", "0.4"), "expected a number with a unit of volts"),
        (("retention", "--hold", "0.1 s"), "expected 1 seconds or more"),
    ):
        done = here("characterize", *arguments, "--yes")
        assert done.returncode == 2 and told in done.stderr


def test_the_passport_of_a_kept_chip_counts_every_pulse(here):
    first = document(here("characterize", "gate", *FEW, *KEPT, "--yes", "--json"))
    second = document(here("characterize", "endurance", *FEW, *KEPT, "--cycles", "10", "--yes", "--json"))
    told = document(here("array", "passport", *KEPT, "--json"))
    assert sum(told["pulses"].values()) == first["pulses"] + second["pulses"]
    assert told["most_cycles"] >= 20 and told["pulsed"] <= 32
    one = document(here("array", "passport", *KEPT, "--array", "A", "--row", "1", "--column", "3", "--json"))
    assert one["cells"] == 1 and one["each"][0]["row"] == 1 and one["each"][0]["set_pulses"] == 21


def test_the_passport_is_exported(here):
    assert here("array", "program", *matrix_for(3), *KEPT).returncode == 0
    document(here("array", "passport", *KEPT, "--export", "p.csv", "--json"))
    with open("p.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 4096 and sum(int(line["set_pulses"]) for line in lines) > 0
    assert here("array", "passport", *KEPT, "--export", "p.csv").returncode == 2


def matrix_for(size):
    np.save("g.npy", np.full((size, size), 100e-6))
    return "g.npy", "--array", "A"


def test_a_chip_of_which_nothing_is_kept_has_no_passport(here):
    assert here("array", "passport").returncode == 2
    assert here("array", "passport", *KEPT).returncode == 6


def test_a_worn_cell_is_refused_before_the_first_pulse_and_named(here):
    assert here("array", "program", *matrix_for(2), *KEPT).returncode == 0
    path = Path("chip.npz.passport.npz")
    passport = Passport.load(path)
    passport.cycles[17] = 999_990
    passport.save(path)
    done = here("characterize", "endurance", *FEW, *KEPT, "--cycles", "100", "--yes")
    assert done.returncode == 4 and "cycles of cell A[1,1]" in done.stderr
    assert Passport.load(path).pulses.sum() == passport.pulses.sum()


def test_a_passport_of_another_chip_is_refused(here):
    assert here("array", "program", *matrix_for(2), *KEPT).returncode == 0
    other = Passport(128, 16, 99)
    other.save(Path("chip.npz.passport.npz"))
    done = here("array", "program", *matrix_for(2), *KEPT)
    assert done.returncode == 6 and "chip 99" in done.stderr


def test_a_new_simulated_chip_does_not_inherit_a_passport(here):
    assert here("array", "program", *matrix_for(2), *KEPT).returncode == 0
    before = Passport.load(Path("chip.npz.passport.npz")).pulses.sum()
    for path in Path(".").glob("chip.npz*"):
        if "passport" not in path.name:
            path.unlink()
    assert here("array", "program", *matrix_for(2), *KEPT).returncode == 0
    assert Passport.load(Path("chip.npz.passport.npz")).pulses.sum() == before


def test_interrupted_work_counts_what_was_sent_and_is_gone_on_with(hwloop, start):
    run = start("characterize", "endurance", *FEW, *KEPT, "--cycles", "3000", "--yes", "--json")
    wait_until(lambda: journal_bytes() > 60_000)
    run.send_signal(2)
    _, told = run.communicate(timeout=60)
    assert run.returncode == 130 and "logs resume" in told
    passport = Passport.load(Path("chip.npz.passport.npz"))
    assert 0 < passport.cycles.max() < 3000 and passport.open_runs
    journal = next(Path("runs").glob("*.journal"))
    done = hwloop("logs", "resume", journal, "--json")
    assert done.returncode == 0, done.stderr
    after = Passport.load(Path("chip.npz.passport.npz"))
    assert after.cycles.max() == 3000 and not after.open_runs


def journal_bytes():
    return max((path.stat().st_size for path in Path("runs").glob("*.journal")), default=0)


def wait_until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_yield_marks_the_map_that_placement_goes_by(here):
    found = document(here("array", "yield", *KEPT, "--rows", "0:16", "--avoid", "slow", "--yes", "--json"))
    assert found["cells"] == 512 and found["slow"] > 5 and 0.9 < found["usable_share"] <= 1.0
    masked = document(here("array", "mask", *KEPT, "--json"))["bad_cells"]
    assert masked["slow, avoided"] == found["slow"] and masked["noisy"] == found["noisy"]
    bad = sum(found[name] for name in ("unformed", "stuck_low", "stuck_high", "no_response", "slow"))
    assert found["usable"] == 512 - bad


def test_pulses_of_a_calibration_are_in_the_passport_too(here):
    Path("rig.toml").write_text('[board]\nstate = "chip.npz"\n')
    assert here("calibrate", "gate-curve", "--rig", "rig.toml").returncode == 0
    told = document(here("array", "passport", *KEPT, "--json"))
    assert told["pulsed"] == 512 and told["pulses"]["set"] == 6 * 512


def dataset_of(file, name):
    """The dataset of that name, wherever it is."""
    found = []
    file.visititems(lambda path, item: found.append(item) if path.rpartition("/")[2] == name else None)
    return next(item for item in found if isinstance(item, h5py.Dataset))


def test_a_source_meter_and_the_board_see_the_same_cells(here):
    cells = ("--rows", "0", "--columns", "0:3", "--array", "A", "--yes", "--json")
    by_board = document(here("characterize", "iv", *cells))
    by_smu = document(here("characterize", "iv", "--with-smu", *cells))
    currents = []
    for found in (by_board, by_smu):
        assert found["median_deviation_from_read"] < 0.02
        with h5py.File(found["run_file"]) as file:
            volts, amps = (np.asarray(dataset_of(file, name)) for name in ("low_volts", "low_amps"))
        currents.append(amps[0] / volts[0])
    assert currents[0] == pytest.approx(currents[1], rel=0.01)
    refused = here("replay", by_smu["run_file"])
    assert refused.returncode == 2 and "source meter" in refused.stderr
