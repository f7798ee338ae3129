"""What a source-measure unit is told and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Quantity = Literal["volts", "amps"]
UNITS: dict[Quantity, str] = {"volts": "V", "amps": "A"}


@dataclass(frozen=True)
class SmuSetting:
    """How a channel sources and measures.

    `source` is the quantity it sources, the other one it measures and limits: `limit` in amps for a source of volts,
    in volts for a source of amps. Ranges by the largest value that they have to hold, in the unit of their quantity;
    None lets the instrument choose. `nplc` is the integration time in power line cycles. With `readback` the sourced
    quantity is measured as well, which takes a second integration; without it, it is what was programmed.
    `output_off`: "normal" drives 0 V within a small limit, "zero" 0 V within a larger one, "high-impedance" opens the
    output relay.
    """

    source: Quantity
    limit: float
    source_range: float | None = None
    measure_range: float | None = None
    nplc: float = 1.0
    four_wire: bool = False
    autozero: bool = True
    settle_delay_seconds: float = 0.0
    output_off: Literal["normal", "zero", "high-impedance"] = "normal"
    readback: bool = False

    @property
    def measured(self) -> Quantity:
        """The quantity that is measured and limited."""
        return "amps" if self.source == "volts" else "volts"


@dataclass(frozen=True)
class SmuReadings:
    """n readings of a channel, in the order in which they were taken.

    `volts` (n,), `amps` (n,): measured, or as programmed, see SmuSetting.readback; NaN beyond the measuring range.
    `seconds` (n,) since the first reading. `in_limit` (n,) bool: the limit acted, so the sourced quantity is not what
    was programmed.
    """

    volts: np.ndarray
    amps: np.ndarray
    seconds: np.ndarray
    in_limit: np.ndarray


def readings(
    source: Quantity, sourced: np.ndarray, measured: np.ndarray, seconds: np.ndarray, in_limit: np.ndarray
) -> SmuReadings:
    """Readings from columns (n,) as an instrument sends them; its clock may begin anywhere."""
    volts, amps = (sourced, measured) if source == "volts" else (measured, sourced)
    return SmuReadings(volts, amps, seconds - seconds[0], in_limit)
