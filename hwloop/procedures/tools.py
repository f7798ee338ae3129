"""What every calibration has at hand, what it says before it begins, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from hwloop.array.chip import Chip
from hwloop.calibration.record import Parameter, Residual
from hwloop.drivers.board import Board
from hwloop.drivers.daq.daq import Daq
from hwloop.drivers.smu.smu import Smu
from hwloop.errors import CalibrationError, UsageError

# Pins of the board's DAQ port: 16 of rows or columns, then the gate.
DAQ_PINS = 17
_FIRST_DAQ_CHANNEL = 101    # of a multiplexer card in slot 1


def _no_steps(phase: str, done: int, total: int) -> None:
    """Nobody looks."""


@dataclass(frozen=True)
class Tools:
    """What a procedure has at hand; `board` converts by the constants that earlier kinds found.

    `known`: what earlier kinds found, with uncertainties, by parameter name. `on_step` (phase, done, total) is called
    as work goes on; it may raise to stop. `daq_channels` (17,): the DAQ's numbers for pins 0 to 16.
    """

    board: Board
    chip: Chip | None = None
    smu: Smu | None = None
    daq: Daq | None = None
    on_step: Callable[[str, int, int], None] = _no_steps
    known: Mapping[str, Parameter] = field(default_factory=dict)
    daq_channels: np.ndarray = field(default_factory=lambda: _FIRST_DAQ_CHANNEL + np.arange(DAQ_PINS))

    def need_smu(self) -> Smu:
        """The SMU. Raises UsageError where there is none."""
        if self.smu is None:
            raise UsageError("this calibration needs a source-measure unit; name one in the rig file, under [smu]")
        return self.smu

    def found(self, name: str, kind: str) -> Parameter:
        """What is known of `name`, which `kind` finds. Raises CalibrationError where it was not found."""
        if name not in self.known:
            raise CalibrationError(f"this goes by {name}, which is not calibrated; run `hwloop calibrate {kind}` first")
        return self.known[name]

    def need_chip(self) -> Chip:
        """The chip. Raises UsageError where there is none."""
        if self.chip is None:
            raise UsageError("this calibration needs a chip with formed cells in the socket; name one under [array]")
        return self.chip


@dataclass(frozen=True)
class Plan:
    """What a procedure will do, for people to read before it does anything.

    `needs` of "smu", "daq", "chip"; `seconds` of bench and instrument time, estimated; `pulses` that cells get.
    """

    lines: tuple[str, ...]
    needs: tuple[str, ...]
    seconds: float
    pulses: int = 0


@dataclass(frozen=True)
class Trace:
    """What a picture shows: `x` and `residual` like `y`, (n,) or (channels, n); labels with units."""

    title: str
    x_label: str
    y_label: str
    x: np.ndarray
    y: np.ndarray
    residual: np.ndarray
    residual_unit: str


@dataclass(frozen=True)
class Findings:
    """What a procedure found out."""

    parameters: tuple[Parameter, ...]
    residual: Residual
    method: str
    traces: tuple[Trace, ...]


class Procedure(Protocol):
    """One calibration, by its name in the list of kinds."""

    kind: str

    def plan(self, tools: Tools) -> Plan:
        """What it will do; moves nothing. Raises UsageError where something that it needs is not there."""

    def run(self, tools: Tools) -> Findings:
        """Do it. Raises InstrumentError and LinkError where an instrument or the board fails, CalibrationError where
        what was measured cannot be right."""
