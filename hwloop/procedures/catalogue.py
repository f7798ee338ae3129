"""Every calibration of a board and an array that there is, by its kind, in the order in which they are taken."""

from __future__ import annotations

from hwloop.procedures.array_curvature import CurvatureProcedure
from hwloop.procedures.array_gate_curve import GateCurveProcedure
from hwloop.procedures.array_temperature import TemperatureProcedure
from hwloop.procedures.board_adc import AdcCalibration
from hwloop.procedures.board_amplifiers import AmplifierCalibration, SettleCalibration
from hwloop.procedures.board_columns import FEEDBACK, BiasCalibration
from hwloop.procedures.board_dac import DacCalibration
from hwloop.procedures.board_rows import COMPENSATION, InputResistorCalibration
from hwloop.procedures.board_series import SeriesCalibration
from hwloop.procedures.board_tia import TiaCalibration
from hwloop.procedures.tools import Procedure

PROCEDURES: dict[str, Procedure] = {procedure.kind: procedure for procedure in (
    DacCalibration(), AdcCalibration(), TiaCalibration(), SeriesCalibration(), InputResistorCalibration(),
    COMPENSATION, FEEDBACK, BiasCalibration(), AmplifierCalibration(), SettleCalibration(),
    GateCurveProcedure(), CurvatureProcedure(), TemperatureProcedure(),
)}  # fmt: skip
