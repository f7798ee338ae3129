"""`hwloop calibrate`: a bench of one's own is calibrated, runs go by the files, and the files can be looked at."""

import json
import re

import pytest

SMALL = '[board]\nname = "hwloop-16x4"\nserial = 5\n[array]\nserial = 5\n'
MATRIX = ("factorize", "matrix", "m.npy", "--rank", "2", "--iterations", "1")


@pytest.fixture
def rig(workplace):
    path = workplace / "rig.toml"
    path.write_text(SMALL)
    return path


def test_from_nothing_to_a_calibrated_run(rig, inputs, hwloop):
    refused = hwloop(*MATRIX, "--rig", rig)
    assert refused.returncode == 6 and re.search(
        r"board hwloop-16x4 number 5 has no calibration that holds of: dac \(none\); .*run `hwloop calibrate all`",
        refused.stderr,
    )
    assert not list((inputs / "runs").glob("*"))
    done = hwloop("calibrate", "all", "--rig", rig, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert {one["kind"] for one in document["kinds"]} >= {
        "dac", "adc", "tia", "series", "input-resistors", "compensation", "feedback", "bias", "amplifiers", "settle",
        "gate-curve", "curvature",
    }
    assert [one["kind"] for one in document["skipped"]] == ["temperature"]
    told = json.loads(hwloop("mock", "truth", "--rig", rig, "--json").stdout)
    truth = {one["name"]: one["value"] for part in ("board", "array") for one in told[part]["parameters"]}
    found = [one for kind in document["kinds"] for one in kind["parameters"]]
    inside = [abs(one["value"] - truth[one["name"]]) <= one["uncertainty_95"] for one in found]
    assert len(found) > 300 and sum(inside) / len(inside) >= 0.85, "common errors of one SMU count for all at once"

    run = hwloop(*MATRIX, "--rig", rig, "--json")
    assert run.returncode == 0 and "nominal" not in run.stderr, run.stderr
    taken = json.loads(hwloop("logs", "check", json.loads(run.stdout)["journal"]["path"], "--json").stdout)
    assert taken["ok"]

    listed = json.loads(hwloop("calibrate", "list", "--json", "--rig", rig).stdout)["calibrations"]
    assert sum("number 5" in one["subject"] for one in listed) == len(document["kinds"])
    tia = next(one["file"] for one in document["kinds"] if one["kind"] == "tia")
    shown = hwloop("calibrate", "show", tia)
    assert "tia_coarse_gain" in shown.stderr and "instruments 2450 (smu, serial 00000001)" in shown.stderr
    again = json.loads(hwloop("calibrate", "tia", "--rig", rig, "--json").stdout)["kinds"][0]
    assert again["file"] != tia, "no file is overwritten"
    compared = hwloop("calibrate", "compare", tia, again["file"])
    assert compared.returncode == 0 and "within the uncertainties" in compared.stderr
    other = next(one["file"] for one in document["kinds"] if one["kind"] == "adc")
    assert hwloop("calibrate", "compare", tia, other).returncode == 6


def test_a_dry_run_shows_the_plan_and_moves_nothing(rig, inputs, hwloop):
    done = hwloop("calibrate", "dac", "--rig", rig, "--dry-run")
    assert done.returncode == 0 and "needs daq" in done.stderr and "nothing was driven" in done.stderr
    assert not (inputs / "calibration").exists()


def test_a_file_that_was_changed_is_refused(rig, inputs, hwloop):
    assert hwloop("calibrate", "adc", "--rig", rig).returncode == 0
    (path,) = (inputs / "calibration" / "hwloop-16x4-5").glob("*-adc.toml")
    path.write_text(path.read_text().replace("temperature_celsius = 25.0", "temperature_celsius = 26.0"))
    done = hwloop("calibrate", "show", path)
    assert done.returncode == 6 and "was changed after it was written" in done.stderr


def test_a_whole_bench_is_served_and_calibrated_like_a_real_one(rig, inputs, start, hwloop):
    server = start("mock", "serve", "--rig", rig, "--port", "tcp:127.0.0.1:0", "--write-rig", "bench.toml")
    line = server.stderr.readline()
    assert line.startswith("simulated board at "), line
    written = (inputs / "bench.toml").read_text()
    assert 'backend = "real"' in written and "[smu]\nresource = \"TCPIP::" in written and "[daq]" in written
    done = hwloop("calibrate", "adc", "--rig", "bench.toml", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kinds"][0]["kind"] == "adc"


def test_a_folder_that_takes_no_file_is_refused_before_anything_is_measured(rig, hwloop):
    done = hwloop("calibrate", "adc", "--rig", rig, "--folder", "/proc/nothing")
    assert done.returncode == 2 and "the calibration cannot be written there" in done.stderr
    assert "needs smu" not in done.stderr and done.stderr.count("\n") == 1


def test_temperature_coefficients_are_found_where_the_temperature_moves(rig, hwloop):
    standing = hwloop("calibrate", "temperature", "--rig", rig)
    assert standing.returncode == 6
    advised = re.search(r'temperature_drift_per_hour, such as "([^"]+)"', standing.stderr)[1]
    rig.write_text(f'{SMALL}[environment]\ntemperature_drift_per_hour = "{advised}"\n')
    done = hwloop("calibrate", "temperature", "--rig", rig, "--json")
    assert done.returncode == 0, done.stderr
    assert [one["name"] for one in json.loads(done.stdout)["kinds"][0]["parameters"]] == [
        "temperature_per_kelvin[0]", "temperature_per_kelvin[1]",
    ]
