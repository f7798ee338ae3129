"""A folder of its own for every module, small inputs, and the controller's calls on the default simulated board."""

import os

import numpy as np
import pytest
from PIL import Image

from hwloop import config
from hwloop.config import RunSettings
from hwloop.report import Report


class Noted(Report):
    """Keeps what it is told."""

    def __init__(self):
        self.notes, self.steps, self.questions = [], [], []

    def step(self, phase, done, total):
        self.steps.append((phase, done, total))

    def note(self, text):
        self.notes.append(text)

    def confirm(self, question):
        self.questions.append(question)


@pytest.fixture(scope="module", autouse=True)
def workplace(tmp_path_factory):
    """An empty working directory with a registry of holders that nobody else uses."""
    folder, registry, before = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("runtime"), os.getcwd()
    registry.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(registry))
        patch.setenv("XDG_DATA_HOME", str(registry))
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)


@pytest.fixture
def report():
    return Noted()


@pytest.fixture(scope="module")
def inputs(workplace):
    """p.png (16x16 colour), m.npy (12x9), ratings.csv (12 users, 10 items) with the folder as the working directory."""
    random = np.random.default_rng(1)
    Image.fromarray(random.integers(0, 256, (16, 16, 3), np.uint8)).save("p.png")
    np.save("m.npy", random.random((12, 9)))
    rows = [f"u{u},i{i},{random.integers(1, 6)}" for u in range(12) for i in range(10) if random.random() < 0.6]
    (workplace / "ratings.csv").write_text("user,item,rating\n" + "\n".join(rows) + "\n")
    return workplace


@pytest.fixture(scope="session")
def settings_of():
    """RunSettings of the default rig; keywords are `seed`, `dry_run`, or tables such as solver={"shadow": "warn"}."""

    def make(seed=0, dry_run=False, rig="default", **tables):
        return RunSettings(config.load_rig(rig, options=tables), seed, dry_run)

    return make


COUNTERS = {
    "cells_written": int, "pulses": int, "row_pulses": int, "reads": int, "solves": int, "exchanges": int,
    "bytes_sent": int, "bytes_received": int, "payload_bytes": int, "hardware_seconds": dict, "host_seconds": float,
    "mock_seconds": float, "wall_seconds": float,
}  # fmt: skip


@pytest.fixture(scope="session")
def check_counters():
    """Checks the counters of a JSON document: all there, of their type, and consistent."""

    def check(document, solves=True):
        for name, kind in COUNTERS.items():
            assert isinstance(document[name], kind), name
        hardware = document["hardware_seconds"]
        assert set(hardware) == {"total", "pulse", "read", "solve", "load", "link"}
        bench = sum(hardware[step] for step in ("pulse", "read", "solve", "load"))
        assert bench <= hardware["total"] <= bench + hardware["link"] + 1e-9
        assert document["mock_seconds"] > 0.0 and document["wall_seconds"] > 0.0
        assert document["row_pulses"] <= document["pulses"]
        assert (document["solves"] > 0) == solves

    return check


@pytest.fixture(scope="session")
def check_run_file():
    """Checks what every run file holds: units on every number, configuration, seed, code version, board and chip."""

    def check(path, seed):
        import h5py

        from hwloop import __version__
        from hwloop.runlog.run_file import read_run

        run = read_run(path)
        assert (run.seed, run.code_version) == (seed, __version__)
        assert run.configuration["rig"]["board"]["name"] == run.board["name"]
        assert {"options", "rig"} == set(run.configuration)
        assert {"name", "serial", "wire_hash", "scales"} <= set(run.board)
        assert {"serial", "rows", "columns", "bad_cells"} <= set(run.array)
        assert {"pulses", "hardware_total_seconds", "host_seconds"} <= {item.name for item in run.counters}

        def has_unit(name, item):
            if isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf":
                assert item.attrs["units"], name

        with h5py.File(path) as file:
            file.visititems(has_unit)
        return run

    return check
