"""Codes ↔ volts, amps and siemens inside the simulated board: the one place for a converter's errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.link import protocol as wire


@dataclass(frozen=True)
class Converters:
    """The board's converters. They are quantised and limited, and otherwise true.

    Scales from protocol.toml [scales]: unipolar converters give code × full scale / 2¹⁶, bipolar ones code × full
    scale / 2¹⁵; ladders code × full scale / 2ⁿ.
    """

    def amplitude_volts(self, code: np.ndarray) -> np.ndarray:
        """Column DAC, any shape, uint16."""
        return code * (wire.SCALE_AMPLITUDE_FULL_SCALE_MICROVOLTS * 1e-6 / 65536)

    def gate_volts(self, code: np.ndarray) -> np.ndarray:
        """Gate DAC, any shape, uint16."""
        return code * (wire.SCALE_GATE_FULL_SCALE_MICROVOLTS * 1e-6 / 65536)

    def input_volts(self, code: np.ndarray) -> np.ndarray:
        """Row DAC, any shape, int16."""
        return code * (wire.SCALE_INPUT_FULL_SCALE_MICROVOLTS * 1e-6 / 32768)

    def feedback_siemens(self, code: np.ndarray) -> np.ndarray:
        """Feedback ladder, 12 bit."""
        return code * (wire.SCALE_FEEDBACK_FULL_SCALE_NANOSIEMENS * 1e-9 / 4096)

    def compensation_siemens(self, code: np.ndarray) -> np.ndarray:
        """Compensation ladder, 10 bit."""
        return code * (wire.SCALE_COMPENSATION_FULL_SCALE_NANOSIEMENS * 1e-9 / 1024)

    def bias_amps(self, code: np.ndarray, divider: int) -> np.ndarray:
        """Bias source, 12 bit signed; `divider` is the enum bias_divider."""
        return code * (wire.SCALE_BIAS_FULL_SCALE_NANOAMPS * 1e-9 / 2048 / 16**divider)

    def tia_full_scale_amps(self, tia_range: int) -> float:
        """Full scale of a transimpedance range."""
        fine = tia_range == wire.TiaRange.FINE
        return (wire.SCALE_TIA_FINE_NANOAMPS if fine else wire.SCALE_TIA_COARSE_NANOAMPS) * 1e-9

    def read_codes_per_amp(self, tia_range: int) -> float:
        """Slope of the unipolar TIA and ADC of READ; noise and rounding come after it, sample by sample."""
        return 65536 / self.tia_full_scale_amps(tia_range)

    def current_codes_per_amp(self, tia_range: int) -> float:
        """Slope of the bipolar TIA and ADC of MVM."""
        return 32768 / self.tia_full_scale_amps(tia_range)

    def output_codes_per_volt(self) -> float:
        """Slope of the bipolar output ADC and the gain before it, at the output of the amplifier."""
        return 32768 / (wire.SCALE_OUTPUT_FULL_SCALE_MICROVOLTS * 1e-6) * wire.SCALE_OUTPUT_GAIN
