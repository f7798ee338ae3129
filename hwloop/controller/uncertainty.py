"""How far the board's own readings may be off, by the calibrations in use: half-widths of 95 % intervals."""

from __future__ import annotations

import numpy as np

from hwloop.calibration.usage import InUse
from hwloop.drivers.board.scales import Scales

# White noise of one sample, and of cells from one reading to another (design notes, sections 3 and 4).
READ_NOISE_AMPS, OUTPUT_NOISE_VOLTS, CELL_NOISE = 20e-9, 60e-6, 4e-3
# Half of a 95 % interval, in standard deviations.
COVERAGE = 2.0
_STEP_DEVIATION = 1 / np.sqrt(12.0)


class BoardUncertainty:
    """Of one board's readings. NaN where the board is taken at its word though it may have errors: not known then."""

    def __init__(self, scales: Scales, calibrations: InUse):
        self._scales, self._describe = scales, scales.describe
        self._known = {
            parameter.name: parameter for used in calibrations.used for parameter in used.calibration.parameters
        }
        # A simulated board without errors is taken at its word for no reason but that.
        self._nominal = np.nan if calibrations.reason else 0.0

    def siemens_95(self, siemens: np.ndarray, columns: np.ndarray, samples: int) -> np.ndarray:
        """Of conductances (n,) that READ gave on the coarse range, as the mean of `samples`; without cell noise."""
        gain, read_volts = self._of("tia_coarse_gain", columns), self._of("read_volts", 0) / self._scales.read_volts
        offset_amps = self._of("tia_coarse_offset_amps", columns)
        noise_amps = COVERAGE * READ_NOISE_AMPS / np.sqrt(samples)
        amps = np.hypot(offset_amps, noise_amps)
        return np.hypot(siemens * np.hypot(gain, read_volts), amps / self._scales.read_volts)

    def volts_95(self, volts: np.ndarray, columns: np.ndarray, samples: int) -> np.ndarray:
        """Of output voltages (n, k) of SOLVE at `columns` (n, k), as the mean of `samples`."""
        gain, offset_volts = self._of("output_adc_gain", columns), self._of("output_adc_offset_volts", columns)
        step_volts = self._describe.output_full_scale_microvolts * 1e-6 / 32768 / self._describe.output_gain
        noise_volts = OUTPUT_NOISE_VOLTS / self._describe.output_gain / np.sqrt(samples)
        scatter_volts = COVERAGE * np.hypot(noise_volts, _STEP_DEVIATION * step_volts)
        return np.hypot(volts * gain, np.hypot(offset_volts, scatter_volts))

    def _of(self, name: str, channel: np.ndarray | int) -> np.ndarray:
        if name not in self._known:
            return np.full(np.shape(channel), self._nominal)
        spread = self._known[name].uncertainty_95
        return spread[channel] if spread.ndim else spread
