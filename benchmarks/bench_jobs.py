"""The two default jobs over seeds and chips, through the wire: quality, cost and speed, as README quotes them.

    python benchmarks/bench_jobs.py image   [--seeds 0-9] [--serials 1,2] [--rig default|ideal]
    python benchmarks/bench_jobs.py ratings FOLDER [--seeds 0-4] [--serials 1]

Every line is one run of the command line with --json; the last lines are means and worst cases.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

import numpy as np


def numbers(text: str) -> list[int]:
    """ "0-4" or "1,2" to a list."""
    first, dash, last = text.partition("-")
    return list(range(int(first), int(last) + 1)) if dash else [int(part) for part in text.split(",")]


def run(arguments: list[str], rig: str, seed: int, serial: int, folder: Path) -> dict:
    """One command's JSON document; results go to `folder` and are thrown away."""
    rig_file = folder / f"{rig}-{serial}.toml"
    packaged = (resources.files("hwloop") / "rigs" / f"{rig}.toml").read_text()
    rig_file.write_text(packaged.replace("[array]\nserial = 1", f"[array]\nserial = {serial}"))
    command = [sys.executable, "-m", "hwloop", *arguments, "--json", "--seed", str(seed), "--rig", str(rig_file)]
    command += ["--run-file", str(folder / f"{rig}-{seed}-{serial}.h5")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def cost(document: dict) -> str:
    """Host, hardware, wall and wire of one run."""
    hardware = document["hardware_seconds"]["total"]
    bytes_ratio = (document["bytes_sent"] + document["bytes_received"]) / document["payload_bytes"]
    return (
        f"host/hardware {document['host_seconds'] / hardware:.3f} "
        f"({document['host_seconds']:.1f} of {hardware:.1f} s), "
        f"bytes/payload {bytes_ratio:.3f}, wall {document['wall_seconds']:.1f} s, pulses {document['pulses']:,}"
    )


def image(options: argparse.Namespace, folder: Path) -> None:
    """PSNR on the circuit and in float64."""
    losses, reached = [], []
    for serial in options.serials:
        for seed in options.seeds:
            found = run(["factorize", "image"], options.rig, seed, serial, folder)
            reference = found["reference"]["psnr_db"]
            reached.append(found["psnr_db"])
            losses.append(reference - found["psnr_db"])
            figures = f"{found['psnr_db']:.3f} dB, float64 {reference:.3f}, loss {losses[-1]:+.3f}"
            print(f"{options.rig} serial {serial} seed {seed}: {figures}; {cost(found)}", flush=True)
    print(
        f"image, {options.rig}: lowest {min(reached):.3f} dB, mean {np.mean(reached):.3f} dB, "
        f"largest loss {max(losses):.3f} dB"
    )


def ratings(options: argparse.Namespace, folder: Path) -> None:
    """Five-fold RMSE on the circuit and in float64."""
    reached, references = [], []
    for serial in options.serials:
        for seed in options.seeds:
            found = run(["factorize", "ratings", str(options.folder)], options.rig, seed, serial, folder)
            reached.append(found["rmse"])
            references.append(found["reference"]["rmse"])
            figures = f"RMSE {reached[-1]:.4f}, float64 {references[-1]:.4f}"
            print(f"{options.rig} serial {serial} seed {seed}: {figures}; {cost(found)}", flush=True)
    differences = np.subtract(reached, references)
    print(
        f"ratings, {options.rig}: mean {np.mean(reached):.4f}, float64 {np.mean(references):.4f}, "
        f"mean difference {differences.mean():+.4f}, largest {differences.max():+.4f}"
    )


def main() -> None:
    """See the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job", choices=["image", "ratings"])
    parser.add_argument("folder", nargs="?", type=Path, help="MovieLens folder")
    parser.add_argument("--seeds", type=numbers, default=list(range(5)))
    parser.add_argument("--serials", type=numbers, default=[1])
    parser.add_argument("--rig", choices=["default", "ideal"], default="default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (image if options.job == "image" else ratings)(options, Path(folder))


if __name__ == "__main__":
    main()
