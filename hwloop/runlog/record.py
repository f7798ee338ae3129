"""What is kept of a run: small frozen records, filled by the program that ran it, journalled as the event "result"."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from hwloop import __version__
from hwloop.runlog.bodies import Event
from hwloop.runlog.digest import file_sha256
from hwloop.runlog.framing import Header, Kind, encode_record
from hwloop.runlog.journal import Journal

RESULT = "result"


def utc_now() -> str:
    """The time as ISO 8601 in UTC with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True)
class InputFile:
    """A file that the run read; `sha256` of its bytes. `path` is where it was, for the program that read it."""

    name: str
    sha256: str
    path: Path | None = field(default=None, compare=False)

    @classmethod
    def of(cls, path: Path | str) -> InputFile:
        return cls(Path(path).name, file_sha256(path), Path(path))


@dataclass(frozen=True)
class Quantity:
    """One named number with its unit ("1" when dimensionless)."""

    name: str
    value: float | int
    unit: str = "1"


@dataclass(frozen=True)
class Field:
    """One named array with its unit ("1" when dimensionless); a tuple of strings has no unit."""

    name: str
    values: np.ndarray | tuple[str, ...]
    unit: str = "1"
    description: str = ""


@dataclass(frozen=True)
class FactorPair:
    """One factorization: W (matrices, m, k) and H (matrices, k, n), or without the leading axis for a single matrix."""

    label: str
    w: np.ndarray
    h: np.ndarray


@dataclass(frozen=True)
class Convergence:
    """`quantity` after each iteration, analog and float64 reference: two float64 arrays of one length (iterations,)."""

    label: str
    quantity: str
    analog: np.ndarray
    reference: np.ndarray
    unit: str = "1"


@dataclass(frozen=True)
class ConductanceMaps:
    """Conductances at 0.2 V of both arrays as last read, each (rows, columns), NaN where never read."""

    a_siemens: np.ndarray
    b_siemens: np.ndarray


@dataclass(frozen=True)
class RunRecord:
    """Everything that one run leaves in its file. `factors` and `convergence` are in the order of the folds.

    `configuration`, `board` and `array` are plain nested mappings as they come from TOML and from the board.
    """

    kind: str
    seed: int
    configuration: Mapping[str, Any]
    inputs: tuple[InputFile, ...] = ()
    board: Mapping[str, Any] = field(default_factory=dict)
    array: Mapping[str, Any] = field(default_factory=dict)
    factors: tuple[FactorPair, ...] = ()
    convergence: tuple[Convergence, ...] = ()
    metrics: tuple[Quantity, ...] = ()
    counters: tuple[Quantity, ...] = ()
    conductance: ConductanceMaps | None = None
    fields: tuple[Field, ...] = ()
    created: str = field(default_factory=utc_now)
    code_version: str = __version__

    def to_event(self) -> Event:
        """The event "result" of a journal, which holds everything: numbers and texts as fields, arrays as arrays."""
        arrays: dict[str, np.ndarray] = {}

        def keep(name: str, values: np.ndarray) -> str:
            arrays[name] = np.asarray(values)
            return name

        fields = {name: getattr(self, name) for name in _PLAIN}
        fields["inputs"] = [{"name": source.name, "sha256": source.sha256} for source in self.inputs]
        for name in ("metrics", "counters"):
            fields[name] = [_quantity_fields(quantity) for quantity in getattr(self, name)]
        fields["factors"] = [
            {"label": pair.label, "w": keep(f"factors/{n}/w", pair.w), "h": keep(f"factors/{n}/h", pair.h)}
            for n, pair in enumerate(self.factors, start=1)
        ]
        fields["convergence"] = [
            vars(curve) | {
                "analog": keep(f"convergence/{n}/analog", curve.analog),
                "reference": keep(f"convergence/{n}/reference", curve.reference),
            }
            for n, curve in enumerate(self.convergence, start=1)
        ]
        maps = self.conductance
        fields["conductance"] = None if maps is None else {
            "a_siemens": keep("conductance/a_siemens", maps.a_siemens),
            "b_siemens": keep("conductance/b_siemens", maps.b_siemens),
        }
        fields["fields"] = [
            {"name": item.name, "unit": item.unit, "description": item.description} | (
                {"texts": list(item.values)} if isinstance(item.values, tuple)
                else {"values": keep(f"fields/{item.name}", item.values)}
            )
            for item in self.fields
        ]
        return Event(RESULT, fields, arrays)


def record_from_event(event: Event) -> RunRecord:
    """The record that `RunRecord.to_event` put into a journal."""
    fields, arrays = event.fields, event.arrays
    maps = fields["conductance"]
    return RunRecord(
        **{name: fields[name] for name in _PLAIN},
        inputs=tuple(InputFile(**source) for source in fields["inputs"]),
        factors=tuple(FactorPair(pair["label"], arrays[pair["w"]], arrays[pair["h"]]) for pair in fields["factors"]),
        convergence=tuple(
            Convergence(**curve | {name: arrays[curve[name]] for name in ("analog", "reference")})
            for curve in fields["convergence"]
        ),
        metrics=tuple(map(quantity_from_fields, fields["metrics"])),
        counters=tuple(map(quantity_from_fields, fields["counters"])),
        conductance=None if maps is None else ConductanceMaps(arrays[maps["a_siemens"]], arrays[maps["b_siemens"]]),
        fields=tuple(
            Field(
                item["name"], tuple(item["texts"]) if "texts" in item else arrays[item["values"]], item["unit"],
                item["description"],
            )
            for item in fields["fields"]
        ),
    )


def journal_of_record(record: RunRecord) -> Journal:
    """A journal, in memory, of nothing but a result; the same one from the same record."""
    result = record.to_event()
    begin = Event("run", {
        "kind": record.kind, "seed": record.seed, "created": record.created, "hwloop": record.code_version,
        **{name: record.configuration[name] for name in ("options", "rig") if name in record.configuration},
    })
    bodies = [begin.encode(), result.encode(), Event("end").encode()]
    created_ns = int(datetime.fromisoformat(record.created).timestamp() * 1e6) * 1000
    header = Header(hashlib.sha256(b"".join(bodies)).digest()[:16], created_ns)
    file = io.BytesIO(b"".join((
        header.encode(),
        *(encode_record(header, Kind.EVENT, number, created_ns, body) for number, body in enumerate(bodies)),
    )))
    return Journal(file, "a run's result")


_PLAIN = ("kind", "seed", "configuration", "board", "array", "created", "code_version")


def _quantity_fields(quantity: Quantity) -> dict[str, Any]:
    # Strict JSON has no inf and no nan; other readers of a journal would stumble.
    value = quantity.value
    is_plain = isinstance(value, int | np.integer) or np.isfinite(value)
    return {"name": quantity.name, "value": value if is_plain else repr(float(value)), "unit": quantity.unit}


def quantity_from_fields(fields: Mapping[str, Any]) -> Quantity:
    """A quantity as the event "result" has it."""
    value = fields["value"]
    return Quantity(fields["name"], float(value) if isinstance(value, str) else value, fields["unit"])
