"""How long readings take at least and at most: when to ask for the data of a sweep, and when to give up."""

from __future__ import annotations

from hwloop.drivers.smu.settings import SmuSetting

# What an instrument takes beyond integration: autozero and ranging (together at most fourfold), and its own pace.
_POINT_SECONDS = 5e-3
_SLOWEST_FACTOR = 4.0
_SLOWEST_LINE_HERTZ, _FASTEST_LINE_HERTZ = 50.0, 60.0
# Clocks differ a little, and nothing is lost by asking early.
_EARLY_FRACTION = 0.97


def least_seconds(setting: SmuSetting, count: int) -> float:
    """Before so long, `count` readings cannot be there."""
    return _EARLY_FRACTION * count * _reading_seconds(setting, _FASTEST_LINE_HERTZ, 1.0)


def most_seconds(setting: SmuSetting, count: int) -> float:
    """After so long, `count` readings have to be there."""
    return count * (_reading_seconds(setting, _SLOWEST_LINE_HERTZ, _SLOWEST_FACTOR) + _POINT_SECONDS)


def _reading_seconds(setting: SmuSetting, line_hertz: float, factor: float) -> float:
    integrations = 2 if setting.readback else 1
    return factor * integrations * setting.nplc / line_hertz + setting.settle_delay_seconds
