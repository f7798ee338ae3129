"""Calibration of READ: reference resistors, read voltage, and gain and offset of the transimpedance amplifiers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.calibration.record import Residual
from hwloop.drivers.board.ports import HoldLevels, PortRequest, RoutePort, SampleAdcs
from hwloop.link.protocol import TICK_HERTZ, TICKS_SAMPLE, Hold, Reference, Route, SampleSource, TiaRange
from hwloop.procedures.fitting import fit_linear, parameter, pooled_sigma
from hwloop.procedures.metering import ohmmeter, read_volts, reading_seconds, voltmeter
from hwloop.procedures.tools import Findings, Plan, Tools, Trace

# Half a volt across each resistor.
_REFERENCE_AMPS = {Reference.LOW: 100e-6, Reference.HIGH: 10e-6}
_OHMMETER_VOLTS = 2.0
_READINGS = 8
_AVERAGES, _REPEATS = 256, 4
_RESTS, _CANDIDATES = 8, 32     # products of nothing that show the offsets, and rows that these are chosen from
_RANGES = {TiaRange.FINE: ("fine", (Reference.HIGH,)), TiaRange.COARSE: ("coarse", (Reference.LOW, Reference.HIGH))}
_LIMIT_FRACTION = 1e-3          # of the range


@dataclass(frozen=True)
class _Known:
    """A figure with what it scatters by (sigma) and how far off it may be together with others (95 %)."""

    value: float
    sigma: float
    common_95: float


class TiaCalibration:
    """See Procedure."""

    kind = "tia"

    def plan(self, tools: Tools) -> Plan:
        """See Procedure."""
        columns = tools.board.columns
        samples = _AVERAGES * _REPEATS * (3 * columns + 2 * _RESTS)
        seconds = samples * TICKS_SAMPLE / TICK_HERTZ + reading_seconds(_READINGS * (columns + 5))
        return Plan(
            (
                "both reference resistors by the SMU, four wires, current of both signs",
                f"read voltage: the SMU compares it with {columns} amplitude DACs, which are calibrated",
                f"{columns} transimpedance amplifiers: references at the read voltage, {_AVERAGES * _REPEATS} samples "
                "each, and products of 0 V",
            ),
            ("smu",), seconds,
        )  # fmt: skip

    def run(self, tools: Tools) -> Findings:
        """See Procedure."""
        smu = tools.need_smu()
        ohms = {reference: _reference_ohms(tools, reference) for reference in Reference}
        tools.on_step("references", 1, 4)
        read = _read_volts(tools)
        tools.on_step("read voltage", 2, 4)
        meter_95 = smu.accuracy("volts", "measure", _OHMMETER_VOLTS).gain_fraction
        found, traces, worst = [], [], 0.0
        for step, (tia_range, (name, references)) in enumerate(_RANGES.items(), 3):
            nominal_amps = tools.board.scales.range_siemens(tia_range) * tools.board.scales.read_volts
            amps = np.array([*(read.value / ohms[reference].value for reference in references), 0.0])
            driven = np.array([_sampled(tools, tia_range, reference) for reference in references])
            driven *= nominal_amps / 65536
            rest, rest_sigma, cells_95 = _at_rest(tools, tia_range)
            points = np.column_stack([*driven.mean(axis=1), rest])
            sources_95 = [
                np.hypot(read.common_95, 2 * read.sigma) / read.value * amps, meter_95 * amps,
                np.append(np.zeros(len(references)), cells_95),
            ]  # fmt: skip
            for number, reference in enumerate(references):
                own_95 = np.hypot(smu.accuracy("amps", "source", _REFERENCE_AMPS[reference]).gain_fraction,
                                  2 * ohms[reference].sigma / ohms[reference].value)
                sources_95.append(own_95 * amps * (np.arange(len(amps)) == number))
            driven_sigma = pooled_sigma(driven.swapaxes(0, 1)) / np.sqrt(_REPEATS)
            sigma = np.append(np.full(len(references), driven_sigma), rest_sigma)
            fit = fit_linear(
                np.stack([amps, np.ones_like(amps)], axis=1), points, sigma, np.stack(sources_95, axis=1)
            )
            found += [fit.gain(f"tia_{name}_gain", "A/A"), fit.parameter(f"tia_{name}_offset_amps", "A", 1)]
            worst = max(worst, float(np.abs(fit.residual).max()) / nominal_amps)
            traces.append(Trace(
                f"transimpedance amplifiers, {name} range", "into the column (A)", "what the codes say, less that (A)",
                amps, points - amps, fit.residual, "A",
            ))  # fmt: skip
            tools.on_step("transimpedance amplifiers", step, 4)
        tools.board.ports.route(Route.NOTHING)
        both = [ohms[Reference.LOW], ohms[Reference.HIGH]]
        found.append(parameter("read_volts", "V", np.array(read.value), read.sigma, read.common_95))
        found.append(parameter(
            "reference_ohms", "ohm", np.array([each.value for each in both]),
            np.array([each.sigma for each in both]), np.array([each.common_95 for each in both]),
        ))  # fmt: skip
        return Findings(
            tuple(found), Residual(worst, _LIMIT_FRACTION, "of the range"),
            "references by the SMU with four wires and both signs; read voltage by comparison with the amplitude DACs; "
            "gains from the references at the read voltage, offsets from products of 0 V, which show either sign",
            tuple(traces),
        )


def _reference_ohms(tools: Tools, reference: Reference) -> _Known:
    """One reference resistor; offsets of source and meter cancel between the signs of the current."""
    amps = _REFERENCE_AMPS[reference]
    tools.board.ports.route(Route.REFERENCE_TO_SMU, row=reference)
    with ohmmeter(tools.need_smu(), amps, _OHMMETER_VOLTS) as smu:
        volts = []
        for level in (amps, -amps):
            smu.set_level(level)
            volts.append(read_volts(smu, _READINGS))
    scatter = pooled_sigma(np.array(volts).T)
    ohms = float(volts[0].mean() - volts[1].mean()) / (2 * amps)
    gains_95 = np.hypot(
        smu.accuracy("amps", "source", amps).gain_fraction,
        smu.accuracy("volts", "measure", _OHMMETER_VOLTS).gain_fraction,
    )
    return _Known(ohms, scatter / np.sqrt(2 * _READINGS) / amps, float(gains_95) * ohms)


def _read_volts(tools: Tools) -> _Known:
    """The read voltage by way of the amplitude DACs: nearly the same voltage in the same range, so that neither gain
    nor offset of the meter counts."""
    scales, columns = tools.board.scales, np.arange(tools.board.columns)
    nominal_volts = tools.board.describe.read_microvolts * 1e-6
    codes = scales.amplitude_codes(np.full(len(columns), nominal_volts), False, columns)
    known_volts = scales.volts_from_amplitude_codes(codes, columns)
    seen = np.empty((_READINGS, len(columns)))
    with voltmeter(tools.need_smu(), nominal_volts) as smu:
        tools.board.ports.route(Route.READ_TO_SMU)
        source = read_volts(smu, _READINGS)
        held: list[PortRequest] = [HoldLevels(Hold.AMPLITUDE, columns, codes)]
        for column in columns.tolist():
            tools.board.ports.run([RoutePort(Route.AMPLITUDE_TO_SMU, column=column), *held])
            seen[:, column] = read_volts(smu, _READINGS)
            held = []
    differences = source.mean() - seen.mean(axis=0) + known_volts
    own, common = _dac_uncertainty(tools, nominal_volts)
    scatter = pooled_sigma(np.column_stack([source, seen])) / np.sqrt(_READINGS)
    gain_95 = smu.accuracy("volts", "measure", nominal_volts).gain_fraction
    gain_95 *= float(np.abs(source.mean() - seen.mean(axis=0)).mean())
    sigma = np.hypot(scatter, np.hypot(0.5 * own, scatter) / np.sqrt(len(columns)))
    return _Known(float(differences.mean()), float(sigma), float(np.hypot(common, gain_95)))


def _dac_uncertainty(tools: Tools, volts: float) -> tuple[float, float]:
    """Half-widths of what an amplitude DAC gives at `volts`: its own, and what all of them share."""
    own, common = 0.0, 0.0
    full_scale = tools.board.scales.constants.amplitude_dac.full_scale
    for name, slope in (("gain", volts), ("offset_volts", 1.0), ("bend_volts", (volts / full_scale) ** 2)):
        found = tools.found(f"amplitude_dac_{name}", "dac")
        common = np.hypot(common, slope * found.common_95)
        own = np.hypot(own, slope * np.sqrt(np.maximum(found.uncertainty_95**2 - found.common_95**2, 0.0)).mean())
    return float(own), float(common)


def _sampled(tools: Tools, tia_range: TiaRange, reference: Reference) -> np.ndarray:
    """Mean codes (repeats, columns) with a reference in place of a cell of each column."""
    requests: list[PortRequest] = []
    columns = np.arange(tools.board.columns)
    for column in columns.tolist():
        requests.append(RoutePort(Route.REFERENCE_TO_TIA, row=reference, column=column))
        requests += [SampleAdcs(SampleSource.CURRENTS, tia_range, _AVERAGES)] * _REPEATS
    found = np.array([codes for codes in tools.board.ports.run(requests) if codes is not None])
    return found.reshape(len(columns), _REPEATS, -1)[columns, :, columns].T


def _at_rest(tools: Tools, tia_range: TiaRange) -> tuple[np.ndarray, float, float]:
    """What the amplifiers show without a current, (columns,) in nominal amps, how that scatters, and by how much
    currents of cells may move it (95 %).

    READ shows no offset below zero, but MVM does. Rows are driven with what their DACs have nearest to 0 V, those whose
    cells conduct least, and what is left of their cells' currents is subtracted.
    """
    board, scales = tools.board, tools.board.scales
    rows, columns = np.arange(board.rows), np.arange(board.columns)
    left_volts = scales.volts_from_input_codes(scales.input_codes(np.zeros(len(rows)), rows), rows)
    candidates = np.sort(np.argsort(np.abs(left_volts), kind="stable")[:_CANDIDATES])
    # Rows of array B follow those of array A.
    lines = np.concatenate([candidates, candidates + board.rows])
    cells = lines[:, None] * board.columns + columns
    siemens = board.pulse_and_read(None, cells.ravel(), averages=8).conductance_siemens.reshape(cells.shape)
    chosen = np.argsort(siemens.max(axis=1), kind="stable")[:_RESTS]
    # Answers are whole codes: few samples each leave noise enough for their mean to go below one.
    shown = np.empty((len(chosen), _REPEATS, board.columns))
    for number, (array, row) in enumerate(zip(*np.divmod(lines[chosen], board.rows), strict=True)):
        amps, _ = board.multiply(
            int(array), np.array([row]), columns, np.zeros((_REPEATS, 1)), _AVERAGES, tia_range=tia_range
        )
        shown[number] = scales.constants.tia[tia_range].forward(amps, columns)
        shown[number] -= siemens[chosen[number]] * left_volts[row]
    offset_95 = tools.found("input_dac_offset_volts", "dac").uncertainty_95.max()
    cells_95 = float(offset_95 * siemens[chosen].mean(axis=0).max())
    shown = shown.reshape(-1, board.columns)
    return shown.mean(axis=0), pooled_sigma(shown) / np.sqrt(len(shown)), cells_95
