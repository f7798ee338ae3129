"""Calibrations against what simulated boards hide: coverage of the stated intervals, error over sigma, widest interval.

    python benchmarks/calibration_truth.py FOLDER [--rig PATH] [--serial-number N]

FOLDER is one of `hwloop calibrate --folder`; the newest calibration of each kind counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from hwloop.calibration.store import Store

# Widest 95 % half-widths allowed: absolute, or a share of the value where it says so.
BARS = {
    "input_dac_gain": 300e-6, "amplitude_dac_gain": 300e-6, "gate_dac_gain": 300e-6, "output_adc_gain": 300e-6,
    "input_dac_offset_volts": 50e-6, "amplitude_dac_offset_volts": 50e-6, "gate_dac_offset_volts": 50e-6,
    "tia_fine_gain": 1e-3, "tia_coarse_gain": 1e-3, "amplifier_offset_volts": 2e-6,
}
SHARE_BARS = {"input_ohms": 1e-3}


def errors_of(store: Store, truth: dict[str, float]) -> dict[str, np.ndarray]:
    """By parameter without its index: (n, 3) error, stated 95 % half-width, value."""
    found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    seen = set()
    newest = sorted(store.all(), key=lambda kept: kept.calibration.taken, reverse=True)
    for kept in newest:
        calibration = kept.calibration
        if (calibration.kind, calibration.subject) in seen:
            continue
        seen.add((calibration.kind, calibration.subject))
        for parameter in calibration.parameters:
            for name, value, uncertainty in parameter.entries():
                found[parameter.name].append((value - truth[name], uncertainty, value))
    return {name: np.array(rows) for name, rows in found.items()}


def truth_of(arguments: list[str]) -> dict[str, float]:
    """Hidden parameters by name, as the command line tells them."""
    told = json.loads(subprocess.run(
        [sys.executable, "-m", "hwloop", "mock", "truth", "--json", *arguments], check=True, capture_output=True
    ).stdout)
    return {one["name"]: one["value"] for part in ("board", "array") for one in told[part]["parameters"]}


def main() -> None:
    """Print one line a parameter, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rig")
    parser.add_argument("--serial-number")
    options = parser.parse_args()
    passed = [part for name in ("rig", "serial_number") if (value := getattr(options, name))
              for part in (f"--{name.replace('_', '-')}", value)]
    report(errors_of(Store((options.folder,)), truth_of(passed)))


def report(errors: dict[str, np.ndarray]) -> bool:
    """Print, and tell whether every bar is met."""
    together, good = np.concatenate(list(errors.values())), True
    for name, rows in [*errors.items(), ("all", together)]:
        ratio = rows[:, 0] / (rows[:, 1] / 2)
        inside, rms, largest = np.mean(np.abs(ratio) <= 2), np.sqrt(np.mean(ratio**2)), np.abs(ratio).max()
        bar, widest = BARS.get(name), rows[:, 1].max()
        if name in SHARE_BARS:
            bar, widest = SHARE_BARS[name], (rows[:, 1] / np.abs(rows[:, 2])).max()
        told = "" if bar is None else f"  widest {widest:.2g} of {bar:.2g}"
        good &= (bar is None or widest <= bar) and (name != "all" or (inside >= 0.93 and 0.7 <= rms <= 1.3))
        print(f"{name:<28} {len(rows):6} inside {100 * inside:5.1f} %  rms {rms:5.2f}  largest {largest:5.2f}{told}")
    return good


if __name__ == "__main__":
    main()
