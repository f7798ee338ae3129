"""What the cells of a run read, from the readings in its journal: the last of each, and how far from their targets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from hwloop.calibration.usage import InUse
from hwloop.drivers.board.decoding import unpack_read_cells, unpack_read_codes
from hwloop.drivers.board.scales import Scales
from hwloop.link.protocol import Command, DescribeReply, ReadRequest
from hwloop.runlog.bodies import Event, told_by
from hwloop.runlog.exchanges import Assembler, Exchange
from hwloop.runlog.record import ConductanceMaps
from hwloop.runlog.sources import RunSource

_ACCEPTED = 0
MOST_ERRORS = 1 << 22


@dataclass(frozen=True)
class RunCells:
    """`maps` as last read; `errors_siemens` (n,), conductance minus target, of cells when they were accepted, one in
    `every` of them."""

    maps: ConductanceMaps
    errors_siemens: np.ndarray
    every: int


def cells_of_run(source: RunSource) -> RunCells | None:
    """Read the journal of a run; None where it ends before its board is known."""
    reader: _CellReader | None = None
    calibrations: InUse | None = None
    assembler = Assembler()
    with source.journal() as journal:
        for record in journal.records():
            told = told_by(record)
            if not isinstance(told, Event):
                for exchange in assembler.take(told, record.time_ns):
                    if reader is not None:
                        reader.take(exchange)
            elif told.name == "calibrations":
                calibrations = InUse.recorded(told.fields, told.arrays)
            elif told.name == "board" and reader is None:
                reader = _CellReader(told, calibrations)
            elif told.name == "programmed" and reader is not None:
                reader.programmed(told)
    return None if reader is None else reader.finish()


class _CellReader:
    """Keeps the last reading of every cell, and a bounded number of errors."""

    def __init__(self, board: Event, calibrations: InUse | None):
        scales = board.fields["board"]["scales"]
        # A run of an earlier version has no more than was stated then.
        describe = DescribeReply(*[scales.get(field.name, 0) for field in dataclasses.fields(DescribeReply)])
        self._scales = Scales(describe, calibrations.constants(describe)) if calibrations else Scales.nominal(describe)
        self._rows, self._columns = self._scales.describe.rows, self._scales.describe.columns
        self._siemens = np.full(2 * self._rows * self._columns, np.nan)
        self._errors: list[np.ndarray] = []
        self._count, self._every, self._seen = 0, 1, 0

    def take(self, exchange: Exchange) -> None:
        for kind, payload, reply in exchange.answered:
            if kind == Command.READ and reply is not None:
                cells = unpack_read_cells(payload, self._rows, self._columns)
                codes, _ = unpack_read_codes(reply, len(cells))
                tia_range = ReadRequest.unpack(payload).tia_range
                self._siemens[cells[: len(codes)]] = self._scales.siemens_from_read_codes(
                    codes, tia_range, cells[: len(codes)] % self._columns
                )

    def programmed(self, event: Event) -> None:
        accepted = event.arrays["outcome"] == _ACCEPTED
        cells = event.arrays["cells"][accepted].astype(np.int64)
        errors = self._siemens[cells] - event.arrays["target_siemens"][accepted]
        errors = errors[(-self._seen) % self._every :: self._every]
        self._seen += len(cells)
        self._errors.append(errors[np.isfinite(errors)].astype(np.float32))
        self._count += len(self._errors[-1])
        if self._count > MOST_ERRORS:
            self._errors = [np.concatenate(self._errors)[::2]]
            self._count, self._every = len(self._errors[0]), 2 * self._every

    def finish(self) -> RunCells:
        a_siemens, b_siemens = self._siemens.reshape(2, self._rows, self._columns)
        errors = np.concatenate(self._errors) if self._errors else np.zeros(0)
        return RunCells(ConductanceMaps(a_siemens, b_siemens), errors, self._every)
