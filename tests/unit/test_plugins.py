"""Plug-ins by entry points: a package that is really installed brings a programmer, a solver and a board."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hwloop import plugins
from hwloop.errors import UsageError

PROJECT = Path(__file__).resolve().parents[2]
MODULE = '''
from hwloop.anls.exact import exact_half_step
from hwloop.array.program import ispva
from hwloop.link.transport import open_transport

def new_programmer(size, settings):
    own = ispva.IspvaSettings(settings.verify(), settings.gate_curve)
    return lambda port, cells, targets: ispva.program(port, cells, targets, own)

def new_half_step(session):
    return exact_half_step

def connect(config):
    return open_transport("unix:" + config.port)
'''
ENTRY_POINTS = """
[hwloop.programmers]
gentle = lab:new_programmer
broken = lab:nothing
[hwloop.solvers]
digital = lab:new_half_step
[hwloop.boards]
bench = lab:connect
"""


@pytest.fixture
def hwloop(tmp_path):
    """`hwloop(*arguments)` in a folder of its own, with the package installed there."""
    site = tmp_path / "site"
    (site / "lab-1.dist-info").mkdir(parents=True)
    (site / "lab.py").write_text(MODULE)
    (site / "lab-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1\n")
    (site / "lab-1.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    np.save(tmp_path / "matrix.npy", np.random.default_rng(0).random((12, 9)))
    np.save(tmp_path / "cells.npy", np.full((8, 4), 100e-6))
    paths = os.pathsep.join([str(site), str(PROJECT)])
    environment = os.environ | {"PYTHONPATH": paths, "XDG_RUNTIME_DIR": str(tmp_path / "run")}

    def call(*arguments, **variables):
        command = [sys.executable, "-m", "hwloop", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment | variables, capture_output=True, text=True, check=False
        )

    call.start = lambda *arguments: subprocess.Popen(
        [sys.executable, "-m", "hwloop", *arguments], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    return call


def test_a_strategy_of_another_package_programs(hwloop):
    done = hwloop("array", "program", "cells.npy", "--strategy", "gentle", "--json")
    own = hwloop("array", "program", "cells.npy", "--strategy", "ispva", "--json")
    assert json.loads(done.stdout)["cell_pulses"] == json.loads(own.stdout)["cell_pulses"] > 8 * 32


def test_a_solver_of_another_package_replaces_the_circuit(hwloop):
    done = hwloop("factorize", "matrix", "matrix.npy", "--rank", "2", "--json", HWLOOP_SOLVER_METHOD="digital")
    found = json.loads(done.stdout)
    assert found["solves"] == 0 and found["residual"] == found["reference"]["residual"]


def test_a_board_of_another_package_is_identified(hwloop):
    server = hwloop.start("mock", "serve", "--port", "unix:socket", "--serial-number", "42")
    try:
        assert "socket" in server.stderr.readline()
        done = hwloop(
            "board", "info", "--backend", "bench", "--serial-number", "42", "--json", HWLOOP_BOARD_PORT="socket"
        )
        assert json.loads(done.stdout)["board_serial"] == 42, done.stderr
    finally:
        server.terminate()
        server.wait(10)
        server.stderr.close()


@pytest.mark.parametrize(
    ("strategy", "words"), [("gentel", "gentle"), ("broken", "cannot be loaded")]
)
def test_a_plug_in_that_is_not_there_or_broken_is_one_line(hwloop, strategy, words):
    done = hwloop("array", "program", "cells.npy", "--strategy", strategy)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1


def test_an_unknown_name_says_what_is_installed():
    with pytest.raises(UsageError, match="no plug-in 'x' in hwloop.solvers; installed: none"):
        plugins.load(plugins.SOLVERS, "x")
