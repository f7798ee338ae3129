"""Codes ↔ volts, amps and siemens inside the simulated board: quantised, limited, and as far off as the board is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwloop.link import protocol as wire
from hwloop.mock.board_truth import BoardTruth


@dataclass(frozen=True)
class Converters:
    """The converters of the board `truth`.

    Scales from protocol.toml [scales]: unipolar converters give code × full scale / 2¹⁶, bipolar ones code × full
    scale / 2¹⁵; ladders the sum of their steps. Codes and channels broadcast.
    """

    truth: BoardTruth

    def amplitude_volts(self, code: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Column DAC, uint16; a DAC with an offset does not go below 0 V."""
        nominal = code * (wire.SCALE_AMPLITUDE_FULL_SCALE_MICROVOLTS * 1e-6 / 65536)
        return np.maximum(self.truth.amplitude_dac.at_pin(nominal, column), 0.0)

    def gate_volts(self, code: np.ndarray) -> np.ndarray:
        """Gate DAC, any shape, uint16; not below 0 V."""
        nominal = code * (wire.SCALE_GATE_FULL_SCALE_MICROVOLTS * 1e-6 / 65536)
        return np.maximum(self.truth.gate_dac.at_pin(nominal, 0), 0.0)

    def input_volts(self, code: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Row DAC, int16."""
        return self.truth.input_dac.at_pin(code * (wire.SCALE_INPUT_FULL_SCALE_MICROVOLTS * 1e-6 / 32768), row)

    def feedback_siemens(self, code: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Feedback ladders (k,), 12 bit."""
        return _ladder(code, self.truth.feedback_step_siemens[column])

    def compensation_siemens(self, code: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Compensation ladders (m,), 10 bit."""
        return _ladder(code, self.truth.compensation_step_siemens[row])

    def bias_amps(self, code: np.ndarray, divider: int, column: np.ndarray) -> np.ndarray:
        """Bias source, 12 bit signed; `divider` is the enum bias_divider, and divides the offset too. Code 0 is off."""
        nominal = code * (wire.SCALE_BIAS_FULL_SCALE_NANOAMPS * 1e-9 / 2048)
        amps = self.truth.bias_gain[column] * nominal + self.truth.bias_offset_amps[column]
        return np.where(np.asarray(code) == 0, 0.0, amps) / 16**divider

    def input_siemens(self, row: np.ndarray) -> np.ndarray:
        """G_in of rows."""
        return 1.0 / self.truth.input_ohms[row]

    def read_codes_per_amp(self, tia_range: int) -> np.ndarray:
        """Slope of the unipolar TIA and ADC of READ, (C,); noise and rounding come after it, sample by sample."""
        return 65536 / _tia_full_scale_amps(tia_range) * self.truth.tia_gain[tia_range]

    def current_codes_per_amp(self, tia_range: int) -> np.ndarray:
        """Slope of the bipolar TIA and ADC of MVM, (C,)."""
        return 32768 / _tia_full_scale_amps(tia_range) * self.truth.tia_gain[tia_range]

    def offset_codes(self, tia_range: int, codes_per_amp: np.ndarray) -> np.ndarray:
        """What the chain of READ or MVM gives without a current, (C,), at its slopes."""
        return self.truth.tia_offset_amps[tia_range] * codes_per_amp / self.truth.tia_gain[tia_range]

    @cached_property
    def output_codes_per_volt(self) -> float:
        """Nominal slope of the bipolar output ADC and the gain before it, at the output of the amplifier."""
        return 32768 / (wire.SCALE_OUTPUT_FULL_SCALE_MICROVOLTS * 1e-6) * wire.SCALE_OUTPUT_GAIN


def _ladder(code: np.ndarray, step_siemens: np.ndarray) -> np.ndarray:
    """Sum of the steps (n, bits) that the bits of `code` (n,) switch on."""
    bits = np.asarray(code)[..., None] >> np.arange(step_siemens.shape[-1]) & 1
    return (bits * step_siemens).sum(axis=-1)


def _tia_full_scale_amps(tia_range: int) -> float:
    fine = tia_range == wire.TiaRange.FINE
    return (wire.SCALE_TIA_FINE_NANOAMPS if fine else wire.SCALE_TIA_COARSE_NANOAMPS) * 1e-9
