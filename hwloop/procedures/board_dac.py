"""Calibration of input, amplitude and gate DACs: by the DAQ, 17 channels at once, or by the SMU, one after another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.calibration.channels import Channels
from hwloop.calibration.record import Parameter, Residual
from hwloop.drivers.board.ports import HoldLevels, PortRequest, RoutePort
from hwloop.errors import UsageError
from hwloop.link.protocol import Hold, Route
from hwloop.procedures.fitting import LinearFit, bent_line, fit_linear, pooled_sigma
from hwloop.procedures.metering import checked, meter_errors_95, read_volts, reading_seconds, voltmeter
from hwloop.procedures.tools import Findings, Plan, Tools, Trace

BLOCK = 16                      # rows at the DAQ port at once
_NEAR_ZERO_VOLTS = 0.04         # within the small range, and beyond what the offset of a unipolar DAC hides
_DAQ_RANGES, _SMU_RANGES = (10.0, 0.1), (2.0, 0.1)
_SMU_REACH_VOLTS = 1.9
_NPLC, _REPEATS = 1.0, 30        # repeated readings show how far single ones scatter
# Unipolar DACs show their bend less, and there are few of them.
_PULSE_SCANS = 8
_SMU_READINGS = 2
_SCAN_SECONDS = 0.06            # a channel: relay, delay, two integrations
# A relay's own thermal voltage, which a unit's accuracy leaves out: 34901A data sheet, below 3 µV.
_RELAY_VOLTS_95 = 3e-6
_LIMIT_VOLTS = 300e-6


@dataclass(frozen=True)
class Bank:
    """DACs of one kind: `codes` (p,) to measure at, the large range (0) or the small one (1) of each in `part` (p,)."""

    name: str
    hold: Hold
    channels: np.ndarray
    dac: Channels
    code_volts: float
    codes: np.ndarray
    part: np.ndarray

    @property
    def nominal_volts(self) -> np.ndarray:
        """What the codes say, (p,)."""
        return self.codes * self.code_volts


class DacCalibration:
    """See Procedure. `with_smu`: by the SMU though there is a DAQ."""

    kind = "dac"

    def __init__(self, with_smu: bool = False):
        self.with_smu = with_smu

    def plan(self, tools: Tools) -> Plan:
        """See Procedure."""
        by_daq = tools.daq is not None or tools.smu is None if not self.with_smu else False
        points = len(_banks(tools, _reach_volts(by_daq))[0].codes)
        pulse_dacs = tools.board.columns + 1
        count = tools.board.rows + pulse_dacs
        if by_daq:
            seconds = _SCAN_SECONDS * points * (tools.board.rows + _PULSE_SCANS * pulse_dacs)
        else:
            seconds = reading_seconds(points * count * _SMU_READINGS)
        how = f"the DAQ, {BLOCK} rows or columns at a time" if by_daq else "the SMU as voltmeter, one after another"
        return Plan(
            (f"{count} DACs at {points} codes each, measured by {how}",), ("daq",) if by_daq else ("smu",), seconds
        )

    def run(self, tools: Tools) -> Findings:
        """See Procedure."""
        by_daq = self._by_daq(tools)
        banks = _banks(tools, _reach_volts(by_daq))
        measured = _by_daq(tools, banks) if by_daq else _by_smu(tools, banks)
        tools.board.ports.route(Route.NOTHING)
        if by_daq:
            accuracies = [tools.daq.accuracy(volts) for volts in _DAQ_RANGES]
        else:
            accuracies = [tools.smu.accuracy("volts", "measure", volts) for volts in _SMU_RANGES]
        parameters: list[Parameter] = []
        traces, worst = [], 0.0
        for bank, (volts, scatter) in zip(banks, measured, strict=True):
            fit = fit_linear(
                bent_line(bank.nominal_volts, bank.dac.full_scale), volts, scatter[bank.part],
                meter_errors_95(accuracies, bank.nominal_volts, bank.part),
            )
            parameters += _parameters(bank, fit, 0.5 * _RELAY_VOLTS_95 if by_daq else 0.0)
            worst = max(worst, float(np.abs(fit.residual).max()))
            traces.append(Trace(
                f"{bank.name} DACs", "what the code says (V)", "at the pin, less that (V)", bank.nominal_volts,
                volts - bank.nominal_volts, fit.residual, "V",
            ))  # fmt: skip
        meter, (large, small) = ("DAQ", _DAQ_RANGES) if by_daq else ("SMU", _SMU_RANGES)
        method = (
            f"every DAC at {len(banks[0].codes)} codes by the {meter}, range {large:g} V and near zero {small:g} V; "
            "gain, offset and bend by generalised least squares"
        )
        return Findings(tuple(parameters), Residual(worst, _LIMIT_VOLTS, "V"), method, tuple(traces))

    def _by_daq(self, tools: Tools) -> bool:
        if tools.daq is None and tools.smu is None:
            raise UsageError("DACs are calibrated by a DAQ or an SMU; name one in the rig file, under [daq] or [smu]")
        return tools.daq is not None and not (self.with_smu and tools.smu is not None)


def _reach_volts(by_daq: bool) -> float:
    return _DAQ_RANGES[0] if by_daq else _SMU_REACH_VOLTS


def _banks(tools: Tools, reach_volts: float) -> list[Bank]:
    """Input, amplitude and gate DACs; codes within their limits and `reach_volts`."""
    describe, constants = tools.board.describe, tools.board.scales.constants
    found = []
    for name, hold, count, dac, codes_full, limit in (
        ("input", Hold.INPUT, tools.board.rows, constants.input_dac, 32768, 32767),
        ("amplitude", Hold.AMPLITUDE, tools.board.columns, constants.amplitude_dac, 65536, describe.form_code_limit),
        ("gate", Hold.GATE, 1, constants.gate_dac, 65536, describe.gate_code_limit),
    ):
        step = dac.full_scale / codes_full
        most = min(0.98 * limit * step, reach_volts)
        near = _NEAR_ZERO_VOLTS
        if hold == Hold.INPUT:
            large, small = [-most, -most / 2, 0.0, most / 2, most], [-near, 0.0, near]
        else:
            large, small = [near, most / 3, 2 * most / 3, most], [near / 2, near, 2 * near]
        codes = np.rint(np.array(large + small) / step).astype(np.int64)
        part = np.repeat([0, 1], [len(large), len(small)])
        found.append(Bank(name, hold, np.arange(count), dac, step, codes, part))
    return found


def _by_daq(tools: Tools, banks: list[Bank]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Volts (channels, p) of every bank, and how single readings scatter in each range."""
    inputs, amplitudes, gate = banks
    pins = tools.daq_channels
    blocks = range(0, tools.board.rows, BLOCK)
    scatter = np.zeros(len(_DAQ_RANGES))
    volts = [np.empty((len(bank.channels), len(bank.codes))) for bank in banks]
    done, total = 0, len(inputs.codes) * len(blocks) + len(gate.codes)
    for part, range_volts in enumerate(_DAQ_RANGES):
        for point in np.flatnonzero(inputs.part == part):
            held = [_held(inputs, point)]
            for first in blocks:
                rows = inputs.channels[first : first + BLOCK]
                tools.board.ports.run([RoutePort(Route.INPUTS_TO_DAQ, row=first), *held])
                if scatter[part] == 0.0:
                    scatter[part] = pooled_sigma(tools.daq.scan_volts(pins[: len(rows)], range_volts, _NPLC, _REPEATS))
                seen = tools.daq.scan_volts(pins[: len(rows)], range_volts, _NPLC)
                volts[0][rows, point] = checked(seen, "volts at the DAQ pins of input DACs")
                held, done = [], done + 1
                tools.on_step("DACs", done, total)
        for point in np.flatnonzero(gate.part == part):
            columns = amplitudes.channels
            tools.board.ports.run(
                [RoutePort(Route.AMPLITUDES_TO_DAQ), _held(amplitudes, point), _held(gate, point)]
            )
            wired = np.append(pins[columns], pins[BLOCK])
            seen = tools.daq.scan_volts(wired, range_volts, _NPLC, _PULSE_SCANS).mean(axis=0)
            checked(seen, "volts at the DAQ pins of amplitude and gate DACs")
            volts[1][:, point], volts[2][:, point] = seen[:-1], seen[-1]
            done += 1
            tools.on_step("DACs", done, total)
    scatters = (scatter, scatter / np.sqrt(_PULSE_SCANS), scatter / np.sqrt(_PULSE_SCANS))
    return list(zip(volts, scatters, strict=True))


def _by_smu(tools: Tools, banks: list[Bank]) -> list[tuple[np.ndarray, np.ndarray]]:
    """As `_by_daq`, channel by channel."""
    routes = {Hold.INPUT: Route.INPUT_TO_SMU, Hold.AMPLITUDE: Route.AMPLITUDE_TO_SMU, Hold.GATE: Route.GATE_TO_SMU}
    repeats = [
        np.empty((_SMU_READINGS, len(bank.channels), len(bank.codes))) for bank in banks
    ]
    done, total = 0, sum(len(bank.channels) * len(bank.codes) for bank in banks)
    for part, range_volts in enumerate(_SMU_RANGES):
        with voltmeter(tools.need_smu(), range_volts) as smu:
            for bank, readings in zip(banks, repeats, strict=True):
                for point in np.flatnonzero(bank.part == part):
                    held: list[PortRequest] = [_held(bank, point)]
                    for channel in bank.channels.tolist():
                        place = {"row": channel} if bank.hold == Hold.INPUT else {"column": channel}
                        tools.board.ports.run([RoutePort(routes[bank.hold], **place), *held])
                        readings[:, channel, point] = read_volts(smu, _SMU_READINGS)
                        held, done = [], done + 1
                    tools.on_step("DACs", done, total)
    found = []
    for bank, readings in zip(banks, repeats, strict=True):
        scatter = [pooled_sigma(readings[:, :, bank.part == part]) for part in range(len(_SMU_RANGES))]
        found.append((readings.mean(axis=0), np.array(scatter) / np.sqrt(_SMU_READINGS)))
    return found


def _held(bank: Bank, point: int) -> HoldLevels:
    """All channels of a bank at one of its codes."""
    return HoldLevels(bank.hold, bank.channels, np.full(len(bank.channels), bank.codes[point]))


def _parameters(bank: Bank, fit: LinearFit, relay_sigma_volts: float) -> list[Parameter]:
    with_relay = LinearFit(
        fit.value, np.hypot(fit.sigma, [0.0, relay_sigma_volts, 0.0]), fit.common_95, fit.residual
    )
    return [
        with_relay.gain(f"{bank.name}_dac_gain", "V/V"), with_relay.parameter(f"{bank.name}_dac_offset_volts", "V", 1),
        with_relay.parameter(f"{bank.name}_dac_bend_volts", "V", 2),
    ]
