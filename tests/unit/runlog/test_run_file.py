"""The file of a run: everything comes back, the same bytes from the same journal, and a failed write leaves nothing."""

import dataclasses
import hashlib
import os
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest

from hwloop.errors import DataError, UsageError
from hwloop.link.protocol import TiaRange
from hwloop.runlog.framing import HEADER_BYTES
from hwloop.runlog.record import RunRecord
from hwloop.runlog.run_file import journal_of, newest_run, read_run, upgrade_run, write_run, write_run_file
from tests.unit.runlog.results import full_record
from tests.unit.runlog.telling import SCALES, Teller, tell_everything


@pytest.fixture
def record():
    return full_record()


@pytest.fixture
def told(tmp_path):
    """A journal of a run with everything, its result included."""
    tell_everything(tmp_path / "told.journal", full_record())
    return tmp_path / "told.journal"


def run_file_of(journal_path, target):
    with journal_of(journal_path) as journal:
        write_run_file(journal, target)
    return target


def check_same(run, record):
    for name in ("kind", "seed", "created", "code_version", "configuration", "board", "array", "inputs"):
        assert getattr(run, name) == getattr(record, name), name
    assert (run.metrics, run.counters) == (record.metrics, record.counters)
    for stored, given in ((run.factors(), record.factors), (run.convergence(), record.convergence)):
        assert len(stored) == len(given)
        for one, other in zip(stored, given, strict=True):
            np.testing.assert_equal(dataclasses.asdict(one), dataclasses.asdict(other))
    np.testing.assert_array_equal(run.conductance().a_siemens, record.conductance.a_siemens)
    assert np.isnan(run.conductance().b_siemens).all()
    assert run.field_names == tuple(item.name for item in record.fields)
    assert run.field("titles").values == ("Amélie", "", "Das Boot")
    assert run.field("ticks").unit == "0.1 us"
    assert run.field("ticks").values.dtype == np.uint64


def test_everything_of_a_result_comes_back(tmp_path, record, told):
    write_run(tmp_path / "run.h5", record)
    check_same(read_run(tmp_path / "run.h5"), record)
    check_same(read_run(run_file_of(told, tmp_path / "told.h5")), record)


def test_a_bare_record_comes_back_too(tmp_path):
    write_run(tmp_path / "run.h5", RunRecord("matrix", 0, {}))
    run = read_run(tmp_path / "run.h5")
    assert (run.factors(), run.convergence(), run.conductance(), run.inputs) == ((), (), None, ())
    with pytest.raises(DataError, match="no field 'titles'"):
        run.field("titles")


def test_an_existing_run_file_is_a_usage_error(tmp_path, record):
    write_run(tmp_path / "run.h5", record)
    before = (tmp_path / "run.h5").read_bytes()
    with pytest.raises(UsageError, match="exists") as caught:
        write_run(tmp_path / "run.h5", record)
    assert caught.value.exit_code == 2
    assert (tmp_path / "run.h5").read_bytes() == before


def test_newest_run_is_of_the_kind_and_by_time_not_by_name(tmp_path, record):
    def run(name, kind, created):
        write_run(tmp_path / name, dataclasses.replace(record, kind=kind, created=created))

    run("z-old.h5", "ratings", "2026-01-01T00:00:00.000000+00:00")
    run("a-new.h5", "ratings", "2026-02-01T00:00:00.000000+00:00")
    run("image.h5", "image", "2026-03-01T00:00:00.000000+00:00")
    (tmp_path / "broken.h5").write_bytes(b"no HDF5")
    h5py.File(tmp_path / "foreign.h5", "w").close()
    assert newest_run(tmp_path, "ratings").name == "a-new.h5"
    with pytest.raises(DataError, match="no matrix run"):
        newest_run(tmp_path, "matrix")


def test_what_is_no_run_file_is_a_data_error(tmp_path, record):
    with pytest.raises(DataError, match="no such file"):
        read_run(tmp_path / "absent.h5")
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(DataError, match="cannot be read"):
        read_run(tmp_path / "text.h5")
    h5py.File(tmp_path / "foreign.h5", "w").close()
    with pytest.raises(DataError, match="not a run file"):
        read_run(tmp_path / "foreign.h5")
    write_run(tmp_path / "whole.h5", record)
    (tmp_path / "cut.h5").write_bytes((tmp_path / "whole.h5").read_bytes()[:5000])
    with pytest.raises(DataError, match="cut.h5"):
        read_run(tmp_path / "cut.h5")


def test_newest_of_one_moment_is_the_highest_number(tmp_path, record):
    for number in range(1, 12):
        write_run(tmp_path / f"20260304-050607-image-{number}.h5", record)
    assert newest_run(tmp_path, "image").stem.endswith("-11")


def test_newest_run_is_a_complete_one(tmp_path, record, told):
    tell_everything(tmp_path / "killed.journal")
    run_file_of(tmp_path / "killed.journal", tmp_path / "killed.h5")
    with pytest.raises(DataError, match="no image run"):
        newest_run(tmp_path, "image")
    run_file_of(told, tmp_path / "whole.h5")
    assert newest_run(tmp_path, "image").name == "whole.h5"


def test_the_same_journal_gives_the_same_bytes_whatever_name_time_and_process(tmp_path, told):
    first = run_file_of(told, tmp_path / "first.h5")
    script = (
        "import sys; from hwloop.runlog.run_file import journal_of, write_run_file\n"
        "with journal_of(sys.argv[1]) as journal: write_run_file(journal, sys.argv[2])"
    )
    (tmp_path / "elsewhere").mkdir()
    second = tmp_path / "elsewhere" / "another name.h5"
    subprocess.run([sys.executable, "-c", script, str(told), str(second)], check=True, timeout=60)
    assert first.read_bytes() == second.read_bytes()
    # A run file holds its journal, which gives the same file again.
    assert run_file_of(first, tmp_path / "third.h5").read_bytes() == first.read_bytes()


def test_the_journal_is_in_the_file_verbatim(tmp_path, told):
    path = run_file_of(told, tmp_path / "run.h5")
    with journal_of(path) as journal:
        journal.file.seek(0)
        assert journal.file.read() == told.read_bytes()
        assert journal.check().ok
    with h5py.File(path) as file:
        assert file["entry/journal/sha256"].asstr()[()] == hashlib.sha256(told.read_bytes()).hexdigest()
        assert file["entry/journal/whole_bytes"][()] == told.stat().st_size


def test_a_damaged_or_missing_embedded_journal_is_a_data_error(tmp_path, told):
    path = run_file_of(told, tmp_path / "run.h5")
    with h5py.File(path, "r+") as file:
        file["entry/journal/bytes"][100] ^= 1
    with pytest.raises(DataError, match="SHA-256"), journal_of(path):
        pass
    with pytest.raises(DataError, match="older hwloop"), journal_of("tests/recordings/layout1.h5"):
        pass


def test_codes_and_physical_values_stand_beside_each_other(tmp_path, told):
    with h5py.File(run_file_of(told, tmp_path / "run.h5")) as file:
        entry = file["entry"]
        pulses, reads = entry["pulses"], entry["reads"]
        assert len(pulses["cell"]) == 2 * 43 and len(reads["cell"]) == 4 * 43
        assert sorted(pulses["cell"][:43]) == list(range(0, 128, 3))
        np.testing.assert_allclose(pulses["amplitude_volts"], 1.2, atol=5 / 65536)
        np.testing.assert_allclose(pulses["gate_volts"], pulses["gate_code"][:] * (5 / 65536), rtol=1e-6)
        assert set(pulses["width_ticks"]) == {10} and set(pulses["answered"]) == {1}
        np.testing.assert_allclose(
            reads["conductance_siemens"], SCALES.siemens_from_read_codes(reads["code"][:], TiaRange.COARSE, 0),
            rtol=1e-6,
        )
        assert list(reads["round"][::43]) == [1, 1, 2, 2] and list(reads["step"][::43]) == [0, 1, 0, 1]
        assert reads["conductance_siemens"].attrs["units"] == "S" and reads["code"].attrs["units"] == "counts"
        solves = entry["solves"]
        assert solves["outputs/code"][:].tolist() == [1, 2, 3, 4, 5, -6, 700, 800]
        assert solves["outputs/column"][:].tolist() == [0, 2, 0, 2, 0, 2, 1, 3]
        assert solves["inputs/row"][:9].tolist() == [0, 3, 5] * 3 and len(solves["inputs/row"]) == 3 * 3 + 12
        assert solves["solves/saturated"][:].tolist() == [0, 1, 0, 0]
        assert solves["solves/unsettled"][:].tolist() == [0, 0, 1, 0]
        np.testing.assert_allclose(solves["columns/feedback_siemens"], [1e-6, 2e-6], atol=205e-6 / 4096)
        np.testing.assert_allclose(solves["columns/bias_amps"], [1e-6, -2e-6], rtol=2e-3)
        assert entry["products/outputs/code"][:].tolist() == [10, -20, 30]
        np.testing.assert_allclose(entry["products/outputs/current_amps"], np.array([10, -20, 30]) * 5e-6 / 32768)
        np.testing.assert_allclose(entry["compensation/conductance_siemens"], np.array([100, 200]) * 7.2e-3 / 1024)
        assert entry["temperature/temperature_celsius"][()] == [25.12]
        assert entry["exchanges/bench_ticks"][-1] == 4 * 200 + 2 * 100 + 30 + 10 + 500 + 300


def test_write_verify_histories_and_maps(tmp_path, told):
    with h5py.File(run_file_of(told, tmp_path / "run.h5")) as file:
        steps, rounds, cells = (file[f"entry/programming/{name}"] for name in ("steps", "rounds", "cells"))
        assert steps["round"][:].tolist() == [1, 1, 2, 2] and steps["step"][:].tolist() == [0, 1, 0, 1]
        assert steps["cells_read"][:].tolist() == [43] * 4 and steps["cell_pulses"][:].tolist() == [0, 43, 0, 43]
        # Read 19 uS too low at first, on the spot after the pulse.
        assert (steps["error_median_siemens"][::2] > 15e-6).all() and (steps["error_max_siemens"][1::2] < 1e-8).all()
        assert (steps["within_share"][::2] < 0.1).all() and (steps["within_share"][1::2] == 1).all()
        assert rounds["accepted_share"][:].tolist() == [1.0, 1.0]
        np.testing.assert_allclose(cells["conductance_siemens"], cells["target_siemens"], atol=4e-9)
        maps = file["entry/conductance_maps_b"]
        assert maps["conductance"].shape == (2, 16, 4) and maps["round"][:].tolist() == [1, 2]
        last = [file[f"entry/conductance_maps_{name}/conductance"][-1] for name in "ab"]
        assert np.count_nonzero(~np.isnan(last)) == 43


def test_there_are_at_most_64_maps_whatever_the_number_of_rounds(tmp_path):
    teller = Teller(tmp_path / "many.journal").begin()
    cells = np.array([0, 1])
    for number in range(1, 301):
        teller.pulse_and_read(cells, 1.2, 1.5, [number * 100, 7])
        teller.programmed(number, cells, [number * 1e-7, 1e-7], np.ones(2, bool))
    teller.close()
    with h5py.File(run_file_of(tmp_path / "many.journal", tmp_path / "many.h5")) as file:
        maps = file["entry/conductance_maps_a"]
        kept = maps["round"][:].tolist()
        assert maps.attrs["every_rounds"] == 8 and len(kept) <= 64
        assert kept == [*range(1, 301, 8), 300]
        step = SCALES.siemens_from_read_codes(1, TiaRange.COARSE, 0)
        np.testing.assert_allclose(maps["conductance"][:, 0, 0], np.array(kept) * 100 * step, rtol=1e-6)


def test_a_journal_without_a_result_gives_a_file_that_says_so(tmp_path):
    tell_everything(tmp_path / "killed.journal")
    run = read_run(run_file_of(tmp_path / "killed.journal", tmp_path / "killed.h5"))
    assert (run.status, run.kind, run.seed) == ("partial", "image", 7)
    assert run.factors()[0].w.shape == (2, 8, 2) and run.convergence() == ()
    assert run.configuration["rig"]["name"] == "default" and run.array["bad_cells"] == {"5": "stuck high"}
    assert np.count_nonzero(~np.isnan(run.conductance().a_siemens)) == 22
    with h5py.File(tmp_path / "killed.h5") as file:
        assert file["entry"].attrs["status"] == "partial" and "killed" in file["entry"].attrs["status_reason"]
        assert file["entry/iterations_1/quality"][:].tolist() == [31.0, 32.0]
        assert file["entry"].attrs["default"] == "iterations_1"


def test_a_stopped_run_says_why(tmp_path):
    teller = Teller(tmp_path / "stopped.journal").begin()
    teller.event("stopped", reason="LinkError", exit_code=5, message="no reply in 7 tries")
    teller.event("end")
    teller.close()
    assert read_run(run_file_of(tmp_path / "stopped.journal", tmp_path / "stopped.h5")).status == "stopped"
    with h5py.File(tmp_path / "stopped.h5") as file:
        assert file["entry"].attrs["status_reason"] == "no reply in 7 tries"


def test_any_prefix_of_a_journal_gives_a_valid_file(tmp_path, told):
    whole = told.read_bytes()
    anywhere = np.random.default_rng(0).integers(HEADER_BYTES, len(whole), 12).tolist()
    for cut in sorted({HEADER_BYTES, len(whole) - 1, *anywhere}):
        (tmp_path / "cut.journal").write_bytes(whole[:cut])
        path = run_file_of(tmp_path / "cut.journal", tmp_path / f"{cut}.h5")
        assert read_run(path).status in ("partial", "complete")
        with journal_of(path) as journal:
            journal.file.seek(0)
            assert journal.file.read() == whole[:cut]


def test_pulses_without_a_reply_are_kept_as_such(tmp_path):
    teller = Teller(tmp_path / "cut.journal").begin()
    teller.pulse_and_read(np.arange(5), 1.2, 1.5, np.zeros(5), answered=False)
    teller.close()
    with h5py.File(run_file_of(tmp_path / "cut.journal", tmp_path / "cut.h5")) as file:
        assert file["entry/pulses/answered"][:].tolist() == [0] * 5
        assert "reads" not in file["entry"]
        assert file["entry/exchanges/replies"][:].tolist() == [1, 1, 1, 0]


def test_files_of_layout_1_are_read_and_upgraded(tmp_path):
    """Written by the version before journals."""
    old = read_run("tests/recordings/layout1.h5")
    assert (old.layout, old.kind, old.seed, old.status) == (1, "ratings", 7, "complete")
    assert old.field("titles").values[0] == "Amélie" and len(old.factors()) == 2
    upgrade_run("tests/recordings/layout1.h5", tmp_path / "new.h5")
    new = read_run(tmp_path / "new.h5")
    assert new.layout == 2
    for name in ("kind", "seed", "created", "configuration", "board", "array", "inputs", "metrics", "counters"):
        assert getattr(new, name) == getattr(old, name), name
    for one, other in zip((*new.factors(), *new.convergence()), (*old.factors(), *old.convergence()), strict=True):
        np.testing.assert_equal(dataclasses.asdict(one), dataclasses.asdict(other))
    np.testing.assert_equal(dataclasses.asdict(new.conductance()), dataclasses.asdict(old.conductance()))
    for name in old.field_names:
        np.testing.assert_equal(vars(new.field(name)), vars(old.field(name)))
    upgrade_run(tmp_path / "new.h5", tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "new.h5").read_bytes()


@pytest.mark.parametrize("limit", [500, 5_000, 65_536, 300_000])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, limit):
    """A file size limit makes a write fail midway, as a full disk does; HDF5 prints and leaves nothing."""
    script = textwrap.dedent("""
        import resource, signal, sys
        import numpy as np
        from hwloop.errors import UsageError
        from hwloop.runlog.record import FactorPair, RunRecord
        from hwloop.runlog.run_file import write_run

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
        random = np.random.default_rng(0)
        pair = FactorPair("all", random.random((2000, 8, 2)), random.random((2000, 2, 8)))
        try:
            write_run(sys.argv[1] + "/run.h5", RunRecord("image", 0, {}, factors=(pair,)))
        except UsageError as failure:
            print(failure)
    """)
    command = [sys.executable, "-c", script, str(tmp_path), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("cannot write") and "too large" in done.stdout and done.stdout.count("\n") == 1
    assert done.stderr == ""
    assert os.listdir(tmp_path) == []
