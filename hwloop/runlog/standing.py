"""What a session left set on the board, so that it can be set again after the board was grounded or reset."""

from __future__ import annotations

import numpy as np

from hwloop.link.frames import OVERHEAD_BYTES
from hwloop.link.link import Request
from hwloop.link.protocol import Command, CompensateRequest

_PAIR_BYTES = 4     # row and code, 16 bit each


class Standing:
    """Compensation, routes and tightened limits, gathered from the requests that set them."""

    def __init__(self) -> None:
        self._compensation: dict[int, int] = {}
        self._others: dict[tuple[Command, bytes], None] = {}

    def note(self, requests: list[Request]) -> None:
        """These were carried out."""
        for kind, payload in requests:
            if kind == Command.COMPENSATE:
                pairs = np.frombuffer(payload, "<u2", offset=CompensateRequest.STRUCT.size).reshape(-1, 2)
                self._compensation.update(pairs.tolist())
            elif kind == Command.ROUTE:
                self._others = {key: None for key in self._others if key[0] != kind}
                self._others[kind, payload] = None
            elif kind == Command.TIGHTEN:
                self._others[kind, payload] = None

    def requests(self, max_frame_bytes: int) -> list[Request]:
        """What sets all of it again."""
        pairs = np.array([item for item in self._compensation.items() if item[1]], "<u2").reshape(-1, 2)
        room = (max_frame_bytes - OVERHEAD_BYTES - CompensateRequest.STRUCT.size) // _PAIR_BYTES
        loads = [
            (Command.COMPENSATE, CompensateRequest(int(first > 0)).pack() + pairs[first : first + room].tobytes())
            for first in range(0, len(pairs), room)
        ]
        return [*self._others, *loads]
