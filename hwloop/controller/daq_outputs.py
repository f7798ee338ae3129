"""A board whose solutions the DAQ reads: solve after solve, each held at the DAQ pins until it was scanned."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from hwloop.controller.instrument_readings import Readings
from hwloop.controller.uncertainty import BoardUncertainty
from hwloop.drivers.board import AS_READ, Board, OutputCalibration, SolveGroup, SolveOutputs
from hwloop.drivers.daq.daq import Daq
from hwloop.link.protocol import Route


@dataclass(frozen=True)
class BothRead:
    """Outputs of n solves, all (n, k), 0 V where the board gave a flag: as the board read them, with flags, as the DAQ
    did, and how far each may be off, 95 %."""

    by_board: SolveOutputs
    board_95_volts: np.ndarray
    daq_volts: np.ndarray
    daq_95_volts: np.ndarray


class DaqOutputs:
    """Stands in for a Board where a circuit solves: everything is the board's, but outputs are the DAQ's.

    `daq` is None in a replay; `first_channel` is the DAQ's number for pin 0. What was read by both is kept, so that
    the same solves can be answered once more from either of them: `answering`.
    """

    def __init__(
        self, board: Board, daq: Daq | None, first_channel: int, readings: Readings, uncertainty: BoardUncertainty,
        on_step: Callable[[str, int, int], None],
    ):
        self._board, self._daq, self._first_channel, self._readings = board, daq, first_channel, readings
        self._uncertainty, self._on_step = uncertainty, on_step
        self._kept: list[BothRead] = []
        self._answers: Iterator[SolveOutputs] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._board, name)

    def forget(self) -> None:
        """Keep what is solved from here on."""
        self._kept.clear()

    @contextmanager
    def answering(self, volts_of: Callable[[BothRead], np.ndarray]) -> Iterator[None]:
        """Answer the solves since `forget` once more, in their order, with the volts (n, k) that are chosen of each."""
        self._answers = iter([
            dataclasses.replace(kept.by_board, output_volts=volts_of(kept)) for kept in self._kept
        ])
        try:
            yield
        finally:
            self._answers = None

    def solve(self, groups: list[SolveGroup], calibration: OutputCalibration = AS_READ) -> list[SolveOutputs]:
        """See Board; outputs as the DAQ reads them. Raises as Daq and Readings, too."""
        if self._answers is not None:
            return [next(self._answers) for _ in groups]
        read = [self._read(group, calibration) for group in groups]
        self._kept += read
        return [dataclasses.replace(both.by_board, output_volts=both.daq_volts) for both in read]

    def _read(self, group: SolveGroup, calibration: OutputCalibration) -> BothRead:
        """One group, every solve by itself."""
        columns = np.broadcast_to(group.columns_of_solves(), (len(group.input_volts), np.shape(group.columns)[-1]))
        banks = np.zeros(len(columns), int) if group.solves is None else np.repeat(
            np.arange(len(group.solves)), group.solves
        )
        taken = []
        for place, (bank, pins) in enumerate(zip(banks.tolist(), columns, strict=True)):
            outputs, read = self._readings.take(
                {"role": "daq", "pins": pins.tolist()},
                partial(self._hold, _single(group, place, bank), calibration),
                partial(self._scan, pins),
            )
            taken.append((outputs, read))
            self._on_step("solutions by the DAQ", place + 1, len(columns))
        by_board = SolveOutputs(*(
            np.concatenate([getattr(outputs, field.name) for outputs, _ in taken])
            for field in dataclasses.fields(SolveOutputs)
        ))
        board_95 = self._uncertainty.volts_95(by_board.output_volts, columns, group.averages)
        return BothRead(
            by_board, board_95, np.stack([read["volts"] for _, read in taken]),
            np.stack([read["uncertainty_95_volts"] for _, read in taken]),
        )

    def _hold(self, group: SolveGroup, calibration: OutputCalibration) -> SolveOutputs:
        """One solve, whose outputs stand at the pins afterwards."""
        self._board.ports.route(Route.OUTPUTS_TO_DAQ)
        (outputs,) = self._board.solve([group], calibration)
        return outputs

    def _scan(self, pins: np.ndarray) -> dict[str, np.ndarray]:
        range_volts = self._board.scales.output_max_volts
        volts, stated = self._daq.scan_volts(self._first_channel + pins, range_volts), self._daq.accuracy(range_volts)
        return {"volts": volts, "uncertainty_95_volts": np.hypot(stated.gain_fraction * volts, stated.offset)}


def _single(group: SolveGroup, place: int, bank: int) -> SolveGroup:
    """One solve of a group of dense banks, as a group."""
    own: dict[str, Any] = {"input_volts": group.input_volts[place : place + 1]}
    if group.solves is not None:
        own["solves"] = np.ones(1, np.int64)
        for name in ("rows", "columns", "settle_seconds", "feedback_siemens", "bias_amps", "active"):
            if (value := getattr(group, name)) is not None:
                own[name] = value[bank : bank + 1]
    return dataclasses.replace(group, **own)
