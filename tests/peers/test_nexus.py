"""Run files under other people's programs: punx, nexusformat, silx and the HDF5 tools take them unasked."""

import os
import re
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest

from hwloop.runlog.run_file import journal_of, write_run_file
from tests.unit.runlog.results import full_record
from tests.unit.runlog.telling import tell_everything


@pytest.fixture(scope="module", params=["whole", "killed"])
def run_file(request, tmp_path_factory):
    """A run with everything, and the same one killed before its result."""
    folder = tmp_path_factory.mktemp("nexus")
    tell_everything(folder / "run.journal", full_record() if request.param == "whole" else None)
    with journal_of(folder / "run.journal") as journal:
        write_run_file(journal, folder / "run.h5")
    return folder / "run.h5"


def test_punx_finds_no_error(run_file):
    pytest.importorskip("punx")
    done = subprocess.run(
        [sys.executable, "-m", "punx.main", "validate", str(run_file)], capture_output=True, text=True, timeout=120,
        env=os.environ | {"COLUMNS": "200"},
    )
    summary = re.search(r"^ERROR +(\d+) ", done.stdout, re.MULTILINE)
    assert summary, done.stderr
    errors = [line for line in done.stdout.splitlines() if " ERROR " in line and line.startswith("/")]
    assert (int(summary[1]), errors) == (0, [])


def test_nexusformat_finds_what_to_plot_from_the_root_on(run_file):
    nexus = pytest.importorskip("nexusformat.nexus")
    root = nexus.nxload(str(run_file))
    for place in (root, root.entry):
        shown = place.plottable_data
        assert shown is not None and shown.nxsignal is not None and len(shown.nxaxes) == 1
        np.testing.assert_allclose(shown.nxaxes[0].nxvalue, [1, 2])
    assert root.entry.conductance_a.plottable_data.nxsignal.shape == (16, 4)


def test_silx_finds_what_to_plot_at_every_level(run_file):
    nxdata = pytest.importorskip("silx.io.nxdata")

    def data_groups(group):
        for member in group.values():
            if isinstance(member, h5py.Group):
                yield from [member] if member.attrs["NX_class"] == "NXdata" else data_groups(member)

    with h5py.File(run_file) as file:
        for place in (file, file["entry"], *data_groups(file["entry"])):
            found = nxdata.get_default(place)
            assert found is not None and found.is_valid, place.name
        for name in ("programming", "solves", "products"):
            assert nxdata.get_default(file["entry"][name]) is not None, name
        shown = nxdata.get_default(file)
        assert shown.signal_name == "relative residual" and shown.axes_names == ["iteration"]


@pytest.mark.parametrize("command", [["h5ls", "-r"], ["h5dump"]])
def test_the_hdf5_tools_read_everything(run_file, command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed (Debian: hdf5-tools)")
    done = subprocess.run([*command, str(run_file)], capture_output=True, timeout=120)
    assert done.returncode == 0 and done.stderr == b""
    assert b"conductance_siemens" in done.stdout


def test_no_filter_needs_a_plug_in(run_file):
    """gzip and shuffle are part of every HDF5."""
    with h5py.File(run_file) as file:
        def check(name, node):
            if isinstance(node, h5py.Dataset):
                assert node.compression in (None, "gzip"), name
                assert not (node.scaleoffset or node.fletcher32), name

        file.visititems(check)
