"""A data acquisition unit, whatever its make: many channels' volts by one trigger and one transfer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from hwloop.drivers.instrument import Accuracy, InstrumentIdentity
from hwloop.errors import LimitError, UsageError


class Daq(ABC):
    """One unit with its multiplexers. Making it sends nothing; it drives nothing, so there is nothing to switch off.

    Every method raises an InstrumentError naming resource, command and remedy where the unit or its port fails.
    """

    models: ClassVar[Iterable[str]]
    name: str
    identity: InstrumentIdentity

    def scan_volts(self, channels: np.ndarray, range_volts: float, nplc: float = 1.0, count: int = 1) -> np.ndarray:
        """DC volts at `channels` (n,), by the unit's own numbers, in that order: (n,), or (count, n) for a `count` > 1.

        `range_volts` has to hold every channel's voltage; what it does not hold comes as NaN. `nplc` power line cycles
        are averaged a reading. Raises LimitError for a range or number of readings that the unit does not have,
        UsageError for channels that are named twice.
        """
        channels = np.asarray(channels, int)
        if channels.ndim != 1 or not channels.size or np.unique(channels).size != channels.size:
            raise UsageError(f"{self.name}: expected a list of different channels, got {channels.tolist()}")
        if count < 1 or nplc <= 0:
            raise UsageError(f"{self.name}: expected at least one scan of a positive NPLC, got {count} of {nplc:g}")
        volts = self._scan(channels, self.range_for(range_volts), nplc, count)
        return volts if count > 1 else volts[0]

    def range_for(self, range_volts: float) -> float:
        """The unit's smallest range that holds ±`range_volts`. Raises LimitError."""
        for full_scale in self._ranges():
            if abs(range_volts) <= full_scale * (1 + 1e-9):
                return full_scale
        raise LimitError(
            f"range of the {self.identity.model}", range_volts, f"up to ±{self._ranges()[-1]:g}", "V",
            "use a divider, or another unit",
        )  # fmt: skip

    @abstractmethod
    def accuracy(self, range_volts: float) -> Accuracy:
        """One-year accuracy of the range that holds `range_volts`, of the data sheet named in the model's file."""

    @abstractmethod
    def close(self) -> None:
        """Give the unit back; may be called twice."""

    def __enter__(self) -> Daq:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def _ranges(self) -> tuple[float, ...]:
        """Full scales in volts, smallest first."""

    @abstractmethod
    def _scan(self, channels: np.ndarray, full_scale_volts: float, nplc: float, count: int) -> np.ndarray:
        """The volts of `count` scans, (count, n)."""
