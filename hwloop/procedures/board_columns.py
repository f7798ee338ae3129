"""Calibration of the columns' nodes: steps of the feedback ladders, gain and offset of the bias sources."""

from __future__ import annotations

import numpy as np

from hwloop.calibration.constants import FEEDBACK_BITS
from hwloop.calibration.record import Residual
from hwloop.drivers.board.ports import HoldLevels, PortRequest, RoutePort
from hwloop.link.protocol import Hold, Route
from hwloop.procedures.fitting import fit_linear, pooled_sigma
from hwloop.procedures.ladders import LadderCalibration, LadderPort
from hwloop.procedures.metering import ammeter, meter_errors_95, read_amps, reading_seconds
from hwloop.procedures.tools import Findings, Plan, Tools, Trace

# What the SMU drives, and the range of its meter for the single bits, the smallest first.
_DRIVE_VOLTS = 0.5
_BIT_RANGES_AMPS = np.repeat([1e-6, 10e-6, 100e-6], [5, 4, 3])
_FEEDBACK_LIMIT_FRACTION = 5e-3
# Codes of the bias source with the range of the meter for each; the small one sees the offset alone.
_BIAS_RANGES_AMPS = (100e-6, 1e-6)
_BIAS_CODES, _BIAS_PARTS = np.array([-2000, -1000, -2, 2, 1000, 2000]), np.array([0, 0, 1, 1, 0, 0])
_ZERO_VOLTS = 0.1               # what the SMU would source at most: it stays at 0 V
_READINGS = 4
_BIAS_LIMIT_AMPS = 20e-9


class BiasCalibration:
    """See Procedure."""

    kind = "bias"

    def plan(self, tools: Tools) -> Plan:
        """See Procedure."""
        columns = tools.board.columns
        return Plan(
            (f"{columns} bias sources at {len(_BIAS_CODES)} codes, the SMU as ammeter at 0 V",), ("smu",),
            reading_seconds(_READINGS * len(_BIAS_CODES) * columns),
        )

    def run(self, tools: Tools) -> Findings:
        """See Procedure."""
        columns = np.arange(tools.board.columns)
        readings = np.empty((_READINGS, len(columns), len(_BIAS_CODES)))
        for part, range_amps in enumerate(_BIAS_RANGES_AMPS):
            with ammeter(tools.need_smu(), _ZERO_VOLTS, range_amps) as smu:
                smu.set_level(0.0)
                for point in np.flatnonzero(_BIAS_PARTS == part):
                    code = np.full(len(columns), _BIAS_CODES[point])
                    held: list[PortRequest] = [HoldLevels(Hold.BIAS, columns, code)]
                    for column in columns.tolist():
                        tools.board.ports.run([RoutePort(Route.COLUMN_TO_SMU, column=column), *held])
                        readings[:, column, point] = -read_amps(smu, _READINGS)
                        held = []
                    tools.on_step("bias sources", int(point) + 1, len(_BIAS_CODES))
        tools.board.ports.route(Route.NOTHING)
        nominal = _BIAS_CODES * (tools.board.describe.bias_full_scale_nanoamps * 1e-9 / 2048)
        scatter = [pooled_sigma(readings[:, :, part == _BIAS_PARTS]) for part in range(len(_BIAS_RANGES_AMPS))]
        points = readings.mean(axis=0)
        fit = fit_linear(
            np.stack([nominal, np.ones_like(nominal)], axis=1), points,
            np.array(scatter)[_BIAS_PARTS] / np.sqrt(_READINGS),
            meter_errors_95(
                [smu.accuracy("amps", "measure", range_amps) for range_amps in _BIAS_RANGES_AMPS], nominal, _BIAS_PARTS
            ),
        )
        return Findings(
            (fit.gain("bias_gain", "A/A"), fit.parameter("bias_offset_amps", "A", 1)),
            Residual(float(np.abs(fit.residual).max()), _BIAS_LIMIT_AMPS, "A"),
            "the SMU as ammeter at 0 V at each column, four wires, in two ranges; gain and offset by generalised least "
            "squares",
            (Trace(
                "bias sources", "what the code says (A)", "into the column, less that (A)", nominal, points - nominal,
                fit.residual, "A",
            ),),
        )  # fmt: skip


def _port(tools: Tools) -> LadderPort:
    step_siemens = tools.board.describe.feedback_full_scale_nanosiemens * 1e-9 / 2**FEEDBACK_BITS
    return LadderPort(
        Route.COLUMN_TO_SMU, "column", tools.board.columns, FEEDBACK_BITS, step_siemens, _DRIVE_VOLTS, _BIT_RANGES_AMPS,
        lambda channel, code: HoldLevels(Hold.FEEDBACK, np.array([channel]), np.array([code])),
        lambda channels: [HoldLevels(Hold.FEEDBACK, channels, np.zeros(len(channels), np.int64))],
    )


FEEDBACK = LadderCalibration("feedback", "column", "bias source", _FEEDBACK_LIMIT_FRACTION, _port)
