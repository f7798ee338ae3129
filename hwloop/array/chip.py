"""The chip in the board's socket as a session knows it: last readings, bad cells, what its cells taught."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from hwloop import plugins
from hwloop.array.cellmap import CellMap
from hwloop.array.mapping import ConductanceRange
from hwloop.array.program import adaptive, igvva, ispva
from hwloop.array.program.common import Outcome, ProgramResult, Verify
from hwloop.array.program.curves import GateCurve
from hwloop.drivers.cells import CellPulses, CellReads
from hwloop.link.protocol import TiaRange

# A cell that moves but misses its target this often, and in this share of all rounds, is not used any more.
FAILURES_UNTIL_BAD, FAILING_SHARE = 3, 0.2
# A cell that does not respond and stands this many tolerances from its target is dead.
FAR_TOLERANCES = 4.0
# A cell that was given up but stands within this many tolerances costs less than the bank that it would take out.
GIVEN_UP_TOLERANCES = 2.0
_DEAD = {Outcome.NO_RESPONSE: "no response", Outcome.STUCK_HIGH: "stuck high", Outcome.UNFORMED: "unformed"}


class BoardPort(Protocol):
    """What a chip needs of a board."""

    rows: int
    columns: int

    def pulse_and_read(
        self, pulses: CellPulses | None, read_cells: np.ndarray | None, averages: int, sub_averages: int,
        spread_siemens: float, tia_range: int = TiaRange.COARSE,
    ) -> CellReads | None: ...


@dataclass(frozen=True)
class ProgramSettings:
    """How conductances are written: strategy, acceptance (`tolerance` is a fraction of the range), reading, patience.

    A tolerance far below what real cells overshoot by is for cells that land where they are aimed.
    """

    strategy: str = "adaptive"
    tolerance: float = 0.02
    averages: int = 1
    max_steps: int = 16
    range: ConductanceRange = ConductanceRange(3e-6, 225e-6)
    hrs_accept_siemens: float = 5e-6
    gate_curve: GateCurve = GateCurve()

    @staticmethod
    def ideal(tolerance: float = 5e-4) -> ProgramSettings:
        """For cells without any error, on a rig whose zero is 0 S."""
        return ProgramSettings(tolerance=tolerance, range=ConductanceRange(0.0, 225e-6), hrs_accept_siemens=0.05e-6)

    @property
    def tolerance_siemens(self) -> float:
        """How far from its target a cell may be."""
        return self.tolerance * self.range.span_siemens

    def verify(self) -> Verify:
        """The acceptance window in siemens; spread and guard shrink with a narrow one."""
        eighth = self.tolerance_siemens / 8
        return Verify(
            tolerance_siemens=self.tolerance_siemens,
            spread_siemens=min(0.5e-6, eighth),
            guard_siemens=min(0.5e-6, eighth),
            hrs_target_siemens=self.range.minimum_siemens,
            hrs_accept_siemens=max(self.hrs_accept_siemens, self.range.minimum_siemens + eighth),
            averages=self.averages,
        )


Programmer = Callable[[BoardPort, np.ndarray, np.ndarray], ProgramResult]


def new_programmer(size: int, settings: ProgramSettings) -> Programmer:
    """The write-verify strategy that `settings` name, for the `size` cells of one chip: what it learns, it keeps."""
    verify = settings.verify()
    match settings.strategy:
        case "adaptive":
            own = adaptive.settings_for(verify, settings.max_steps, settings.gate_curve)
            return partial(adaptive.program, settings=own, model=adaptive.new_model(size, own))
        case "ispva":
            return partial(ispva.program, settings=ispva.IspvaSettings(verify, settings.gate_curve))
        case "igvva":
            return partial(igvva.program, settings=igvva.IgvvaSettings(verify=verify))
    return plugins.load(plugins.PROGRAMMERS, settings.strategy)(size, settings)


@dataclass
class ProgramTotals:
    """What programming cost since the session began."""

    rounds: int = 0
    steps: int = 0
    cells_written: int = 0
    cells_given_up: int = 0


@dataclass(frozen=True)
class RestoredCells:
    """Cells that were verified after a pause, how many had drifted out of their windows, and the pulses that took."""

    cells: int
    drifted: int
    cell_pulses: int


class Chip:
    """Both arrays of the chip: flat cell index (array × rows + row) × columns + column.

    `conductance_siemens` (2·R·C,) is the last reading of each cell, NaN where there was none.
    """

    def __init__(self, board: BoardPort, cell_map: CellMap, settings: ProgramSettings):
        self.board, self.map, self.settings = board, cell_map, settings
        self.rows, self.columns = board.rows, board.columns
        self.size = 2 * board.rows * board.columns
        self.conductance_siemens = np.full(self.size, np.nan)
        self._held_siemens = np.full(self.size, np.nan)     # targets of cells that were accepted and not written since
        self.totals = ProgramTotals()
        self.on_programmed: Callable[[ProgramResult], None] = lambda result: None
        self._failures, self._attempts = np.zeros(self.size, np.int64), np.zeros(self.size, np.int64)
        self._program = new_programmer(self.size, settings)

    def read(self, cells: np.ndarray, averages: int = 12) -> CellReads:
        """Read cells (n,), averaging `averages` samples, and remember what they read."""
        reads = self.board.pulse_and_read(None, cells, averages, 1, 1e-6)
        self.conductance_siemens[cells] = reads.conductance_siemens
        return reads

    def read_small(self, cells: np.ndarray, averages: int = 12) -> CellReads:
        """Read cells (n,) on the fine range, whose offsets are small enough to tell a pristine cell from one in HRS."""
        return self.board.pulse_and_read(None, cells, averages, 1, 1e-6, TiaRange.FINE)

    def read_unknown(self, rows: np.ndarray) -> None:
        """Read the cells of `rows` (of both arrays) that were never read: grounded neighbours load a row too."""
        cells = self.cells_of_rows(rows)
        unknown = cells[np.isnan(self.conductance_siemens[cells])]
        if len(unknown):
            self.read(unknown)

    def cells_of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Flat indices of every cell of `rows` (n,), both arrays."""
        first = np.concatenate([rows, rows + self.rows]) * self.columns
        return (first[:, None] + np.arange(self.columns)).ravel()

    def row_sums_siemens(self, rows: np.ndarray) -> np.ndarray:
        """(n,) sum of all conductances of a row, both arrays, as last read."""
        return self.conductance_siemens.reshape(2, self.rows, self.columns)[:, rows].sum(axis=(0, 2))

    def program(self, cells: np.ndarray, target_siemens: np.ndarray) -> ProgramResult:
        """Program and verify cells (n,); what does not respond goes on the map of bad cells.

        Raises LimitError for targets out of range and UnformedError on an unformed array, before a cell is worn out.
        """
        self._held_siemens[cells] = np.nan
        result = self._program(self.board, cells, target_siemens)
        self._held_siemens[cells[result.accepted]] = target_siemens[result.accepted]
        self.conductance_siemens[cells] = result.conductance_siemens
        self.totals = dataclasses.replace(
            self.totals, rounds=self.totals.rounds + 1, steps=self.totals.steps + result.steps,
            cells_written=self.totals.cells_written + result.cells_written,
            cells_given_up=self.totals.cells_given_up + int((~result.accepted).sum()),
        )
        self._note_failures(result)
        self.on_programmed(result)
        return result

    def program_near(self, cells: np.ndarray, target_siemens: np.ndarray) -> np.ndarray:
        """Program cells (…, k) and tell which groups of k (…) bool stand near their targets, verified or nearly so."""
        result = self.program(cells.ravel(), target_siemens.ravel())
        near = np.abs(result.error_siemens) <= GIVEN_UP_TOLERANCES * self.settings.tolerance_siemens
        return (result.accepted | near).reshape(cells.shape).all(axis=-1)

    def release(self, cells: np.ndarray) -> None:
        """Nobody goes by what `cells` (n,) were programmed to any more: `restore` leaves them as they are."""
        self._held_siemens[cells] = np.nan

    def restore(self) -> RestoredCells:
        """Verify every cell that holds an accepted target, and write those that drifted away: after a pause."""
        cells = np.flatnonzero(np.isfinite(self._held_siemens))
        if not len(cells):
            return RestoredCells(0, 0, 0)
        result = self.program(cells, self._held_siemens[cells])
        return RestoredCells(len(cells), result.cells_written, result.cell_pulses)

    def _note_failures(self, result: ProgramResult) -> None:
        """Dead cells go on the map at once; one that moves but misses its target, when it does so again and again."""
        far = np.abs(result.error_siemens) > FAR_TOLERANCES * self.settings.tolerance_siemens
        dead = np.isin(result.outcome, list(_DEAD)) & far
        for outcome, status in _DEAD.items():
            self.map.mark(result.cells[dead & (result.outcome == outcome)], status)
        failed = result.cells[~result.accepted & ~dead]
        self._attempts[result.cells] += 1
        self._failures[failed] += 1
        failures = self._failures[failed]
        bad = (failures >= FAILURES_UNTIL_BAD) & (failures >= FAILING_SHARE * self._attempts[failed])
        self.map.mark(failed[bad], "unstable")
