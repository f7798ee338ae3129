"""The compact GINV circuit of one session: board, chip, settings, and solving until no solve is flagged any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from hwloop.array.autozero import AutoZero
from hwloop.array.chip import Chip
from hwloop.array.placement import Banks, banks_of_faultless_chip, place_banks
from hwloop.array.settings import SolverSettings, SolverTotals
from hwloop.drivers.board import Board, SolveGroup
from hwloop.errors import GoalNotReachedError
from hwloop.link.protocol import LIMIT_BIAS_CODE

LONGEST_WAIT_SECONDS = 6e-3     # the board counts up to 6.55 ms


@dataclass(frozen=True)
class Job:
    """Solves that go to the board as one group: those of index `solves` (q,) of matrix `matrix`, at inputs made
    smaller by `shrink`, after a wait."""

    matrix: int
    solves: np.ndarray
    wait_seconds: float
    shrink: float = 1.0


@dataclass
class Circuit:
    """What every way of solving shares. `on_round(done, total)` is told of progress; `homes`: shape (m, k) of a matrix
    that had the chip for itself → where it was."""

    board: Board
    chip: Chip
    settings: SolverSettings
    on_round: Callable[[int, int], None] = lambda done, total: None
    totals: SolverTotals = field(default_factory=SolverTotals)
    homes: dict[tuple[int, int], Banks] = field(default_factory=dict)

    def __post_init__(self):
        self.auto_zero = AutoZero(self.chip.columns)

    @property
    def maximum_siemens(self) -> float:
        """Conductance of a matrix entry of 1."""
        return self.chip.settings.range.maximum_siemens

    @property
    def aim_volts(self) -> float:
        """Largest output aimed at."""
        return self.settings.output_fraction * self.board.scales.output_max_volts

    @property
    def bias_max_amps(self) -> float:
        """Largest bias current of a column."""
        return self.board.describe.bias_full_scale_nanoamps * 1e-9 * LIMIT_BIAS_CODE / 2048

    @property
    def gain_bandwidth_hertz(self) -> float:
        """Of the amplifiers."""
        return float(self.board.describe.gain_bandwidth_hertz)

    def places(self, m: int, k: int) -> Banks:
        """Banks for m×k matrices as the chip's map stands; none where the chip cannot hold one."""
        usable = self.chip.map.usable()
        banks = place_banks(usable, m, k)
        self.totals.unused_cells = int(usable.sum()) - 2 * len(banks) * m * k
        self.totals.banks_available = len(banks)
        self.totals.banks_without_faults = banks_of_faultless_chip(self.chip.rows, self.chip.columns, m, k)
        return banks

    def solve_clean(self, jobs: list[Job], group: Callable[[Job], SolveGroup]) -> list[tuple[Job, np.ndarray]]:
        """Every job with its outputs (q, k) in volts, as they would be at inputs that were not made smaller.

        Flagged solves are repeated, and only those. Raises GoalNotReachedError where that does not help.
        """
        done, flagged = self.solve_what_settles(jobs, group)
        if flagged:
            raise GoalNotReachedError(
                f"{flagged} regressions still saturate or do not settle after {self.settings.repeats} repeats; the "
                "programmed matrix is too close to rank-deficient: add ridge, or lower the rank"
            )
        return done

    def solve_what_settles(
        self, jobs: list[Job], group: Callable[[Job], SolveGroup]
    ) -> tuple[list[tuple[Job, np.ndarray]], int]:
        """As `solve_clean`, without what stays flagged, and how many solves that are.

        Saturated solves are repeated at a quarter of their inputs, unsettled ones after a longer wait.
        """
        done: list[tuple[Job, np.ndarray]] = []
        for _ in range(self.settings.repeats + 1):
            if not jobs:
                break
            answers = self.board.solve([group(job) for job in jobs])
            again: list[Job] = []
            for job, answer in zip(jobs, answers, strict=True):
                flagged = answer.saturated | answer.unsettled
                if not flagged.any():
                    done.append((job, answer.output_volts / job.shrink))
                    continue
                saturated, unsettled = answer.saturated, answer.unsettled & ~answer.saturated
                if not flagged.all():
                    clean = replace(job, solves=job.solves[~flagged])
                    done.append((clean, answer.output_volts[~flagged] / job.shrink))
                if saturated.any():
                    again.append(replace(job, solves=job.solves[saturated], shrink=job.shrink / 4))
                    self.totals.repeated_saturated += int(saturated.sum())
                if unsettled.any():
                    wait_seconds = min(3 * job.wait_seconds, LONGEST_WAIT_SECONDS)
                    again.append(replace(job, solves=job.solves[unsettled], wait_seconds=wait_seconds))
                    self.totals.repeated_unsettled += int(unsettled.sum())
            jobs = again
        return done, sum(len(job.solves) for job in jobs)


def nonzero(values: np.ndarray) -> np.ndarray | None:
    """What is zero throughout need not be sent."""
    return values if values.any() else None
