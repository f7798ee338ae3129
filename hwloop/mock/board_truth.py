"""The hidden errors of one simulated board, by its serial number: what a calibration is there to find out.

Sizes: offsets, gains and bends of the converters as the data sheets of LTC2668 and ADS8688 allow them, resistors of
1 %, ladder steps of 0.5 % (compensation) and 2 % (feedback; design notes, section 3). Errors are normal, cut at 3 σ;
input resistors and ladder steps are uniform within their limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hwloop.link import protocol as wire
from hwloop.mock.randomness import derive_many, normal_many, stream, uniform_many

COMPENSATION_BITS, FEEDBACK_BITS = 10, 12
AMPLIFIER_OFFSET_VOLTS = 5e-6           # σ, zero-drift amplifiers
INPUT_DAC = (2e-3, 2e-3, 0.3e-3)     # σ of offset in volts, of gain, of bend in volts at full scale
PULSE_DAC = (2e-3, 2e-3, 0.3e-3)        # column amplitudes and gate
OUTPUT_ADC = (1e-3, 1e-2, 50e-6)      # at the amplifier's output, with the gain of 8
TIA_GAIN = 1e-2                         # σ
# Mean and σ, in parts of the range: chains that only give codes from 0 up are built not to hide a small current.
TIA_PEDESTAL, TIA_OFFSET = 3e-3, 7e-4
READ_GAIN, REFERENCE_GAIN = 2e-3, 5e-4
BIAS_GAIN, BIAS_OFFSET = 1e-2, 5e-4     # offsets in parts of the range
RESISTOR_LIMIT, COMPENSATION_LIMIT, FEEDBACK_LIMIT = 0.01, 0.005, 0.02
BANDWIDTH_LIMIT = 0.10
PORT_OHMS, PORT_SPREAD_OHMS = 12.0, 1.5     # switches and lines between the port and a cell, column by column
_CUT = 3.0                              # σ
_DOMAIN = 14


@dataclass(frozen=True)
class Parameter:
    """One hidden number under the name that a calibration gives it too."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True)
class Channels:
    """n converter channels: at the pin stands gain × x + offset + bend × (x / full scale)², x what the code means.

    `gain`, `offset`, `bend` (n,); the latter two and `full_scale` in the unit of x.
    """

    gain: np.ndarray
    offset: np.ndarray
    bend: np.ndarray
    full_scale: float

    def nominal_of(self, at_pin: float, channel: int) -> float:
        """What a code has to say for so much at the pin, nearly: errors of a per cent are taken once."""
        nominal = (at_pin - self.offset[channel]) / self.gain[channel]
        return float(nominal - self.bend[channel] * (nominal / self.full_scale) ** 2)

    def at_pin(self, nominal: np.ndarray, channel: np.ndarray | int) -> np.ndarray:
        """What stands there; both arguments broadcast."""
        bend = self.bend[channel] * (nominal / self.full_scale) ** 2
        return self.gain[channel] * nominal + self.offset[channel] + bend


@dataclass(frozen=True)
class BoardTruth:
    """Of R rows and C columns: `input_ohms` (R,); ladder steps (R, 10) and (C, 12) siemens, the smallest first;
    transimpedance gains (2, C) and offsets in amps (2, C), fine range first; the others by column or one for all."""

    input_dac: Channels
    amplitude_dac: Channels
    gate_dac: Channels
    output_adc: Channels
    tia_gain: np.ndarray
    tia_offset_amps: np.ndarray
    read_volts: float
    input_ohms: np.ndarray
    compensation_step_siemens: np.ndarray
    feedback_step_siemens: np.ndarray
    bias_gain: np.ndarray
    bias_offset_amps: np.ndarray
    amplifier_offset_volts: np.ndarray
    reference_ohms: np.ndarray
    port_ohms: np.ndarray
    gain_bandwidth_hertz: float

    def parameters(self) -> Iterator[Parameter]:
        """All of them, one by one, by the names of calibration files; indices count from 0."""
        for name, channels in (
            ("input_dac", self.input_dac), ("amplitude_dac", self.amplitude_dac), ("gate_dac", self.gate_dac),
            ("output_adc", self.output_adc),
        ):
            yield from _each(f"{name}_gain", channels.gain, "V/V")
            yield from _each(f"{name}_offset_volts", channels.offset, "V")
            yield from _each(f"{name}_bend_volts", channels.bend, "V")
        for row, name in ((0, "fine"), (1, "coarse")):
            yield from _each(f"tia_{name}_gain", self.tia_gain[row], "A/A")
            yield from _each(f"tia_{name}_offset_amps", self.tia_offset_amps[row], "A")
        yield Parameter("read_volts", self.read_volts, "V")
        yield from _each("input_ohms", self.input_ohms, "ohm")
        yield from _each("compensation_step_siemens", self.compensation_step_siemens, "S")
        yield from _each("feedback_step_siemens", self.feedback_step_siemens, "S")
        yield from _each("bias_gain", self.bias_gain, "A/A")
        yield from _each("bias_offset_amps", self.bias_offset_amps, "A")
        yield from _each("amplifier_offset_volts", self.amplifier_offset_volts, "V")
        yield from _each("reference_ohms", self.reference_ohms, "ohm")
        yield from _each("port_ohms", self.port_ohms, "ohm")
        yield Parameter("gain_bandwidth_hertz", self.gain_bandwidth_hertz, "Hz")


def draw_board(serial: int, rows: int, columns: int, converter_errors: bool, amplifier_offset: bool) -> BoardTruth:
    """The board with this serial number; what is switched off is as the board's scales say."""
    draw = _Draw(serial, converter_errors)

    def channels(number: int, count: int, sizes: tuple[float, float, float], full_scale: float) -> Channels:
        offset, gain, bend = sizes
        return Channels(
            1.0 + gain * draw.normal(number, count), offset * draw.normal(number + 1, count),
            bend * draw.normal(number + 2, count), full_scale,
        )

    tia_full_scale = np.array([[wire.SCALE_TIA_FINE_NANOAMPS], [wire.SCALE_TIA_COARSE_NANOAMPS]]) * 1e-9
    steps = (1.0 + COMPENSATION_LIMIT * draw.uniform(20, rows * COMPENSATION_BITS)).reshape(rows, COMPENSATION_BITS)
    feedback = (1.0 + FEEDBACK_LIMIT * draw.uniform(21, columns * FEEDBACK_BITS)).reshape(columns, FEEDBACK_BITS)
    offsets = _Draw(serial, amplifier_offset)
    return BoardTruth(
        input_dac=channels(0, rows, INPUT_DAC, wire.SCALE_INPUT_FULL_SCALE_MICROVOLTS * 1e-6),
        amplitude_dac=channels(3, columns, PULSE_DAC, wire.SCALE_AMPLITUDE_FULL_SCALE_MICROVOLTS * 1e-6),
        gate_dac=channels(6, 1, PULSE_DAC, wire.SCALE_GATE_FULL_SCALE_MICROVOLTS * 1e-6),
        output_adc=channels(
            9, columns, OUTPUT_ADC, wire.SCALE_OUTPUT_FULL_SCALE_MICROVOLTS * 1e-6 / wire.SCALE_OUTPUT_GAIN
        ),
        tia_gain=1.0 + TIA_GAIN * draw.normal(12, 2 * columns).reshape(2, columns),
        tia_offset_amps=tia_full_scale * (
            TIA_PEDESTAL * converter_errors + TIA_OFFSET * draw.normal(13, 2 * columns).reshape(2, columns)
        ),
        read_volts=wire.SCALE_READ_MICROVOLTS * 1e-6 * float(1.0 + READ_GAIN * draw.normal(14, 1)[0]),
        input_ohms=1e9 / wire.SCALE_INPUT_NANOSIEMENS * (1.0 + RESISTOR_LIMIT * draw.uniform(15, rows)),
        compensation_step_siemens=ladder_siemens(wire.SCALE_COMPENSATION_FULL_SCALE_NANOSIEMENS, COMPENSATION_BITS)
        * steps,
        feedback_step_siemens=ladder_siemens(wire.SCALE_FEEDBACK_FULL_SCALE_NANOSIEMENS, FEEDBACK_BITS) * feedback,
        bias_gain=1.0 + BIAS_GAIN * draw.normal(16, columns),
        bias_offset_amps=wire.SCALE_BIAS_FULL_SCALE_NANOAMPS * 1e-9 * BIAS_OFFSET * draw.normal(17, columns),
        amplifier_offset_volts=AMPLIFIER_OFFSET_VOLTS * offsets.normal(18, columns, cut=False),
        reference_ohms=np.array([wire.SCALE_REFERENCE_LOW_OHMS, wire.SCALE_REFERENCE_HIGH_OHMS])
        * (1.0 + REFERENCE_GAIN * draw.normal(19, 2)),
        port_ohms=PORT_OHMS + PORT_SPREAD_OHMS * draw.normal(22, columns) if converter_errors else np.zeros(columns),
        gain_bandwidth_hertz=wire.SCALE_GAIN_BANDWIDTH_HERTZ * float(1.0 + BANDWIDTH_LIMIT * draw.uniform(23, 1)[0]),
    )


def ladder_siemens(full_scale_nanosiemens: int, bits: int) -> np.ndarray:
    """Nominal steps (bits,) of a binary ladder, the smallest first."""
    return full_scale_nanosiemens * 1e-9 / 2**bits * 2.0 ** np.arange(bits)


class _Draw:
    """Numbers of one board, by what they are for and which channel; zeros where they are switched off."""

    def __init__(self, serial: int, is_on: bool):
        self._key, self._is_on = stream(_DOMAIN, serial), is_on

    def normal(self, number: int, count: int, cut: bool = True) -> np.ndarray:
        """Standard normal (count,), cut at 3 σ."""
        if not self._is_on:
            return np.zeros(count)
        values = normal_many(self._keys(number, count))
        return np.clip(values, -_CUT, _CUT) if cut else values

    def uniform(self, number: int, count: int) -> np.ndarray:
        """Uniform in (-1, 1), (count,)."""
        return 2.0 * uniform_many(self._keys(number, count)) - 1.0 if self._is_on else np.zeros(count)

    def _keys(self, number: int, count: int) -> np.ndarray:
        return derive_many(derive_many(self._key, np.uint64(number)), np.arange(count, dtype=np.uint64))


def _each(name: str, values: np.ndarray, unit: str) -> Iterator[Parameter]:
    for index in np.ndindex(values.shape):
        yield Parameter(f"{name}[{','.join(map(str, index))}]", float(values[index]), unit)
