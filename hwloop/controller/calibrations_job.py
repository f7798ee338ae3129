"""`calibrate list`, `show` and `compare`: the calibrations that are kept, one of them, and what changed between two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwloop.calibration.kinds import KINDS
from hwloop.calibration.record import Calibration, Parameter
from hwloop.calibration.store import Kept
from hwloop.config import RunSettings
from hwloop.controller.calibrations import store_of
from hwloop.errors import CalibrationError

MOST_SHOWN = 8      # values of a parameter that are shown one by one


@dataclass(frozen=True)
class CalibrationList:
    """What is kept, folder by folder, the newest of each kind first."""

    kept: tuple[Kept, ...]
    goal_missed: None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {"calibrations": [
            {"file": one.path, "kind": one.calibration.kind, "subject": str(one.calibration.subject),
             "taken": one.calibration.taken, "temperature_celsius": one.calibration.temperature_celsius,
             "valid_days": one.calibration.valid_days, "sha256": one.calibration.sha256}
            for one in self.kept
        ]}

    def text(self) -> str:
        """For people."""
        lines, subject = [], None
        for one in self.kept:
            calibration = one.calibration
            if calibration.subject != subject:
                subject = calibration.subject
                lines.append(f"{subject}, in {one.path.parent}")
            lines.append(
                f"  {calibration.kind:<16} {calibration.taken[:16].replace('T', ' ')}  "
                f"{calibration.temperature_celsius:.1f} C  {one.path.name}"
            )
        return "\n".join(lines) or "no calibrations are kept here; make them with `hwloop calibrate all`"


@dataclass(frozen=True)
class ShownCalibration:
    """One calibration."""

    kept: Kept
    goal_missed: None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        calibration = self.kept.calibration
        return {
            "file": self.kept.path, "kind": calibration.kind, "subject": vars(calibration.subject),
            "taken": calibration.taken, "method": calibration.method,
            "instruments": [vars(one) for one in calibration.instruments],
            "temperature_celsius": calibration.temperature_celsius, "valid_days": calibration.valid_days,
            "valid_celsius": calibration.valid_celsius, "versions": vars(calibration.versions),
            "residual": vars(calibration.residual), "sha256": calibration.sha256,
            "parameters": [
                {"name": name, "value": value, "unit": parameter.unit, "uncertainty_95": uncertainty}
                for parameter in calibration.parameters for name, value, uncertainty in parameter.entries()
            ],
        }

    def text(self) -> str:
        """For people."""
        calibration = self.kept.calibration
        low, high = calibration.valid_celsius
        instruments = ", ".join(f"{one.model} ({one.role}, serial {one.serial})" for one in calibration.instruments)
        lines = [
            f"{KINDS[calibration.kind].title} of {calibration.subject}",
            f"taken       {calibration.taken}, at {calibration.temperature_celsius:.2f} C; holds for "
            f"{calibration.valid_days:g} days, {low:.1f} to {high:.1f} C",
            f"method      {calibration.method}",
            f"instruments {instruments or 'none but the board'}",
            f"residual    {calibration.residual.value:.3g} of {calibration.residual.limit:.3g} "
            f"{calibration.residual.unit}",
            f"sha256      {calibration.sha256}",
        ]
        for parameter in calibration.parameters:
            lines += _parameter_lines(parameter)
        return "\n".join(lines)


@dataclass(frozen=True)
class Change:
    """How one parameter changed: largest change with its name, and largest over the two uncertainties together."""

    name: str
    unit: str
    largest: float
    where: str
    ratio: float


@dataclass(frozen=True)
class Comparison:
    """Two calibrations of one kind and subject."""

    before: Path
    after: Path
    days: float
    changes: tuple[Change, ...]
    goal_missed: None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "before": self.before, "after": self.after, "days": self.days,
            "drifted": any(change.ratio > 1 for change in self.changes),
            "parameters": [vars(change) for change in self.changes],
        }

    def text(self) -> str:
        """For people."""
        lines = [f"{self.days:.1f} days from {self.before} to {self.after}"]
        for change in self.changes:
            what = "drifted" if change.ratio > 1 else "within the uncertainties"
            lines.append(
                f"{change.name:<28} at most {change.largest:+.3g} {change.unit} ({change.where}), {change.ratio:.2f} "
                f"times the uncertainty of the difference: {what}"
            )
        return "\n".join(lines)


def list_calibrations(settings: RunSettings) -> CalibrationList:
    """Everything in the store. Raises CalibrationError where a file is damaged."""
    kept = sorted(
        store_of(settings.rig.calibration).all(), key=lambda one: one.calibration.taken, reverse=True
    )
    order = list(KINDS)
    kept.sort(key=lambda one: (str(one.path.parent), order.index(one.calibration.kind)))
    return CalibrationList(tuple(kept))


def show_calibration(settings: RunSettings, path: Path) -> ShownCalibration:
    """One file. Raises CalibrationError where it cannot be read."""
    return ShownCalibration(store_of(settings.rig.calibration).read(path))


def compare_calibrations(settings: RunSettings, before: Path, after: Path) -> Comparison:
    """What changed from one file to the other. Raises CalibrationError where they are not of one kind and subject."""
    store = store_of(settings.rig.calibration)
    first, second = (store.read(path).calibration for path in (before, after))
    for what in ("kind", "subject"):
        one, other = getattr(first, what), getattr(second, what)
        if one != other:
            raise CalibrationError(f"{before} is of {what} {one}, {after} of {other}; compare two of one {what}")
    changes = []
    later = {parameter.name: parameter for parameter in second.parameters}
    for parameter in first.parameters:
        if (other := later.get(parameter.name)) is not None and other.value.shape == parameter.value.shape:
            changes.append(_change(parameter, other))
    return Comparison(before, after, _days(first, second), tuple(changes))


def _change(before: Parameter, after: Parameter) -> Change:
    difference = after.value - before.value
    # What both have in common, such as one instrument's own error, is in each of them in full.
    uncertainty = np.hypot(before.uncertainty_95, after.uncertainty_95)
    ratio = np.abs(difference) / np.maximum(uncertainty, np.finfo(float).tiny)
    worst = np.unravel_index(int(np.argmax(np.abs(difference))), difference.shape)
    name = f"{before.name}[{','.join(map(str, worst))}]" if worst else before.name
    return Change(before.name, before.unit, float(difference[worst]), name, float(ratio.max()))


def _days(first: Calibration, second: Calibration) -> float:
    taken = (np.datetime64(one.taken.replace("+00:00", "")) for one in (first, second))
    one, other = taken
    return float((other - one) / np.timedelta64(1, "D"))


def _parameter_lines(parameter: Parameter) -> list[str]:
    if parameter.value.size <= MOST_SHOWN:
        return [
            f"  {name:<30} {value:.8g} {parameter.unit} +- {uncertainty:.2g}"
            for name, value, uncertainty in parameter.entries()
        ]
    value, spread = parameter.value, parameter.uncertainty_95
    return [
        f"  {parameter.name:<30} {value.size} values, {value.min():.6g} to {value.max():.6g} {parameter.unit}, "
        f"+- {spread.max():.2g} at most (--json: all)"
    ]
