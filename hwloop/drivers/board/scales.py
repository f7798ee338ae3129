"""Codes ↔ volts, amps and siemens of one board, and its limits. The only place where the two meet on the host."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.errors import LimitError
from hwloop.link import protocol as wire

_REMEDY = "nothing was sent; ask for less"


@dataclass(frozen=True)
class Scales:
    """The board's converters as it states them in DESCRIBE; calibration refines them, board by board.

    Conversions to codes round to the nearest and raise LimitError beyond the range: nothing is clipped.
    """

    describe: wire.DescribeReply

    def amplitude_codes(self, volts: np.ndarray, forming: bool) -> np.ndarray:
        """Column DAC codes (16 bit unipolar), within the board's SET/RESET or forming limit."""
        limit = self.describe.form_code_limit if forming else self.describe.amplitude_code_limit
        what = "forming amplitude" if forming else "pulse amplitude"
        return _codes(volts, self.describe.amplitude_full_scale_microvolts * 1e-6 / 65536, 0, limit, what, "V")

    def gate_codes(self, volts: np.ndarray) -> np.ndarray:
        """Gate DAC codes (16 bit unipolar)."""
        step = self.describe.gate_full_scale_microvolts * 1e-6 / 65536
        return _codes(volts, step, 0, self.describe.gate_code_limit, "gate voltage", "V")

    def gate_step_volts(self) -> float:
        """Volts of one gate code."""
        return self.describe.gate_full_scale_microvolts * 1e-6 / 65536

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

    def siemens_from_read_codes(self, codes: np.ndarray, tia_range: int) -> np.ndarray:
        """Conductance at the read voltage from unipolar TIA codes."""
        return codes * (self._tia_amps(tia_range) / 65536 / self.read_volts)

    def spread_code(self, siemens: float, tia_range: int) -> int:
        """A spread of conductance as TIA codes; one code where it is less, for rounding alone moves a reading by that.

        Raises LimitError on a spread beyond the range.
        """
        step = self._tia_amps(tia_range) / 65536 / self.read_volts
        return max(int(_codes(siemens, step, 0, 65535, "spread of a steady reading", "S")), 1)

    def range_siemens(self, tia_range: int) -> float:
        """The largest conductance that a TIA range reads."""
        return self._tia_amps(tia_range) / self.read_volts

    @property
    def read_volts(self) -> float:
        """Row voltage of READ."""
        return self.describe.read_microvolts * 1e-6

    @property
    def input_siemens(self) -> float:
        """G_in of each row."""
        return self.describe.input_nanosiemens * 1e-9

    @property
    def input_max_volts(self) -> float:
        """Largest row voltage of SOLVE and MVM."""
        return self.describe.input_full_scale_microvolts * 1e-6 * 32767 / 32768

    @property
    def output_max_volts(self) -> float:
        """w_max: outputs above it are flagged."""
        return self.describe.output_max_microvolts * 1e-6

    @property
    def compensation_max_siemens(self) -> float:
        """Largest compensation conductance of a row."""
        return self.describe.compensation_full_scale_nanosiemens * 1e-9 * 1023 / 1024

    @property
    def compensation_step_siemens(self) -> float:
        """Step of the compensation ladder."""
        return self.describe.compensation_full_scale_nanosiemens * 1e-9 / 1024

    @property
    def feedback_max_siemens(self) -> float:
        """Largest feedback conductance of a column."""
        return self.describe.feedback_full_scale_nanosiemens * 1e-9 * 4095 / 4096

    def input_codes(self, volts: np.ndarray) -> np.ndarray:
        """Row DAC codes (16 bit bipolar)."""
        step = self.describe.input_full_scale_microvolts * 1e-6 / 32768
        return _codes(volts, step, -32767, 32767, "input voltage", "V").astype("<i2")

    def feedback_codes(self, siemens: np.ndarray) -> np.ndarray:
        """Feedback ladder codes (12 bit)."""
        step = self.describe.feedback_full_scale_nanosiemens * 1e-9 / 4096
        return _codes(siemens, step, 0, wire.LIMIT_FEEDBACK_CODE, "feedback conductance", "S").astype("<u2")

    def bias_divider(self, largest_amps: np.ndarray) -> np.ndarray:
        """The finest divider of the bias range that holds currents up to `largest_amps`, any shape."""
        limits = self._bias_step_amps(np.array([2, 1])) * wire.LIMIT_BIAS_CODE
        return np.select([~(largest_amps > limits[0]), ~(largest_amps > limits[1])], [2, 1], 0)

    def bias_codes(self, amps: np.ndarray, divider: np.ndarray) -> np.ndarray:
        """Bias currents (12 bit signed) with their dividers, same shape."""
        step = self._bias_step_amps(divider)
        return _codes(amps, step, -wire.LIMIT_BIAS_CODE, wire.LIMIT_BIAS_CODE, "bias current", "A").astype("<i2")

    def _bias_step_amps(self, divider: np.ndarray) -> np.ndarray:
        return self.describe.bias_full_scale_nanoamps * 1e-9 / 2048 / 16.0**divider

    def compensation_codes(self, siemens: np.ndarray) -> np.ndarray:
        """Compensation ladder codes (10 bit)."""
        what = "compensation conductance"
        return _codes(siemens, self.compensation_step_siemens, 0, wire.LIMIT_COMPENSATION_CODE, what, "S")

    def volts_from_amplitude_codes(self, codes: np.ndarray) -> np.ndarray:
        """Pulse amplitudes from column DAC codes."""
        return codes * (self.describe.amplitude_full_scale_microvolts * 1e-6 / 65536)

    def volts_from_gate_codes(self, codes: np.ndarray) -> np.ndarray:
        """Gate voltages from gate DAC codes."""
        return codes * self.gate_step_volts()

    def volts_from_input_codes(self, codes: np.ndarray) -> np.ndarray:
        """Row voltages from row DAC codes."""
        return codes * (self.describe.input_full_scale_microvolts * 1e-6 / 32768)

    def siemens_from_feedback_codes(self, codes: np.ndarray) -> np.ndarray:
        """Feedback conductances from ladder codes."""
        return codes * (self.describe.feedback_full_scale_nanosiemens * 1e-9 / 4096)

    def siemens_from_compensation_codes(self, codes: np.ndarray) -> np.ndarray:
        """Compensation conductances from ladder codes."""
        return codes * self.compensation_step_siemens

    def amps_from_bias_codes(self, codes: np.ndarray, divider: np.ndarray) -> np.ndarray:
        """Bias currents from codes and the divider that they were set with."""
        return codes * (self.describe.bias_full_scale_nanoamps * 1e-9 / 2048) / 16.0 ** np.asarray(divider)

    def volts_from_output_codes(self, codes: np.ndarray) -> np.ndarray:
        """Amplifier outputs from ADC codes (16 bit bipolar, behind the gain)."""
        return codes * (self.describe.output_full_scale_microvolts * 1e-6 / 32768 / self.describe.output_gain)

    def amps_from_current_codes(self, codes: np.ndarray, tia_range: int) -> np.ndarray:
        """Column currents of MVM from bipolar TIA codes."""
        return codes * (self._tia_amps(tia_range) / 32768)

    def _tia_amps(self, tia_range: int) -> float:
        fine = tia_range == wire.TiaRange.FINE
        return (self.describe.tia_fine_nanoamps if fine else self.describe.tia_coarse_nanoamps) * 1e-9


def _codes(values: np.ndarray, step: float | np.ndarray, low: int, high: int, what: str, unit: str) -> np.ndarray:
    values = np.asarray(values, float)
    codes = np.rint(values / step)
    fits = (codes >= low) & (codes <= high)
    if not fits.all():
        value, step = (float(array[~fits][0]) for array in np.broadcast_arrays(values, step))
        raise LimitError(what, value, f"{low * step:.6g} to {high * step:.6g}", unit, _REMEDY)
    return codes.astype(np.int64)
