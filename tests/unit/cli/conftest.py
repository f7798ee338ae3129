"""The command line in a folder of its own: as a process, inside this one (quicker), and running in the background."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import hwloop as package
from hwloop.cli.main import run

COMMAND = [sys.executable, "-m", "hwloop"]


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """An empty working directory. The registry of holders is private: `board safe` must stop nobody else's run."""
    registry, folder = tmp_path / "runtime", tmp_path / "work"
    registry.mkdir(mode=0o700)
    folder.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(registry))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(Path(package.__file__).parent.parent))
    for name in [name for name in os.environ if name.startswith("HWLOOP_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def hwloop():
    """Runs `hwloop ARGUMENTS` as a process and waits for it."""

    def run_process(*arguments, environment=None, **options):
        options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, **options}
        return subprocess.run(
            [*COMMAND, *map(os.fspath, arguments)], timeout=120, env={**os.environ, **(environment or {})}, **options
        )

    return run_process


@pytest.fixture
def here(capfd):
    """Runs `hwloop ARGUMENTS` in this process, for speed: exit code, stdout and stderr."""
    numbers = (signal.SIGTERM, signal.SIGUSR1)
    handlers = [signal.getsignal(number) for number in numbers]

    def run_here(*arguments):
        capfd.readouterr()
        code = run([os.fspath(argument) for argument in arguments])
        sys.stdout.flush()
        out, err = capfd.readouterr()
        return SimpleNamespace(returncode=code, stdout=out, stderr=err)

    yield run_here
    for number, handler in zip(numbers, handlers, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def start():
    """Starts `hwloop ARGUMENTS` in the background; whatever still runs at the end is killed."""
    started = []

    def start_process(*arguments, environment=None, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        process = subprocess.Popen(
            [*COMMAND, *map(os.fspath, arguments)], stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})}, **options,
        )
        started.append(process)
        return process

    yield start_process
    for process in started:
        process.kill()
        with contextlib.suppress(ValueError):
            process.communicate()


@pytest.fixture
def serve(start):
    """Starts `hwloop mock serve` and gives its process and the port to connect to."""

    def start_server(*arguments, port="tcp:127.0.0.1:0"):
        process = start("mock", "serve", "--port", port, *arguments)
        line = process.stderr.readline()
        assert line.startswith("simulated board at "), line
        return process, line.split(": a rig with")[0].removeprefix("simulated board at ")

    return start_server


@pytest.fixture
def real_rig(workplace):
    """Writes a rig for the board at `port`; gives its path. `patient`: for a board that does answer."""

    def write(port, more="", patient=True):
        path = workplace / "real.toml"
        tries = 'reply_timeout = "1 s"\nretries = 10' if patient else 'reply_timeout = "100 ms"\nretries = 2'
        # A board that is served like a real one ages by its own clock, so its calibrations do not run out.
        path.write_text(f'[board]\nbackend = "real"\nport = "{port}"\nclock = "bench"\n{tries}\n{more}')
        return path

    return write


@pytest.fixture
def inputs(workplace):
    """Small inputs: p.png (16x16 colour), m.npy (12x9), c.npy (5x4, siemens), ratings.csv; gives their folder."""
    random = np.random.default_rng(1)
    Image.fromarray(random.integers(0, 256, (16, 16, 3), np.uint8)).save("p.png")
    np.save("m.npy", random.random((12, 9)))
    np.save("c.npy", random.uniform(10e-6, 200e-6, (5, 4)))
    np.save("x.npy", random.random((12, 3)))
    np.save("y.npy", random.random((12, 2)))
    rows = [f"u{u},i{i},{random.integers(1, 6)}" for u in range(12) for i in range(10) if random.random() < 0.6]
    Path("ratings.csv").write_text("user,item,rating\n" + "\n".join(rows) + "\n")
    return workplace
