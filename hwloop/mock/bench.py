"""The bench world: the array chip, the circuit, the converters, the clock, and what survives a reset of the board.

Whatever board stands on the bench (the Python board, or simulated chips that firmware drives) acts through the same few
calls, by codes and ticks. What they give depends on serials, seed, and what was pulsed before, never on how calls are
cut into batches, and on no order but that of pulses.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwloop.errors import CalibrationError, DeviceError
from hwloop.link import protocol as wire
from hwloop.link.protocol import ResetCause, Route, SampleSource
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.bench_log import PulseList, Step
from hwloop.mock.bench_snapshot import BenchState
from hwloop.mock.bench_state import DurableState, StoredBench
from hwloop.mock.board_truth import draw_board
from hwloop.mock.connection import Connection
from hwloop.mock.converters import Converters
from hwloop.mock.devices import CellArray
from hwloop.mock.packing import pack_columns
from hwloop.mock.randomness import derive_many, normal_many, stream
from hwloop.mock.sampling import CurrentChain, Drive, OutputChain, sample_products, sample_reads, sample_solves

AMPLIFIER_GAIN = 1e5
COARSE_NOISE_AMPS, FINE_NOISE_AMPS = 20e-9, 4e-9    # white, a sample, chain of READ and MVM
OUTPUT_NOISE_VOLTS = 60e-6              # white, a sample, at the output ADC
SUPPLY_VOLTS = 5.0                      # analog, nominal
_SENSOR_STEPS = 128                     # of the temperature sensor, a °C
_CURRENT_DOMAIN, _OUTPUT_DOMAIN = 12, 13

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

    Where the state is durable, what was done is kept by `commit`, and held against other processes until `end`.
    `board_records` is what the board that goes on has kept for itself, in order; empty for one that was reset.

    Instruments at the ports see `connection` and `outputs_routed`, which the board keeps up to date, and say in
    `port_volts` what they drive; whoever lets the board or an instrument do something holds `lock` meanwhile.
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
        self.truth = draw_board(
            config.board_serial, self.geometry.rows, self.geometry.columns, config.board_effect("converter_errors"),
            config.board_effect("amplifier_offset"),
        )
        self.converters = Converters(self.truth)
        self.lock = threading.RLock()
        self.connection, self.outputs_routed = Connection.without_levels(self.geometry.rows), False
        self.port_volts = 0.0
        self.held_volts = np.zeros(self.geometry.columns)   # outputs of the last solve, as they stand at the DAQ pins
        self._noise = 1.0 if config.board_effect("chain_noise") else 0.0
        output, codes_per_volt = self.truth.output_adc, self.converters.output_codes_per_volt
        self._current_key = stream(_CURRENT_DOMAIN, config.board_serial, config.seed)
        self._output_chain = OutputChain(
            stream(_OUTPUT_DOMAIN, config.board_serial, config.seed),
            AMPLIFIER_GAIN if config.board_effect("amplifier_gain") else math.inf,
            self.truth.gain_bandwidth_hertz, wire.SCALE_OUTPUT_MAX_MICROVOLTS * 1e-6,
            output.gain * codes_per_volt, output.offset * codes_per_volt,
            output.bend / output.full_scale**2 * codes_per_volt,
            self._noise * OUTPUT_NOISE_VOLTS / wire.SCALE_OUTPUT_GAIN * codes_per_volt,
        )
        self._pulsed: list[bytes] = []
        self.board_records: list[bytes] = []
        self._kept = DurableState(Path(config.state), config.continues) if config.state else None
        if self._kept and self._kept.stored:
            try:
                self._restore(self._kept.stored)
            except CalibrationError:
                self._kept.let_go()
                raise
        self._kept_moment = (self.ticks, self.last_completed)
        self._set_temperature(self.ticks)

    def pulse(
        self, cell: np.ndarray, polarity: np.ndarray, amplitude_code: np.ndarray, gate_code: np.ndarray,
        width_ticks: np.ndarray, start_tick: np.ndarray,
    ) -> None:
        """Pulse `cell` (n,) in order, all arguments (n,) int64. Raises LimitError, before any cell is touched."""
        pulses = PulseList(cell, polarity, amplitude_code, gate_code, width_ticks, start_tick)
        self._give(self.cells, pulses)
        if self._kept:
            self._pulsed.append(pack_columns(pulses))

    def read_codes(
        self, cell: np.ndarray, start_tick: np.ndarray, first_sample_tick: np.ndarray, samples: int, tia_range: int
    ) -> np.ndarray:
        """Codes (n, samples) uint16 of `cell` (n,), which stands at the read voltage from `start_tick` (n,) on."""
        conductance = np.empty(len(cell))
        for part in self._seconds(start_tick):
            conductance[part] = self.cells.conductance(cell[part], start_tick[part])
        codes = np.empty((len(cell), samples), np.uint16)
        chain = self._current_chain(tia_range, 65536, self.converters.read_codes_per_amp(tia_range))
        sample_reads(chain, self.truth.read_volts, conductance, cell % self.geometry.columns, first_sample_tick, codes)
        return codes

    def output_codes(
        self, network: SolveSetting, input_code: np.ndarray, release_tick: np.ndarray, first_sample_tick: np.ndarray,
        samples: int,
    ) -> np.ndarray:
        """Codes (n, samples, k) int16 of n solves with `input_code` (n, m), whose outputs leave 0 V at `release_tick`.

        Conductances are those of the millisecond of the first sample.
        """
        convert, columns, active, rows = self.converters, self.geometry.columns, network.columns, network.rows
        codes = np.empty((len(input_code), samples, len(network.columns)), np.int16)
        for part in self._seconds(release_tick):
            drive = Drive(
                convert.input_volts(input_code[part], rows), convert.input_siemens(rows),
                convert.compensation_siemens(network.compensation_code, rows),
                convert.feedback_siemens(network.feedback_code, active),
                convert.bias_amps(network.bias_code, network.bias_divider, active),
                self.truth.amplifier_offset_volts[active], int(network.constraint),
            )
            sample_solves(
                self._output_chain, self._cell_parts(), self.cells.temperature_celsius, self.curvature,
                self._first_cells(0, rows), self._first_cells(1, rows), active, columns, drive,
                release_tick[part], first_sample_tick[part], codes[part], self.held_volts,
            )
        return codes

    def current_codes(
        self, array: int, rows: np.ndarray, columns: np.ndarray, input_code: np.ndarray, release_tick: np.ndarray,
        first_sample_tick: np.ndarray, samples: int, tia_range: int,
    ) -> np.ndarray:
        """Codes (n, samples, k) int16 of n products: `input_code` (n, m) on `rows` (m,), currents of `columns` (k,)."""
        codes = np.empty((len(input_code), samples, len(columns)), np.int16)
        chain = self._current_chain(tia_range, 32768, self.converters.current_codes_per_amp(tia_range))
        for part in self._seconds(release_tick):
            sample_products(
                chain, self._cell_parts(), self.cells.temperature_celsius, self.curvature,
                self._first_cells(array, rows), columns, self.geometry.columns,
                self.converters.input_volts(input_code[part], rows), first_sample_tick[part], codes[part],
            )
        return codes

    def conductance(self, cell: int) -> float:
        """What a perfect instrument at the ports sees of one cell now, at the read voltage."""
        self._set_temperature(self.ticks)
        return float(self.cells.conductance(np.array([cell]), self.ticks)[0])

    def stress(self, cell: int, polarity: int, volts: float, gate_volts: float, width_seconds: float) -> None:
        """An instrument at the ports stands across a cell as a pulse does. Kept with the next command of the board."""
        column = cell % self.geometry.columns
        amplitude, gate = (
            np.clip(np.rint(channels.nominal_of(asked, channel) / channels.full_scale * 65536), 0, 65535)
            for channels, asked, channel in
            ((self.truth.amplitude_dac, volts, column), (self.truth.gate_dac, gate_volts, 0))
        )
        one = [np.array([int(value)], np.int64) for value in (
            cell, polarity, amplitude, gate, max(round(width_seconds * wire.TICK_HERTZ), 1), self.ticks
        )]
        self.pulse(*one)

    def sample_sums(self, source: int, tia_range: int, first_sample_tick: int, samples: int) -> np.ndarray:
        """Sums (columns,) int64 of the codes of SAMPLE: what stands at the ADCs by `connection`. Of the supply there is
        one, in the first entry."""
        return self.sample_codes(source, tia_range, first_sample_tick, samples).sum(axis=0)

    def sample_codes(self, source: int, tia_range: int, first_sample_tick: int, samples: int) -> np.ndarray:
        """The codes (samples, columns) int64 themselves; noise by column and tick, as in READ and SOLVE."""
        convert, at_adc = self.converters, self._at_adc(source, tia_range)
        key, low, high = self._output_chain.key, 0, 65535
        match source:
            case SampleSource.OUTPUTS:
                ideal = self.truth.output_adc.at_pin(at_adc, np.arange(len(at_adc))) * convert.output_codes_per_volt
                noise_codes, low, high = self._output_chain.noise_codes, -32768, 32767
            case SampleSource.CURRENTS:
                chain = self._current_chain(tia_range, 65536, convert.read_codes_per_amp(tia_range))
                ideal = at_adc * chain.codes_per_amp + chain.offset_codes
                key, noise_codes = chain.key, chain.noise_codes
            case SampleSource.SUPPLY:
                slope = 65536 / (wire.SCALE_SUPPLY_FULL_SCALE_MICROVOLTS * 1e-6)
                ideal, noise_codes = at_adc * slope, self._noise * OUTPUT_NOISE_VOLTS * slope
        is_supply = source == SampleSource.SUPPLY
        channels = np.arange(self.geometry.columns) + (wire.MAX_COLUMNS if is_supply else 0)
        ticks = first_sample_tick + wire.TICKS_SAMPLE * np.arange(samples)
        keys = derive_many(derive_many(key, channels.astype(np.uint64)), ticks.astype(np.uint64)[:, None])
        values = ideal + noise_codes * normal_many(keys)
        codes = np.clip(np.rint(values), low, high).astype(np.int64)
        if is_supply:
            codes[:, 1:] = 0
        return codes

    def _at_adc(self, source: int, tia_range: int) -> np.ndarray:
        """Volts at the output chains or of the supply, or amps of the transimpedance amplifiers, (columns,)."""
        connection, found = self.connection, np.zeros(self.geometry.columns)
        match source, connection.route:
            case SampleSource.OUTPUTS, Route.SMU_TO_OUTPUT:
                found[connection.column] = self.port_volts
            case SampleSource.OUTPUTS, Route.LOOPBACK:
                found[:] = self.converters.amplitude_volts(
                    connection.amplitude_code[: len(found)], np.arange(len(found))
                )
            case SampleSource.CURRENTS, Route.REFERENCE_TO_TIA:
                found[connection.column] = self.truth.read_volts / self.truth.reference_ohms[connection.row]
            case SampleSource.SUPPLY, _:
                found[0] = SUPPLY_VOLTS
        return found

    def temperature_raw(self) -> int:
        """The sensor at the array now, 1/128 °C; it stops at the ends of 16 bits."""
        raw = math.floor(self._celsius(self.ticks) * _SENSOR_STEPS + 0.5)
        return min(max(raw, -32768), 32767)

    def is_too_hot(self) -> bool:
        """The sensor's over-temperature line."""
        return self.temperature_raw() * 100 > wire.LIMIT_TEMPERATURE_CENTICELSIUS * _SENSOR_STEPS

    @property
    def is_durable(self) -> bool:
        """Whether there is a file to commit to."""
        return self._kept is not None

    def commit(self, board: bytes = b"", whole_board: Callable[[], bytes] = bytes) -> None:
        """Keep what was done since the last commit, with what the `board` keeps of it; `whole_board` gives all that the
        board keeps. Raises OSError where that fails: then the next commit keeps it, or fails, too."""
        if self._kept:
            step = Step(
                self.ticks, self.boot_counter, self.last_command, self.last_completed, tuple(self._pulsed), board
            )
            self._kept.commit(step, lambda: self._state(whole_board()))
            self._pulsed, self._kept_moment = [], (self.ticks, self.last_completed)

    def save_if_changed(self) -> None:
        """Commit when cells have been pulsed since; for a board that keeps nothing itself. Raises OSError."""
        if self._pulsed:
            self.commit()

    def end(self, whole_board: Callable[[], bytes] = bytes) -> None:
        """The process ends in order: leave one file, in which bench time counts too, and let go of it.

        Raises DeviceError where what was done is not kept.
        """
        kept = self._kept
        if kept and (kept.is_logging or self._pulsed or self._kept_moment != (self.ticks, self.last_completed)):
            self._kept = None
            try:
                kept.end(lambda: self._state(whole_board()))
            except OSError as error:
                raise DeviceError(
                    f"{kept.path}: the board's state cannot be kept there ({error.strerror or error}); it is that of "
                    "some commands ago, or gone"
                ) from error
        self.let_go()

    def let_go(self) -> None:
        """The process ends: leave what the last commit left, and nothing of what was done since."""
        kept, self._kept = self._kept, None
        if kept:
            kept.let_go()

    def _state(self, board: bytes) -> BenchState:
        config = self.config
        return BenchState(
            array_serial=self.array_serial, board_name=self.geometry.name, board_serial=self.board_serial,
            wire_hash=wire.WIRE_HASH, seed=config.seed, effects=config.device_effects(), ticks=self.ticks,
            boot_counter=self.boot_counter, last_command=self.last_command, last_completed=self.last_completed,
            cells=self.cells.cell_state._asdict(), board=board,
        )

    def _restore(self, stored: StoredBench) -> None:
        stored.check_chip(self.array_serial, self.cells.size)
        state = last = stored.snapshot
        continues = self.config.continues and bool(state.board) and (
            (state.board_name, state.board_serial, state.wire_hash)
            == (self.geometry.name, self.board_serial, wire.WIRE_HASH)
        )
        # Pulses that were logged have to land as they did, whatever this bench would make of them.
        effects = state.effects or self.config.device_effects()
        cells = self.cells
        if (state.seed, effects) != (self.config.seed, self.config.device_effects()):
            cells = CellArray(self.array_serial, state.seed, self.geometry.rows, self.geometry.columns, effects)
        cells.restore(state.cells | {"temperature_celsius": cells.temperature_celsius})
        self.board_records = [state.board] if continues else []
        for last, pulses in stored.steps():
            for listed in pulses:
                self._give(cells, listed)
            if continues:
                self.board_records.append(last.board)
        if cells is not self.cells:
            self.cells.restore(cells.state())
        self.ticks, self.boot_counter = last.ticks, last.boot_counter + (0 if continues else 1)
        self.last_command, self.last_completed = last.last_command, last.last_completed

    def _give(self, cells: CellArray, pulses: PulseList) -> None:
        convert = self.converters
        column = pulses.cell % self.geometry.columns
        cells.pulse(
            pulses.cell, pulses.polarity, convert.amplitude_volts(pulses.amplitude_code, column),
            convert.gate_volts(pulses.gate_code), pulses.width_ticks / wire.TICK_HERTZ, pulses.start_tick,
        )

    @property
    def curvature(self) -> float:
        """How many times the nominal I–V curvature the cells have."""
        return self.cells.truth.curvature_scale if self.cells.effects.curvature else 0.0

    def _current_chain(self, tia_range: int, codes_per_full_scale: int, codes_per_amp: np.ndarray) -> CurrentChain:
        is_fine = tia_range == wire.TiaRange.FINE
        noise_amps = FINE_NOISE_AMPS if is_fine else COARSE_NOISE_AMPS
        full_scale_amps = (wire.SCALE_TIA_FINE_NANOAMPS if is_fine else wire.SCALE_TIA_COARSE_NANOAMPS) * 1e-9
        noise_codes = self._noise * noise_amps * codes_per_full_scale / full_scale_amps
        offset_codes = self.converters.offset_codes(tia_range, codes_per_amp)
        return CurrentChain(self._current_key, codes_per_amp, offset_codes, noise_codes)

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
