"""The board's instrument ports: routes, held levels and samples of the ADCs, for calibration and characterization."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hwloop.drivers.board.scales import Scales
from hwloop.errors import LimitError, UsageError
from hwloop.link import protocol as wire
from hwloop.link.frames import OVERHEAD_BYTES
from hwloop.link.link import Request
from hwloop.link.protocol import BiasDivider, Command, Hold, Route, SampleSource, TiaRange

_PAIR_BYTES = 4
Exchange = Callable[[list[Request], int, int, float], list[bytes | None]]


@dataclass(frozen=True)
class RoutePort:
    """Connect `kind`; `row` of a reference resistor is the enum reference."""

    kind: Route
    array: int = 0
    row: int = 0
    column: int = 0


@dataclass(frozen=True)
class HoldLevels:
    """Hold `codes` (n,) at `channels` (n,): columns, rows, or 0 for the gate. A route from INPUT_TO_SMU on must stand.

    The divider of BIAS holds for all columns.
    """

    what: Hold
    channels: np.ndarray
    codes: np.ndarray
    bias_divider: BiasDivider = BiasDivider.BY_1


@dataclass(frozen=True)
class LoadCompensation:
    """Compensation `codes` (n,) of `rows` (n,), as Board.compensate has them in siemens."""

    rows: np.ndarray
    codes: np.ndarray


@dataclass(frozen=True)
class SampleAdcs:
    """The mean of `averages` samples of every column, of `source`."""

    source: SampleSource
    tia_range: TiaRange = TiaRange.COARSE
    averages: int = 16


PortRequest = RoutePort | HoldLevels | LoadCompensation | SampleAdcs


class Ports:
    """Requests about the instrument ports of one board, in codes and in SI units.

    Levels go to zero where the first route for an instrument begins and where the last one ends: route, then hold.
    Refusals of the board are LimitError; UsageError and LimitError of this class are raised before anything is sent.
    """

    def __init__(self, scales: Scales, exchange: Exchange):
        self.scales = scales
        self._describe = scales.describe
        self._exchange = exchange

    def run(self, requests: Sequence[PortRequest]) -> list[np.ndarray | None]:
        """Carry all of them out in order, in one pipelined exchange. Gives mean codes (columns,) float64 for each
        SampleAdcs, None for the others; of the supply only the first code means something."""
        frames, seconds = [self._frames(request) for request in requests], 0.0
        for request in requests:
            if isinstance(request, SampleAdcs):
                ticks = wire.TICKS_READ_SETTLE + request.averages * wire.TICKS_SAMPLE
                seconds = max(seconds, ticks / wire.TICK_HERTZ)
        sent = [frame for of_request in frames for frame in of_request]
        replies = self._exchange(sent, 1, sum(len(payload) for _, payload in sent), seconds)
        found, at = [], 0
        for request, of_request in zip(requests, frames, strict=True):
            reply = replies[at] if of_request else None
            at += len(of_request)
            is_sample = isinstance(request, SampleAdcs) and reply is not None
            found.append(_mean_codes(reply, request.averages) if is_sample else None)
        return found

    def route(self, kind: Route, array: int = 0, row: int = 0, column: int = 0) -> None:
        """Connect what `kind` says; Route.NOTHING ends it, and every held level with it."""
        self.run([RoutePort(kind, array, row, column)])

    def hold_codes(
        self, what: Hold, channels: np.ndarray, codes: np.ndarray, bias_divider: BiasDivider = BiasDivider.BY_1
    ) -> None:
        """Hold raw `codes` (n,) at `channels` (n,)."""
        self.run([HoldLevels(what, channels, codes, bias_divider)])

    def hold_amplitudes(self, columns: np.ndarray, volts: np.ndarray) -> None:
        """Column DACs (n,), up to the forming limit."""
        self._hold(Hold.AMPLITUDE, columns, self.scales.amplitude_codes(volts, True, np.asarray(columns)))

    def hold_gate(self, volts: float) -> None:
        """The gate DAC."""
        self._hold(Hold.GATE, [0], self.scales.gate_codes(np.array([volts])))

    def hold_inputs(self, rows: np.ndarray, volts: np.ndarray) -> None:
        """Input DACs (n,), either sign."""
        self._hold(Hold.INPUT, rows, self.scales.input_codes(volts, np.asarray(rows)))

    def hold_feedback(self, columns: np.ndarray, siemens: np.ndarray) -> None:
        """Feedback ladders (n,)."""
        self._hold(Hold.FEEDBACK, columns, self.scales.feedback_codes(siemens, np.asarray(columns)))

    def hold_bias(self, columns: np.ndarray, amps: np.ndarray) -> None:
        """Bias sources (n,), in the finest range that holds them all; codes held before mean that range, too."""
        divider = self.scales.bias_divider(np.abs(amps).max(initial=0.0))
        codes = self.scales.bias_codes(amps, divider, np.asarray(columns))
        self._hold(Hold.BIAS, columns, codes, BiasDivider(int(divider)))

    def sample(
        self, source: SampleSource, tia_range: TiaRange = TiaRange.COARSE, averages: int = 16
    ) -> np.ndarray:
        """Mean codes (columns,) float64 of what stands at the ADCs: not rounded, so that averaging goes below a code.

        OUTPUTS: 16 bit bipolar, as SOLVE's; CURRENTS: 16 bit unipolar, as READ's; SUPPLY: 16 bit unipolar, the first.
        """
        return self.run([SampleAdcs(source, tia_range, averages)])[0]

    def supply_volts(self, averages: int = 16) -> float:
        """The analog supply, nominally 5 V."""
        code = self.sample(SampleSource.SUPPLY, averages=averages)[0]
        return float(code) * self._describe.supply_full_scale_microvolts * 1e-6 / 65536

    def _hold(
        self, what: Hold, channels: np.ndarray, codes: np.ndarray, bias_divider: BiasDivider = BiasDivider.BY_1
    ) -> None:
        channels = np.asarray(channels)
        self.hold_codes(what, channels, np.broadcast_to(codes, channels.shape), bias_divider)

    def _frames(self, request: PortRequest) -> list[Request]:
        match request:
            case RoutePort():
                fixed = wire.RouteRequest(request.kind, request.array, request.row, request.column)
                _check_fits("row or column of a route", [request.row, request.column], 0, 0xFFFF)
                return [(Command.ROUTE, fixed.pack())]
            case HoldLevels():
                fixed = wire.HoldRequest(request.what, request.bias_divider).pack()
                return self._paired(Command.HOLD, request.channels, request.codes, fixed, fixed)
            case LoadCompensation():
                first, further = (wire.CompensateRequest(continued).pack() for continued in (0, 1))
                return self._paired(Command.COMPENSATE, request.rows, request.codes, first, further)
            case SampleAdcs():
                self.scales.check_samples(request.averages)
                fixed = wire.SampleRequest(request.source, request.tia_range, request.averages)
                return [(Command.SAMPLE, fixed.pack())]

    def _paired(
        self, command: Command, channels: np.ndarray, codes: np.ndarray, first: bytes, further: bytes
    ) -> list[Request]:
        """Frames of channel, code pairs, as many as it takes."""
        channels, codes = np.asarray(channels, np.int64), np.asarray(codes, np.int64)
        if channels.shape != codes.shape or channels.ndim != 1:
            shapes = f"{channels.shape} channels and {codes.shape} codes"
            raise UsageError(f"{command.name}: {shapes} do not belong together; give a code a channel")
        _check_fits(f"channel of {command.name}", channels, 0, 0xFFFF)
        _check_fits(f"code of {command.name}", codes, -0x8000, 0xFFFF)
        pairs = np.stack([channels, codes], axis=1).astype("<u2")
        room = (self._describe.max_frame_bytes - OVERHEAD_BYTES - len(first)) // _PAIR_BYTES
        return [
            (command, (further if at else first) + pairs[at : at + room].tobytes())
            for at in range(0, len(pairs), room)
        ]


def _check_fits(what: str, values: np.ndarray, low: int, high: int) -> None:
    """What fits into a word of the wire; what the board allows, the board says."""
    values = np.asarray(values)
    bad = (values < low) | (values > high)
    if bad.any():
        raise LimitError(what, int(values[bad][0]), f"{low} to {high}", "", "nothing was sent; give what the board has")


def _mean_codes(reply: bytes, averages: int) -> np.ndarray:
    return np.frombuffer(reply, "<i4", offset=wire.SampleReply.STRUCT.size) / averages
