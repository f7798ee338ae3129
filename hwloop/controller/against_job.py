"""`replay A --against B`: where two recorded runs part, and how far apart they end."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwloop.controller.recorded_run import RecordedRun, changed, flat, read_recorded_run
from hwloop.controller.source import versions
from hwloop.errors import RunsDifferError
from hwloop.runlog.differing import Difference, replies_differ, requests_differ
from hwloop.runlog.journal import Journal
from hwloop.runlog.record import RunRecord, record_from_event
from hwloop.runlog.recorded import Recording
from hwloop.runlog.sources import find_journal


@dataclass(frozen=True)
class Parting:
    """The first exchange that is not the same: a request, a reply, or the end of one recording."""

    exchange: int
    kind: str
    place: str
    difference: Difference | None

    def document(self) -> dict[str, Any]:
        """Its part of the JSON document."""
        a, b = self.difference.window() if self.difference else ([], [])
        return {"exchange": self.exchange, "kind": self.kind, "place": self.place, "a": a, "b": b}


@dataclass(frozen=True)
class Comparison:
    """Two runs, side by side. `factors`: (label, relative distance) a pair; the mappings have what is not equal."""

    names: tuple[str, str]
    exchanges: int
    parting: Parting | None
    factors: tuple[tuple[str, float], ...]
    metrics: dict[str, tuple[Any, Any]]
    configuration: dict[str, tuple[Any, Any]]
    made_with: dict[str, tuple[Any, Any]]
    goal_missed: None = None

    @property
    def same(self) -> bool:
        """Equal exchange by exchange, and equal factors."""
        return self.parting is None and all(distance == 0.0 for _, distance in self.factors)

    def raise_if_different(self) -> None:
        """Raises RunsDifferError where they are not the same."""
        if not self.same:
            where = f"at exchange {self.parting.exchange}" if self.parting else "in their factors"
            raise RunsDifferError(f"{self.names[0]} and {self.names[1]} part {where}")

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        sides = {"metrics": self.metrics, "configuration": self.configuration, "versions": self.made_with}
        return {
            "same": self.same, "exchanges": self.exchanges,
            "first_divergence": self.parting and self.parting.document(),
            "factors": [{"label": label, "relative_difference": distance} for label, distance in self.factors],
            **{name: {key: {"a": a, "b": b} for key, (a, b) in side.items()} for name, side in sides.items()},
        }

    def text(self) -> str:
        """For people."""
        lines = [f"{'a':<10} {self.names[0]}", f"{'b':<10} {self.names[1]}"]
        if self.parting is None:
            lines.append(f"exchanges  {self.exchanges:,}, all the same")
        else:
            lines.append(f"part       at exchange {self.parting.exchange}{self.parting.place}, {self.parting.kind}")
            lines += self.parting.difference.lines("a", "b") if self.parting.difference else []
        for label, distance in self.factors:
            lines.append(f"factors    {label}: {distance:.3g} of the first apart")
        for title, side in (
            ("figure", self.metrics), ("setting", self.configuration), ("made with", self.made_with),
        ):
            lines += [f"{title:<10} {name}: {_short(a)} and {_short(b)}" for name, (a, b) in side.items()]
        return "\n".join(lines)


def _short(value: Any) -> str:
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def compare_runs(run: str | os.PathLike, other: str | os.PathLike) -> Comparison:
    """Two runs, each a run file, a journal or a name. Raises DataError where one cannot be read."""
    with find_journal(run) as path, find_journal(other) as other_path:
        sides = read_recorded_run(path), read_recorded_run(other_path)
        with Journal.open(path) as journal, Journal.open(other_path) as other_journal:
            count, parting = _parting(Recording(journal), Recording(other_journal))
    results = [record_from_event(side.result) if side.result else None for side in sides]
    return Comparison(
        (sides[0].name, sides[1].name), count, parting, _factors(*results),
        changed(*(_figures(result) for result in results)), changed(*map(_configuration, sides)),
        changed(*({name: side.begin.fields.get(name) for name in versions()} for side in sides)),
    )


def _parting(left: Recording, right: Recording) -> tuple[int, Parting | None]:
    count = 0
    while True:
        one, other = left.next(), right.next()
        if one is None and other is None:
            return count, None
        place = str(left.place)
        place = f" ({place})" if place else ""
        if one is None or other is None:
            return count, Parting((one or other).number, f"{'a' if one is None else 'b'} ends", place, None)
        if found := requests_differ(one.frames, other.frames, left.scales):
            return count, Parting(one.number, "request", place, found)
        if found := replies_differ(one.frames, one.replies, other.replies, left.scales):
            return count, Parting(one.number, "reply", place, found)
        count += 1


def _factors(one: RunRecord | None, other: RunRecord | None) -> tuple[tuple[str, float], ...]:
    if one is None or other is None:
        return ()
    found = []
    for a, b in zip(one.factors, other.factors, strict=False):
        for name in ("w", "h"):
            left, right = getattr(a, name), getattr(b, name)
            distance = np.inf
            if left.shape == right.shape:
                distance = float(np.linalg.norm(left - right) / (np.linalg.norm(left) or 1.0))
            found.append((f"{a.label}, {name.upper()}", distance))
    return tuple(found)


def _figures(result: RunRecord | None) -> dict[str, Any]:
    # Seconds of this or that machine are no figures of a run.
    counters = [counter for counter in result.counters if not counter.name.endswith("_seconds")] if result else []
    return {quantity.name: quantity.value for quantity in (*(result.metrics if result else ()), *counters)}


def _configuration(side: RecordedRun) -> dict[str, Any]:
    fields = side.begin.fields
    return flat({"kind": fields["kind"], "seed": fields["seed"], "options": fields["options"], "rig": fields["rig"]})
