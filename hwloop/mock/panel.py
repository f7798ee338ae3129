"""The digital half of the Python board: carries commands out on the bench by the tick rules, as the firmware does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from hwloop.link import protocol as wire
from hwloop.mock.bench import Bench, SolveSetting
from hwloop.mock.connection import holds_levels
from hwloop.mock.digest import digest_products, digest_reads, digest_solves
from hwloop.mock.registers import BoardRegisters
from hwloop.mock.sections import CellList, SolveList, schedule_row_pulses

SAMPLES_AT_ONCE = 1 << 20   # kept in memory; where a reading is cut changes nothing


class Panel:
    """A bench and the registers of the board that stands on it."""

    def __init__(self, bench: Bench):
        self.bench, self.geometry = bench, bench.geometry
        self.registers = BoardRegisters(self.geometry.rows)
        self._show_connection()

    def advance(self, ticks: int) -> int:
        """Let bench time pass; gives the ticks that passed."""
        self.bench.ticks += ticks
        return ticks

    def take(self, values: np.ndarray) -> None:
        """Hold what BoardRegisters.values() gave."""
        self.registers.take(values)
        self._show_connection()

    def ground(self) -> None:
        """Everything but the limits to rest."""
        self.registers.ground()
        self._show_connection()

    def compensate(self, rows: np.ndarray, codes: np.ndarray, continued: bool) -> int:
        """Codes (n,) of `rows` (n,) in order; gives the ticks that passed."""
        ticks = self.registers.load_compensation(rows, codes, continued)
        if holds_levels(self.registers.routed[0]):
            self._show_connection()
        return self.advance(ticks)

    def route(self, request: wire.RouteRequest) -> int:
        """Connect what ROUTE asks for; gives the ticks that passed."""
        ticks = self.registers.route(request)
        self._show_connection()
        return self.advance(ticks)

    def hold(self, what: int, channels: np.ndarray, codes: np.ndarray, bias_divider: int) -> int:
        """Levels (n,) of `channels` (n,) in order; gives the ticks that passed."""
        ticks = self.registers.hold(what, channels, codes, bias_divider)
        self._show_connection()
        return self.advance(ticks)

    def end_route(self) -> None:
        """A command that drives lines begins."""
        if self.registers.routed[0]:
            self.registers.end_route()
            self._show_connection()

    def sample(self, request: wire.SampleRequest) -> np.ndarray:
        """Sums of codes (columns,) int64."""
        sums = self.bench.sample_sums(
            request.source, request.tia_range, self.bench.ticks + wire.TICKS_READ_SETTLE, request.averages
        )
        self.advance(wire.TICKS_READ_SETTLE + request.averages * wire.TICKS_SAMPLE)
        return sums

    def _show_connection(self) -> None:
        self.bench.connection, self.bench.outputs_routed = self.registers.connection(), self.registers.outputs_routed

    def pulse(
        self, array: int, polarity: int, listed: CellList, amplitude_code: np.ndarray, gate_code: np.ndarray,
        width_ticks: int,
    ) -> None:
        """The row pulses of one section."""
        n = len(listed.cell)
        start_tick = np.empty(n, np.int64)
        clock = schedule_row_pulses(
            listed.cell % self.geometry.columns, amplitude_code, gate_code, listed.group, width_ticks,
            self.registers.dac_words, start_tick, self.bench.ticks,
        )
        self.bench.pulse(
            self._flat(array, listed), np.full(n, polarity, np.int64), amplitude_code, gate_code,
            np.full(n, width_ticks, np.int64), start_tick,
        )
        self.bench.ticks = int(clock)

    def read(self, array: int, listed: CellList, request: wire.ReadRequest) -> tuple[np.ndarray, np.ndarray]:
        """Codes (n,) and steady bits (n,) of one section."""
        samples = request.averages * request.sub_averages
        row_ticks = wire.TICKS_READ_SETTLE + samples * wire.TICKS_SAMPLE
        cell, start_tick = self._flat(array, listed), self.bench.ticks + listed.group * row_ticks
        codes, steady = np.empty(len(cell), np.uint16), np.empty(len(cell), bool)
        for part in _pieces(len(cell), samples):
            start = start_tick[part]
            sampled = self.bench.read_codes(
                cell[part], start, start + wire.TICKS_READ_SETTLE, samples, request.tia_range
            )
            codes[part], steady[part] = digest_reads(sampled, request.averages, request.spread_code)
        self.advance(listed.groups * row_ticks)
        return codes, steady

    def solve(
        self, section: wire.SolveSection, batch: SolveList, divider: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Output codes (n, k), saturated (n,) and unsettled (n,) of one section."""
        setting = SolveSetting(
            batch.rows, batch.columns, self.registers.compensation_code[batch.rows], batch.feedback_code,
            batch.bias_code, divider, section.constraint,
        )

        def sample(part: slice, release_tick: np.ndarray, first_sample_tick: np.ndarray) -> np.ndarray:
            return self.bench.output_codes(
                setting, batch.input_code[part], release_tick, first_sample_tick, section.averages
            )

        return self._in_turn(section, batch, sample, digest_solves)

    def mvm(self, section: wire.MvmSection, batch: SolveList) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Current codes (n, k), beyond the range (n,) and unsettled (n,) of one section."""

        def sample(part: slice, release_tick: np.ndarray, first_sample_tick: np.ndarray) -> np.ndarray:
            return self.bench.current_codes(
                section.array, batch.rows, batch.columns, batch.input_code[part], release_tick, first_sample_tick,
                section.averages, section.tia_range,
            )

        return self._in_turn(section, batch, sample, digest_products)

    def _in_turn(
        self, section: wire.SolveSection | wire.MvmSection, batch: SolveList, sample: Callable, digest: Callable
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The solves or products of a section one after the other, `sample`d in pieces and `digest`ed."""
        n, k = len(batch.input_code), len(batch.columns)
        input_ticks = self.registers.input_ticks(section.row_count)
        duration = input_ticks + section.settle_ticks + section.averages * wire.TICKS_SAMPLE
        release_tick = self.bench.ticks + input_ticks + np.arange(n) * duration
        codes, saturated, unsettled = np.empty((n, k), np.int16), np.empty(n, bool), np.empty(n, bool)
        for part in _pieces(n, section.averages * k):
            release = release_tick[part]
            sampled = sample(part, release, release + section.settle_ticks)
            codes[part], saturated[part], unsettled[part] = digest(sampled)
        self.advance(n * duration)
        return codes, saturated, unsettled

    def _flat(self, array: int, listed: CellList) -> np.ndarray:
        return listed.cell + array * self.geometry.rows * self.geometry.columns


def _pieces(count: int, samples_each: int) -> Iterator[slice]:
    """Slices of `count` readings with so many samples each."""
    step = max(1, SAMPLES_AT_ONCE // samples_each)
    for first in range(0, count, step):
        yield slice(first, first + step)
