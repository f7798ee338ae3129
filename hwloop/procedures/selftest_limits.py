"""How far figures of a self-test may be off: by the uncertainties of calibrations, else by what parts are built to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hwloop.calibration.record import Parameter

# So many 95 % half-widths of a calibration, and so many sigma of the mean of samples: one figure in many may lie there.
CALIBRATED_WIDTHS, NOISE_SIGMAS = 3.0, 5.0
# Chains without a calibration: parts of the value, and what is added to it. Loop back: DAC and output ADC together.
LOOP_BACK_GAIN, LOOP_BACK_OFFSET_VOLTS = 0.04, 12e-3
# Reference resistor, read voltage and amplifier together; offsets in parts of the range, pedestal included.
REFERENCE_GAIN, CURRENT_OFFSET_FRACTION = 0.04, 0.01
# White noise of a sample (design notes, section 3): at the output ADC, and of the ranges in parts of themselves.
OUTPUT_NOISE_VOLTS, CURRENT_NOISE_FRACTIONS = 60e-6, (0.8e-3, 0.4e-3)
TIA_NAMES = ("tia_fine", "tia_coarse")

Known = Mapping[str, Parameter]


def knows_loop_back(known: Known) -> bool:
    """Whether both ends of the loop back are calibrated."""
    return "amplitude_dac_gain" in known and "output_adc_gain" in known


def knows_currents(known: Known) -> bool:
    """Whether transimpedance amplifiers, read voltage and reference resistors are calibrated."""
    return "tia_coarse_gain" in known


def loop_back_limit_volts(
    known: Known, volts: np.ndarray, full_scales: tuple[float, float], step_volts: float, gain: float, samples: int
) -> np.ndarray:
    """By how much DAC and ADC may disagree at `volts` (C,); `full_scales` of both, `step_volts` and `gain` of the ADC
    chain, volts at the amplifier's output."""
    if not knows_loop_back(known):
        return LOOP_BACK_GAIN * np.abs(volts) + LOOP_BACK_OFFSET_VOLTS
    ends = [
        _line_95(known, name, "volts", volts, full_scale)
        for name, full_scale in zip(("amplitude_dac", "output_adc"), full_scales, strict=True)
    ]
    sampled = NOISE_SIGMAS * OUTPUT_NOISE_VOLTS / gain / np.sqrt(samples)
    return CALIBRATED_WIDTHS * np.hypot(*ends) + 0.5 * step_volts + sampled


def reference_limit_siemens(
    known: Known, siemens: float, reference: int, tia_range: int, range_siemens: float, read_volts: float, samples: int
) -> np.ndarray | float:
    """By how much a reference resistor of `siemens` may read otherwise, (C,) or one for all columns."""
    if not knows_currents(known):
        return REFERENCE_GAIN * siemens + CURRENT_OFFSET_FRACTION * range_siemens
    ohms, read = known["reference_ohms"], known["read_volts"]
    amplifier_95 = _line_95(known, TIA_NAMES[tia_range], "amps", siemens * read_volts, 1.0) / read_volts
    resistor = float(ohms.uncertainty_95[reference] / ohms.value[reference])
    source = float(read.uncertainty_95 / read.value)
    combined_95 = np.hypot(amplifier_95, siemens * np.hypot(resistor, source))
    return CALIBRATED_WIDTHS * combined_95 + _sampled(tia_range, range_siemens, samples)


def rest_limit_amps(
    known: Known, tia_range: int, range_amps: float, leakage_amps: float, samples: int
) -> np.ndarray | float:
    """By how much an amplifier may show a current, (C,) or one for all, where at most `leakage_amps` flow."""
    if not knows_currents(known):
        return CURRENT_OFFSET_FRACTION * range_amps + leakage_amps
    offset_95 = known[f"{TIA_NAMES[tia_range]}_offset_amps"].uncertainty_95
    return CALIBRATED_WIDTHS * offset_95 + leakage_amps + _sampled(tia_range, range_amps, samples)


def _sampled(tia_range: int, full_range: float, samples: int) -> float:
    """Half a code and noise of the mean of samples, in the unit of `full_range`."""
    return full_range * (0.5 / 65536 + NOISE_SIGMAS * CURRENT_NOISE_FRACTIONS[tia_range] / np.sqrt(samples))


def _line_95(known: Known, name: str, unit: str, x: np.ndarray | float, full_scale: float) -> np.ndarray:
    """Half-width (C,) of what channels say at `x`, from gain, offset and bend as if they were independent."""
    total = np.hypot(known[f"{name}_gain"].uncertainty_95 * x, known[f"{name}_offset_{unit}"].uncertainty_95)
    bend = known.get(f"{name}_bend_{unit}")
    return total if bend is None else np.hypot(total, bend.uncertainty_95 * (x / full_scale) ** 2)
