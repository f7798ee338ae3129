"""The bench world behind the simulated board: the array chip, the circuit, the converters and the bench clock."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hwloop.link import protocol as wire
from hwloop.link.protocol import LimitKind, ResetCause
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.bench_state import load_state, save_state
from hwloop.mock.circuit import mvm
from hwloop.mock.converters import Converters
from hwloop.mock.devices import CellArray
from hwloop.mock.randomness import derive_many, normal_many, stream
from hwloop.mock.sampling import ReadChain, SolveChain, sample_reads, sample_solves
from hwloop.mock.sections import GATE_DAC, CellList, SolveList, schedule_row_pulses

AMPLIFIER_GAIN = 1e5
AMPLIFIER_OFFSET_VOLTS = 5e-6           # σ, zero-drift amplifiers
COARSE_NOISE_AMPS, FINE_NOISE_AMPS = 20e-9, 4e-9    # white, a sample, chain of READ
OUTPUT_NOISE_VOLTS = 60e-6              # white, a sample, at the output ADC
_BOARD_DOMAIN, _READ_DOMAIN, _OUTPUT_DOMAIN = 11, 12, 13

__all__ = ["Bench", "BenchConfig"]


class Bench:
    """Everything on the bench that the board's commands act on; voltages and times are those of the moment.

    Ticks advance by the rules of protocol.toml only. The reply to a command depends on serials, seed and what was
    commanded before, never on how commands were cut into frames.
    """

    def __init__(self, config: BenchConfig):
        self.config = config
        self.geometry = wire.BOARDS[config.board_name]
        self.board_serial, self.array_serial = config.board_serial, config.array_serial
        self.ticks = 0
        self.boot_counter, self.reset_cause = 1, ResetCause.POWER
        self.cells = CellArray(
            config.array_serial, config.seed, self.geometry.rows, self.geometry.columns, config.device_effects(),
            config.pristine,
        )
        self.converters = Converters()
        self.limits = np.zeros(len(LimitKind), np.int64)
        for kind in LimitKind:
            self.limits[kind] = getattr(wire, f"LIMIT_{kind.name}")
        columns = np.arange(self.geometry.columns, dtype=np.uint64)
        spread = normal_many(derive_many(stream(_BOARD_DOMAIN, config.board_serial), columns))
        self.offset_volts = spread * (AMPLIFIER_OFFSET_VOLTS if config.board_effect("amplifier_offset") else 0.0)
        self._noise = 1.0 if config.board_effect("chain_noise") else 0.0
        self._read_key = stream(_READ_DOMAIN, config.board_serial, config.seed)
        self._output_key = stream(_OUTPUT_DOMAIN, config.board_serial, config.seed)
        self._dac_words = np.zeros(GATE_DAC + 1, np.int64)
        self._row_mask, self._column_mask = np.zeros(self.geometry.rows, bool), 0
        self._changed = False
        self.last_command = (0, 0)      # kind and sequence of the sequenced command begun last
        self.routed: wire.RouteRequest | None = None
        self.compensation_siemens = np.zeros(self.geometry.rows)
        if config.state:
            self._restore(Path(config.state))
        self._saved_ticks = self.ticks
        self._set_temperature(self.ticks)

    def ground(self) -> None:
        """Every line to ground: no route, no compensation, no active row or column, DACs at zero."""
        self.routed = None
        self._row_mask[:], self._column_mask = False, 0
        self.compensation_siemens[:] = 0.0
        self._dac_words[:] = 0

    def advance(self, ticks: int) -> int:
        """Let bench time pass; gives the ticks that passed."""
        self.ticks += ticks
        return ticks

    def temperature_celsius(self) -> float:
        """Temperature at the array now."""
        self._set_temperature(self.ticks)
        return self.cells.temperature_celsius

    def pulse(
        self, array: int, polarity: int, listed: CellList, amplitude_code: np.ndarray, gate_code: np.ndarray,
        width_ticks: int,
    ) -> None:
        """The row pulses of one section."""
        n, columns = len(listed.cell), self.geometry.columns
        start_ticks = np.empty(n, np.int64)
        clock = schedule_row_pulses(
            listed.cell % columns, amplitude_code, gate_code, listed.group, width_ticks, self._dac_words, start_ticks,
            self.ticks,
        )
        self.cells.pulse(
            listed.cell + array * self.geometry.rows * columns, polarity,
            self.converters.amplitude_volts(amplitude_code), self.converters.gate_volts(gate_code),
            width_ticks / wire.TICK_HERTZ, start_ticks,
        )
        self.advance(int(clock) - self.ticks)
        self._changed = True

    def read(self, array: int, listed: CellList, request: wire.ReadRequest) -> tuple[np.ndarray, np.ndarray]:
        """Codes (n,) and steady bits (n,) of one section."""
        columns = self.geometry.columns
        row_ticks = wire.TICKS_READ_SETTLE + request.averages * request.sub_averages * wire.TICKS_SAMPLE
        start_tick = self.ticks + listed.group * row_ticks
        cell = listed.cell + array * self.geometry.rows * columns
        conductance = np.empty(len(cell))
        for part in self._spans(start_tick):
            conductance[part] = self.cells.conductance(cell[part], start_tick[part])
        codes_per_amp = self.converters.read_codes_per_amp(request.tia_range)
        noise_amps = FINE_NOISE_AMPS if request.tia_range == wire.TiaRange.FINE else COARSE_NOISE_AMPS
        chain = ReadChain(
            self._read_key, wire.SCALE_READ_MICROVOLTS * 1e-6 * codes_per_amp,
            noise_amps * self._noise * codes_per_amp, request.sub_averages, request.averages, request.spread_code,
        )
        codes, steady = np.empty(len(listed.cell), np.uint16), np.empty(len(listed.cell), bool)
        sample_reads(chain, conductance, listed.cell % columns, start_tick, codes, steady)
        self.advance(listed.groups * row_ticks)
        return codes, steady

    def load_masks(self, rows: np.ndarray, column_mask: int) -> int:
        """Make `rows` (m,) and the columns of a section the active ones; gives the ticks it took, 0 where they are."""
        row_mask = np.zeros_like(self._row_mask)
        row_mask[rows] = True
        changed = int(np.count_nonzero(row_mask != self._row_mask))
        if not changed and column_mask == self._column_mask:
            return 0
        self._row_mask, self._column_mask = row_mask, column_mask
        return self.advance(wire.TICKS_LOAD + changed * wire.TICKS_LOAD_CHANGED_ROW)

    def solve(
        self, section: wire.SolveSection, batch: SolveList, divider: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Output codes (n, k), saturated (n,) and unsettled (n,) of one section."""
        columns = self.geometry.columns
        chain = SolveChain(
            self._output_key, AMPLIFIER_GAIN if self.config.board_effect("amplifier_gain") else math.inf,
            float(wire.SCALE_GAIN_BANDWIDTH_HERTZ), wire.SCALE_INPUT_NANOSIEMENS * 1e-9,
            wire.SCALE_OUTPUT_MAX_MICROVOLTS * 1e-6, OUTPUT_NOISE_VOLTS / wire.SCALE_OUTPUT_GAIN * self._noise,
            wire.SCALE_UNSETTLED_CODE * self.converters.output_step_volts, self.cells.effects.curvature,
            section.constraint, self._input_ticks(section.row_count), section.settle_ticks, section.averages,
        )
        first_a = batch.rows * columns
        n, k = len(batch.input_code), len(batch.columns)
        duration = chain.input_ticks + section.settle_ticks + section.averages * wire.TICKS_SAMPLE
        start_tick = self.ticks + np.arange(n) * duration
        volts, saturated, unsettled = np.empty((n, k)), np.empty(n, bool), np.empty(n, bool)
        for part in self._spans(start_tick):
            volts[part], saturated[part], unsettled[part] = sample_solves(
                chain, self.cells.laws, self.cells.hardware, self.cells.cell_state, self.cells.temperature_celsius,
                first_a, first_a + self.geometry.rows * columns, batch.columns, columns,
                self.converters.input_volts(batch.input_code[part]), self.compensation_siemens[batch.rows],
                self.converters.feedback_siemens(batch.feedback_code),
                self.converters.bias_amps(batch.bias_code, divider), self.offset_volts[batch.columns],
                int(start_tick[part][0]),
            )
        self.advance(n * duration)
        return self.converters.output_codes(volts), saturated, unsettled

    def mvm(self, section: wire.MvmSection, batch: SolveList) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Current codes (n, k), beyond the range (n,) and unsettled (n,) of one section."""
        n = len(batch.input_code)
        duration = self._input_ticks(section.row_count) + section.settle_ticks + section.averages * wire.TICKS_SAMPLE
        volts = self.converters.input_volts(batch.input_code)
        amps = np.empty((n, len(batch.columns)))
        noise_amps = FINE_NOISE_AMPS if section.tia_range == wire.TiaRange.FINE else COARSE_NOISE_AMPS
        ticks = self.ticks + np.arange(n) * duration
        for solve in range(n):
            self._set_temperature(int(ticks[solve]))
            conductance = self.cells.conductance_rows(section.array, batch.rows, int(ticks[solve]))
            amps[solve] = mvm(conductance, volts[solve : solve + 1], self.cells.effects.curvature)[0, batch.columns]
        column_keys = derive_many(self._read_key, batch.columns.astype(np.uint64))
        keys = derive_many(column_keys[None, :], ticks.astype(np.uint64)[:, None])
        amps += normal_many(keys) * (noise_amps * self._noise / math.sqrt(section.averages))
        self.advance(n * duration)
        beyond = (np.abs(amps) >= self.converters.tia_full_scale_amps(section.tia_range)).any(axis=1)
        return self.converters.current_codes(amps, section.tia_range), beyond, np.zeros(n, bool)

    def compensate(self, rows: np.ndarray, codes: np.ndarray, continued: bool) -> int:
        """Set the compensation of rows (n,); gives the ticks it took."""
        changed = 0
        for row, siemens in zip(rows.tolist(), self.converters.compensation_siemens(codes).tolist(), strict=True):
            changed += self.compensation_siemens[row] != siemens
            self.compensation_siemens[row] = siemens
        return self.advance((0 if continued else wire.TICKS_LOAD) + int(changed) * wire.TICKS_LOAD_CHANGED_ROW)

    def save_if_changed(self) -> None:
        """Keep the state of a durable bench when cells have changed since. Raises OSError where that fails."""
        if self._changed:
            self._save()

    def save_clock(self) -> None:
        """Keep the state of a durable bench when bench time has passed since. Raises OSError where that fails."""
        if self.ticks != self._saved_ticks:
            self._save()

    def _save(self) -> None:
        if self.config.state:
            identity = {
                "array_serial": self.array_serial, "seed": self.config.seed, "ticks": self.ticks,
                "boot_counter": self.boot_counter, "last_command": np.array(self.last_command),
            }
            save_state(Path(self.config.state), identity | self.cells.state())
        self._changed, self._saved_ticks = False, self.ticks

    def _restore(self, path: Path) -> None:
        state = load_state(path, self.array_serial, self.cells.size)
        if state is None:
            return
        self.ticks, self.boot_counter = int(state["ticks"]), int(state["boot_counter"]) + 1
        kind, sequence = state["last_command"].tolist()
        self.last_command = (kind, sequence)
        self.cells.restore(state)

    def _spans(self, ticks: np.ndarray) -> Iterator[slice]:
        """Slices of rising `ticks` (n,) in which the chip's temperature stands still; it is set for each of them."""
        second = ticks // wire.TICK_HERTZ if self.config.temperature_drift_per_hour_celsius else np.zeros_like(ticks)
        bounds = [0, *(np.flatnonzero(np.diff(second)) + 1).tolist(), len(ticks)]
        for first, stop in zip(bounds[:-1], bounds[1:], strict=True):
            if stop > first:
                self._set_temperature(int(ticks[first]))
                yield slice(first, stop)

    def _set_temperature(self, tick: int) -> None:
        """The chip's temperature drifts in steps of a bench second, so that it does not depend on batching."""
        seconds = tick // wire.TICK_HERTZ
        drift = self.config.temperature_drift_per_hour_celsius * seconds / 3600
        self.cells.temperature_celsius = self.config.temperature_celsius + drift

    def _input_ticks(self, rows: int) -> int:
        buses = max(1, self.geometry.rows // wire.TICKS_ROWS_A_BUS)
        return -(-rows * wire.TICKS_SOLVE_INPUT // buses)
