"""Calibration of the passive rows: input resistors, and the steps of the compensation ladders."""

from __future__ import annotations

import numpy as np

from hwloop.calibration.constants import COMPENSATION_BITS
from hwloop.calibration.record import Residual
from hwloop.drivers.board.ports import HoldLevels, LoadCompensation, PortRequest, RoutePort
from hwloop.link.protocol import Hold, Route
from hwloop.procedures.fitting import parameter, pooled_sigma
from hwloop.procedures.ladders import LadderCalibration, LadderPort
from hwloop.procedures.metering import ammeter, read_amps, reading_seconds, require_current
from hwloop.procedures.tools import Findings, Plan, Tools, Trace

# Within a range of 100 µA with the nominal 100 µS.
_INPUT_VOLTS = (-0.9, 0.0, 0.9)
_INPUT_RANGE_AMPS = 100e-6
_LEAST_INPUT_AMPS = 50e-6       # between the outer levels, of nominally 180 µA
_ZERO_VOLTS = 0.1               # what the SMU would source at most: it stays at 0 V
_READINGS = 2
_INPUT_LIMIT_FRACTION = 1e-4    # of the largest current
# What the SMU drives, and the range of its meter for the single bits, the smallest first.
_DRIVE_VOLTS = 0.5
_BIT_RANGES_AMPS = np.repeat([100e-6, 1e-3, 10e-3], [4, 5, 1])
_COMPENSATION_LIMIT_FRACTION = 1e-3


class InputResistorCalibration:
    """See Procedure."""

    kind = "input-resistors"

    def plan(self, tools: Tools) -> Plan:
        """See Procedure."""
        rows = tools.board.rows
        volts = ", ".join(f"{volts:g}" for volts in _INPUT_VOLTS)
        return Plan(
            (f"{rows} input resistors: the SMU as ammeter at 0 V, the input DAC at {volts} V",), ("smu",),
            reading_seconds(_READINGS * len(_INPUT_VOLTS) * rows),
        )

    def run(self, tools: Tools) -> Findings:
        """See Procedure."""
        scales, rows = tools.board.scales, np.arange(tools.board.rows)
        levels = np.array(_INPUT_VOLTS)
        codes = np.array([scales.input_codes(np.full(len(rows), volts), rows) for volts in levels])
        volts = scales.volts_from_input_codes(codes, rows)
        readings = np.empty((_READINGS, len(levels), len(rows)))
        with ammeter(tools.need_smu(), _ZERO_VOLTS, _INPUT_RANGE_AMPS) as smu:
            smu.set_level(0.0)
            clear: list[PortRequest] = [LoadCompensation(rows, np.zeros(len(rows), np.int64))]
            for number in range(len(levels)):
                held = [*clear, HoldLevels(Hold.INPUT, rows, codes[number])]
                for row in rows.tolist():
                    tools.board.ports.run([RoutePort(Route.ROW_TO_SMU, row=row), *held])
                    readings[:, number, row] = -read_amps(smu, _READINGS)
                    held = []
                clear = []
                tools.on_step("input resistors", number + 1, len(levels))
        tools.board.ports.route(Route.NOTHING)
        amps, span_volts = readings.mean(axis=0), volts[-1] - volts[0]
        span_amps = amps[-1] - amps[0]
        require_current(smu, span_amps, _LEAST_INPUT_AMPS, "an input resistor")
        ohms = span_volts / span_amps
        # The third level shows whether it is a resistor.
        residual = amps - (amps[0] + (volts - volts[0]) / ohms)
        gain = tools.found("input_dac_gain", "dac")
        sigma = np.sqrt(2 / _READINGS) * pooled_sigma(readings) / span_amps
        sigma = np.hypot(sigma, 0.5 * np.sqrt(np.maximum(gain.uncertainty_95**2 - gain.common_95**2, 0.0)))
        common = np.hypot(smu.accuracy("amps", "measure", _INPUT_RANGE_AMPS).gain_fraction, gain.common_95)
        worst = float(np.abs(residual / span_amps).max())
        return Findings(
            (parameter("input_ohms", "ohm", ohms, sigma * ohms, common * ohms),),
            Residual(worst, _INPUT_LIMIT_FRACTION, "of the current"),
            "the SMU as ammeter at 0 V behind each resistor, four wires, its own input DAC at three levels",
            (Trace(
                "input resistors", "input DAC (V)", "current into the row (A)", levels, amps.T, residual.T, "A"
            ),),
        )  # fmt: skip


def _port(tools: Tools) -> LadderPort:
    describe = tools.board.describe
    step_siemens = describe.compensation_full_scale_nanosiemens * 1e-9 / 2**COMPENSATION_BITS
    return LadderPort(
        Route.ROW_TO_SMU, "row", tools.board.rows, COMPENSATION_BITS, step_siemens, _DRIVE_VOLTS, _BIT_RANGES_AMPS,
        lambda channel, code: LoadCompensation(np.array([channel]), np.array([code])),
        lambda channels: [LoadCompensation(channels, np.zeros(len(channels), np.int64))],
    )


COMPENSATION = LadderCalibration("compensation", "row", "input resistor", _COMPENSATION_LIMIT_FRACTION, _port)
