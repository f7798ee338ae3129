"""Make the recordings of tests/recordings anew, with hwloop's own commands; the old ones are replaced.

Usage: python scripts/record.py (`make recordings`; needs the firmware of `make firmware`)
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

TARGET = Path(__file__).resolve().parent.parent / "tests" / "recordings"
RIG = '[board]\nname = "hwloop-16x4"\n'
# Name: arguments, and what of the document has to come out again.
RECORDINGS = {
    "image": (["factorize", "image", "crop.png", "--patch", "8", "--iterations", "1"], "factors_sha256"),
    "matrix": (["factorize", "matrix", "matrix.csv", "--rank", "2", "--iterations", "2"], "factors_sha256"),
    "host-matrix": (
        ["factorize", "matrix", "matrix.csv", "--rank", "2", "--iterations", "2", "--backend", "host"],
        "factors_sha256",
    ),
    "solve": (["solve", "x.csv", "y.csv"], "residual"),
    "program": (["array", "program", "siemens.csv", "--unit", "uS"], "cell_pulses"),
    "form": (["array", "form", "--rows", "0:4", "--pristine", "--yes"], "formed"),
}


def main() -> None:
    """Run every command in a temporary folder, so that a recording knows nothing of this machine's paths."""
    expected = ["# What comes out of the recordings beside this file. Made by `make recordings`."]
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(Path(folder))
        for name, (arguments, key) in RECORDINGS.items():
            shutil.rmtree(Path(folder) / "runs", ignore_errors=True)
            done = subprocess.run(
                [sys.executable, "-m", "hwloop", *arguments, "--rig", "rig.toml", "--json"], cwd=folder,
                capture_output=True, text=True, env={**os.environ, "HWLOOP_CI": ""},
            )
            if done.returncode not in (0, 1):   # 1: stuck cells miss a goal, as they should
                sys.exit(f"{name}: {done.stderr}")
            (journal,) = (Path(folder) / "runs").glob("*.journal")
            shutil.copy(journal, TARGET / f"{name}.journal")
            value = json.dumps(json.loads(done.stdout)[key])
            expected += ["", f"[{name}]", f"{key} = {value}"]
        whole = (TARGET / "matrix.journal").read_bytes()
        (TARGET / "cut.journal").write_bytes(whole[: len(whole) * 4 // 5])
    (TARGET / "expected.toml").write_text("\n".join([*expected, ""]))


def write_inputs(folder: Path) -> None:
    """A rig, a photograph, matrices: small, and always the same."""
    rng = np.random.default_rng(0)
    (folder / "rig.toml").write_text(RIG)
    Image.fromarray((rng.random((16, 4)) @ rng.random((4, 16)) * 60).astype(np.uint8)).save(folder / "crop.png")
    np.savetxt(folder / "matrix.csv", rng.random((8, 2)) @ rng.random((2, 6)), "%.4f", ",")
    np.savetxt(folder / "x.csv", rng.random((8, 2)), "%.4f", ",")
    np.savetxt(folder / "y.csv", rng.random((8, 3)), "%.4f", ",")
    np.savetxt(folder / "siemens.csv", rng.uniform(5, 200, (16, 4)), "%.3f", ",")


if __name__ == "__main__":
    main()
