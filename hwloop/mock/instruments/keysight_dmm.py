"""The internal multimeter of the simulated 34970A and DAQ970A behind its multiplexer: settings and physics.

Noise: a third of the resolution that the manual gives for an integration time, as one standard deviation. A relay's
thermal voltage belongs to its channel (34901A data sheet, below 3 µV). Pins have no source resistance, so the input
impedance changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from hwloop.mock.instruments.terminals import Pins
from hwloop.mock.instruments.tolerance import Accuracy, Keys, LinearError, drift, linear_error, noise

OVERLOAD = 9.9e37
CHANNELS_A_SLOT = 20
CURRENT_CHANNELS = (21, 22)
# Integration times in power line cycles, and the resolution of each as a fraction of range.
RESOLUTIONS = {0.02: 1e-4, 0.2: 1e-5, 1.0: 3e-6, 2.0: 2.2e-6, 10.0: 1e-6, 20.0: 8e-7, 100.0: 3e-7, 200.0: 2.2e-7}
_THERMAL = Accuracy(0.0, 3e-6)
_DRIFT_FRACTION = 0.3  # of the offset accuracy, one standard deviation, without autozero
_OVERRANGE = 1.2
_RANGE_CHANGE_SECONDS = 10e-3


@dataclass(frozen=True)
class Meter:
    """A model's multimeter: full scale (volts) and one-year accuracy of each range, and the seconds that a channel
    takes beside delay and integration."""

    volts_ranges: dict[float, Accuracy]
    channel_seconds: float
    memory_readings: int


def _accuracies(rows: tuple[tuple[float, float, float], ...]) -> dict[float, Accuracy]:
    """Rows of full scale, % of reading, % of range."""
    return {scale: Accuracy(reading / 100.0, part / 100.0 * scale) for scale, reading, part in rows}


METER_34970A = Meter(
    _accuracies(
        (
            (0.1, 0.0050, 0.0040),
            (1.0, 0.0040, 0.0007),
            (10.0, 0.0035, 0.0005),
            (100.0, 0.0045, 0.0006),
            (300.0, 0.0045, 0.0030),
        )
    ),
    13e-3,
    50_000,
)
METER_DAQ970A = Meter(
    _accuracies(
        (
            (0.1, 0.0050, 0.0060),
            (1.0, 0.0035, 0.0006),
            (10.0, 0.0030, 0.0004),
            (100.0, 0.0040, 0.0006),
            (300.0, 0.0040, 0.0020),
        )
    ),
    9e-3,
    100_000,
)


@dataclass
class ChannelSetting:
    """How one channel is measured. `function`: VOLT, RES or CURR; `range`: full scale, in use without autorange."""

    function: str = "VOLT"
    range: float = 300.0
    autorange: bool = True
    nplc: float = 1.0
    autozero: bool = True
    high_impedance: bool = False
    delay_seconds: float = 0.0
    delay_auto: bool = True

    @property
    def settling_seconds(self) -> float:
        """From the relay's closing to the measurement; automatic: the manual's figure for dc volts and this range."""
        if not self.delay_auto:
            return self.delay_seconds
        return 2e-3 if self.nplc >= 1 else 1e-3


@dataclass(frozen=True)
class Reading:
    """One reading: value in volts, ohms or amps (±OVERLOAD beyond the range), seconds since the scan began."""

    value: float
    function: str
    seconds: float
    channel: int

    @property
    def is_overload(self) -> bool:
        """Whether the value was beyond the range."""
        return abs(self.value) >= OVERLOAD


class Multimeter:
    """Measures pins through the multiplexer; `spend(seconds)` lets modelled time pass, `now()` reads it."""

    def __init__(
        self, meter: Meter, keys: Keys, pins: Pins, line_hertz: float, now: Callable[[], float], spend: Callable
    ):
        self._meter, self._keys, self._pins = meter, keys, pins
        self._line_hertz, self._now, self._spend = line_hertz, now, spend
        self._noise_key, self._drift_key = keys.part("noise").drawn, keys.part("drift").drawn
        self._draws = 0
        self._zeroed_seconds = 0.0
        self._last_range = 0.0

    def hidden_error(self, full_scale: float) -> LinearError:
        """The truth of a voltage range, common to all channels."""
        return linear_error(self._keys.part("volts", int(full_scale * 10)), self._meter.volts_ranges[full_scale])

    def thermal_volts(self, channel: int) -> float:
        """The truth of a channel's relay: its thermal voltage."""
        return linear_error(self._keys.part("relay", channel), _THERMAL).offset

    def zero(self) -> None:
        """Takes the zero now."""
        self._zeroed_seconds = self._now()

    def measure(self, channel: int, setting: ChannelSetting, began_seconds: float) -> Reading:
        """Closes `channel` (e.g. 101), waits, integrates."""
        self._spend(self._meter.channel_seconds + setting.settling_seconds)
        seconds = self._now() - began_seconds
        self._spend(setting.nplc / self._line_hertz * (2.0 if setting.autozero else 1.0))
        if setting.autozero:
            self.zero()
        value = {"VOLT": self._volts, "RES": self._open_ohms, "CURR": self._open_amps}[setting.function]
        return Reading(value(channel, setting), setting.function, seconds, channel)

    def _volts(self, channel: int, setting: ChannelSetting) -> float:
        slot, number = divmod(channel, 100)
        true_volts = self._pins.volts((slot - 1) * CHANNELS_A_SLOT + number - 1) + self.thermal_volts(channel)
        full_scale = self._range_for(true_volts) if setting.autorange else setting.range
        if full_scale != self._last_range and setting.autorange:
            self._spend(_RANGE_CHANGE_SECONDS)
        self._last_range = full_scale
        if abs(true_volts) > self._largest(full_scale):
            return math.copysign(OVERLOAD, true_volts)
        self._draws += 1
        step = RESOLUTIONS[setting.nplc] * full_scale
        value = self.hidden_error(full_scale).of(true_volts) + step / 3.0 * noise(self._noise_key, self._draws)
        wandered = drift(self._drift_key, self._zeroed_seconds, self._now())
        value += _DRIFT_FRACTION * self._meter.volts_ranges[full_scale].offset * wandered
        return round(value / (0.1 * step)) * 0.1 * step

    def _range_for(self, volts: float) -> float:
        scales = list(self._meter.volts_ranges)
        return next((scale for scale in scales if abs(volts) <= self._largest(scale)), scales[-1])

    def _largest(self, full_scale: float) -> float:
        top = max(self._meter.volts_ranges)
        return full_scale if full_scale == top else full_scale * _OVERRANGE

    @staticmethod
    def _open_ohms(_channel: int, _setting: ChannelSetting) -> float:
        return OVERLOAD  # pins drive volts; to the ohmmeter they are no resistor

    @staticmethod
    def _open_amps(_channel: int, _setting: ChannelSetting) -> float:
        return 0.0  # nothing is wired to the fused channels
