"""Compile every numerical kernel once, at install time, so that the first run is as quick as the others."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from hwloop import config
from hwloop.anls.loop import factorize
from hwloop.anls.problem import Masked
from hwloop.config import RunSettings
from hwloop.controller.half_step import AnalogHalfStep
from hwloop.controller.matrix_job import run_matrix
from hwloop.controller.session import open_session
from hwloop.mock.bench import Bench, BenchConfig
from hwloop.mock.chips.panel import ChipPanel
from hwloop.report import Report
from hwloop.runscript import MatrixOptions


def main() -> None:
    """Small factorizations of every kind, through the wire on simulated boards, and one run that is kept."""
    rng = np.random.default_rng(0)
    dense = rng.random((2, 6, 5))
    sparse = sp.random_array((12, 10), density=0.5, rng=rng, format="csr")
    for rig in ("default", "ideal"):
        settings = RunSettings(config.load_rig(rig))
        with open_session(settings, Report()) as session:
            solver = AnalogHalfStep(session.solver, settings.rig.solver, session.clock, Report())
            for half_step in ({}, {"solver": solver}):
                factorize(dense, 2, iterations=1, **half_step)
                factorize(Masked(sparse), 2, iterations=1, ridge_per_observation=0.1, **half_step)
                factorize(sparse, 2, iterations=1, **half_step)
    ChipPanel(Bench(BenchConfig())).compile_kernels()
    with tempfile.TemporaryDirectory() as folder:
        # A whole run: its run file is written by kernels of its own.
        path = Path(folder) / "matrix.npy"
        np.save(path, dense[0])
        options = MatrixOptions(path, 2, 1, run_file=Path(folder) / "run.h5")
        run_matrix(options, RunSettings(config.load_rig("default")), Report())


if __name__ == "__main__":
    main()
