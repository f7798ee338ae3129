"""The compact GINV circuit of one session: board, chip, settings, and solving until no solve is flagged any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hwloop.array.autozero import AutoZero
from hwloop.array.chip import Chip
from hwloop.array.placement import Banks, banks_of_faultless_chip, place_banks
from hwloop.array.settings import SolverSettings, SolverTotals
from hwloop.drivers.board import Board, SolveGroup
from hwloop.errors import GoalNotReachedError

LONGEST_WAIT_SECONDS = 6e-3     # the board counts up to 6.55 ms


@dataclass(frozen=True)
class Solves:
    """Solves that are due (n,), those that share a bank's settings one after the other: of which `problem`, in which
    `section` (ascending from 0), at inputs made smaller by `shrink`, after a wait; these two are alike in a section."""

    problem: np.ndarray
    section: np.ndarray
    wait_seconds: np.ndarray
    shrink: np.ndarray

    @classmethod
    def of(cls, problem: np.ndarray, matrix: np.ndarray, wait_seconds: np.ndarray) -> Solves:
        """First solves of problems (n,), neighbours on the same `matrix` (n,) together."""
        return cls(problem, _runs(matrix), wait_seconds, np.ones(len(problem)))

    @property
    def first(self) -> np.ndarray:
        """The first solve of each section, (s,)."""
        return np.flatnonzero(np.diff(self.section, prepend=-1))

    @property
    def counts(self) -> np.ndarray:
        """How many solves each section has, (s,)."""
        return np.bincount(self.section)

    def again(self, saturated: np.ndarray, unsettled: np.ndarray) -> Solves:
        """The flagged ones once more: `saturated` (n,) at a quarter of their inputs, else after a longer wait."""
        chosen = np.flatnonzero(saturated | unsettled)
        smaller = saturated[chosen]
        order = np.lexsort((~smaller, self.section[chosen]))
        chosen, smaller = chosen[order], smaller[order]
        waited = self.wait_seconds[chosen]
        return Solves(
            self.problem[chosen], _runs(2 * self.section[chosen] + ~smaller),
            np.where(smaller, waited, np.minimum(3 * waited, LONGEST_WAIT_SECONDS)),
            np.where(smaller, self.shrink[chosen] / 4, self.shrink[chosen]),
        )


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
        """Largest bias current that every column can have."""
        return self.board.scales.bias_max_amps

    @property
    def gain_bandwidth_hertz(self) -> float:
        """Of the amplifiers."""
        return self.board.scales.gain_bandwidth_hertz

    def places(self, m: int, k: int) -> Banks:
        """Banks for m×k matrices as the chip's map stands; none where the chip cannot hold one."""
        usable = self.chip.map.usable()
        banks = place_banks(usable, m, k)
        self.totals.unused_cells = int(usable.sum()) - 2 * len(banks) * m * k
        self.totals.banks_available = len(banks)
        self.totals.banks_without_faults = banks_of_faultless_chip(self.chip.rows, self.chip.columns, m, k)
        return banks

    def solve_clean(
        self, solves: Solves, group: Callable[[Solves], SolveGroup], output_volts: np.ndarray
    ) -> None:
        """Put the outputs of `solves`, as they would be at inputs that were not made smaller, into `output_volts`
        (problems, k).

        Flagged solves are repeated, and only those. Raises GoalNotReachedError where that does not help.
        """
        if flagged := self.solve_what_settles(solves, group, output_volts):
            raise GoalNotReachedError(
                f"{flagged} regressions still saturate or do not settle after {self.settings.repeats} repeats; the "
                "programmed matrix is too close to rank-deficient: add ridge, or lower the rank"
            )

    def solve_what_settles(
        self, solves: Solves, group: Callable[[Solves], SolveGroup], output_volts: np.ndarray
    ) -> int:
        """As `solve_clean`; what stays flagged is left as it is. Returns how many solves that are.

        Saturated solves are repeated at a quarter of their inputs, unsettled ones after a longer wait.
        """
        for _ in range(self.settings.repeats + 1):
            if not len(solves.problem):
                break
            (answer,) = self.board.solve([group(solves)], self.settings.calibration)
            clean = ~(answer.saturated | answer.unsettled)
            output_volts[solves.problem[clean]] = answer.output_volts[clean] / solves.shrink[clean, None]
            self.totals.repeated_saturated += int(np.count_nonzero(answer.saturated))
            self.totals.repeated_unsettled += int(np.count_nonzero(answer.unsettled & ~answer.saturated))
            solves = solves.again(answer.saturated, answer.unsettled)
        return len(solves.problem)


def _runs(keys: np.ndarray) -> np.ndarray:
    """Number of the run of equal neighbours that each of `keys` (n,) is in, from 0."""
    return np.cumsum(np.diff(keys, prepend=keys[:1]) != 0)
