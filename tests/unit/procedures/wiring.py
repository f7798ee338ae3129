"""What instruments find at the simulated board's ports."""

from __future__ import annotations

import numpy as np

from hwloop.link.protocol import Route
from hwloop.mock.bench import Bench
from hwloop.mock.instruments.elements import OpenLead, VoltageSource
from hwloop.mock.instruments.terminals import Operating

SOURCE_OHMS, LEAD_OHMS, LEAK_SIEMENS = 1.0, 12.0, 1e-14


class BoardTerminals:
    """The SMU port, by the route that stands."""

    def __init__(self, world: Bench):
        self._world = world

    def drive_volts(self, volts: float, limit_amps: float, seconds: float, remote_sense: bool) -> Operating:
        """See Terminals."""
        rest = self._part().drive_volts(volts, limit_amps, seconds, remote_sense)
        self._world.port_volts = rest.volts
        return rest

    def drive_amps(self, amps: float, limit_volts: float, seconds: float, remote_sense: bool) -> Operating:
        """See Terminals."""
        rest = self._part().drive_amps(amps, limit_volts, seconds, remote_sense)
        self._world.port_volts = rest.volts
        return rest

    def release(self) -> None:
        """See Terminals."""
        self._world.port_volts = 0.0

    def _part(self) -> VoltageSource | OpenLead:
        at, truth, convert = self._world.connection, self._world.truth, self._world.converters
        match at.route:
            case Route.CELL_TO_SMU:
                geometry = self._world.geometry
                cell = np.array([(at.array * geometry.rows + at.row) * geometry.columns + at.column])
                siemens = self._world.cells.conductance(cell, np.array([self._world.ticks]))[0]
                return VoltageSource(0.0, 1.0 / siemens, truth.port_ohms[at.column])
            case Route.INPUT_TO_SMU:
                return VoltageSource(float(convert.input_volts(at.input_code[at.row], at.row)), SOURCE_OHMS)
            case Route.AMPLITUDE_TO_SMU:
                volts = convert.amplitude_volts(at.amplitude_code[at.column], at.column)
                return VoltageSource(float(volts), SOURCE_OHMS)
            case Route.GATE_TO_SMU:
                return VoltageSource(float(convert.gate_volts(np.array(at.gate_code))), SOURCE_OHMS)
            case Route.READ_TO_SMU:
                return VoltageSource(truth.read_volts, SOURCE_OHMS)
            case Route.REFERENCE_TO_SMU:
                return VoltageSource(0.0, float(truth.reference_ohms[at.row]), LEAD_OHMS)
            case Route.ROW_TO_SMU:
                own = 1.0 / truth.input_ohms[at.row]
                total = own + float(convert.compensation_siemens(at.compensation_code[[at.row]], np.array([at.row]))[0])
                volts = float(convert.input_volts(at.input_code[at.row], at.row))
                return VoltageSource(volts * own / total, 1.0 / total, LEAD_OHMS)
            case Route.COLUMN_TO_SMU:
                column = np.array([at.column])
                siemens = LEAK_SIEMENS + float(convert.feedback_siemens(at.feedback_code[column], column)[0])
                amps = float(convert.bias_amps(at.bias_code[column], at.bias_divider, column)[0])
                return VoltageSource(amps / siemens, 1.0 / siemens, LEAD_OHMS)
        return OpenLead()


class BoardPins:
    """The DAQ port: pins 0 to 15 of rows or columns, 16 the gate."""

    def __init__(self, world: Bench):
        self._world = world

    def volts(self, channel: int) -> float:
        """See Pins."""
        at, convert = self._world.connection, self._world.converters
        if at.route == Route.INPUTS_TO_DAQ and channel < 16 and at.row + channel < self._world.geometry.rows:
            return float(convert.input_volts(at.input_code[at.row + channel], at.row + channel))
        if at.route == Route.AMPLITUDES_TO_DAQ and channel < self._world.geometry.columns:
            return float(convert.amplitude_volts(at.amplitude_code[channel], channel))
        if at.route == Route.AMPLITUDES_TO_DAQ and channel == 16:
            return float(convert.gate_volts(np.array(at.gate_code)))
        return 0.0
