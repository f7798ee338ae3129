"""The source-measure unit as procedures use it: voltmeter, ammeter at a level, source; and how far off it may be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from hwloop.drivers.instrument import Accuracy
from hwloop.drivers.smu.checks import require_within_limit
from hwloop.drivers.smu.settings import SmuSetting
from hwloop.drivers.smu.smu import Smu
from hwloop.errors import CalibrationError, OpenLeadError

NPLC = 1.0
LINE_HERTZ = 50.0               # a reading takes no longer elsewhere
_SETTLE_SECONDS = 3e-3          # several times what a range of 1 µA or more takes
_LARGEST_LIMIT_AMPS = 1e-3
_LIMIT_FACTOR = 2.0             # of the range: what it measures never meets the limit
_VOLTMETER_AMPS = 1e-6          # the range whose zero the voltmeter sources
READING_SECONDS = NPLC / LINE_HERTZ + _SETTLE_SECONDS + 1e-3
_AUTOZERO_PHASES = 3
_LEADS = "check the leads to the board's SMU port, the sense leads too"


@contextmanager
def voltmeter(smu: Smu, range_volts: float) -> Iterator[Smu]:
    """A source of 0 A that measures volts within ± `range_volts`."""
    with _switched_on(smu, SmuSetting(
        "amps", limit=_LIMIT_FACTOR * range_volts, source_range=_VOLTMETER_AMPS, measure_range=range_volts, nplc=NPLC,
        settle_delay_seconds=_SETTLE_SECONDS,
    )):  # fmt: skip
        yield smu


@contextmanager
def ohmmeter(smu: Smu, amps: float, range_volts: float) -> Iterator[Smu]:
    """A source of up to ± `amps` that measures volts within ± `range_volts`, by four wires."""
    with _switched_on(smu, SmuSetting(
        "amps", limit=_LIMIT_FACTOR * range_volts, source_range=amps, measure_range=range_volts, nplc=NPLC,
        four_wire=True, settle_delay_seconds=_SETTLE_SECONDS,
    )):  # fmt: skip
        yield smu


@contextmanager
def ammeter(
    smu: Smu, volts: float, range_amps: float, four_wire: bool = True, autozero: bool = True
) -> Iterator[Smu]:
    """A source of up to ± `volts` that measures amps within ± `range_amps`. Without `autozero` it is quicker, for
    differences of readings that follow one another."""
    with _switched_on(smu, SmuSetting(
        "volts", limit=range_amps, source_range=volts, measure_range=range_amps, nplc=NPLC, four_wire=four_wire,
        autozero=autozero, settle_delay_seconds=_SETTLE_SECONDS,
    )):  # fmt: skip
        yield smu


@contextmanager
def volt_source(smu: Smu, volts: float) -> Iterator[Smu]:
    """A source of up to ± `volts` into something that draws no current."""
    with _switched_on(smu, SmuSetting(
        "volts", limit=_LARGEST_LIMIT_AMPS, source_range=volts, nplc=NPLC, settle_delay_seconds=_SETTLE_SECONDS
    )):  # fmt: skip
        yield smu


@contextmanager
def _switched_on(smu: Smu, setting: SmuSetting) -> Iterator[None]:
    """Output on for as long as this lasts; where it ends by an error, whoever holds the SMU switches it off."""
    smu.configure(setting)
    smu.output(True)
    yield
    smu.output(False)


def read_volts(smu: Smu, count: int) -> np.ndarray:
    """`count` readings of a current source. Raises OpenLeadError where its current finds no way, and CalibrationError
    beyond the measuring range."""
    readings = smu.measure(count)
    if readings.in_limit.any():
        raise OpenLeadError(
            smu.port.name, "measure", f"{readings.volts[0]:.4g} V, its limit: its current finds no way", _LEADS
        )
    return checked(readings.volts, f"volts that {smu.port.name} measures")


def read_amps(smu: Smu, count: int) -> np.ndarray:
    """`count` readings. Raises InLimitError, and CalibrationError beyond the measuring range."""
    readings = smu.measure(count)
    require_within_limit(smu.port.name, readings)
    return checked(readings.amps, f"amps that {smu.port.name} measures")


def require_current(smu: Smu, amps: np.ndarray, least_amps: float, what: str) -> None:
    """Raises OpenLeadError where one of `amps` through `what` is below what anything connected would let through."""
    least = np.abs(amps).min()
    if least < least_amps:
        why = f"{least:.3g} A through {what} where {least_amps:.3g} A or more are expected"
        raise OpenLeadError(smu.port.name, "measure", why, _LEADS)


def checked(values: np.ndarray, what: str) -> np.ndarray:
    """`values`, or CalibrationError where one is beyond the range of the meter."""
    if not np.isfinite(values).all():
        raise CalibrationError(
            f"{what}: {np.count_nonzero(~np.isfinite(values))} of {values.size} readings are beyond the range; check "
            "the wiring between the instrument and the board's port"
        )
    return values


def meter_errors_95(accuracies: Sequence[Accuracy], reading: np.ndarray, part: np.ndarray) -> np.ndarray:
    """By how much gain and offset of each range move points (p,) that read `reading`, (p, 2 × ranges), at the end of
    their 95 % interval; `part` (p,) says which of the ranges `accuracies` each point was read in."""
    columns = []
    for number, accuracy in enumerate(accuracies):
        inside = part == number
        columns += [accuracy.gain_fraction * reading * inside, accuracy.offset * inside]
    return np.stack(columns, axis=1)


def reading_seconds(count: int, autozero: bool = True) -> float:
    """How long so many readings take."""
    return count * (READING_SECONDS + (_AUTOZERO_PHASES - 1) * NPLC / LINE_HERTZ * autozero)
