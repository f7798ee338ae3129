"""What a board did: pulses, readings, solves, and the hardware time that the tick rules and the link model give."""

from __future__ import annotations

from dataclasses import dataclass, field

from hwloop.link import protocol as wire


@dataclass
class HardwareSeconds:
    """Modelled time on hardware by what it went into. `total` counts the link where pipelining does not hide it."""

    pulse: float = 0.0
    read: float = 0.0
    solve: float = 0.0
    load: float = 0.0
    link: float = 0.0
    total: float = 0.0


@dataclass
class BoardCounters:
    """Counts since the board was opened. `pulses` are cell pulses; `unknown_pulses` those of steps of which nobody
    knows whether they were carried out; `exchanges` are messages, of however many frames."""

    pulses: int = 0
    unknown_pulses: int = 0
    row_pulses: int = 0
    reads: int = 0
    solves: int = 0
    exchanges: int = 0
    frames: int = 0
    payload_bytes: int = 0
    hardware_seconds: HardwareSeconds = field(default_factory=HardwareSeconds)

    def add_exchange(self, step_ticks: dict[str, int], messages: int, frames: int, link_bytes: int) -> None:
        """One round trip of `messages` messages: their ticks by step, and the bytes on the link in both directions.

        The first frame has to arrive before the board can begin, and the last reply comes after it has ended; between
        them bytes and board overlap: the longer one counts.
        """
        seconds = self.hardware_seconds
        for step, ticks in step_ticks.items():
            setattr(seconds, step, getattr(seconds, step) + ticks / wire.TICK_HERTZ)
        board_seconds = sum(step_ticks.values()) / wire.TICK_HERTZ
        transfer_seconds = link_bytes / wire.LINK_BYTES_PER_SECOND
        latency_seconds = wire.LINK_EXCHANGE_MICROSECONDS * 1e-6
        ends_seconds = min(board_seconds, transfer_seconds) / max(frames, 1)
        seconds.link += transfer_seconds + latency_seconds
        seconds.total += latency_seconds + max(board_seconds, transfer_seconds) + ends_seconds
        self.exchanges += messages
        self.frames += frames
