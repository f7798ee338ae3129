"""Driver of the hwloop board: volts, siemens and cells in, codes and frames out."""

from hwloop.drivers.board.board import Board
from hwloop.drivers.board.solving import AS_READ, OutputCalibration, SolveGroup, SolveOutputs

__all__ = ["AS_READ", "Board", "OutputCalibration", "SolveGroup", "SolveOutputs"]
