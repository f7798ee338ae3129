"""Real parts to hang at simulated instruments: resistors, sources, open leads, fixed pins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwloop.mock.instruments.terminals import Operating


@dataclass(frozen=True)
class VoltageSource:
    """`volts` behind `ohms` (> 0), reached over leads of `lead_ohms` together: Terminals of a source meter.

    With two wires the sense terminals are at the instrument, with four they are behind the leads.
    """

    volts: float
    ohms: float
    lead_ohms: float = 0.0

    def drive_volts(self, volts: float, limit_amps: float, seconds: float, remote_sense: bool) -> Operating:
        """See Terminals."""
        sensed_ohms = self.ohms if remote_sense else self.ohms + self.lead_ohms
        amps = (volts - self.volts) / sensed_ohms
        if abs(amps) <= limit_amps:
            return Operating(volts, amps, False)
        amps = np.copysign(limit_amps, amps)
        return Operating(float(self.volts + amps * sensed_ohms), float(amps), True)

    def drive_amps(self, amps: float, limit_volts: float, seconds: float, remote_sense: bool) -> Operating:
        """See Terminals."""
        sensed_ohms = self.ohms if remote_sense else self.ohms + self.lead_ohms
        volts = self.volts + amps * sensed_ohms
        if abs(volts) <= limit_volts:
            return Operating(volts, amps, False)
        volts = np.copysign(limit_volts, volts)
        return Operating(float(volts), float((volts - self.volts) / sensed_ohms), True)

    def release(self) -> None:
        """See Terminals."""


class Resistor(VoltageSource):
    """A resistor of `ohms` behind leads of `lead_ohms` together."""

    def __init__(self, ohms: float, lead_ohms: float = 0.0):
        super().__init__(0.0, ohms, lead_ohms)


@dataclass(frozen=True)
class OpenLead:
    """Nothing but the leakage of `leak_ohms` of an open cable: a current source runs to its voltage limit."""

    leak_ohms: float = 1e13

    def drive_volts(self, volts: float, limit_amps: float, seconds: float, remote_sense: bool) -> Operating:
        """See Terminals."""
        return Operating(volts, volts / self.leak_ohms, False)

    def drive_amps(self, amps: float, limit_volts: float, seconds: float, remote_sense: bool) -> Operating:
        """See Terminals."""
        volts = amps * self.leak_ohms
        if abs(volts) <= limit_volts:
            return Operating(volts, amps, False)
        volts = float(np.copysign(limit_volts, volts))
        return Operating(volts, volts / self.leak_ohms, True)

    def release(self) -> None:
        """See Terminals."""


@dataclass(frozen=True)
class FixedPins:
    """Pins of a DAQ at `pin_volts` (n,); those beyond are open."""

    pin_volts: np.ndarray

    def volts(self, channel: int) -> float:
        """See Pins."""
        return float(self.pin_volts[channel]) if 0 <= channel < len(self.pin_volts) else 0.0
