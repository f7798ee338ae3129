"""What instruments find at the board's ports: the one-port at the SMU's terminals, and the pins of the DAQ."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from hwloop.link.protocol import Polarity, Route
from hwloop.mock.bench import Bench
from hwloop.mock.connection import Connection
from hwloop.mock.curvature import cell_current
from hwloop.mock.instruments.terminals import Operating

LEAD_OHMS = 0.2                 # of the SMU's cables, both together; with four wires nobody sees it
SOURCE_OHMS = 0.05              # of the board's buffered voltages
OPEN_OHMS = 1e12
CHAIN_OHMS = 1e9                # input of an output chain
DISTURB_VOLTS = 0.35            # cells stay as they are below
_GATE_VOLTS = 2.9               # of a routed cell's transistor: fully on
_WIDTH_SECONDS = (1e-7, 1e-3)   # what the device model knows; what is beyond does as much as its ends
_MOST_VOLTS = 3.499             # likewise, and less a code of the DAC by which it is told


@dataclass(frozen=True)
class _OnePort:
    """Amps into it at `volts` across it, rising; what is in series with it, which four wires do not see."""

    amps: Callable[[float], float]
    series_ohms: float


class BenchTerminals:
    """The SMU port of a bench: what stands there is what the board has routed to it at that moment."""

    def __init__(self, bench: Bench):
        self._bench = bench

    def drive_volts(self, volts: float, limit_amps: float, seconds: float, remote_sense: bool) -> Operating:
        """See Terminals."""
        across, found = self._at_volts(volts, limit_amps, remote_sense)
        if self._stress(across, limit_amps, seconds):
            _, found = self._at_volts(volts, limit_amps, remote_sense)
        self._bench.port_volts = found.volts
        return found

    def drive_amps(self, amps: float, limit_volts: float, seconds: float, remote_sense: bool) -> Operating:
        """See Terminals."""
        across, found = self._at_amps(amps, limit_volts, remote_sense)
        if self._stress(across, max(abs(amps), 1e-9), seconds):
            _, found = self._at_amps(amps, limit_volts, remote_sense)
        self._bench.port_volts = found.volts
        return found

    def release(self) -> None:
        """See Terminals."""
        self._bench.port_volts = 0.0

    def _at_volts(self, volts: float, limit_amps: float, remote_sense: bool) -> tuple[float, Operating]:
        """Where it rests as it is now, and the volts across the port itself."""
        port = self._one_port()
        hidden_ohms = 0.0 if remote_sense else port.series_ohms
        across = _across(port, volts, hidden_ohms)
        amps = port.amps(across)
        limited = abs(amps) > limit_amps
        if limited:
            amps = math.copysign(limit_amps, amps)
            across = _at_current(port, amps, abs(volts) + 1.0)
            volts = across + amps * hidden_ohms
        return across, Operating(volts, amps, limited)

    def _at_amps(self, amps: float, limit_volts: float, remote_sense: bool) -> tuple[float, Operating]:
        """As `_at_volts`."""
        port = self._one_port()
        hidden_ohms = 0.0 if remote_sense else port.series_ohms
        lowest_amps, highest_amps = (port.amps(_across(port, end, hidden_ohms)) for end in (-limit_volts, limit_volts))
        limited = not lowest_amps <= amps <= highest_amps
        if limited:
            volts = limit_volts if amps > highest_amps else -limit_volts
            across = _across(port, volts, hidden_ohms)
            amps = port.amps(across)
        else:
            across = _at_current(port, amps, limit_volts)
            volts = across + amps * hidden_ohms
        return across, Operating(volts, amps, limited)

    def _one_port(self) -> _OnePort:
        bench, connection = self._bench, self._bench.connection
        truth, convert, row, column = bench.truth, bench.converters, connection.row, connection.column
        match connection.route:
            case Route.CELL_TO_SMU:
                return _OnePort(self._cell_amps(self._cell(connection)), LEAD_OHMS + float(truth.port_ohms[column]))
            case Route.INPUT_TO_SMU:
                return _source(float(convert.input_volts(connection.input_code[row], row)), SOURCE_OHMS)
            case Route.AMPLITUDE_TO_SMU:
                return _source(float(convert.amplitude_volts(connection.amplitude_code[column], column)), SOURCE_OHMS)
            case Route.GATE_TO_SMU:
                return _source(float(convert.gate_volts(np.asarray(connection.gate_code))), SOURCE_OHMS)
            case Route.READ_TO_SMU:
                return _source(truth.read_volts, SOURCE_OHMS)
            case Route.ROW_TO_SMU:
                input_siemens = float(convert.input_siemens(row))
                ladder = float(convert.compensation_siemens(connection.compensation_code[row], row))
                driven_amps = input_siemens * float(convert.input_volts(connection.input_code[row], row))
                return _OnePort(lambda volts: volts * (input_siemens + ladder) - driven_amps, LEAD_OHMS)
            case Route.COLUMN_TO_SMU:
                ladder = float(convert.feedback_siemens(connection.feedback_code[column], column))
                bias_amps = float(convert.bias_amps(connection.bias_code[column], connection.bias_divider, column))
                return _OnePort(lambda volts: volts * (ladder + 1 / OPEN_OHMS) - bias_amps, LEAD_OHMS)
            case Route.REFERENCE_TO_SMU:
                ohms = float(truth.reference_ohms[row])
                return _OnePort(lambda volts: volts / ohms, LEAD_OHMS)
            case Route.SMU_TO_OUTPUT:
                return _OnePort(lambda volts: volts / CHAIN_OHMS, LEAD_OHMS)
        return _OnePort(lambda volts: volts / OPEN_OHMS, LEAD_OHMS)

    def _cell(self, connection: Connection) -> int:
        rows, columns = self._bench.geometry.rows, self._bench.geometry.columns
        return (connection.array * rows + connection.row) * columns + connection.column

    def _cell_amps(self, cell: int) -> Callable[[float], float]:
        bench = self._bench
        conductance = float(bench.conductance(cell))
        return lambda volts: float(cell_current(conductance, volts, bench.curvature))

    def _stress(self, across: float, limit_amps: float, seconds: float) -> bool:
        """A routed cell is SET by what stands across it, as far as the current limit lets it, or RESET where that is
        negative; whether it came to that."""
        bench, connection = self._bench, self._bench.connection
        if connection.route != Route.CELL_TO_SMU or abs(across) < DISTURB_VOLTS:
            return False
        cell, amplitude = self._cell(connection), min(abs(across), _MOST_VOLTS)
        gate_volts = _GATE_VOLTS
        if across > 0.0:
            # The current limit takes the place of the cell's transistor.
            hardware = bench.cells.hardware
            limit_volts = limit_amps / amplitude / hardware.siemens_per_volt[cell]
            gate_volts = min(float(hardware.threshold_volts[cell] + limit_volts), _GATE_VOLTS)
        bench.stress(
            cell, Polarity.SET if across > 0.0 else Polarity.RESET, amplitude, gate_volts,
            min(max(seconds, _WIDTH_SECONDS[0]), _WIDTH_SECONDS[1]),
        )
        return True


class BenchPins:
    """The DAQ pins of a bench."""

    def __init__(self, bench: Bench):
        self._bench = bench

    def volts(self, channel: int) -> float:
        """See Pins."""
        bench, connection = self._bench, self._bench.connection
        columns, convert = bench.geometry.columns, bench.converters
        match connection.route:
            case Route.INPUTS_TO_DAQ if channel < 16 and connection.row + channel < bench.geometry.rows:
                row = connection.row + channel
                return float(convert.input_volts(connection.input_code[row], row))
            case Route.AMPLITUDES_TO_DAQ if channel < columns:
                return float(convert.amplitude_volts(connection.amplitude_code[channel], channel))
            case Route.AMPLITUDES_TO_DAQ if channel == 16:
                return float(convert.gate_volts(np.asarray(connection.gate_code)))
        return float(bench.held_volts[channel]) if bench.outputs_routed and channel < columns else 0.0


def _source(volts: float, ohms: float) -> _OnePort:
    return _OnePort(lambda across: (across - volts) / ohms, LEAD_OHMS)


def _across(port: _OnePort, volts: float, hidden_ohms: float) -> float:
    """Volts across the port where `volts` stand across it and what is in series."""
    if hidden_ohms == 0.0:
        return volts
    reach = 10.0 + 2.0 * abs(volts)
    return float(brentq(lambda across: across + hidden_ohms * port.amps(across) - volts, -reach, reach, xtol=1e-13))


def _at_current(port: _OnePort, amps: float, reach_volts: float) -> float:
    """Volts across the port at which it takes `amps`."""
    reach = reach_volts
    while not port.amps(-reach) <= amps <= port.amps(reach):
        reach *= 2.0
    return float(brentq(lambda across: port.amps(across) - amps, -reach, reach, xtol=1e-13))
