"""Calibrations of a small board and its chip as a bench would have written them, for tests of what is kept and used."""

import dataclasses

import numpy as np

from hwloop.calibration.kinds import ARRAY, BOARD
from hwloop.calibration.record import Calibration, Instrument, Parameter, Residual, Subject, Versions

SMALL_BOARD = Subject(BOARD, "hwloop-16x4", 7)
CHIP = Subject(ARRAY, "16x4", 9)
WIRE_HASH, ANALOG_REVISION = 0xB9B6463D, 1
TAKEN, BENCH_SECONDS = "2026-03-04T05:06:07+00:00", 100.0


def parameter(name: str, unit: str, value: object, uncertainty_95: float = 1e-4, common_95: float = 0.0) -> Parameter:
    """One parameter whose numbers are all known equally well."""
    value = np.array(value, float)
    return Parameter(name, unit, value, np.full(value.shape, uncertainty_95), common_95)


def calibration(kind: str = "tia", *parameters: Parameter, **changed: object) -> Calibration:
    """A calibration of `kind` of the small board that holds; `changed` are fields that are to be otherwise."""
    made = Calibration(
        kind=kind, subject=SMALL_BOARD, taken=TAKEN, bench_seconds=BENCH_SECONDS, method="reference on every column",
        instruments=(Instrument("smu", "2450", "04312345"),), temperature_celsius=25.0, valid_days=365.0,
        valid_celsius=(15.0, 35.0), versions=Versions(65536, WIRE_HASH, ANALOG_REVISION, "0.1.0"),
        parameters=parameters or (parameter("read_volts", "V", 0.2004),), residual=Residual(1e-4, 1e-3, "A/A"),
        seconds=12.5,
    )
    return dataclasses.replace(made, **changed)
