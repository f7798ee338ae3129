"""What is kept of a run: small frozen records, filled by the program that ran it and written by `run_file`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from hwloop import __version__
from hwloop.runlog.digest import file_sha256


def utc_now() -> str:
    """The time as ISO 8601 in UTC with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True)
class InputFile:
    """A file that the run read; `sha256` of its bytes."""

    name: str
    sha256: str

    @classmethod
    def of(cls, path: Path | str) -> InputFile:
        return cls(Path(path).name, file_sha256(path))


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
