"""What a run would do, for `--dry-run`: nothing is opened and nothing is driven."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hwloop.array.placement import check_fit
from hwloop.config import RunSettings
from hwloop.link.protocol import BOARDS

# Pulses that a cell with a new target takes on the default device (benchmarks/bench_program.py); for estimates only.
PULSES_A_CELL = 1.6


@dataclass(frozen=True)
class DryRun:
    """A command that was checked and not carried out: `what` it would have done."""

    what: str
    goal_missed: None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {"dry_run": True, "what": self.what}

    def text(self) -> str:
        """For people."""
        return f"dry run    would {self.what}; nothing was opened or driven"


@dataclass(frozen=True)
class Plan:
    """Work of a run before anything is driven; counts are without faults, pulses are an estimate."""

    what: str
    half_steps: int
    rounds: int
    cells: int
    solves: int
    estimated_pulses: int
    goal_missed: None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        fields = {name: value for name, value in vars(self).items() if name != "goal_missed"}
        return {"dry_run": True, **fields}

    def text(self) -> str:
        """For people."""
        return (
            f"dry run    {self.what}\n"
            f"plan       {self.half_steps:,} half-steps, {self.rounds:,} programming rounds, {self.cells:,} cells to "
            f"verify, about {self.estimated_pulses:,} cell pulses, {self.solves:,} solves\n"
            "           nothing was opened or driven"
        )


def check_simulated_fit(settings: RunSettings, m: int, rank: int) -> None:
    """Refuse, before a simulated board is started, a matrix of m rows and `rank` columns that does not fit it.

    A real board says itself how large it is, once it is opened.
    """
    if settings.rig.board.is_simulated:
        geometry = BOARDS[settings.rig.board.name]
        check_fit(m, rank, geometry.rows, geometry.columns)


def plan_solve(settings: RunSettings, m: int, n: int, rank: int) -> Plan:
    """Plan of n regressions on one m×rank matrix. Raises UsageError for a rank that does not fit."""
    geometry = BOARDS[settings.rig.board.name]
    check_fit(m, rank, geometry.rows, geometry.columns)
    cells = 2 * m * rank
    what = f"{_count(n, 'regression')} on one {m}x{rank} matrix, on {geometry.name}"
    return Plan(what, 1, math.ceil(m / geometry.rows), cells, n, round(cells * PULSES_A_CELL))


def plan_dense(settings: RunSettings, matrices: int, m: int, n: int, rank: int, iterations: int) -> Plan:
    """Plan of ANLS on `matrices` independent m×n matrices. Raises UsageError for a rank that does not fit."""
    geometry = BOARDS[settings.rig.board.name]
    check_fit(m, rank, geometry.rows, geometry.columns)
    rounds = cells = 0
    for rows in (m, n):
        banks = max(geometry.rows // rows, 1) * (geometry.columns // rank)
        rounds += math.ceil(matrices / banks) * math.ceil(rows / geometry.rows) * iterations
        cells += 2 * matrices * rows * rank * iterations
    what = (
        f"{_count(matrices, 'matrix')} of {m}x{n}, rank {rank}, {_count(iterations, 'iteration')}, on {geometry.name}"
    )
    return Plan(what, 2 * iterations, rounds, cells, matrices * (m + n) * iterations, round(cells * PULSES_A_CELL))


def plan_masked(settings: RunSettings, m: int, n: int, rank: int, iterations: int, folds: int = 1) -> Plan:
    """Plan of masked ANLS on `folds` m×n matrices. Raises UsageError for a rank that does not fit."""
    geometry = BOARDS[settings.rig.board.name]
    check_fit(max(m, n), rank, geometry.rows, geometry.columns)
    tiles = math.ceil(m / geometry.rows) + math.ceil(n / geometry.rows)
    repeats = folds * iterations
    cells = 2 * rank * (m + n) * repeats
    what = (
        f"{_count(folds, 'fold')} of {m}x{n} with the observed entries, rank {rank}, "
        f"{_count(iterations, 'iteration')}, on {geometry.name}"
    )
    return Plan(what, 2 * repeats, tiles * repeats, cells, (m + n) * repeats, round(cells * PULSES_A_CELL))


def _count(number: int, noun: str) -> str:
    plural = noun[:-1].replace("matri", "matrice") + "s" if noun.endswith("x") else noun + "s"
    return f"{number:,} {noun if number == 1 else plural}"
