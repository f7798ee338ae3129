"""Codes ↔ volts, amps and siemens of one board, and its limits. The only place where the two meet on the host."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwloop.calibration.channels import Channels, Ladders
from hwloop.calibration.constants import BoardConstants
from hwloop.errors import LimitError
from hwloop.link import protocol as wire

_REMEDY = "nothing was sent; ask for less"


@dataclass(frozen=True)
class Scales:
    """The board's converters: full scales and limits as it states them in DESCRIBE, and what its codes mean by its
    calibrated `constants`.

    Conversions to codes round to the nearest and raise LimitError beyond the range: nothing is clipped. Rows and
    columns say which channel each value is for, and broadcast against the values.
    """

    describe: wire.DescribeReply
    constants: BoardConstants

    @classmethod
    def nominal(cls, describe: wire.DescribeReply) -> Scales:
        """A board that is taken to have no errors, which none is: for what calibrates it, and what only shows codes."""
        return cls(describe, BoardConstants.nominal(describe))

    def amplitude_codes(self, volts: np.ndarray, forming: bool, columns: np.ndarray) -> np.ndarray:
        """Column DAC codes (16 bit unipolar), within the board's SET/RESET or forming limit."""
        return self._amplitude_codes(self.constants.amplitude_dac, volts, forming, columns)

    def pulse_amplitude_codes(self, volts: np.ndarray, forming: bool) -> np.ndarray:
        """As `amplitude_codes`, for the mean of all columns: pulses of one amplitude share one code on the wire, and
        columns differ by less than a verified pulse minds. What each column gives, `volts_from_amplitude_codes` knows.
        """
        return self._amplitude_codes(self._mean_amplitude_dac, volts, forming, 0)

    def _amplitude_codes(
        self, dac: Channels, volts: np.ndarray, forming: bool, channel: np.ndarray | int
    ) -> np.ndarray:
        limit = self.describe.form_code_limit if forming else self.describe.amplitude_code_limit
        what = "forming amplitude" if forming else "pulse amplitude"
        return _channel_codes(dac, volts, channel, 65536, 0, limit, what)

    @cached_property
    def _mean_amplitude_dac(self) -> Channels:
        dac = self.constants.amplitude_dac
        mean = (np.atleast_1d(part.mean()) for part in (dac.gain, dac.offset, dac.bend))
        return Channels(*mean, dac.full_scale)

    def gate_codes(self, volts: np.ndarray) -> np.ndarray:
        """Gate DAC codes (16 bit unipolar)."""
        limit = self.describe.gate_code_limit
        return _channel_codes(self.constants.gate_dac, volts, 0, 65536, 0, limit, "gate voltage")

    def width_ticks(self, seconds: np.ndarray) -> np.ndarray:
        """Pulse widths in ticks of 0.1 µs."""
        return _codes(seconds, 1 / wire.TICK_HERTZ, 1, self.describe.width_ticks_limit, "pulse width", "s")

    def check_pulse_energy(self, amplitude_codes: np.ndarray, width_ticks: np.ndarray) -> None:
        """Refuse pulses whose amplitude² × width is beyond the board's limit. Raises LimitError."""
        energy, limit = amplitude_codes**2 * width_ticks >> 20, self.describe.pulse_energy_limit
        if (energy > limit).any():
            step = (self.describe.amplitude_full_scale_microvolts * 1e-6 / 65536) ** 2 * 2**20 / wire.TICK_HERTZ
            value = float(energy.max() * step)
            raise LimitError("pulse amplitude^2 x width", value, f"up to {limit * step:.6g}", "V^2 s", _REMEDY)

    def check_samples(self, averages: int, sub_averages: int = 1) -> None:
        """Refuse readings of no sample, or of more than the board takes. Raises LimitError."""
        samples = averages * sub_averages
        if not (1 <= samples <= wire.LIMIT_SAMPLES and 1 <= sub_averages <= 255):
            bound = f"1 to {wire.LIMIT_SAMPLES} in up to 255 sub-averages"
            raise LimitError(f"averages x {sub_averages} sub-averages", samples, bound, "samples", _REMEDY)

    def siemens_from_read_codes(self, codes: np.ndarray, tia_range: int, columns: np.ndarray) -> np.ndarray:
        """Conductance at the read voltage from unipolar TIA codes."""
        read_amps = codes * (self._tia_amps(tia_range) / 65536)
        return self.constants.tia[tia_range].inverse(read_amps, columns) / self.constants.read_volts

    def spread_code(self, siemens: float, tia_range: int) -> int:
        """A spread of conductance as TIA codes; one code where it is less, for rounding alone moves a reading by that.

        Raises LimitError on a spread beyond the range.
        """
        step = self._tia_amps(tia_range) / 65536 / self.read_volts
        return max(int(_codes(siemens, step, 0, 65535, "spread of a steady reading", "S")), 1)

    def range_siemens(self, tia_range: int) -> float:
        """The largest conductance that a TIA range reads, nominally."""
        return self._tia_amps(tia_range) / self.read_volts

    @property
    def read_volts(self) -> float:
        """Row voltage of READ."""
        return self.constants.read_volts

    @property
    def input_siemens(self) -> float:
        """Nominal G_in of a row, which input voltages of SOLVE refer to."""
        return self.describe.input_nanosiemens * 1e-9

    def input_siemens_of(self, rows: np.ndarray) -> np.ndarray:
        """G_in of `rows`."""
        return 1.0 / self.constants.input_ohms[rows]

    @cached_property
    def input_max_volts(self) -> float:
        """Largest row voltage of SOLVE and MVM that every row can give, behind its own G_in as behind a nominal one."""
        dac, ends = self.constants.input_dac, np.array([-32767.0, 32767.0]) * (self._input_full_volts / 32768)
        reach = np.abs(dac.forward(ends[:, None], np.arange(len(dac.gain)))).min(axis=0)
        return float((reach * np.minimum(self._input_ratio, 1.0)).min())

    @property
    def output_max_volts(self) -> float:
        """w_max: outputs above it are flagged."""
        return self.describe.output_max_microvolts * 1e-6

    @cached_property
    def compensation_max_siemens(self) -> float:
        """Largest compensation conductance that every row can have."""
        return float(self.constants.compensation.largest_siemens().min())

    @property
    def compensation_step_siemens(self) -> float:
        """Nominal step of the compensation ladder."""
        return self.describe.compensation_full_scale_nanosiemens * 1e-9 / 1024

    @cached_property
    def feedback_max_siemens(self) -> float:
        """Largest feedback conductance that every column can have."""
        return float(self.constants.feedback.largest_siemens().min())

    @property
    def gain_bandwidth_hertz(self) -> float:
        """Of the amplifiers."""
        return self.constants.gain_bandwidth_hertz

    def input_codes(self, volts: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Row DAC codes (16 bit bipolar) of voltages straight on the rows, as in MVM."""
        dac = self.constants.input_dac
        return _channel_codes(dac, volts, rows, 32768, -32767, 32767, "input voltage").astype("<i2")

    def solve_input_codes(self, volts: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Row DAC codes of input voltages of SOLVE, which stand for currents: volts behind the nominal G_in."""
        return self.input_codes(volts / self._input_ratio[rows], rows)

    def feedback_codes(self, siemens: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Feedback ladder codes (12 bit) of (n,) conductances."""
        return _ladder_codes(self.constants.feedback, siemens, columns, "feedback conductance").astype("<u2")

    @cached_property
    def bias_max_amps(self) -> float:
        """Largest bias current that every column can have."""
        constants, nominal = self.constants, float(self._bias_step_amps(np.array(0))) * wire.LIMIT_BIAS_CODE
        return float((constants.bias_gain * nominal - np.abs(constants.bias_offset_amps)).min())

    def bias_divider(self, largest_amps: np.ndarray) -> np.ndarray:
        """The finest divider of the bias range that holds currents up to `largest_amps`, any shape."""
        limits = self.bias_max_amps / 16.0 ** np.array([2, 1])
        return np.select([~(largest_amps > limits[0]), ~(largest_amps > limits[1])], [2, 1], 0)

    def bias_codes(self, amps: np.ndarray, divider: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Bias currents (12 bit signed) with their dividers, same shape."""
        step, constants = self._bias_step_amps(divider), self.constants
        nominal = (amps - constants.bias_offset_amps[columns] / 16.0**divider) / constants.bias_gain[columns]
        return _codes(nominal, step, -wire.LIMIT_BIAS_CODE, wire.LIMIT_BIAS_CODE, "bias current", "A").astype("<i2")

    def _bias_step_amps(self, divider: np.ndarray) -> np.ndarray:
        return self.describe.bias_full_scale_nanoamps * 1e-9 / 2048 / 16.0**divider

    def compensation_codes(self, siemens: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Compensation ladder codes (10 bit) of (n,) conductances."""
        return _ladder_codes(self.constants.compensation, siemens, rows, "compensation conductance")

    def volts_from_amplitude_codes(self, codes: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Pulse amplitudes from column DAC codes."""
        nominal = codes * (self.describe.amplitude_full_scale_microvolts * 1e-6 / 65536)
        return self.constants.amplitude_dac.forward(nominal, columns)

    def volts_from_gate_codes(self, codes: np.ndarray) -> np.ndarray:
        """Gate voltages from gate DAC codes."""
        return self.constants.gate_dac.forward(codes * (self.describe.gate_full_scale_microvolts * 1e-6 / 65536), 0)

    def volts_from_input_codes(self, codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Voltages of the input DACs from their codes."""
        return self.constants.input_dac.forward(codes * (self._input_full_volts / 32768), rows)

    def siemens_from_feedback_codes(self, codes: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Feedback conductances from ladder codes."""
        return self.constants.feedback.siemens(codes, columns)

    def siemens_from_compensation_codes(self, codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Compensation conductances from ladder codes."""
        return self.constants.compensation.siemens(codes, rows)

    def amps_from_bias_codes(self, codes: np.ndarray, divider: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Bias currents from codes and the divider that they were set with; at code 0 a source is off."""
        nominal = codes * (self.describe.bias_full_scale_nanoamps * 1e-9 / 2048)
        constants = self.constants
        amps = constants.bias_gain[columns] * nominal + constants.bias_offset_amps[columns]
        return np.where(np.asarray(codes) == 0, 0.0, amps) / 16.0 ** np.asarray(divider)

    def volts_from_output_codes(self, codes: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Amplifier outputs from ADC codes (16 bit bipolar, behind the gain)."""
        nominal = codes * (self.describe.output_full_scale_microvolts * 1e-6 / 32768 / self.describe.output_gain)
        return self.constants.output_adc.inverse(nominal, columns)

    def amps_from_current_codes(self, codes: np.ndarray, tia_range: int, columns: np.ndarray) -> np.ndarray:
        """Column currents of MVM from bipolar TIA codes."""
        return self.constants.tia[tia_range].inverse(codes * (self._tia_amps(tia_range) / 32768), columns)

    @property
    def _input_full_volts(self) -> float:
        return self.describe.input_full_scale_microvolts * 1e-6

    @cached_property
    def _input_ratio(self) -> np.ndarray:
        """G_in of every row, over the nominal one."""
        return 1.0 / (self.constants.input_ohms * self.input_siemens)

    def _tia_amps(self, tia_range: int) -> float:
        fine = tia_range == wire.TiaRange.FINE
        return (self.describe.tia_fine_nanoamps if fine else self.describe.tia_coarse_nanoamps) * 1e-9


def _channel_codes(
    channels: Channels, volts: np.ndarray, channel: np.ndarray | int, codes: int, low: int, high: int, what: str
) -> np.ndarray:
    """Codes, `codes` of them to a full scale, whose pins come nearest to `volts`."""
    volts = np.asarray(volts, float)
    step = channels.full_scale / codes
    found = np.rint(channels.inverse(volts, channel) / step)
    fits = (found >= low) & (found <= high)
    if not fits.all():
        value = float(np.broadcast_to(volts, fits.shape)[~fits][0])
        at = channel if np.ndim(channel) == 0 else np.broadcast_to(channel, fits.shape)[~fits][0]
        ends = channels.forward(np.array([low, high]) * step, at)
        raise LimitError(what, value, f"{ends[0]:.6g} to {ends[1]:.6g}", "V", _REMEDY)
    return found.astype(np.int64)


def _ladder_codes(ladders: Ladders, siemens: np.ndarray, ladder: np.ndarray, what: str) -> np.ndarray:
    """Codes (n,) of conductances (n,), refused where a ladder does not reach that far by more than half a step."""
    siemens, ladder = np.broadcast_arrays(np.asarray(siemens, float), ladder)
    half, most = 0.5 * ladders.step_siemens[ladder, 0], ladders.sums_siemens[ladder, -1]
    fits = (siemens >= -half) & (siemens <= most + half)
    if not fits.all():
        raise LimitError(what, float(siemens[~fits][0]), f"0 to {most[~fits][0]:.6g}", "S", _REMEDY)
    return ladders.nearest_codes(siemens, ladder)


def _codes(values: np.ndarray, step: float | np.ndarray, low: int, high: int, what: str, unit: str) -> np.ndarray:
    values = np.asarray(values, float)
    codes = np.rint(values / step)
    fits = (codes >= low) & (codes <= high)
    if not fits.all():
        value, step = (float(array[~fits][0]) for array in np.broadcast_arrays(values, step))
        raise LimitError(what, value, f"{low * step:.6g} to {high * step:.6g}", unit, _REMEDY)
    return codes.astype(np.int64)
