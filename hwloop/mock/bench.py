"""The bench world behind the simulated board: the array chip, the circuit, the converters and the bench clock."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from hwloop.errors import CalibrationError
from hwloop.link import protocol as wire
from hwloop.link.protocol import LimitKind, ResetCause
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.circuit import mvm
from hwloop.mock.converters import Converters
from hwloop.mock.devices import CellArray
from hwloop.mock.randomness import derive_many, normal_many, stream
from hwloop.mock.sampling import ReadChain, SolveChain, sample_reads, sample_solves
from hwloop.mock.sections import CellList, SolveList, schedule_row_pulses

AMPLIFIER_GAIN = 1e5
AMPLIFIER_OFFSET_VOLTS = 5e-6           # σ, zero-drift amplifiers
COARSE_NOISE_AMPS, FINE_NOISE_AMPS = 20e-9, 4e-9    # white, a sample, chain of READ
OUTPUT_NOISE_VOLTS = 60e-6              # white, a sample, at the output ADC
_BOARD_DOMAIN, _READ_DOMAIN, _OUTPUT_DOMAIN = 11, 12, 13
_TICKS_PER_HOUR = 3600 * wire.TICK_HERTZ

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
            config.array_serial, config.seed, self.geometry.rows, self.geometry.columns, config.device_effects(), config.pristine
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
        self._dac_words = np.zeros(17, np.int64)
        self._changed = False
        self.routed: wire.RouteRequest | None = None
        self.compensation_siemens = np.zeros(self.geometry.rows)
        self.cells.temperature_celsius = config.temperature_celsius
        if config.state:
            self._restore(Path(config.state))

    def ground(self) -> None:
        """Every line to ground: no route, no compensation, DACs at zero."""
        self.routed = None
        self.compensation_siemens[:] = 0.0
        self._dac_words[:] = 0

    def advance(self, ticks: int) -> int:
        """Let bench time pass; gives the ticks that passed."""
        self.ticks += ticks
        drift = self.config.temperature_drift_per_hour_celsius
        if drift:
            self.cells.temperature_celsius = self.config.temperature_celsius + drift * self.ticks / _TICKS_PER_HOUR
        return ticks

    def pulse(
        self, array: int, polarity: int, listed: CellList, amplitude_code: np.ndarray, gate_code: np.ndarray, width_ticks: int
    ) -> None:
        """The row pulses of one section."""
        n, columns = len(listed.cell), self.geometry.columns
        start_ticks, widths = np.empty(n, np.int64), np.full(n, width_ticks, np.int64)
        clock = schedule_row_pulses(
            listed.cell % columns, amplitude_code.astype(np.int64), gate_code.astype(np.int64), listed.group, widths,
            self._dac_words, start_ticks, self.ticks,
        )
        self.cells.pulse(
            listed.cell + array * self.geometry.rows * columns, polarity, self.converters.amplitude_volts(amplitude_code),
            self.converters.gate_volts(gate_code), width_ticks / wire.TICK_HERTZ, start_ticks,
        )
        self.advance(clock - self.ticks)
        self._changed = True

    def read(self, array: int, listed: CellList, request: wire.ReadRequest) -> tuple[np.ndarray, np.ndarray]:
        """Codes (n,) and steady bits (n,) of one section."""
        columns = self.geometry.columns
        row_ticks = wire.TICKS_READ_SETTLE + request.averages * request.sub_averages * wire.TICKS_SAMPLE
        start_tick = self.ticks + listed.group * row_ticks
        conductance = self.cells.conductance(listed.cell + array * self.geometry.rows * columns, start_tick)
        full_scale_amps = self.converters.tia_full_scale_amps(request.tia_range)
        codes_per_amp = 65536 / full_scale_amps
        noise_amps = FINE_NOISE_AMPS if request.tia_range == wire.TiaRange.FINE else COARSE_NOISE_AMPS
        chain = ReadChain(
            self._read_key, wire.SCALE_READ_MICROVOLTS * 1e-6 * codes_per_amp, noise_amps * self._noise * codes_per_amp,
            request.sub_averages, request.averages, request.spread_code,
        )
        codes, steady = np.empty(len(listed.cell), np.uint16), np.empty(len(listed.cell), bool)
        sample_reads(chain, conductance, listed.cell % columns, start_tick, codes, steady)
        self.advance(listed.groups * row_ticks)
        return codes, steady

    def solve(self, section: wire.SolveSection, batch: SolveList, divider: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Output codes (n, k), saturated (n,) and unsettled (n,) of one section."""
        columns = self.geometry.columns
        output_lsb_volts = wire.SCALE_OUTPUT_FULL_SCALE_MICROVOLTS * 1e-6 / 32768 / wire.SCALE_OUTPUT_GAIN
        chain = SolveChain(
            self._output_key, AMPLIFIER_GAIN if self.config.board_effect("amplifier_gain") else math.inf,
            float(wire.SCALE_GAIN_BANDWIDTH_HERTZ), wire.SCALE_INPUT_NANOSIEMENS * 1e-9,
            wire.SCALE_OUTPUT_MAX_MICROVOLTS * 1e-6, OUTPUT_NOISE_VOLTS / wire.SCALE_OUTPUT_GAIN * self._noise,
            wire.SCALE_UNSETTLED_CODE * output_lsb_volts, self.cells.effects.curvature, section.constraint,
            self._input_ticks(section.row_count), section.settle_ticks, section.averages,
        )
        first_a = batch.rows * columns
        volts, saturated, unsettled = sample_solves(
            chain, self.cells.laws, self.cells.hardware, self.cells.cell_state, self.cells.temperature_celsius, first_a,
            first_a + self.geometry.rows * columns, batch.columns, columns, self.converters.input_volts(batch.input_code),
            self.compensation_siemens[batch.rows], self.converters.feedback_siemens(batch.feedback_code),
            self.converters.bias_amps(batch.bias_code, divider), self.offset_volts[batch.columns], self.ticks,
        )
        duration = chain.input_ticks + section.settle_ticks + section.averages * wire.TICKS_SAMPLE
        self.advance(len(volts) * duration)
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
            conductance = self.cells.conductance_rows(section.array, batch.rows, int(ticks[solve]))
            amps[solve] = mvm(conductance, volts[solve : solve + 1], self.cells.effects.curvature)[0, batch.columns]
        keys = derive_many(derive_many(self._read_key, batch.columns.astype(np.uint64))[None, :], ticks.astype(np.uint64)[:, None])
        amps += normal_many(keys) * (noise_amps * self._noise / math.sqrt(section.averages))
        self.advance(n * duration)
        beyond = (np.abs(amps) >= self.converters.tia_full_scale_amps(section.tia_range)).any(axis=1)
        return self.converters.current_codes(amps, section.tia_range), beyond, np.zeros(n, bool)

    def compensate(self, rows: np.ndarray, codes: np.ndarray, continued: bool) -> int:
        """Set the compensation of rows (n,); gives the ticks it took."""
        siemens = self.converters.compensation_siemens(codes)
        changed = int((self.compensation_siemens[rows] != siemens).sum())
        self.compensation_siemens[rows] = siemens
        return self.advance((0 if continued else wire.TICKS_LOAD) + changed * wire.TICKS_LOAD_CHANGED_ROW)

    def save_if_changed(self) -> None:
        """Write the state of a durable bench, atomically, when cells have changed since."""
        if self.config.state and self._changed:
            path = Path(self.config.state)
            temporary = path.with_name(path.name + ".new")
            with open(temporary, "wb") as file:
                identity = {"array_serial": self.array_serial, "seed": self.config.seed, "ticks": self.ticks}
                np.savez(file, **identity, **self.cells.state())
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        self._changed = False

    def _restore(self, path: Path) -> None:
        if not path.exists():
            return
        try:
            with np.load(path) as stored:
                state = {name: stored[name] for name in stored.files}
        except (OSError, ValueError) as error:
            raise CalibrationError(f"{path}: not the state of a simulated board ({error}); remove it to start anew") from error
        if int(state.get("array_serial", -1)) != self.array_serial:
            raise CalibrationError(f"{path}: state of array {state.get('array_serial')}, this is array {self.array_serial}; choose another file")
        self.ticks = int(state["ticks"])
        self.cells.restore(state)

    def _input_ticks(self, rows: int) -> int:
        buses = max(1, self.geometry.rows // wire.TICKS_ROWS_A_BUS)
        return -(-rows * wire.TICKS_SOLVE_INPUT // buses)
