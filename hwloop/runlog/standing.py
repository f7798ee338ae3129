"""What a session left set on the board, so that it can be set again after the board was grounded or reset."""

from __future__ import annotations

import numpy as np

from hwloop.link.frames import OVERHEAD_BYTES
from hwloop.link.link import Request
from hwloop.link.protocol import Command, CompensateRequest, Route, RouteRequest

_PAIR_BYTES = 4     # row and code, 16 bit each
_ENDS_A_ROUTE = frozenset({Command.PULSE, Command.READ, Command.SOLVE, Command.MVM})
_AT_DAQ = frozenset({Route.INPUTS_TO_DAQ, Route.AMPLITUDES_TO_DAQ})


class Standing:
    """Compensation, routes, held levels and tightened limits, gathered from the requests that set them."""

    def __init__(self) -> None:
        self._compensation: dict[int, int] = {}
        self._limits: dict[Request, None] = {}
        self._outputs: list[Request] = []       # OUTPUTS_TO_DAQ
        self._route: list[Request] = []         # the other route
        self._levels: list[Request] = []        # what was held since levels were at zero

    def note(self, requests: list[Request]) -> None:
        """These were carried out."""
        for kind, payload in requests:
            if kind == Command.COMPENSATE:
                pairs = np.frombuffer(payload, "<u2", offset=CompensateRequest.STRUCT.size).reshape(-1, 2)
                self._compensation.update(pairs.tolist())
            elif kind == Command.ROUTE:
                self._note_route(RouteRequest.unpack(payload), (kind, payload))
            elif kind == Command.HOLD:
                self._levels.append((kind, payload))
            elif kind == Command.TIGHTEN:
                self._limits[kind, payload] = None
            elif kind in _ENDS_A_ROUTE:
                self._route, self._levels = [], []

    def _note_route(self, asked: RouteRequest, request: Request) -> None:
        stood = RouteRequest.unpack(self._route[0][1]).route if self._route else Route.NOTHING
        if asked.route == Route.OUTPUTS_TO_DAQ:
            if stood in _AT_DAQ:
                self._route, self._levels = [], []
            self._outputs = [request]
            return
        if asked.route == Route.NOTHING or asked.route in _AT_DAQ:
            self._outputs = []
        if asked.route < Route.INPUT_TO_SMU:
            self._levels = []
        self._route = [request] if asked.route != Route.NOTHING else []

    def requests(self, max_frame_bytes: int) -> list[Request]:
        """What sets all of it again."""
        pairs = np.array([item for item in self._compensation.items() if item[1]], "<u2").reshape(-1, 2)
        room = (max_frame_bytes - OVERHEAD_BYTES - CompensateRequest.STRUCT.size) // _PAIR_BYTES
        loads = [
            (Command.COMPENSATE, CompensateRequest(int(first > 0)).pack() + pairs[first : first + room].tobytes())
            for first in range(0, len(pairs), room)
        ]
        return [*self._limits, *self._outputs, *self._route, *self._levels, *loads]
