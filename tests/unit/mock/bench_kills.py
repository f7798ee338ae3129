"""Many more kills of a durable board than the test has time for: `python -m tests.unit.mock.bench_kills`."""

import sys
import tempfile
from pathlib import Path

from hwloop.mock import bench_state
from tests.unit.mock.killing import run_with_kills

STREAMS, KILLS_A_STREAM = 10, 200
LOG_BYTES = 20_000      # small, so that snapshots are renewed on the way, too


def main() -> None:
    bench_state.LOG_BYTES = LOG_BYTES
    for seed in range(STREAMS):
        with tempfile.TemporaryDirectory() as folder:
            seconds = run_with_kills(Path(folder), KILLS_A_STREAM, commands_a_kill=120, seed=1000 + seed)
        sys.stdout.write(f"stream {seed}: {KILLS_A_STREAM} kills, every reply and cell the same, {seconds:.1f} s\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
