"""A programming port wired straight to simulated cells: chain noise, 16 bit and bench ticks, but no wire."""

from __future__ import annotations

import numpy as np

from hwloop.array.program.curves import GateCurve
from hwloop.array.program.grouping import row_pulses
from hwloop.drivers.cells import CellPulses, CellReads
from hwloop.link.protocol import TiaRange
from hwloop.mock.chip_truth import ChipTruth
from hwloop.mock.devices import CellArray


def known_curve(truth: ChipTruth, size: int) -> GateCurve:
    """The gate curve of a chip of which everything is known."""
    return GateCurve.of_arrays(truth.gate_siemens_per_volt, truth.gate_threshold_volts, size)


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
        self._dac_volts = np.zeros(self.columns + 1)    # one DAC a column for every polarity, then the gate's

    def pulse_and_read(
        self, pulses: CellPulses | None, read_cells: np.ndarray, averages: int, sub_averages: int,
        spread_siemens: float, tia_range: int = TiaRange.COARSE,
    ) -> CellReads:
        if pulses is not None and pulses.cells.size:
            self._pulse(pulses)
        row, place = np.unique(read_cells // self.columns, return_inverse=True)
        row_ticks = TICKS_PER_MICROSECOND * (20 + 16 * averages * sub_averages)
        at = self.ticks + row_ticks * place
        self.ticks += row_ticks * row.size
        range_amps = RANGE_AMPS if tia_range == TiaRange.COARSE else RANGE_AMPS / 10
        amps = READ_VOLTS * self.cell_array.conductance(read_cells, at)
        noise = self._random.standard_normal((sub_averages, read_cells.size)) * self._noise_amps / np.sqrt(averages)
        noise *= range_amps / RANGE_AMPS
        codes = np.rint(np.clip((amps + noise) / range_amps, 0, 1) * 65535)
        parts = codes * (range_amps / 65535 / READ_VOLTS)
        mean = parts.mean(axis=0)
        steady = (np.abs(parts - mean) <= spread_siemens).all(axis=0)
        return CellReads(mean, steady, (codes == 65535).any(axis=0))

    def _pulse(self, pulses: CellPulses) -> None:
        grouped = row_pulses(pulses, self.columns)
        cells = pulses.cells[grouped.order]
        amplitude, gate = pulses.amplitude_volts[grouped.order], pulses.gate_volts[grouped.order]
        polarity, width = pulses.polarity[grouped.order], pulses.width_seconds[grouped.order]
        first = np.flatnonzero(np.diff(grouped.group, prepend=-1))
        words = np.bincount(grouped.group, self._written(cells % self.columns, amplitude))
        words += self._written(np.full(grouped.count, self.columns), gate[first])
        width_ticks = np.rint(width[first] * 1e6 * TICKS_PER_MICROSECOND).astype(np.int64)
        after = 5 * TICKS_PER_MICROSECOND
        ends = self.ticks + np.cumsum((words.astype(np.int64) + 10) * TICKS_PER_MICROSECOND + width_ticks + after)
        starts = ends - after - width_ticks
        self.cell_array.pulse(cells, polarity, amplitude, gate, width, starts[grouped.group])
        self.ticks, self.row_pulses = int(ends[-1]), self.row_pulses + grouped.count

    def _written(self, dac: np.ndarray, volts: np.ndarray) -> np.ndarray:
        """Which of `volts` (n,), given to `dac` (n,) one after another, are not there yet, bool (n,)."""
        order = np.argsort(dac, kind="stable")
        ordered, given = dac[order], volts[order]
        starts = np.concatenate(([True], ordered[1:] != ordered[:-1]))
        previous = np.concatenate(([np.nan], given[:-1]))
        previous[starts] = self._dac_volts[ordered[starts]]
        ends = np.concatenate((starts[1:], [True]))
        self._dac_volts[ordered[ends]] = given[ends]
        written = np.empty(dac.size, bool)
        written[order] = given != previous
        return written
