"""The bench world: the array chip, the circuit, the converters, the clock, and what survives a reset of the board.

Whatever board stands on the bench (the Python board, or simulated chips that firmware drives) acts through the same few
calls, by codes and ticks. What they give depends on serials, seed, and what was pulsed before, never on how calls are
cut into batches, and on no order but that of pulses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwloop.link import protocol as wire
from hwloop.link.protocol import ResetCause
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.bench_state import load_state, save_state
from hwloop.mock.converters import Converters
from hwloop.mock.devices import CellArray
from hwloop.mock.randomness import derive_many, normal_many, stream
from hwloop.mock.sampling import CurrentChain, Drive, OutputChain, sample_products, sample_reads, sample_solves

AMPLIFIER_GAIN = 1e5
AMPLIFIER_OFFSET_VOLTS = 5e-6           # σ, zero-drift amplifiers
COARSE_NOISE_AMPS, FINE_NOISE_AMPS = 20e-9, 4e-9    # white, a sample, chain of READ and MVM
OUTPUT_NOISE_VOLTS = 60e-6              # white, a sample, at the output ADC
_SENSOR_STEPS = 128                     # of the temperature sensor, a °C
_BOARD_DOMAIN, _CURRENT_DOMAIN, _OUTPUT_DOMAIN = 11, 12, 13

__all__ = ["Bench", "BenchConfig", "SolveSetting"]


@dataclass(frozen=True)
class SolveSetting:
    """What solves share: active `rows` (m,) and `columns` (k,) in rising order, and codes; int64.

    `compensation_code` (m,) of the active rows, `feedback_code` and `bias_code` (k,) of the active columns;
    `bias_divider` and `constraint` are the enums of the wire.
    """

    rows: np.ndarray
    columns: np.ndarray
    compensation_code: np.ndarray
    feedback_code: np.ndarray
    bias_code: np.ndarray
    bias_divider: int
    constraint: int


class Bench:
    """The world; `ticks` is its clock, which the board advances by the rules of protocol.toml only.

    A *cell* is a flat index over both arrays. Ticks that are handed in may be any; samples of one reading are
    wire.TICKS_SAMPLE apart. Calls that look at cells raise LimitError where the chip is colder or hotter than its model
    holds for.
    """

    def __init__(self, config: BenchConfig):
        self.config = config
        self.geometry = wire.BOARDS[config.board_name]
        self.board_serial, self.array_serial = config.board_serial, config.array_serial
        self.ticks = 0
        self.boot_counter, self.reset_cause = 1, ResetCause.POWER
        self.last_command = (0, 0)      # kind and sequence of the sequenced command begun last
        self.last_completed = True
        self.cells = CellArray(
            config.array_serial, config.seed, self.geometry.rows, self.geometry.columns, config.device_effects(),
            config.pristine,
        )
        self.converters = Converters()
        columns = np.arange(self.geometry.columns, dtype=np.uint64)
        spread = normal_many(derive_many(stream(_BOARD_DOMAIN, config.board_serial), columns))
        self.offset_volts = spread * (AMPLIFIER_OFFSET_VOLTS if config.board_effect("amplifier_offset") else 0.0)
        self._noise = 1.0 if config.board_effect("chain_noise") else 0.0
        self._current_key = stream(_CURRENT_DOMAIN, config.board_serial, config.seed)
        self._output_chain = OutputChain(
            stream(_OUTPUT_DOMAIN, config.board_serial, config.seed),
            AMPLIFIER_GAIN if config.board_effect("amplifier_gain") else math.inf,
            float(wire.SCALE_GAIN_BANDWIDTH_HERTZ), wire.SCALE_INPUT_NANOSIEMENS * 1e-9,
            wire.SCALE_OUTPUT_MAX_MICROVOLTS * 1e-6, self.converters.output_codes_per_volt(),
            self._noise * OUTPUT_NOISE_VOLTS / wire.SCALE_OUTPUT_GAIN * self.converters.output_codes_per_volt(),
        )
        self._changed = False
        if config.state:
            self._restore(Path(config.state))
        self._saved_moment = (self.ticks, self.last_completed)
        self._set_temperature(self.ticks)

    def pulse(
        self, cell: np.ndarray, polarity: np.ndarray, amplitude_code: np.ndarray, gate_code: np.ndarray,
        width_ticks: np.ndarray, start_tick: np.ndarray,
    ) -> None:
        """Pulse `cell` (n,) in order, all arguments (n,) int64. Raises LimitError, before any cell is touched."""
        self.cells.pulse(
            cell, polarity, self.converters.amplitude_volts(amplitude_code), self.converters.gate_volts(gate_code),
            width_ticks / wire.TICK_HERTZ, start_tick,
        )
        self._changed = True

    def read_codes(
        self, cell: np.ndarray, start_tick: np.ndarray, first_sample_tick: np.ndarray, samples: int, tia_range: int
    ) -> np.ndarray:
        """Codes (n, samples) uint16 of `cell` (n,), which stands at the read voltage from `start_tick` (n,) on."""
        conductance = np.empty(len(cell))
        for part in self._seconds(start_tick):
            conductance[part] = self.cells.conductance(cell[part], start_tick[part])
        codes = np.empty((len(cell), samples), np.uint16)
        chain = self._current_chain(tia_range, self.converters.read_codes_per_amp(tia_range))
        read_volts = wire.SCALE_READ_MICROVOLTS * 1e-6
        sample_reads(chain, read_volts, conductance, cell % self.geometry.columns, first_sample_tick, codes)
        return codes

    def output_codes(
        self, network: SolveSetting, input_code: np.ndarray, release_tick: np.ndarray, first_sample_tick: np.ndarray,
        samples: int,
    ) -> np.ndarray:
        """Codes (n, samples, k) int16 of n solves with `input_code` (n, m), whose outputs leave 0 V at `release_tick`.

        Conductances are those of the millisecond of the first sample.
        """
        convert = self.converters
        columns = self.geometry.columns
        codes = np.empty((len(input_code), samples, len(network.columns)), np.int16)
        for part in self._seconds(release_tick):
            drive = Drive(
                convert.input_volts(input_code[part]), convert.compensation_siemens(network.compensation_code),
                convert.feedback_siemens(network.feedback_code),
                convert.bias_amps(network.bias_code, network.bias_divider), self.offset_volts[network.columns],
                int(network.constraint),
            )
            sample_solves(
                self._output_chain, self._cell_parts(), self.cells.temperature_celsius, self.cells.effects.curvature,
                self._first_cells(0, network.rows), self._first_cells(1, network.rows), network.columns, columns, drive,
                release_tick[part], first_sample_tick[part], codes[part],
            )
        return codes

    def current_codes(
        self, array: int, rows: np.ndarray, columns: np.ndarray, input_code: np.ndarray, release_tick: np.ndarray,
        first_sample_tick: np.ndarray, samples: int, tia_range: int,
    ) -> np.ndarray:
        """Codes (n, samples, k) int16 of n products: `input_code` (n, m) on `rows` (m,), currents of `columns` (k,)."""
        codes = np.empty((len(input_code), samples, len(columns)), np.int16)
        chain = self._current_chain(tia_range, self.converters.current_codes_per_amp(tia_range))
        for part in self._seconds(release_tick):
            sample_products(
                chain, self._cell_parts(), self.cells.temperature_celsius, self.cells.effects.curvature,
                self._first_cells(array, rows), columns, self.geometry.columns,
                self.converters.input_volts(input_code[part]), first_sample_tick[part], codes[part],
            )
        return codes

    def temperature_raw(self) -> int:
        """The sensor at the array now, 1/128 °C; it stops at the ends of 16 bits."""
        raw = math.floor(self._celsius(self.ticks) * _SENSOR_STEPS + 0.5)
        return min(max(raw, -32768), 32767)

    def is_too_hot(self) -> bool:
        """The sensor's over-temperature line."""
        return self.temperature_raw() * 100 > wire.LIMIT_TEMPERATURE_CENTICELSIUS * _SENSOR_STEPS

    def save_if_changed(self) -> None:
        """Keep the state of a durable bench when cells have changed since. Raises OSError where that fails."""
        if self._changed:
            self._save()

    def save_clock(self) -> None:
        """Keep the state of a durable bench when bench time has passed since, or a command that was not completed when
        it was kept has been. Raises OSError where that fails."""
        if (self.ticks, self.last_completed) != self._saved_moment:
            self._save()

    def _save(self) -> None:
        if self.config.state:
            identity = {
                "array_serial": self.array_serial, "seed": self.config.seed, "ticks": self.ticks,
                "boot_counter": self.boot_counter, "last_command": np.array(self.last_command),
                "last_completed": self.last_completed,
            }
            save_state(Path(self.config.state), identity | self.cells.state())
        self._changed, self._saved_moment = False, (self.ticks, self.last_completed)

    def _restore(self, path: Path) -> None:
        state = load_state(path, self.array_serial, self.cells.size)
        if state is None:
            return
        self.ticks, self.boot_counter = int(state["ticks"]), int(state["boot_counter"]) + 1
        kind, sequence = state["last_command"].tolist()
        self.last_command = (kind, sequence)
        self.last_completed = bool(state.get("last_completed", True))
        self.cells.restore(state)

    def _current_chain(self, tia_range: int, codes_per_amp: float) -> CurrentChain:
        noise_amps = FINE_NOISE_AMPS if tia_range == wire.TiaRange.FINE else COARSE_NOISE_AMPS
        return CurrentChain(self._current_key, codes_per_amp, self._noise * noise_amps * codes_per_amp)

    def _cell_parts(self) -> tuple:
        return self.cells.laws, self.cells.hardware, self.cells.cell_state

    def _first_cells(self, array: int, rows: np.ndarray) -> np.ndarray:
        return (array * self.geometry.rows + rows) * self.geometry.columns

    def _seconds(self, ticks: np.ndarray) -> Iterator[slice]:
        """Slices of `ticks` (n,) in which the chip's temperature stands still; it is set for each of them."""
        second = ticks // wire.TICK_HERTZ if self.config.temperature_drift_per_hour_celsius else np.zeros_like(ticks)
        bounds = [0, *(np.flatnonzero(np.diff(second)) + 1).tolist(), len(ticks)]
        for first, stop in zip(bounds[:-1], bounds[1:], strict=True):
            if stop > first:
                self._set_temperature(int(ticks[first]))
                yield slice(first, stop)

    def _set_temperature(self, tick: int) -> None:
        self.cells.temperature_celsius = self._celsius(tick)

    def _celsius(self, tick: int) -> float:
        """The temperature drifts in steps of a bench second, so that it does not depend on batching."""
        seconds = tick // wire.TICK_HERTZ
        return self.config.temperature_celsius + self.config.temperature_drift_per_hour_celsius * seconds / 3600
