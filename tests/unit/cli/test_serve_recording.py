"""`replay --serve`: a recording as a board on a port, for a controller that believes that it is a real one."""

import json
import tomllib
from contextlib import contextmanager
from pathlib import Path

import pytest

from hwloop.controller.recorded_run import read_recorded_run

RECORDINGS = Path(__file__).parents[2] / "recordings"
EXPECTED = tomllib.loads((RECORDINGS / "expected.toml").read_text())
MATRIX = ("factorize", "matrix", "matrix.csv", "--rank", "2", "--json")


@pytest.fixture
def matrix(workplace):
    """matrix.csv as the recording `matrix` had it."""
    with read_recorded_run(RECORDINGS / "matrix.journal").restored_inputs() as options:
        (workplace / "matrix.csv").write_bytes(options.path.read_bytes())


@pytest.fixture
def serve_recording(start, real_rig):
    """Serves a recording; gives its process and a rig for it."""

    @contextmanager
    def serving(name, port, *options):
        process = start("replay", RECORDINGS / f"{name}.journal", "--serve", port, *options)
        line = process.stderr.readline()
        assert line.startswith(f"recording {name} at "), line
        yield process, real_rig(line.split(": a rig with")[0].removeprefix(f"recording {name} at "))
        process.kill()

    return serving


@pytest.mark.parametrize("port", ["unix:board", "pty", "tcp:127.0.0.1:0"])
def test_a_controller_gets_the_factors_that_were_recorded_again_and_again(here, serve_recording, matrix, port):
    with serve_recording("matrix", port) as (_, rig):
        for _ in range(2):
            done = here(*MATRIX, "--iterations", "2", "--rig", rig)
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["factors_sha256"] == EXPECTED["matrix"]["factors_sha256"]


def test_at_recorded_speed_it_takes_longer_and_is_the_same(here, serve_recording, matrix):
    with serve_recording("matrix", "unix:board", "--speed", "recorded") as (_, rig):
        done = here(*MATRIX, "--iterations", "2", "--rig", rig)
    assert json.loads(done.stdout)["factors_sha256"] == EXPECTED["matrix"]["factors_sha256"]


def test_what_was_not_recorded_is_refused_and_told_decoded(here, serve_recording, matrix):
    with serve_recording("matrix", "unix:board") as (process, rig):
        done = here(*MATRIX, "--iterations", "3", "--rig", rig)
        assert done.returncode in (4, 5) and "error: " in done.stderr
        line = process.stderr.readline()
        assert line.startswith("hwloop: the recording has ended, and ") and line.endswith("it gets no reply\n")
        done = here("factorize", "matrix", "matrix.csv", "--rank", "3", "--rig", rig)
        assert done.returncode in (4, 5)
        line = process.stderr.readline()
        assert "(before the first programming round" in line or "(after iteration" in line
        assert "recorded is READ, " in line and "; what came is READ, " in line
        done = here("board", "info", "--rig", rig)
        assert done.returncode == 0 and "safe, every line grounded" in done.stderr


def test_refusals_of_the_command_line(here, workplace):
    recording = RECORDINGS / "matrix.journal"
    for options, text in (
        (("--serve", "usb:1"), "expected pty, unix:PATH or tcp:HOST:PORT"),
        (("--speed", "recorded"), "--speed is about --serve"),
        (("--serve", "pty", "--pictures", "x"), "--pictures does not go with --serve"),
    ):
        done = here("replay", recording, *options)
        assert done.returncode == 2 and text in done.stderr and done.stderr.count("\n") == 1
    done = here("replay", recording, "--serve", "pty", "--dry-run")
    assert done.returncode == 0 and "serve the recording matrix on pty" in done.stderr
