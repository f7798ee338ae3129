"""The image job on the firmware and on the Python board: the same factors bit for bit, and what it costs.

    python -m benchmarks.same_factors host       the default job whole, on the firmware compiled for this PC
    python -m benchmarks.same_factors emulated   a grey crop of 16 × 16, 2 iterations, on the emulated microcontroller

Ends with 1 where the factors differ; speeds are said, and never decide.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from hwloop.apps.image import load_photograph

CROP_PIXELS = 16
# Bars of the whole job on the host firmware.
WALL_RATIO, HOST_SHARE = 3.0, 0.2


def job(backend: str, arguments: list[str], folder: Path) -> dict:
    """The image job's JSON document."""
    command = [sys.executable, "-m", "hwloop", "--json", "--backend", backend, "factorize", "image", *arguments]
    done = subprocess.run([*command, "--run-file", str(folder / f"{backend}.h5")], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def crop(folder: Path) -> list[str]:
    """Arguments for a job small enough for the emulator: the middle of the default photograph, grey."""
    pixels = np.rint(load_photograph(None).pixels * 255).clip(0, 255).astype(np.uint8)
    top, left = (size // 2 for size in pixels.shape[:2])
    grey = Image.fromarray(pixels).convert("L").crop((left, top, left + CROP_PIXELS, top + CROP_PIXELS))
    grey.save(folder / "crop.png")
    return [str(folder / "crop.png"), "--iterations", "2"]


def main(backend: str) -> int:
    """Both jobs, compared."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arguments = crop(folder) if backend == "emulated" else []
        reference, found = job("mock", arguments, folder), job(backend, arguments, folder)
    same = reference["factors_sha256"] == found["factors_sha256"]
    ratio = found["wall_seconds"] / reference["wall_seconds"]
    share = found["host_seconds"] / found["hardware_seconds"]["total"]
    print(f"factors on mock     {reference['factors_sha256']}")
    print(f"factors on {backend:8} {found['factors_sha256']}: {'the same' if same else 'DIFFERENT'}")
    print(f"wall {found['wall_seconds']:.1f} s against {reference['wall_seconds']:.1f} s: ratio {ratio:.2f}")
    print(f"host side {found['host_seconds']:.2f} s, {share:.1%} of the modelled hardware time")
    if backend == "host":
        print(f"bars: ratio {WALL_RATIO:g}, host side {HOST_SHARE:.0%}")
    return 0 if same else 1


if __name__ == "__main__":
    if sys.argv[1:] not in (["host"], ["emulated"]):
        raise SystemExit(__doc__)
    sys.exit(main(sys.argv[1]))
