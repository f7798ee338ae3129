"""Which calibrations a run goes by: of every kind the newest one that holds, or a refusal that says what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from hwloop.calibration.constants import BoardConstants
from hwloop.calibration.kinds import KINDS, needed_kinds
from hwloop.calibration.record import Calibration, Subject, from_toml
from hwloop.calibration.store import Store
from hwloop.errors import CalibrationError
from hwloop.link.protocol import DescribeReply


@dataclass(frozen=True)
class Conditions:
    """What a calibration has to hold for: `now` in UTC; `bench_seconds` of a simulated board, whose calibrations age by
    its own clock, None for a real one; wire hash and analog revision of the board as it is now."""

    now: datetime
    bench_seconds: float | None
    temperature_celsius: float
    wire_hash: int
    analog_revision: int


@dataclass(frozen=True)
class Used:
    """One calibration in use: the file's name and text, and what speaks against it, "" where nothing does."""

    name: str
    text: str
    calibration: Calibration
    stale: str = ""


@dataclass(frozen=True)
class InUse:
    """The calibrations that a run goes by; `nominal` names kinds for which the board is taken at its word instead, and
    `reason` says why."""

    used: tuple[Used, ...]
    nominal: tuple[str, ...] = ()
    reason: str = ""

    def values(self) -> dict[str, np.ndarray]:
        """All values by parameter name."""
        return {name: value for each in self.used for name, value in each.calibration.values().items()}

    def constants(self, describe: DescribeReply) -> BoardConstants:
        """What the board's codes mean."""
        return BoardConstants.nominal(describe).calibrated(self.values())

    def warnings(self) -> Iterator[str]:
        """What people should know: one line each."""
        for each in self.used:
            if each.stale:
                yield f"calibration {each.name} is used although {each.stale}"
        if self.nominal and self.reason:
            yield f"taken as nominal: {', '.join(self.nominal)} ({self.reason})"

    def told(self) -> dict[str, Any]:
        """What a journal keeps beside the files themselves."""
        return {
            "files": [
                {"name": each.name, "kind": each.calibration.kind, "sha256": each.calibration.sha256,
                 "taken": each.calibration.taken, "stale": each.stale}
                for each in self.used
            ],
            "nominal": list(self.nominal), "reason": self.reason,
        }

    def texts(self) -> dict[str, np.ndarray]:
        """The files as they are, uint8 arrays by their numbers in `told`."""
        return {f"file_{number}": np.frombuffer(each.text.encode(), np.uint8) for number, each in enumerate(self.used)}

    @classmethod
    def recorded(cls, told: Mapping[str, Any], texts: Mapping[str, np.ndarray]) -> InUse:
        """What `told` and `texts` gave. Raises CalibrationError where a file is damaged."""
        used = []
        for number, each in enumerate(told["files"]):
            text = texts[f"file_{number}"].tobytes().decode("utf-8")
            used.append(Used(each["name"], text, from_toml(text, each["name"]), each["stale"]))
        return cls(tuple(used), tuple(told["nominal"]), told["reason"])


def nothing_in_use(subjects: Sequence[str], reason: str) -> InUse:
    """A run that takes boards or arrays (`subjects`) at their word."""
    return InUse((), tuple(kind for subject in subjects for kind in needed_kinds(subject)), reason)


def choose(store: Store, subjects: Sequence[Subject], conditions: Conditions, allow_stale: bool) -> InUse:
    """The newest calibration that holds, of every kind of every subject.

    Raises CalibrationError naming all kinds that are needed and missing or do not hold, unless `allow_stale`: then the
    newest is used though it does not hold, and where there is none the nominal constants are.
    """
    used: list[Used] = []
    nominal, refusals = [], []
    for subject in subjects:
        for kind in KINDS.values():
            if kind.subject != subject.kind:
                continue
            kept = store.of(subject, kind.name)
            objections = [(each, objection(each.calibration, conditions)) for each in kept]
            good = next((each for each, against in objections if not against), None)
            if good is not None:
                used.append(Used(good.path.name, good.text, good.calibration))
            elif kept and allow_stale:
                newest, against = objections[0]
                used.append(Used(newest.path.name, newest.text, newest.calibration, against))
            elif kind.needed and allow_stale:
                nominal.append(kind.name)
            elif kind.needed:
                refusals.append(f"{kind.name} ({objections[0][1] if objections else 'none'})")
        if refusals:
            which = "all" if len(refusals) > 1 else refusals[0].partition(" ")[0]
            raise CalibrationError(
                f"{subject} has no calibration that holds of: {'; '.join(refusals)}; run `hwloop calibrate {which}`, "
                "or go on with --allow-stale, which is recorded"
            )
    return InUse(tuple(used), tuple(nominal), "--allow-stale, and there is none" if nominal else "")


def objection(calibration: Calibration, conditions: Conditions) -> str:
    """Why a calibration does not hold now, "" where it does."""
    versions = calibration.versions
    if versions.wire_hash != conditions.wire_hash:
        return f"it was taken with other firmware (wire table {versions.wire_hash:08x}, now {conditions.wire_hash:08x})"
    if versions.analog_revision != conditions.analog_revision:
        return f"it was taken with analog revision {versions.analog_revision}, now {conditions.analog_revision}"
    low, high = calibration.valid_celsius
    if not low <= conditions.temperature_celsius <= high:
        return f"it holds from {low:g} to {high:g} C, and it is {conditions.temperature_celsius:.1f} C"
    if not calibration.residual.holds:
        return "its residual is beyond its limit"
    age_days = age(calibration, conditions) / timedelta(days=1)
    if age_days > calibration.valid_days:
        return f"it is {age_days:.0f} days old and holds for {calibration.valid_days:g}"
    return ""


def age(calibration: Calibration, conditions: Conditions) -> timedelta:
    """Time since it was taken: by the board's own clock where that is what counts, and never less than none."""
    if conditions.bench_seconds is not None:
        return timedelta(seconds=max(conditions.bench_seconds - calibration.bench_seconds, 0.0))
    taken = datetime.fromisoformat(calibration.taken)
    return max((conditions.now if conditions.now.tzinfo else conditions.now.replace(tzinfo=UTC)) - taken, timedelta())
