"""Every calibration of a board that there is, by the name of its kind, in the order in which they are taken."""

from __future__ import annotations

from hwloop.procedures.board_adc import AdcCalibration
from hwloop.procedures.board_amplifiers import AmplifierCalibration, SettleCalibration
from hwloop.procedures.board_columns import BiasCalibration, FeedbackCalibration
from hwloop.procedures.board_dac import DacCalibration
from hwloop.procedures.board_rows import CompensationCalibration, InputResistorCalibration
from hwloop.procedures.board_series import SeriesCalibration
from hwloop.procedures.board_tia import TiaCalibration
from hwloop.procedures.tools import Procedure

PROCEDURES: dict[str, Procedure] = {procedure.kind: procedure for procedure in (
    DacCalibration(), AdcCalibration(), TiaCalibration(), SeriesCalibration(), InputResistorCalibration(),
    CompensationCalibration(), FeedbackCalibration(), BiasCalibration(), AmplifierCalibration(), SettleCalibration(),
)}  # fmt: skip
