"""One regression whose solution the DAQ reads, with the board's own reading of the same solves beside it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwloop.anls.regression import DenseRegression
from hwloop.array.dense import LoadedMatrices
from hwloop.array.placement import Banks
from hwloop.array.rounds import solve_in_rounds
from hwloop.controller.daq_outputs import DaqOutputs
from hwloop.controller.instrument_readings import Readings
from hwloop.controller.session import Session
from hwloop.controller.uncertainty import BoardUncertainty
from hwloop.errors import UsageError


@dataclass(frozen=True)
class DaqSolution:
    """Coefficients (k, n) from what the DAQ read, and from what the board read of the same solves; the half-widths of
    their 95 % intervals from reading alone, the board's NaN where it is not calibrated."""

    by_daq: np.ndarray
    by_board: np.ndarray
    daq_95: np.ndarray
    board_95: np.ndarray

    @property
    def agrees(self) -> np.ndarray:
        """Whether both agree (k, n) within what they may be off together."""
        return np.abs(self.by_daq - self.by_board) <= np.hypot(self.daq_95, self.board_95)

    def document(self, exact: np.ndarray) -> dict[str, Any]:
        """Its part of the JSON document."""
        known = bool(np.isfinite(self.board_95).all())
        return {
            "board": {"solution": self.by_board, "deviation": distance(self.by_board, exact)},
            "daq_from_board": distance(self.by_daq, self.by_board), "uncertainty_95": self.daq_95,
            "board_uncertainty_95": self.board_95 if known else None,
            "agreeing": int(self.agrees.sum()) if known else None, "compared": self.by_daq.size,
        }

    def lines(self, exact: np.ndarray) -> list[str]:
        """Its part of what people read."""
        norm = np.linalg.norm(self.by_board) or 1.0
        lines = [
            f"by board   deviation {distance(self.by_board, exact):.3g} of the float64 solution from the same solves",
            f"by DAQ     {distance(self.by_daq, self.by_board):.2g} of the solution from the board's; it reads to "
            f"+-{np.linalg.norm(self.daq_95) / norm:.2g} (95 %)",
        ]
        if not np.isfinite(self.board_95).all():
            return [*lines, "agreement  not known: the board's outputs are not calibrated"]
        return [*lines, f"agreement  {int(self.agrees.sum()):,} of {self.agrees.size:,} coefficients within what both "
                        f"state; the board +-{np.linalg.norm(self.board_95) / norm:.2g}"]


def solve_by_daq(session: Session, regression: DenseRegression) -> DaqSolution:
    """Solve one design with its right sides, each by itself, the outputs read by the DAQ in place of the board's ADCs.

    Raises UsageError where the chip cannot hold the design in one piece, and as Daq and Readings.
    """
    (design,), (targets,) = regression.design, regression.targets
    outputs = DaqOutputs(
        session.board, session.instruments.daq, session.settings.rig.daq.channel, Readings(session.run),
        BoardUncertainty(session.board.scales, session.calibrations), session.report.step,
    )
    circuit = dataclasses.replace(session.solver.circuit, board=outputs)
    nothing = np.zeros((design.shape[1], targets.shape[1]))
    found = [DaqSolution(nothing, nothing, nothing, nothing)]

    def solve_round(banks: Banks, batch: np.ndarray) -> np.ndarray:
        loaded = LoadedMatrices(circuit, banks, design[None], regression.ridge, regression.l1)
        if loaded.load.written.all():
            found[0] = _solved(loaded, outputs, targets[None])
        return loaded.load.written

    waiting = np.zeros(1 if design.any() and targets.any() else 0, np.int64)
    if len(solve_in_rounds(circuit, *design.shape, waiting, solve_round)):
        raise UsageError(
            f"the chip has no place for a {design.shape[0]}x{design.shape[1]} matrix in one piece, and the DAQ reads "
            "no others; solve with the board's own reading, or cut the matrix"
        )
    return found[0]


def _solved(loaded: LoadedMatrices, outputs: DaqOutputs, targets: np.ndarray) -> DaqSolution:
    outputs.forget()
    by_daq = loaded.solve(targets)[0]
    with outputs.answering(lambda kept: kept.by_board.output_volts):
        by_board = loaded.solve(targets)[0]
    # Coefficients are proportional to outputs, so that intervals alone, put in their place, become intervals.
    with outputs.answering(lambda kept: kept.daq_95_volts):
        daq_95 = loaded.solve(targets)[0]
    with outputs.answering(lambda kept: kept.board_95_volts):
        board_95 = loaded.solve(targets)[0]
    return DaqSolution(by_daq, by_board, daq_95, board_95)


def distance(solution: np.ndarray, other: np.ndarray) -> float:
    """Relative distance of a solution from another."""
    return float(np.linalg.norm(solution - other) / (np.linalg.norm(other) or 1.0))
