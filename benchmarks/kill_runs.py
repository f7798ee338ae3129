"""Kill runs at random instants, resume each, and compare with the run that nobody killed: factors, and the simulated
board's own count of pulses of every cell.

    python benchmarks/kill_runs.py image-crop ratings-small --kills 95 --seed 0
    python benchmarks/kill_runs.py image --kills 10
    python benchmarks/kill_runs.py image-crop ratings-small --kills 4 --sleep 30

In turn the controller is killed, the controller and its board's process, and the board's process alone. Exit code 1
where one run does not end as it should. With --sleep nobody is killed: the controller is stopped (SIGSTOP) for so many
seconds, longer than its board waits for it, and the run has to go on, or be gone on with, and end as good.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from hwloop.mock.bench_state import read_state


@dataclass(frozen=True)
class Reference:
    """The run that nobody killed: its factors, pulses by cell, and how long it took after its first line."""

    factors_sha256: str
    pulses: np.ndarray
    seconds: float
    quality: float


def main() -> int:
    """Run the campaign; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="+", choices=sorted(JOBS))
    parser.add_argument("--kills", type=int, default=10, help="of each job")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sleep", type=float, metavar="SECONDS", help="stop the controller for so long instead")
    options = parser.parse_args()
    failures = 0
    for job in options.jobs:
        chance = random.Random(f"{options.seed} {job}")
        with tempfile.TemporaryDirectory(prefix="hwloop-kills-") as folder:
            failures += campaign(job, options.kills, chance, Path(folder), options.sleep)
    return 1 if failures else 0


def campaign(job: str, kills: int, chance: random.Random, folder: Path, sleep_seconds: float | None = None) -> int:
    """Kill `job` so many times, or send it to sleep; gives how many runs did not end as they should."""
    arguments = JOBS[job](folder)
    reference = uninterrupted(arguments, folder)
    print(f"{job}: {reference.factors_sha256[:12]}, {reference.pulses.sum():,} pulses, {reference.seconds:.1f} s")
    failures = 0
    for number in range(1, kills + 1):
        victims, place = VICTIMS[number % len(VICTIMS)], folder / f"kill-{number}"
        if sleep_seconds is None:
            what, trouble = f"{victims} killed", kill_and_resume(arguments, place, chance, victims, reference)
        else:
            what, trouble = f"asleep for {sleep_seconds:g} s", sleep(arguments, place, chance, sleep_seconds, reference)
        failures += trouble is not None
        print(f"{job} {number}/{kills}, {what}: {trouble or 'as it should be'}", flush=True)
    print(f"{job}: {kills - failures} of {kills} as the run that nobody killed", flush=True)
    return failures


def uninterrupted(arguments: list[str], folder: Path) -> Reference:
    """Run without harm, twice: the first time may compile, and both have to end the same."""
    found = []
    for number in (1, 2):
        state = folder / f"reference-{number}.state"
        process = start([*arguments, "--state", str(state)], folder)
        process.stderr.readline()
        begun = time.monotonic()
        document = json.loads(process.communicate()[0])
        seconds = time.monotonic() - begun
        found.append(Reference(document["factors_sha256"], pulse_counts(state), seconds, quality(document)))
    if found[0].factors_sha256 != found[1].factors_sha256:
        sys.exit("two runs that nobody killed end differently")
    return found[1]


def kill_and_resume(
    arguments: list[str], folder: Path, chance: random.Random, victims: str, reference: Reference
) -> str | None:
    """Kill one run after a random time, and once more while it is being resumed, one time in four; what was wrong with
    its end, None where nothing was."""
    folder.mkdir()
    state = folder / "board.state"
    process = start([*arguments, "--state", str(state)], folder)
    first_line = process.stderr.readline()
    if "journal " not in first_line:
        return f"began with {first_line!r}"
    journal = folder / first_line.split("journal ")[1].strip()
    kill_after(process, chance, reference.seconds, victims)
    if chance.random() < 0.25:
        again = start(["logs", "resume", str(journal), "--json"], folder)
        again.stderr.readline()
        kill_after(again, chance, reference.seconds, victims)
    if journal.with_suffix(".h5").exists():
        return same_pulses(state, reference)    # it was killed after its end
    resumed = start(["logs", "resume", str(journal), "--json"], folder)
    told, said = resumed.communicate()
    if resumed.returncode:
        return f"resume ended with {resumed.returncode}: {said.strip()}"
    document = json.loads(told)
    if document["factors_sha256"] != reference.factors_sha256:
        return f"other factors, {document['factors_sha256'][:12]}: {said.strip()}"
    return same_pulses(state, reference)


def sleep(
    arguments: list[str], folder: Path, chance: random.Random, seconds: float, reference: Reference
) -> str | None:
    """Stop one controller for so long after a random time; what was wrong with its end, None where nothing was."""
    folder.mkdir()
    process = start([*arguments, "--state", str(folder / "board.state")], folder)
    journal = folder / process.stderr.readline().split("journal ")[1].strip()
    time.sleep(chance.uniform(0.0, reference.seconds))
    process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    process.send_signal(signal.SIGCONT)
    told, said = process.communicate()
    if process.returncode:
        if "hwloop logs resume" not in said:
            return f"ended with {process.returncode} and no way on: {said.strip()}"
        resumed = start(["logs", "resume", str(journal), "--json"], folder)
        told, said = resumed.communicate()
        if resumed.returncode:
            return f"resume ended with {resumed.returncode}: {said.strip()}"
    found = quality(json.loads(told))
    # Cells that were read back, or written again, are as good and not the same.
    return None if abs(found / reference.quality - 1) < 0.02 else f"quality {found:.4g} for {reference.quality:.4g}"


def quality(document: dict) -> float:
    """The figure of merit of a job's document."""
    return document["psnr_db"] if "psnr_db" in document else document["rmse"]


def pulse_counts(state: Path) -> np.ndarray:
    """Pulses that each cell of a board at rest ever got."""
    return read_state(state).pulse_counts()


def same_pulses(state: Path, reference: Reference) -> str | None:
    """None where the board gave every cell as many pulses as it should have."""
    differing = int(np.count_nonzero(pulse_counts(state) != reference.pulses))
    return f"{differing} cells with another number of pulses" if differing else None


def start(arguments: list[str], folder: Path) -> subprocess.Popen:
    """hwloop in `folder`."""
    return subprocess.Popen(
        [sys.executable, "-m", "hwloop", *arguments, "--no-progress"], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )


def kill_after(process: subprocess.Popen, chance: random.Random, most_seconds: float, victims: str) -> None:
    """SIGKILL after a random time, where it still runs then, and wait until it has ended."""
    try:
        process.wait(chance.uniform(0.0, most_seconds))
        return
    except subprocess.TimeoutExpired:
        pass
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    chosen = [process.pid] if victims != "board" else []
    chosen += map(int, children) if victims != "controller" else []
    chance.shuffle(chosen)
    for victim in chosen:
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.communicate()


def image_crop(folder: Path) -> list[str]:
    """A 32x32 colour crop of the default photograph."""
    from hwloop.apps.image import load_photograph

    path = folder / "crop.png"
    pixels = load_photograph().pixels[64:96, 96:128]
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(path)
    return ["factorize", "image", str(path), "--json"]


def ratings_small(folder: Path) -> list[str]:
    """120 users, 80 items, 2,400 ratings of rank-3 taste."""
    random_numbers = np.random.default_rng(7)
    taste = random_numbers.random((120, 3)) @ random_numbers.random((3, 80))
    chosen = random_numbers.choice(120 * 80, 2400, replace=False)
    users, items = np.divmod(chosen, 80)
    stars = np.clip(np.rint(1 + 4 * taste[users, items] / taste.max()), 1, 5).astype(int)
    path = folder / "ratings.csv"
    lines = [f"{user + 1},{item + 1},{star}" for user, item, star in zip(users, items, stars, strict=True)]
    path.write_text("\n".join(["user,item,rating", *lines, ""]))
    return ["factorize", "ratings", str(path), "--fold", "1", "--rank", "4", "--iterations", "3", "--json"]


VICTIMS = ("controller", "controller and board", "board")
JOBS = {
    "image": lambda folder: ["factorize", "image", "--json"], "image-crop": image_crop, "ratings-small": ratings_small,
}

if __name__ == "__main__":
    sys.exit(main())
