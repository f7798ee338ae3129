"""The record of a run that has one of everything."""

import numpy as np

from hwloop.runlog.record import ConductanceMaps, Convergence, FactorPair, Field, InputFile, Quantity, RunRecord


def full_record(**changes):
    """An "image" run; keywords replace what it has."""
    rng = np.random.default_rng(0)
    told = {
        "kind": "image", "seed": 7,
        "configuration": {
            "options": {"rank": 2, "note": "µS"},
            "rig": {"name": "default", "board": {"name": "hwloop-16x4", "noise": True}, "none": None},
        },
        "inputs": (InputFile("photo.jpg", "ab" * 32),),
        "board": {"name": "hwloop-16x4", "serial": 1, "full_scale_volts": 2.5},
        "array": {"serial": 9, "levels_siemens": [3e-6, 50e-6], "bad_cells": {"5": "stuck high"}},
        "factors": tuple(
            FactorPair(f"fold {n}", rng.random((6, 8, 2)), rng.random((6, 2, 8))) for n in range(1, 12)
        ),
        "convergence": (
            Convergence("all patches", "relative residual", np.array([0.2, 0.1]), np.array([0.19, np.nan])),
            Convergence("all patches", "PSNR", np.array([30.0, 31.0]), np.array([30.0, 31.5]), "dB"),
        ),
        "metrics": (Quantity("psnr", 36.25, "dB"), Quantity("bound_db", float("inf"), "dB")),
        "counters": (Quantity("pulses", 12345), Quantity("wall_seconds", 1.5, "s")),
        "conductance": ConductanceMaps(np.full((16, 4), 5e-5), np.full((16, 4), np.nan)),
        "fields": (
            Field("titles", ("Amélie", "", "Das Boot")), Field("ticks", np.arange(3, dtype=np.uint64), "0.1 us"),
            Field("reconstruction", rng.random((8, 8, 3)).astype(np.float32), description="rebuilt picture, 0 to 1"),
        ),
        "created": "2026-03-04T05:06:07.000008+00:00",
    }
    return RunRecord(**told | changes)
