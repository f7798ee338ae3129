"""Instruments in the mission's own work: cells read and verified by the source meter, solutions read by the DAQ."""

import json
import re
import signal
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest

from hwloop.controller import solve_job
from hwloop.controller.daq_outputs import DaqOutputs
from hwloop.link.visa import VisaPort
from hwloop.runlog.framing import encode_record
from hwloop.runlog.journal import Journal

# A small board whose converters are taken at their word, with a chip that is kept.
RIG = '[board]\nname = "hwloop-16x4"\nstate = "chip"\n[environment]\noff = ["converter_errors", "chip_spread"]\n'
CELLS_NOISE = 0.02      # of a conductance between two readings, nearly always: 0.4 % rms, and some telegraph noise


@pytest.fixture
def small(inputs):
    """The options that choose that rig."""
    Path("small.toml").write_text(RIG)
    return "--rig", "small.toml"


def told(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_cells_read_by_the_smu_are_what_the_board_reads_and_what_was_programmed(here, small):
    told(here("array", "program", "c.npy", "--array", "A", "--json", *small))
    by_board = told(here("array", "read", "board.npy", "--json", *small))
    by_smu = told(here("array", "read", "smu.npy", "--with", "smu", "--json", *small))
    assert (by_board["with"], by_smu["with"], by_smu["shape"]) == ("board", "smu", [16, 4])
    assert "KEITHLEY INSTRUMENTS 2450" in by_smu["instrument"]
    smu_siemens, board_siemens = np.load("smu.npy"), np.load("board.npy")
    stated = by_smu["uncertainty_95_siemens"]
    assert 0.0 < stated["median"] <= stated["max"] < 0.5e-6
    allowed = stated["max"] + CELLS_NOISE * board_siemens
    assert np.mean(np.abs(smu_siemens - board_siemens) <= allowed) >= 0.9
    assert np.median(np.abs(smu_siemens[:5] - np.load("c.npy"))) < 0.02 * 222e-6


def test_high_cells_are_told_and_not_taken_for_readings(here, small):
    """A low-yield chip has cells beyond what the board reads; the SMU, whose limit is wider, reads most of them."""
    Path("small.toml").write_text(RIG.replace("[environment]", '[environment]\npreset = "low-yield"'))
    by_board = told(here("array", "read", "board.npy", "--array", "B", "--json", *small))
    by_smu = told(here("array", "read", "smu.npy", "--array", "B", "--with", "smu", "--json", *small))
    beyond = np.load("board.npy") > 249e-6
    assert by_board["saturated"] == beyond.sum() > 0 and by_smu["saturated"] < by_board["saturated"]
    assert (np.load("smu.npy")[beyond] > 249e-6).all()


def test_the_daq_has_no_way_to_a_cell(here, small):
    done = here("array", "read", "daq.npy", "--with", "daq", *small)
    assert done.returncode == 2 and "use --with smu" in done.stderr and not Path("daq.npy").exists()


def test_programmed_cells_are_verified_by_the_smu_and_a_replay_has_its_readings(here, small):
    done = here("array", "program", "c.npy", "--verify-with", "smu", "--table", "table.csv", "--json", *small)
    document = json.loads(done.stdout)
    smu, cells = document["smu"], document["cells"]
    header, *lines = Path("table.csv").read_text().splitlines()
    assert len(smu["siemens"]) == len(lines) == cells and header.endswith("smu_less_board_siemens,"
                                                                          "allowed_difference_siemens,agrees")
    assert document["accepted"] == smu["accepted"] <= cells
    assert (done.returncode == 1) == (document["accepted"] < 0.98 * cells)
    assert smu["compared"] >= 0.9 * cells and smu["agreeing"] >= 0.9 * smu["compared"]
    assert sum(line.endswith(",yes") for line in lines) == smu["agreeing"]
    accepted = np.abs(smu["error_siemens"]) <= 0.02 * 222e-6
    assert accepted.sum() == document["accepted"], "the SMU has the last word"
    again = here("replay", document["run_file"], "--json")
    assert again.returncode == done.returncode
    assert json.loads(again.stdout)["smu"] == smu


def test_where_the_board_is_not_calibrated_nobody_says_that_it_agrees(here, small):
    Path("small.toml").write_text('[board]\nname = "hwloop-16x4"\nstate = "chip"\nserial = 99\n[array]\nserial = 99\n')
    done = here("array", "program", "c.npy", "--array", "A", "--verify-with", "smu", "--allow-stale", *small)
    assert "agreement  not known: the board's readings are not calibrated" in done.stderr


@pytest.fixture
def solved(here, small):
    """The document of `solve --read-with daq`."""
    return told(here("solve", "x.npy", "y.npy", "--read-with", "daq", "--json", *small))


def test_solutions_read_by_the_daq_are_those_that_the_board_reads(solved):
    assert solved["read_with"] == "daq" and np.shape(solved["solution"]) == (3, 2)
    assert solved["deviation"] < 0.15 and solved["board"]["deviation"] < 0.15
    assert 0.0 < solved["daq_from_board"] < 1e-3 < solved["deviation"], "read-out is not what limits the circuit"
    assert solved["compared"] == 6 and solved["agreeing"] >= 5
    difference = np.abs(np.subtract(solved["solution"], solved["board"]["solution"]))
    assert (difference <= 2 * np.hypot(solved["uncertainty_95"], solved["board_uncertainty_95"])).all()


def test_a_replay_takes_the_readings_of_the_daq_from_the_run(here, solved):
    again = told(here("replay", solved["run_file"], "--json"))
    for name in ("solution", "board", "uncertainty_95"):
        assert again[name] == solved[name]
    with Journal.open(Path(solved["run_file"]).with_suffix(".journal")) as journal:
        assert "34970A" in journal.first_event("instruments").fields["daq"]
    assert here("logs", "show", solved["run_file"]).returncode == 0


def without_last_readings(path, count):
    """The journal `path` without its last `count` readings, as `short.journal`."""
    target = Path("short.journal")
    with Journal.open(path) as journal, open(target, "wb") as file:
        places = [record.sequence for record, _ in journal.events("instrument")][-count:]
        file.write(journal.header.encode())
        for record in journal.records():
            if record.sequence not in places:
                file.write(encode_record(journal.header, record.kind, record.sequence, record.time_ns, record.body))
    return target


def test_a_replay_without_a_recorded_reading_is_refused(here, solved):
    short = without_last_readings(Path(solved["run_file"]).with_suffix(".journal"), 1)
    done = here("replay", short)
    assert done.returncode == 1 and "no further reading of an instrument" in done.stderr


def test_a_run_that_was_cut_off_before_a_reading_goes_on_and_measures_the_rest(here, small, monkeypatch):
    whole, scans = DaqOutputs._scan, iter(range(99))

    def scan(self, pins):
        if next(scans) == 9:
            raise ZeroDivisionError("the process ends between a solve and its reading")
        return whole(self, pins)

    with monkeypatch.context() as patch:
        patch.setattr(DaqOutputs, "_scan", scan)
        assert here("solve", "x.npy", "y.npy", "--read-with", "daq", *small).returncode == 70
    (journal,) = Path("runs").glob("*.journal")
    done = told(here("logs", "resume", journal, "--json"))
    assert done["agreeing"] >= 5
    with Journal.open(journal) as read:
        repeats = [event.fields["repeats"] for _, event in read.events("instrument")]
    assert len(repeats) == 10 and repeats[:9] == [0] * 9 and repeats[9] > 0, "it was solved anew, then read"
    assert told(here("replay", journal, "--json"))["solution"] == done["solution"]


def test_ctrl_c_switches_the_smu_off_and_the_run_goes_on_later(here, small, serve, start):
    serve("--write-rig", "served.toml", "--real-time", *small)
    run = start("array", "program", "c.npy", "--verify-with", "smu", "--rig", "served.toml")
    deadline = time.monotonic() + 60
    while not (found := [path for path in Path("runs").glob("*.journal") if readings_in(path) > 2]):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    assert run.wait(10) == 130 and "hwloop logs resume" in run.stderr.read()
    before = readings_in(found[0])
    port = VisaPort(tomllib.loads(Path("served.toml").read_text())["smu"]["resource"], 5.0, "@py")
    try:
        assert port.query(":OUTP?").strip() == "0"
    finally:
        port.close()
    done = here("logs", "resume", found[0], "--json")
    document = json.loads(done.stdout)
    assert len(document["smu"]["siemens"]) == document["cells"] and readings_in(found[0]) > before
    assert json.loads(here("replay", found[0], "--json").stdout)["smu"] == document["smu"]


def readings_in(path):
    with Journal.open(path) as journal:
        return len(list(journal.events("instrument")))


def test_corrected_solutions_are_not_the_daqs(here, small):
    Path("small.toml").write_text(RIG + '[solver]\nshadow = "refine"\n')
    done = here("solve", "x.npy", "y.npy", "--read-with", "daq", *small)
    assert done.returncode == 2 and "shadow is refine, allowed ginv and off" in done.stderr
    assert solve_job.SolveOptions(Path(), Path()).read_with == "board"


@pytest.mark.parametrize("command, role", [
    (("array", "read", "out.npy", "--with", "smu"), "SMU"),
    (("array", "program", "c.npy", "--verify-with", "smu"), "SMU"),
    (("solve", "x.npy", "y.npy", "--read-with", "daq"), "DAQ"),
])  # fmt: skip
def test_a_real_rig_without_the_instrument_is_refused_before_anything_is_opened(here, inputs, real_rig, command, role):
    done = here(*command, "--rig", real_rig("tcp:127.0.0.1:9"))
    assert done.returncode == 2
    assert re.search(rf"the rig has no {role}: name its VISA resource in \[{role.lower()}\] resource", done.stderr)
    assert not list(Path("runs").glob("*")) if Path("runs").exists() else True
