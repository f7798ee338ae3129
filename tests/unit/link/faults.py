"""A transport that loses, damages, doubles, delays and cuts what a real one carries, by a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hwloop.errors import LinkError
from hwloop.link.transport import Transport


@dataclass(frozen=True)
class Faults:
    """Chances of what happens to a frame in either direction; `cut_after` frames the connection is gone."""

    drop: float = 0.0
    corrupt: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    cut_after: int | None = None


class FaultyTransport:
    """Wraps a real transport. A delayed frame comes up to six frames later, or when nothing else comes: so the order
    changes too. `seen` counts frames in both directions."""

    def __init__(self, inner: Transport, faults: Faults, seed: int):
        self.name = f"faulty {inner.name}"
        self.seen = 0
        self._inner, self._faults = inner, faults
        self._random = random.Random(seed)
        self._rest = b""
        self._held: dict[str, list[list]] = {"out": [], "in": []}

    def send(self, data: bytes) -> None:
        frames = [part + b"\0" for part in data.split(b"\0")[:-1]]
        self._inner.send(self._through("out", frames))

    def receive(self, timeout_seconds: float) -> bytes:
        data = self._inner.receive(timeout_seconds)
        if not data:
            self._inner.send(self._release("out", everything=True))
            return self._release("in", everything=True)
        *frames, self._rest = (self._rest + data).split(b"\0")
        return self._through("in", [frame + b"\0" for frame in frames])

    def close(self) -> None:
        self._inner.close()

    def _through(self, direction: str, frames: list[bytes]) -> bytes:
        passed = b""
        for frame in frames:
            if frame != b"\0":
                self.seen += 1
            if self._faults.cut_after is not None and self.seen > self._faults.cut_after:
                self._inner.close()
                raise LinkError(f"{self.name}: cut")
            passed += self._fate(direction, frame) + self._release(direction)
        return passed

    def _fate(self, direction: str, frame: bytes) -> bytes:
        chance = self._random.random()
        drop, corrupt = self._faults.drop, self._faults.drop + self._faults.corrupt
        duplicate = corrupt + self._faults.duplicate
        if chance < drop:
            return b""
        if chance < corrupt:
            at = self._random.randrange(len(frame))
            return frame[:at] + bytes([frame[at] ^ self._random.randint(1, 255)]) + frame[at + 1 :]
        if chance < duplicate + self._faults.delay:
            self._held[direction].append([self._random.randint(1, 6), frame])
            return frame if chance < duplicate else b""
        return frame

    def _release(self, direction: str, everything: bool = False) -> bytes:
        released = b""
        for held in list(self._held[direction]):
            held[0] -= 1
            if everything or held[0] < 0:
                self._held[direction].remove(held)
                released += held[1]
        return released
