"""How the analog solver is used, and what happened besides solving."""

from __future__ import annotations

from dataclasses import dataclass

from hwloop.drivers.board import AS_READ, OutputCalibration
from hwloop.link.protocol import Constraint


@dataclass(frozen=True)
class SolverSettings:
    """How the circuit is used.

    `output_fraction` of w_max is the largest output aimed at; `repeats` of a flagged solve; `refinement_passes` is the
    most correction solves a regression may take (0: none), `refinement_tolerance` the part of |X_j||y| that a
    gradient may have at the end. `calibration` takes outputs as read to what they are.
    """

    constraint: int = Constraint.RAIL
    averages: int = 4
    output_fraction: float = 0.8
    repeats: int = 6
    auto_zero: bool = True
    refinement_passes: int = 0
    refinement_tolerance: float = 1e-7
    calibration: OutputCalibration = AS_READ


@dataclass
class SolverTotals:
    """What happened besides solving, summed over a session.

    `rounds` loads of the chip; `banks_available` places for the matrices solved last, as the map of bad cells stands,
    `banks_without_faults` what a faultless chip would have, and `unused_cells` good cells of both arrays in none of
    these places, because of bad neighbours or remainders; `matrices_placed_again` whole, `rows_moved` of large
    ones; `repeated_…` solves that were flagged; `regularised` matrices with extra feedback, `columns_left_out` of
    nearly rank-deficient ones; `tall` matrices that went in row tiles; `refinement_solves` corrections, and
    `corrections_given_up` those that stayed flagged.
    """

    rounds: int = 0
    banks_available: int = 0
    banks_without_faults: int = 0
    unused_cells: int = 0
    matrices_placed_again: int = 0
    rows_moved: int = 0
    repeated_saturated: int = 0
    repeated_unsettled: int = 0
    regularised: int = 0
    columns_left_out: int = 0
    tall: int = 0
    refinement_solves: int = 0
    corrections_given_up: int = 0
