"""Calibration of what lies between the SMU port and a cell: two wires against four, column by column."""

from __future__ import annotations

import numpy as np

from hwloop.calibration.record import Residual
from hwloop.drivers.board.ports import RoutePort
from hwloop.errors import CalibrationError
from hwloop.link.protocol import Reference, Route
from hwloop.procedures.fitting import parameter, pooled_sigma
from hwloop.procedures.metering import ammeter, read_amps, reading_seconds, require_current
from hwloop.procedures.tools import Findings, Plan, Tools, Trace

# Below what disturbs a cell.
_DRIVE_VOLTS, _RANGE_AMPS = 0.15, 100e-6
_TARGET_SIEMENS = 200e-6
_ROWS = 3                       # to choose the best cell of each column from
_ALTERNATIONS, _READINGS = 3, 4
_PULSES_A_CELL, _PULSE_SECONDS = 8.0, 50e-6
# With two wires a cell gets less voltage, and conducts a little less: of 100 µS and more, G is as 1 + a V² with
# G(0.34 V) / G(0.1 V) = 1.014 (public data, design notes, section 4), within a half.
_BEND_PER_VOLT2, _BEND_95_PER_VOLT2 = 0.13, 0.07
_LEAST_SIEMENS, _LEAST_AMPS = 100e-6, 5e-6
_LIMIT_OHMS = 3.0


class SeriesCalibration:
    """See Procedure."""

    kind = "series"

    def plan(self, tools: Tools) -> Plan:
        """See Procedure."""
        columns = tools.board.columns
        pulses = round(_PULSES_A_CELL * _ROWS * columns)
        readings = 2 * _ALTERNATIONS * _READINGS * (columns + 1)
        return Plan(
            (
                f"{_ROWS} rows of array A are written to {_TARGET_SIEMENS * 1e6:g} uS; what they held is lost",
                f"{columns} cells at {_DRIVE_VOLTS:g} V by two and by four wires, {_ALTERNATIONS} times in turn",
                "a reference resistor likewise, for the cables",
            ),
            ("smu", "chip"), pulses * _PULSE_SECONDS + reading_seconds(readings), pulses,
        )  # fmt: skip

    def run(self, tools: Tools) -> Findings:
        """See Procedure."""
        columns = np.arange(tools.board.columns)
        rows = _cells(tools)
        places = [RoutePort(Route.CELL_TO_SMU, row=int(row), column=int(column)) for column, row in enumerate(rows)]
        places.append(RoutePort(Route.REFERENCE_TO_SMU, row=Reference.LOW))
        ohms = np.empty((_ALTERNATIONS, 2, len(places)))
        scatter = np.empty_like(ohms)
        for turn in range(_ALTERNATIONS):
            for number, place in enumerate(places):
                # The cell fluctuates: nothing else comes between its two readings.
                tools.board.ports.run([place])
                for wires, four_wire in enumerate((False, True)):
                    with ammeter(tools.need_smu(), _DRIVE_VOLTS, _RANGE_AMPS, four_wire) as smu:
                        smu.set_level(_DRIVE_VOLTS)
                        amps = read_amps(smu, _READINGS)
                    require_current(smu, amps, _LEAST_AMPS, "a cell or reference")
                    ohms[turn, wires, number] = _DRIVE_VOLTS / amps.mean()
                    scatter[turn, wires, number] = pooled_sigma(amps[:, None]) * _DRIVE_VOLTS / amps.mean() ** 2
                tools.on_step("two wires and four", turn * len(places) + number + 1, _ALTERNATIONS * len(places))
        tools.board.ports.route(Route.NOTHING)
        extra = ohms[:, 0] - ohms[:, 1]
        cell_ohms = ohms[:, 1, :-1].mean(axis=0)
        # Cells fluctuate between the two; a difference shows the larger of that and of what the meter scatters.
        meter = np.sqrt(2 / _READINGS) * scatter.mean(axis=(0, 1))
        sigma = np.maximum(meter, pooled_sigma(extra)) / np.sqrt(_ALTERNATIONS)
        port_ohms = extra[:, :-1].mean(axis=0) - extra[:, -1].mean()
        port_ohms /= 1.0 + 2.0 * _BEND_PER_VOLT2 * _DRIVE_VOLTS**2
        bent_95 = 2.0 * _BEND_95_PER_VOLT2 * _DRIVE_VOLTS**2 * port_ohms
        gain_95 = _gain_95(tools) * port_ohms
        found = parameter(
            "port_ohms", "ohm", port_ohms, np.hypot(sigma[:-1], sigma[-1]), np.hypot(bent_95, gain_95)
        )
        residual = (extra - extra.mean(axis=0))[:, :-1]
        return Findings(
            (found,), Residual(float(np.abs(residual).max()), _LIMIT_OHMS, "ohm"),
            f"cells of {1e-3 * cell_ohms.mean():.2g} kilohm by two and by four wires in turn, less what cables show "
            "at a reference resistor",
            (Trace(
                "series resistance", "column", "port to cell (ohm)", columns, port_ohms, residual[-1], "ohm"
            ),),
        )


def _cells(tools: Tools) -> np.ndarray:
    """The row of array A whose cell conducts best, for each column. Raises CalibrationError where none conducts."""
    chip, columns = tools.need_chip(), tools.board.columns
    cells = (np.arange(_ROWS)[:, None] * columns + np.arange(columns)).ravel()
    chip.program(cells, np.full(len(cells), _TARGET_SIEMENS))
    reads = chip.read(cells)
    siemens = np.where(reads.saturated, 0.0, reads.conductance_siemens).reshape(_ROWS, columns)
    if siemens.max(axis=0).min() < _LEAST_SIEMENS:
        column = int(siemens.max(axis=0).argmin())
        raise CalibrationError(
            f"no cell of rows 0 to {_ROWS - 1} in column {column} of array A reaches {_LEAST_SIEMENS * 1e6:g} uS; "
            "calibrate with another chip in the socket"
        )
    return siemens.argmax(axis=0)


def _gain_95(tools: Tools) -> float:
    """How far off a difference of two readings in one range is, in parts of it: gains, and offsets at this level."""
    smu = tools.need_smu()
    source = smu.accuracy("volts", "source", _DRIVE_VOLTS)
    meter = smu.accuracy("amps", "measure", _RANGE_AMPS)
    offsets = np.hypot(source.offset / _DRIVE_VOLTS, 2 * meter.offset / (_DRIVE_VOLTS * _TARGET_SIEMENS))
    return float(np.sqrt(source.gain_fraction**2 + meter.gain_fraction**2 + offsets**2))
