"""What every write-verify strategy shares: the acceptance window, the bookkeeping of a run, the result."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from hwloop.array.program.grouping import count_row_pulses
from hwloop.array.program.port import ProgrammingPort
from hwloop.drivers.cells import CellPulses, Polarity
from hwloop.errors import LimitError, UnformedError, UsageError

PULSE_SECONDS = 1e-6
SET_VOLTS = 1.2
RESET_GATE_VOLTS = 2.7
MAX_RESET_VOLTS = 2.1           # the transistor passes no more at a gate of 2.7 V
MAX_GATE_VOLTS = 2.98           # below the limit of 3 V, whose code may mean a little less on a real gate DAC
MAX_TARGET_SIEMENS = 230e-6     # the gate limit reaches 235 µS
PRISTINE_SIEMENS = 0.1e-6       # formed cells lie above, even fully RESET
_UNFORMED_MINIMUM_CELLS = 8     # fewer silent cells may just be stuck
# Plain numbers: an array compares with them several times as fast as with a member of an enumeration.
SET, RESET = int(Polarity.SET), int(Polarity.RESET)


class Outcome(IntEnum):
    """How a cell ended."""

    OPEN = -1
    ACCEPTED = 0
    NO_RESPONSE = 1
    NOT_CONVERGED = 2
    STUCK_HIGH = 3
    SATURATED = 4
    UNFORMED = 5


_OPEN = int(Outcome.OPEN)


@dataclass(frozen=True)
class Verify:
    """When a cell counts as programmed, and how it is read.

    A steady reading (all parts within ± `spread_siemens` of the mean) is accepted within `tolerance_siemens` minus the
    spread; after a pulse another `guard_siemens` is kept, so that a cell that drifts a little is not pulsed again in
    the next round. Targets up to `hrs_target_siemens` mean HRS: anything up to `hrs_accept_siemens` passes.
    """

    tolerance_siemens: float = 4.44e-6      # 2 % of the range
    spread_siemens: float = 0.5e-6
    guard_siemens: float = 0.5e-6
    hrs_target_siemens: float = 3e-6
    hrs_accept_siemens: float = 5e-6
    averages: int = 1
    sub_averages: int = 3

    @property
    def half_width_siemens(self) -> float:
        """Half of the window that a pulsed cell has to meet."""
        return self.tolerance_siemens - self.spread_siemens - self.guard_siemens

    def __post_init__(self):
        if not 0 < self.half_width_siemens:
            raise UsageError(
                f"tolerance {self.tolerance_siemens:g} S leaves no window beside the spread {self.spread_siemens:g} S "
                f"and the guard {self.guard_siemens:g} S; widen it or lower them"
            )


@dataclass(frozen=True)
class ProgramResult:
    """What programming did. Arrays are (n,) in the order of the cells asked for."""

    cells: np.ndarray
    target_siemens: np.ndarray
    outcome: np.ndarray                 # Outcome codes, int64
    pulses: np.ndarray                  # of each cell
    conductance_siemens: np.ndarray     # last reading
    steps: int                          # exchanges with pulses
    row_pulses: int
    row_reads: int

    @property
    def accepted(self) -> np.ndarray:
        """Cells that were verified, bool (n,)."""
        return self.outcome == Outcome.ACCEPTED

    @property
    def error_siemens(self) -> np.ndarray:
        """Last reading minus target, (n,)."""
        return self.conductance_siemens - self.target_siemens

    @property
    def cell_pulses(self) -> int:
        """Pulses of all cells together."""
        return int(self.pulses.sum())

    @property
    def cells_written(self) -> int:
        """Cells that got at least one pulse."""
        return int(np.count_nonzero(self.pulses))


class WriteVerify:
    """The bookkeeping of one programming run. Index arrays count within `cells`.

    Raises UsageError for cells that occur twice or do not match the targets, LimitError for targets out of range.
    """

    def __init__(self, port: ProgrammingPort, cells: np.ndarray, target_siemens: np.ndarray, verify: Verify):
        self.cells = np.ascontiguousarray(cells, np.int64)
        self.target_siemens = np.ascontiguousarray(target_siemens, np.float64)
        _check_targets(self.cells, self.target_siemens)
        self._port, self._verify = port, verify
        n = self.cells.size
        self.hrs = self.target_siemens <= verify.hrs_target_siemens
        self.outcome = np.full(n, Outcome.OPEN, np.int64)
        self.pulses, self._set_pulses = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.conductance_siemens = np.zeros(n)
        self.saturated = np.zeros(n, bool)
        self.moved = np.zeros(n, bool)          # ever seen to respond
        self.steps = self._row_pulses = self._row_reads = 0
        self.low_siemens, self.high_siemens = self._window(verify.half_width_siemens)
        if n:
            keep = verify.tolerance_siemens - verify.spread_siemens
            self._exchange(None, np.arange(n), *self._window(keep))

    @property
    def open(self) -> np.ndarray:
        """Indices of the cells that are not finished, (n_open,)."""
        return np.flatnonzero(self.outcome == _OPEN)

    def step(self, index: np.ndarray, polarity, amplitude_volts, gate_volts) -> None:
        """Pulse the cells of `index` (n,) once each (other arguments (n,) or scalars) and verify all open cells.

        An empty `index` reads once more: for cells that were inside their window but not steady.
        """
        pulses = CellPulses(
            self.cells[index], *(
                np.asarray(values) if np.ndim(values) else np.full(index.shape, values)
                for values in (np.asarray(polarity, np.int64), amplitude_volts, gate_volts, PULSE_SECONDS)
            )
        )
        self.pulses[index] += 1
        self._set_pulses[index] += pulses.polarity == SET
        self._row_pulses += count_row_pulses(pulses, self._port.columns)
        self.steps += 1
        self._exchange(pulses if index.size else None, self.open, self.low_siemens, self.high_siemens)

    def give_up(self, index: np.ndarray, outcome: Outcome) -> None:
        """End the cells of `index` (n,): saturated and pristine ones by their own name, the others as `outcome`."""
        if not index.size:
            return
        self.outcome[index] = outcome
        if outcome == Outcome.NO_RESPONSE:
            self.outcome[index[self.saturated[index]]] = Outcome.STUCK_HIGH
            self.outcome[index[self.conductance_siemens[index] < PRISTINE_SIEMENS]] = Outcome.UNFORMED
        else:
            self.outcome[index[self.saturated[index]]] = Outcome.SATURATED

    def finish(self) -> ProgramResult:
        """Give up what is still open, and the result. Raises UnformedError as `raise_if_unformed`."""
        self.raise_if_unformed()
        index = self.open
        self.give_up(index[self.moved[index]], Outcome.NOT_CONVERGED)
        self.give_up(index[~self.moved[index]], Outcome.NO_RESPONSE)
        return ProgramResult(
            self.cells, self.target_siemens, self.outcome, self.pulses, self.conductance_siemens, self.steps,
            self._row_pulses, self._row_reads,
        )

    def raise_if_unformed(self) -> None:
        """Raise UnformedError where most cells (at least eight) are pristine and have ignored two SET pulses."""
        silent = self.conductance_siemens < PRISTINE_SIEMENS
        if not silent.any():
            return
        silent &= (self._set_pulses >= 2) & ~self.moved
        count, n = int(np.count_nonzero(silent)), self.cells.size
        if count >= _UNFORMED_MINIMUM_CELLS and 2 * count > n:
            raise UnformedError(
                f"{count} of {n} cells are below {PRISTINE_SIEMENS * 1e6:g} µS and ignore SET pulses: the array is "
                "unformed; form it with `hwloop array form`"
            )

    def _window(self, half_width_siemens: float) -> tuple[np.ndarray, np.ndarray]:
        """Accepted readings of each cell, (n,) lower and upper bounds."""
        low, high = self.target_siemens - half_width_siemens, self.target_siemens + half_width_siemens
        low[self.hrs] = -np.inf
        high[self.hrs] = self._verify.hrs_accept_siemens
        return low, high

    def _exchange(self, pulses: CellPulses | None, index: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        verify = self._verify
        cells = self.cells[index]
        reads = self._port.pulse_and_read(
            pulses, cells, verify.averages, verify.sub_averages, verify.spread_siemens
        )
        value = reads.conductance_siemens
        if pulses is not None:
            self.moved[index] |= np.abs(value - self.conductance_siemens[index]) > 2 * verify.spread_siemens
        self.conductance_siemens[index] = value
        self.saturated[index] = reads.saturated
        good = reads.steady & ~reads.saturated & (value >= low[index]) & (value <= high[index])
        self.outcome[index[good]] = int(Outcome.ACCEPTED)
        self._row_reads += np.count_nonzero(np.bincount(cells // self._port.columns))


def _check_targets(cells: np.ndarray, target_siemens: np.ndarray) -> None:
    if cells.ndim != 1 or cells.shape != target_siemens.shape:
        raise UsageError(f"{cells.shape} cells for {target_siemens.shape} targets: give one target a cell")
    ascending = np.sort(cells)
    if (ascending[1:] == ascending[:-1]).any():
        raise UsageError("a cell occurs twice among the cells to be programmed; name each cell once")
    bad = ~((target_siemens >= 0) & (target_siemens <= MAX_TARGET_SIEMENS))
    if bad.any():
        value = float(target_siemens[bad][0])
        bound = f"0…{MAX_TARGET_SIEMENS * 1e6:g}"
        raise LimitError("target conductance", value * 1e6, bound, "µS", "scale the matrix into the range")
