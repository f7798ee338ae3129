"""A programming port wired straight to simulated cells: chain noise, 16 bit and bench ticks, but no wire."""

from __future__ import annotations

import numpy as np

from hwloop.array.program.grouping import row_pulses
from hwloop.drivers.cells import CellPulses, CellReads, Polarity
from hwloop.mock.devices import CellArray

READ_VOLTS = 0.2
RANGE_AMPS, NOISE_AMPS = 50e-6, 20e-9
TICKS_PER_MICROSECOND = 10


class DirectPort:
    """Counts as the board does: `ticks`, `row_pulses`; tick rules of the design notes, section 5."""

    def __init__(self, cell_array: CellArray, noise_amps: float = NOISE_AMPS, seed: int = 0):
        self.cell_array, self.columns = cell_array, cell_array.columns
        self.ticks, self.row_pulses = 0, 0
        self._noise_amps = noise_amps
        self._random = np.random.default_rng(seed)
        self._column_volts = np.zeros((2, self.columns))    # bit-line and source-line DACs

    def pulse_and_read(
        self, pulses: CellPulses | None, read_cells: np.ndarray, averages: int, sub_averages: int,
        spread_siemens: float,
    ) -> CellReads:
        if pulses is not None and pulses.cells.size:
            self._pulse(pulses)
        row, place = np.unique(read_cells // self.columns, return_inverse=True)
        row_ticks = TICKS_PER_MICROSECOND * (20 + 16 * averages * sub_averages)
        at = self.ticks + row_ticks * (place + 1)
        self.ticks += row_ticks * row.size
        amps = READ_VOLTS * self.cell_array.conductance(read_cells, at)
        noise = self._random.standard_normal((sub_averages, read_cells.size)) * self._noise_amps / np.sqrt(averages)
        codes = np.rint(np.clip((amps + noise) / RANGE_AMPS, 0, 1) * 65535)
        parts = codes * (RANGE_AMPS / 65535 / READ_VOLTS)
        mean = parts.mean(axis=0)
        steady = (np.abs(parts - mean) <= spread_siemens).all(axis=0)
        return CellReads(mean, steady, (codes == 65535).any(axis=0))

    def _pulse(self, pulses: CellPulses) -> None:
        grouped = row_pulses(pulses, self.columns)
        cells = pulses.cells[grouped.order]
        amplitude, gate = pulses.amplitude_volts[grouped.order], pulses.gate_volts[grouped.order]
        polarity, width = pulses.polarity[grouped.order], pulses.width_seconds[grouped.order]
        first = np.flatnonzero(np.diff(grouped.group, prepend=-1))
        words = 1 + np.bincount(grouped.group, self._changed_columns(polarity, cells % self.columns, amplitude))
        microseconds = words + 10 + width[first] * 1e6 + 5
        ends = self.ticks + np.rint(np.cumsum(microseconds) * TICKS_PER_MICROSECOND).astype(np.int64)
        self.cell_array.pulse(cells, polarity, amplitude, gate, width, ends[grouped.group] - 60)
        self.ticks, self.row_pulses = int(ends[-1]), self.row_pulses + grouped.count

    def _changed_columns(self, polarity: np.ndarray, column: np.ndarray, amplitude: np.ndarray) -> np.ndarray:
        """Which cell pulses need their column DAC written, bool (n,)."""
        line = (polarity == Polarity.RESET) * self.columns + column
        order = np.argsort(line, kind="stable")
        ordered, volts = line[order], amplitude[order]
        previous = np.concatenate(([np.nan], volts[:-1]))
        starts = np.concatenate(([True], ordered[1:] != ordered[:-1]))
        dacs = self._column_volts.reshape(-1)
        previous[starts] = dacs[ordered[starts]]
        ends = np.append(np.flatnonzero(starts)[1:] - 1, line.size - 1)
        dacs[ordered[ends]] = volts[ends]
        changed = np.empty(line.size, bool)
        changed[order] = volts != previous
        return changed
