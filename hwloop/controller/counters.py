"""What a run cost, on the host, on the simulated bench and on hardware: the same counters in every result."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hwloop.array.chip import Chip
from hwloop.drivers.board import Board
from hwloop.drivers.board.counters import HardwareSeconds
from hwloop.runlog.record import Quantity


class HostClock:
    """CPU and wall time of the controller; what is not the controller's work (references, pictures) is left out."""

    def __init__(self, cpu_now: Callable[[], float], wall_now: Callable[[], float]):
        self._cpu_now, self._wall_now = cpu_now, wall_now
        self.cpu_seconds = self.wall_seconds = 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Round the controller's own work."""
        cpu, wall = self._cpu_now(), self._wall_now()
        try:
            yield
        finally:
            self.cpu_seconds += self._cpu_now() - cpu
            self.wall_seconds += self._wall_now() - wall

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Inside `running`, round what does not count as the controller's."""
        cpu, wall = self._cpu_now(), self._wall_now()
        try:
            yield
        finally:
            self.cpu_seconds -= self._cpu_now() - cpu
            self.wall_seconds -= self._wall_now() - wall


@dataclass(frozen=True)
class Counters:
    """`pulses` are cell pulses; `hardware_seconds` follow the board's tick rules; `mock_seconds` is the CPU time of a
    simulated board of our own, None for any other."""

    cells_written: int
    pulses: int
    row_pulses: int
    reads: int
    solves: int
    exchanges: int
    bytes_sent: int
    bytes_received: int
    payload_bytes: int
    hardware_seconds: HardwareSeconds
    host_seconds: float
    mock_seconds: float | None
    wall_seconds: float

    @classmethod
    def of(cls, board: Board, chip: Chip, clock: HostClock, mock_seconds: float | None) -> Counters:
        """Read off a board, its chip and the host's clock."""
        counted, link = board.counters, board.link.counters
        return cls(
            chip.totals.cells_written, counted.pulses, counted.row_pulses, counted.reads, counted.solves,
            counted.exchanges, link.bytes_sent, link.bytes_received, counted.payload_bytes,
            dataclasses.replace(counted.hardware_seconds), clock.cpu_seconds, mock_seconds, clock.wall_seconds,
        )

    def document(self) -> dict[str, Any]:
        """As they stand in every JSON result."""
        return dataclasses.asdict(self)

    def quantities(self) -> tuple[Quantity, ...]:
        """As they stand in a run file."""
        plain = self.document()
        hardware = plain.pop("hardware_seconds")
        named = plain | {f"hardware_{step}_seconds": seconds for step, seconds in hardware.items()}
        return tuple(Quantity(name, value, _unit(name)) for name, value in named.items() if value is not None)

    def text(self) -> str:
        """Three lines for people."""
        parts = ", ".join(
            f"{step} {getattr(self.hardware_seconds, step):.3g}" for step in ("pulse", "read", "solve", "load", "link")
        )
        mock = "" if self.mock_seconds is None else f"; simulated board {self.mock_seconds:.3g} s of CPU"
        return (
            f"hardware   {self.hardware_seconds.total:.3g} s on the bench ({parts}, partly hidden)\n"
            f"work       {self.pulses:,} cell pulses in {self.row_pulses:,} row pulses, {self.reads:,} reads, "
            f"{self.solves:,} solves, {self.exchanges:,} exchanges, {_size(self.bytes_sent + self.bytes_received)}\n"
            f"host       {self.host_seconds:.3g} s of CPU in {self.wall_seconds:.3g} s{mock}"
        )


def _size(count: int) -> str:
    return f"{count / 1e6:.3g} MB" if count >= 1e6 else f"{count / 1e3:.3g} kB"


def _unit(name: str) -> str:
    return "s" if name.endswith("_seconds") else "byte" if "bytes" in name else "1"
