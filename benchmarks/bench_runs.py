"""What keeping a run costs, and how fast it is replayed, opened and checked: the default image job.

    python benchmarks/bench_runs.py [--hour]

`--hour` also makes a journal and a run file as long as those of an hour of hardware time, and opens them.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import hwloop
from hwloop.errors import DataError
from hwloop.runlog.framing import Kind, encode_record
from hwloop.runlog.journal import Journal
from hwloop.runlog.run_file import write_run_file

HOUR_SECONDS = 3600.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hour", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hwloop-runs-") as folder:
        made = command(folder, "factorize", "image")
        journal = Path(folder) / made["journal"]["path"]
        wire_bytes = made["bytes_sent"] + made["bytes_received"]
        hardware_seconds = made["hardware_seconds"]["total"]
        print(f"journal        {made['journal']['bytes'] / wire_bytes:.3f} of the {wire_bytes:,} bytes on the wire")
        print(f"               {made['journal']['seconds'] / made['wall_seconds']:.4f} of {made['wall_seconds']:.1f} s")
        replayed = command(folder, "replay", str(journal))
        same = "same" if replayed["factors_sha256"] == made["factors_sha256"] else "OTHER"
        print(
            f"replay         {hardware_seconds / replayed['wall_seconds']:.1f} x faster than hardware, "
            f"{made['wall_seconds'] / replayed['wall_seconds']:.1f} x faster than the simulated run, {same} factors"
        )
        times = journal.with_suffix(".h5").stat().st_size / made["journal"]["bytes"]
        print(f"run file       {times:.2f} x the journal")
        again = Path(folder) / "again.h5"
        seconds = timed(lambda: written(journal, again))
        same = "the same" if same_bytes(journal, again) else "OTHER"
        print(f"               written in {seconds:.1f} s, {same} bytes")
        if options.hour:
            measure_hour(journal, Path(folder), hardware_seconds)


def measure_hour(journal: Path, folder: Path, hardware_seconds: float) -> None:
    """A journal with the exchanges of `journal` over and over, and its run file, opened."""
    repeats = round(HOUR_SECONDS / hardware_seconds + 0.5)
    before = peak_mib()
    long = folder / "hour.journal"
    with open(long, "wb") as file:
        number = 0
        for turn in range(repeats):
            with Journal.open(journal) as source:
                if not turn:
                    file.write(source.header.encode())
                for record in source.records():
                    # The run begins once, and has no end.
                    if record.kind is not Kind.EVENT or not turn:
                        file.write(encode_record(source.header, record.kind, number, record.time_ns, record.body))
                        number += 1
    target = folder / "hour.h5"
    seconds = timed(lambda: written(long, target))
    print(
        f"an hour        journal {long.stat().st_size / 1e9:.2f} GB, run file {target.stat().st_size / 1e9:.2f} GB in "
        f"{seconds:.0f} s; memory {before} MiB before, {peak_mib()} MiB at most"
    )
    for path in (long, target):
        print(f"               {path.name} opened in {timed(lambda path=path: hwloop.open_run(path)):.3f} s")


def command(folder: str, *arguments: str) -> dict:
    """The document of a command."""
    done = subprocess.run(
        [sys.executable, "-m", "hwloop", *arguments, "--json"], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise DataError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def written(journal: Path, target: Path) -> None:
    """Write a run file."""
    with Journal.open(journal) as source:
        write_run_file(source, target)


def same_bytes(journal: Path, again: Path) -> bool:
    """Whether the run file that the run wrote is the one written now."""
    return journal.with_suffix(".h5").read_bytes() == again.read_bytes()


def timed(action) -> float:
    """Seconds that it took."""
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


def peak_mib() -> int:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
