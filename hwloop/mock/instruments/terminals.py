"""What instruments see of the world: the one-port at a source meter's channel and the pins at a DAQ's inputs."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Operating(NamedTuple):
    """The operating point of a channel: volts at its sense terminals, amps out of its HI terminal."""

    volts: float
    amps: float
    limited: bool  # the limit acted, not the level


class Terminals(Protocol):
    """What hangs at an SMU channel: a one-port whose current rises with its voltage."""

    def drive_volts(self, volts: float, limit_amps: float, seconds: float, remote_sense: bool) -> Operating:
        """Source `volts`, limited to ±`limit_amps` (> 0), held for `seconds`: devices change as on a bench."""

    def drive_amps(self, amps: float, limit_volts: float, seconds: float, remote_sense: bool) -> Operating:
        """Source `amps`, limited to ±`limit_volts` (> 0), held for `seconds`. 0 A is a voltmeter."""

    def release(self) -> None:
        """Output off: nothing is driven any more."""


class Pins(Protocol):
    """What hangs at a DAQ's inputs."""

    def volts(self, channel: int) -> float:
        """The voltage at input `channel` (0, 1, …); open ones give 0 V."""
