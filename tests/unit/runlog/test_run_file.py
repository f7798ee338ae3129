"""The file of a run: everything comes back, and a failed write leaves nothing."""

import dataclasses
import os
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest

from hwloop.errors import DataError, UsageError
from hwloop.runlog.record import ConductanceMaps, Convergence, FactorPair, Field, InputFile, Quantity, RunRecord
from hwloop.runlog.run_file import create_run, newest_run, read_run, write_run


@pytest.fixture
def record():
    rng = np.random.default_rng(0)
    return RunRecord(
        kind="image",
        seed=7,
        configuration={"board": {"name": "hwloop-128x16", "averages": 4, "noise": True}, "note": "µS", "none": None},
        inputs=(InputFile("photo.jpg", "ab" * 32),),
        board={"serial": "mock-1", "full_scale_volts": 2.5},
        array={"serial": "array-1", "levels_siemens": [3e-6, 50e-6]},
        factors=tuple(FactorPair(f"fold {n}", rng.random((6, 8, 2)), rng.random((6, 2, 8))) for n in range(1, 12)),
        convergence=(Convergence("all patches", "relative residual", np.array([0.2, 0.1]), np.array([0.19, 0.1])),),
        metrics=(Quantity("psnr_db", 36.25, "dB"), Quantity("bound_db", float("inf"), "dB")),
        counters=(Quantity("pulses", 12345), Quantity("wall_seconds", 1.5, "s")),
        conductance=ConductanceMaps(np.full((128, 16), 5e-5), np.full((128, 16), np.nan)),
        fields=(Field("titles", ("Amélie", "", "Das Boot")), Field("ticks", np.arange(3, dtype=np.uint64), "0.1 us")),
    )


def test_everything_comes_back(tmp_path, record):
    path = tmp_path / "run.h5"
    write_run(path, record)
    run = read_run(path)
    for name in ("kind", "seed", "created", "code_version", "configuration", "board", "array", "inputs"):
        assert getattr(run, name) == getattr(record, name), name
    assert (run.metrics, run.counters) == (record.metrics, record.counters)
    for stored, given in ((run.factors(), record.factors), (run.convergence(), record.convergence)):
        assert len(stored) == len(given)
        for one, other in zip(stored, given, strict=True):
            np.testing.assert_equal(dataclasses.asdict(one), dataclasses.asdict(other))
    np.testing.assert_array_equal(run.conductance().a_siemens, record.conductance.a_siemens)
    assert np.isnan(run.conductance().b_siemens).all()
    assert run.field("titles").values == ("Amélie", "", "Das Boot")
    assert run.field("ticks").unit == "0.1 us"
    assert run.field("ticks").values.dtype == np.uint64


def test_a_bare_record_comes_back_too(tmp_path):
    write_run(tmp_path / "run.h5", RunRecord("matrix", 0, {}))
    run = read_run(tmp_path / "run.h5")
    assert (run.factors(), run.convergence(), run.conductance(), run.inputs) == ((), (), None, ())
    with pytest.raises(DataError, match="no field 'titles'"):
        run.field("titles")


def test_every_numeric_dataset_has_a_unit_and_every_group_a_class(tmp_path, record):
    write_run(tmp_path / "run.h5", record)
    seen = []

    def check(name, node):
        seen.append(name)
        if isinstance(node, h5py.Group):
            assert node.attrs["NX_class"], name
        elif not h5py.check_string_dtype(node.dtype):
            assert node.attrs["units"], name

    with h5py.File(tmp_path / "run.h5", "r") as file:
        file.visititems(check)
        assert file.attrs["NX_class"] == "NXroot"
        entry = file[file.attrs["default"]]
        assert entry.attrs["NX_class"] == "NXentry"
        shown = entry[entry.attrs["default"]]
        assert shown.attrs["NX_class"] == "NXdata"
        assert shown[shown.attrs["signal"]].shape == shown[shown.attrs["axes"][0]].shape
        assert entry["configuration"].attrs["board.averages"] == 4
        assert entry["conductance_a/conductance"].attrs["units"] == "S"
    assert len(seen) > 50


def test_an_existing_run_file_is_a_usage_error(tmp_path, record):
    write_run(tmp_path / "run.h5", record)
    before = (tmp_path / "run.h5").read_bytes()
    with pytest.raises(UsageError, match="exists") as caught:
        write_run(tmp_path / "run.h5", record)
    assert caught.value.exit_code == 2
    assert (tmp_path / "run.h5").read_bytes() == before


def test_runs_get_names_of_their_own(tmp_path, record):
    record = dataclasses.replace(record, created="2026-03-04T05:06:07.000008+00:00")
    names = [create_run(tmp_path / "runs", record).name for _ in range(3)]
    assert names == [f"20260304-050607-image-{n}.h5" for n in (1, 2, 3)]


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


def test_newest_of_one_moment_is_the_highest_number(tmp_path, record):
    record = dataclasses.replace(record, created="2026-03-04T05:06:07.000008+00:00")
    last = [create_run(tmp_path, record) for _ in range(11)][-1]
    assert newest_run(tmp_path, "image") == last


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


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    """A file size limit makes the write fail midway, as a full disk does."""
    script = textwrap.dedent("""
        import resource, signal, sys
        import numpy as np
        from hwloop.errors import UsageError
        from hwloop.runlog.record import FactorPair, RunRecord
        from hwloop.runlog.run_file import create_run

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        record = RunRecord("image", 0, {}, factors=(FactorPair("all", np.ones((500, 8, 2)), np.ones((500, 2, 8))),))
        try:
            create_run(sys.argv[1], record)
        except UsageError as failure:
            print(failure)
    """)
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "cannot write" in done.stdout and "too large" in done.stdout
    assert done.stderr == ""
    assert os.listdir(tmp_path) == []
