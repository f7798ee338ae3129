"""Every calibration that there is, by the name of its kind."""

from __future__ import annotations

from hwloop.procedures.board_dac import DacCalibration
from hwloop.procedures.tools import Procedure

PROCEDURES: dict[str, Procedure] = {procedure.kind: procedure for procedure in (DacCalibration(),)}
