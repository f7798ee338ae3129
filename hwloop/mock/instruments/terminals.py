"""What simulated instruments see of the simulated bench: the interfaces between instruments and the world."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Operating(NamedTuple):
    """Where a driven one-port rests: volts at the sense terminals, amps, and whether the limit acted, not the level."""

    volts: float
    amps: float
    limited: bool


class Terminals(Protocol):
    """What hangs at a source meter's channel: a one-port whose current rises with its voltage."""

    def drive_volts(self, volts: float, limit_amps: float, seconds: float, remote_sense: bool) -> Operating:
        """Source `volts`, current within ±`limit_amps` (> 0), held for `seconds`: devices change as on a bench."""

    def drive_amps(self, amps: float, limit_volts: float, seconds: float, remote_sense: bool) -> Operating:
        """Source `amps`, voltage within ±`limit_volts` (> 0), held for `seconds`; 0 A is a voltmeter."""

    def release(self) -> None:
        """The output goes off."""


class Pins(Protocol):
    """What hangs at a DAQ's inputs."""

    def volts(self, channel: int) -> float:
        """Volts at channel 0, 1, …; an open one gives 0 V."""
