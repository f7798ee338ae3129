"""Calibration of the output ADCs with their gain of 8: the SMU as source in place of each amplifier."""

from __future__ import annotations

import numpy as np

from hwloop.calibration.record import Residual
from hwloop.drivers.board.ports import PortRequest, RoutePort, SampleAdcs
from hwloop.link.protocol import TICK_HERTZ, TICKS_SAMPLE, Route, SampleSource
from hwloop.procedures.fitting import bent_line, fit_linear, pooled_sigma
from hwloop.procedures.metering import meter_errors_95, reading_seconds, volt_source
from hwloop.procedures.tools import Findings, Plan, Tools, Trace

# Round numbers, which every source gives without rounding; 0.3 V is as far as amplifiers go.
LEVELS_VOLTS = (-0.28, -0.14, 0.0, 0.14, 0.28)
_AVERAGES, _REPEATS = 64, 4
_LIMIT_VOLTS = 20e-6


class AdcCalibration:
    """See Procedure."""

    kind = "adc"

    def plan(self, tools: Tools) -> Plan:
        """See Procedure."""
        columns = tools.board.columns
        samples = (len(LEVELS_VOLTS) + 1) * columns * _AVERAGES * _REPEATS
        seconds = samples * TICKS_SAMPLE / TICK_HERTZ + reading_seconds(len(LEVELS_VOLTS))
        levels = ", ".join(f"{volts:g}" for volts in LEVELS_VOLTS)
        line = f"{columns} output ADCs at {levels} V from the SMU, {_AVERAGES * _REPEATS} samples each; then at rest"
        return Plan((line,), ("smu",), seconds)

    def run(self, tools: Tools) -> Findings:
        """See Procedure."""
        levels, adc = np.array(LEVELS_VOLTS), tools.board.scales.constants.output_adc
        columns = np.arange(tools.board.columns)
        codes = np.empty((_REPEATS, len(columns), len(levels) + 1))
        with volt_source(tools.need_smu(), float(levels.max())) as smu:
            for point, volts in enumerate(LEVELS_VOLTS):
                smu.set_level(volts)
                codes[:, :, point] = _sampled(tools, columns)
                tools.on_step("output ADCs", point + 1, len(levels) + 1)
        # Nothing stands there then: 0 V, in which no instrument has a part.
        tools.board.ports.route(Route.NOTHING)
        rest: list[PortRequest] = [SampleAdcs(SampleSource.OUTPUTS, averages=_AVERAGES)] * _REPEATS
        codes[:, :, -1] = np.array(tools.board.ports.run(rest))
        tools.on_step("output ADCs", len(levels) + 1, len(levels) + 1)
        describe = tools.board.describe
        seen = codes * (describe.output_full_scale_microvolts * 1e-6 / 32768 / describe.output_gain)
        x = np.append(levels, 0.0)
        from_source = np.append(np.zeros(len(levels), np.int64), -1)
        fit = fit_linear(
            bent_line(x, adc.full_scale), seen.mean(axis=0),
            np.full(len(x), pooled_sigma(seen) / np.sqrt(_REPEATS)),
            meter_errors_95([smu.accuracy("volts", "source", float(levels.max()))], x, from_source),
        )
        parameters = (
            fit.gain("output_adc_gain", "V/V"), fit.parameter("output_adc_offset_volts", "V", 1),
            fit.parameter("output_adc_bend_volts", "V", 2),
        )  # fmt: skip
        method = (
            f"the SMU as source in place of the amplifiers at {len(levels)} levels within ±{levels.max():g} V, and "
            "what the ADCs show at rest; gain, offset and bend by generalised least squares"
        )
        trace = Trace(
            "output ADCs", "from the SMU (V)", "what the codes say, less that (V)", x, seen.mean(axis=0) - x,
            fit.residual, "V",
        )
        worst = _largest_but_shared(fit.residual, len(levels))
        return Findings(parameters, Residual(worst, _LIMIT_VOLTS, "V"), method, (trace,))


def _sampled(tools: Tools, columns: np.ndarray) -> np.ndarray:
    """Mean codes (repeats, columns), each column with the SMU at its output chain."""
    requests: list[PortRequest] = []
    for column in columns.tolist():
        requests.append(RoutePort(Route.SMU_TO_OUTPUT, column=column))
        requests += [SampleAdcs(SampleSource.OUTPUTS, averages=_AVERAGES)] * _REPEATS
    found = np.array([codes for codes in tools.board.ports.run(requests) if codes is not None])
    return found.reshape(len(columns), _REPEATS, -1)[columns, :, columns].T


def _largest_but_shared(residual: np.ndarray, levels: int) -> float:
    """The largest residual, without what all points from the source are off by: its own offset."""
    driven = residual[:, :levels]
    return float(np.abs(driven - driven.mean()).max())
