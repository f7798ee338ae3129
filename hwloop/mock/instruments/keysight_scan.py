"""Scans of the simulated 34970A and DAQ970A: when sweeps begin, and the memory that their readings go to.

Modelled time passes by commands alone, so a scan under way makes one more sweep whenever its memory is looked at, and
all that are left when a program waits for it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hwloop.mock.instruments.keysight_dmm import Reading
from hwloop.mock.instruments.scpi_kinds import ScpiError

BUS, TIMER, IMMEDIATE, EXTERNAL = "BUS", "TIM", "IMM", "EXT"


@dataclass
class Trigger:
    """When sweeps begin. `count` is infinite for endless scans."""

    source: str = IMMEDIATE
    count: float = 1.0
    timer_seconds: float = 10.0

    @property
    def is_from_outside(self) -> bool:
        """Whether a sweep waits for *TRG or for the trigger input."""
        return self.source in (BUS, EXTERNAL)


class Scanner:
    """Sweeps through lists of channels into a memory of `readings`.

    `measure(channel, began_seconds)` takes one reading; `scanning(on)` and `overflow()` tell the status registers.
    """

    def __init__(
        self,
        readings: int,
        measure: Callable[[int, float], Reading],
        now: Callable[[], float],
        spend: Callable[[float], None],
        scanning: Callable[[bool], None],
        overflow: Callable[[], None],
    ):
        self.trigger = Trigger()
        self.memory: deque[Reading] = deque(maxlen=readings)
        self._measure, self._now, self._spend = measure, now, spend
        self._scanning, self._overflow = scanning, overflow
        self._channels: list[int] | None = None
        self._began_seconds, self._sweeps = 0.0, 0

    @property
    def is_scanning(self) -> bool:
        """Whether a scan was initiated and is not over."""
        return self._channels is not None

    def initiate(self, channels: list[int]) -> None:
        """INITiate: error -213 while a scan is under way."""
        if self.is_scanning:
            raise ScpiError(-213)
        self.memory.clear()
        self._channels, self._began_seconds, self._sweeps = list(channels), self._now(), 0
        self._scanning(True)

    def abort(self) -> None:
        """The scan ends; the memory stays."""
        self._channels = None
        self._scanning(False)

    def sweep(self) -> None:
        """One more sweep; the oldest readings make room. Error -211 without a scan."""
        if self._channels is None:
            raise ScpiError(-211)
        for reading in self._sweep():
            if len(self.memory) == self.memory.maxlen:
                self._overflow()
            self.memory.append(reading)
        if self._sweeps >= self.trigger.count:
            self.abort()

    def go_on(self) -> None:
        """Somebody looks at the memory of a scan under way: time has passed."""
        if self.is_scanning and not self.trigger.is_from_outside:
            self.sweep()

    def finish(self) -> None:
        """Waits for the scan, if it can end by itself."""
        while self.is_scanning and not self.trigger.is_from_outside and not math.isinf(self.trigger.count):
            self.sweep()

    def read(self, channels: list[int]) -> list[Reading]:
        """READ?: a whole scan; error -214 where it would never end by itself."""
        if self.trigger.is_from_outside or math.isinf(self.trigger.count):
            raise ScpiError(-214)
        self.initiate(channels)
        self.finish()
        return list(self.memory)

    def fetch(self) -> list[Reading]:
        """FETCh?: all readings of the last scan; error -230 where there are none."""
        self.finish()
        if not self.memory:
            raise ScpiError(-230)
        return list(self.memory)

    def points(self) -> int:
        """DATA:POINts?"""
        self.go_on()
        return len(self.memory)

    def take(self, count: int) -> list[Reading]:
        """The oldest readings, up to `count`, out of the memory."""
        self.go_on()
        return [self.memory.popleft() for _ in range(min(count, len(self.memory)))]

    def remove(self, count: int) -> list[Reading]:
        """DATA:REMove?: the oldest `count` readings; error -222 where there are fewer."""
        self.go_on()
        if count > len(self.memory):
            raise ScpiError(-222)
        return [self.memory.popleft() for _ in range(count)]

    def last(self, channel: int, count: int) -> list[Reading]:
        """DATA:LAST?: the newest readings of a channel; error -230 where there are none."""
        readings = [reading for reading in self.memory if reading.channel == channel]
        if not readings:
            raise ScpiError(-230)
        return readings[-count:]

    def _sweep(self) -> Iterator[Reading]:
        if self.trigger.source == TIMER:
            due_seconds = self._began_seconds + self._sweeps * self.trigger.timer_seconds
            self._spend(max(due_seconds - self._now(), 0.0))
        for channel in self._channels:
            yield self._measure(channel, self._began_seconds)
        self._sweeps += 1
