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
class Plan:
    """Work of a run before anything is driven; counts are without faults, pulses and time are estimates."""

    what: str
    half_steps: int
    rounds: int
    cells: int
    solves: int
    estimated_pulses: int
    goal_missed: None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {"dry_run": True, **{name: getattr(self, name) for name in self.__dataclass_fields__ if name != "goal_missed"}}

    def text(self) -> str:
        """For people."""
        return (
            f"dry run    {self.what}\n"
            f"plan       {self.half_steps} half-steps, {self.rounds:,} programming rounds, {self.cells:,} cells to verify, about "
            f"{self.estimated_pulses:,} cell pulses, {self.solves:,} solves; nothing was opened or driven"
        )


def plan_dense(settings: RunSettings, matrices: int, m: int, n: int, rank: int, iterations: int) -> Plan:
    """Plan of ANLS on `matrices` independent m×n matrices. Raises UsageError for a rank that does not fit."""
    geometry = BOARDS[settings.rig.board.name]
    check_fit(m, rank, geometry.rows, geometry.columns)
    rounds = cells = 0
    for rows in (m, n):
        banks = max(geometry.rows // rows, 1) * (geometry.columns // rank)
        rounds += math.ceil(matrices / banks) * max(1, math.ceil(rows / geometry.rows)) * iterations
        cells += 2 * matrices * rows * rank * iterations
    return Plan(
        f"{matrices:,} matrices of {m}x{n}, rank {rank}, {iterations} iterations, on {geometry.name}", 2 * iterations, rounds, cells,
        matrices * (m + n) * iterations, round(cells * PULSES_A_CELL),
    )


def plan_masked(settings: RunSettings, m: int, n: int, rank: int, iterations: int) -> Plan:
    """Plan of masked ANLS on one m×n matrix. Raises UsageError for a rank that does not fit."""
    geometry = BOARDS[settings.rig.board.name]
    check_fit(max(m, n), rank, geometry.rows, geometry.columns)
    tiles = math.ceil(m / geometry.rows) + math.ceil(n / geometry.rows)
    cells = 2 * rank * (m + n) * iterations
    return Plan(
        f"one {m}x{n} matrix of observed entries, rank {rank}, {iterations} iterations, on {geometry.name}", 2 * iterations,
        tiles * iterations, cells, (m + n) * iterations, round(cells * PULSES_A_CELL),
    )
