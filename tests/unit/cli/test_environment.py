"""Odd surroundings: locales, file names, streams that are closed, disks that are full."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from hwloop.runlog.journal import Journal

MATRIX = ("factorize", "matrix", "m.npy", "--rank", "2", "--iterations", "1")
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""}


@pytest.mark.parametrize("arguments", [("--help",), ("solve", "--help"), ("array", "program", "--help")])
def test_help_in_an_ascii_locale(hwloop, arguments):
    done = hwloop(*arguments, environment=ASCII, text=False)
    assert done.returncode == 0 and done.stdout.isascii() and b"Usage: hwloop" in done.stdout


def test_messages_in_an_ascii_locale(hwloop, inputs):
    done = hwloop("array", "program", "c.npy", "--pristine", environment=ASCII, text=False)
    assert done.returncode == 4 and done.stderr.isascii() and b"below 0.1 uS" in done.stderr


def test_file_names_of_any_bytes(hwloop, inputs):
    name = b"n\xff\xc3\xa9 m.npy"
    os.rename("m.npy", name)
    done = hwloop("factorize", "matrix", name, *MATRIX[3:], "--json", environment={"LC_ALL": "C.UTF-8"})
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert os.fsencode(document["matrix"]) == name and Path(document["run_file"]).exists()
    done = hwloop("factorize", "image", name, environment=ASCII, text=False)
    assert done.returncode == 6 and done.stderr.count(b"\n") == 1


def test_a_relative_rig_and_a_home_that_is_not_there(hwloop, inputs):
    Path("rigs").mkdir()
    Path("rigs/my.toml").write_text("[solver]\naverages = 2\n")
    nowhere = {"HOME": "/dev/null/home", "XDG_DATA_HOME": "/dev/null/data"}
    done = hwloop(*MATRIX, "--rig", "rigs/my.toml", "--json", environment=nowhere)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run_file"].startswith("runs/")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_that_is_closed(inputs, stream):
    number = {"stdout": 1, "stderr": 2}[stream]
    command = f'exec "$0" -m hwloop board safe --json {number}>&-'
    done = subprocess.run(["sh", "-c", command, sys.executable], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert ("safe" in done.stdout) == (stream == "stderr") and done.stderr == ""


def test_a_full_device_as_stdout_is_told(hwloop):
    with open("/dev/full", "w") as full:
        done = hwloop("board", "safe", "--json", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2 and "cannot write the result" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("limit_bytes", "text"),
    [
        (2_000, "cannot write the journal runs/"), (60_000, "the board's state cannot be kept there"),
        (190_000, "the run is whole in runs/"),
    ],
    ids=["no journal", "no board state", "no run file"],
)
def test_a_full_disk_leaves_whole_files_or_none(hwloop, inputs, limit_bytes, text):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    # What the kernels' caches and matplotlib's would write is not the point here.
    done = hwloop(*MATRIX, preexec_fn=limit, environment={"NUMBA_CACHE_DIR": "", "PYTHONDONTWRITEBYTECODE": "1"})
    error = done.stderr.splitlines()[-1]
    assert done.returncode in (2, 3) and text in error and "File too large" in error
    left = list(Path("runs").iterdir()) if Path("runs").exists() else []
    assert [path.suffix for path in left] == ([".journal"] if "whole" in text else [])
    for path in left:
        with Journal.open(path) as journal:
            assert journal.check().ok and str(path) in error
