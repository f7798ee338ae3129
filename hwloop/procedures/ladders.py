"""Steps of switched ladders at the SMU: each bit alone less none, in the range that suits it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwloop.calibration.record import Parameter, Residual
from hwloop.drivers.board.ports import PortRequest, RoutePort
from hwloop.link.protocol import Route
from hwloop.procedures.fitting import parameter, pooled_sigma
from hwloop.procedures.metering import ammeter, read_amps, reading_seconds, require_current
from hwloop.procedures.tools import Findings, Plan, Tools, Trace

_SCATTER_READINGS = 20
_BOTH_SIGNS = 32
_LEAST_PART = 0.5               # of what a ladder should let through: less is an open lead


@dataclass(frozen=True)
class LadderPort:
    """`count` ladders of `bits` bits of about `step_siemens` × 2^bit behind `route`, whose field `place` selects one.

    `bit_ranges_amps` (bits,), rising: the range in which each bit is measured at ± `drive_volts`. `load` (channel,
    code) sets one ladder, `clear` (channels) all of them to none.
    """

    route: Route
    place: str
    count: int
    bits: int
    step_siemens: float
    drive_volts: float
    bit_ranges_amps: np.ndarray
    load: Callable[[int, int], PortRequest]
    clear: Callable[[np.ndarray], list[PortRequest]]

    @property
    def ranges_amps(self) -> np.ndarray:
        """Ranges that are used, rising."""
        return np.unique(self.bit_ranges_amps)

    def codes(self, range_amps: float) -> np.ndarray:
        """Codes of one range: none, its bits one by one, and these together as a check where there are several."""
        singles = 2 ** np.flatnonzero(self.bit_ranges_amps == range_amps)
        # The largest of them alone nearly fills the range.
        together = [int(singles[:-1].sum())] if len(singles) > 2 else []
        return np.array([0, *singles.tolist(), *together])

    @property
    def readings(self) -> int:
        """How many readings all of it takes."""
        codes = sum(len(self.codes(range_amps)) for range_amps in self.ranges_amps)
        return (self.count + self.both_signs) * codes + _SCATTER_READINGS * len(self.ranges_amps)

    @property
    def both_signs(self) -> int:
        """How many ladders, the first ones, are measured with both signs."""
        return min(self.count, _BOTH_SIGNS)


@dataclass(frozen=True)
class Steps:
    """`siemens` (count, bits); `sigma`, same shape, of their scatter; `gain_95` (bits,), the part of them that the
    instrument may be off by; `codes` (c,) that were looked at, and what they gave, (count, c)."""

    siemens: np.ndarray
    sigma: np.ndarray
    gain_95: np.ndarray
    codes: np.ndarray
    code_siemens: np.ndarray

    def parameter(self, name: str) -> Parameter:
        """The steps as a parameter."""
        return parameter(name, "S", self.siemens, self.sigma, self.gain_95 * self.siemens)

    def check(self) -> tuple[np.ndarray, float]:
        """Measured less sums of steps, (count, c), and the largest such difference as a part of what was measured."""
        bits = self.codes[:, None] >> np.arange(self.siemens.shape[1]) & 1
        residual = self.code_siemens - self.siemens @ bits.T
        return residual, float(np.abs(residual / self.code_siemens).max())

    def trace(self, title: str, residual: np.ndarray) -> Trace:
        """For a picture."""
        nominal = self.codes * (self.siemens[:, -1].mean() / 2 ** (self.siemens.shape[1] - 1))
        return Trace(
            title, "code", "conductance over what the code says", self.codes, self.code_siemens / nominal, residual, "S"
        )


def measure_steps(tools: Tools, port: LadderPort) -> Steps:
    """Every step of every ladder. Offsets of the meter and of whatever else drives the node cancel between a code and
    none, that of the source between the signs; both signs of a few ladders tell it for all."""
    found, sigma = np.empty((2, port.count, port.bits))
    gain_95 = np.empty(port.bits)
    codes_seen, siemens_seen = [], []
    tools.board.ports.run([RoutePort(port.route), *port.clear(np.arange(port.count))])
    for range_amps in port.ranges_amps.tolist():
        codes, bits = port.codes(range_amps), np.flatnonzero(port.bit_ranges_amps == range_amps)
        with ammeter(tools.need_smu(), port.drive_volts, range_amps, autozero=False) as smu:
            plus = _conductances(tools, port, port.drive_volts, codes, port.count)
            minus = _conductances(tools, port, -port.drive_volts, codes, port.both_signs)
            scatter = pooled_sigma(read_amps(smu, _SCATTER_READINGS)[:, None])
        # The part that the source's offset adds to what the positive sign shows.
        both = 0.5 * (plus[: port.both_signs] + minus)
        offset_part = float(plus[: port.both_signs, len(bits)].sum() / both[:, len(bits)].sum()) - 1.0
        siemens = np.concatenate([both, plus[port.both_signs :] / (1.0 + offset_part)])
        found[:, bits] = siemens[:, 1 : 1 + len(bits)]
        # A step is a difference of two readings, or the mean of two such differences.
        single = np.sqrt(2.0) * scatter / port.drive_volts
        sigma[: port.both_signs, bits], sigma[port.both_signs :, bits] = single / np.sqrt(2.0), single
        gain_95[bits] = np.hypot(
            smu.accuracy("volts", "source", port.drive_volts).gain_fraction,
            smu.accuracy("amps", "measure", range_amps).gain_fraction,
        )
        codes_seen.append(codes[1:])
        siemens_seen.append(siemens[:, 1:])
    tools.board.ports.run(port.clear(np.arange(port.count)))
    tools.board.ports.route(Route.NOTHING)
    return Steps(found, sigma, gain_95, np.concatenate(codes_seen), np.concatenate(siemens_seen, axis=1))


def _conductances(tools: Tools, port: LadderPort, level_volts: float, codes: np.ndarray, count: int) -> np.ndarray:
    """What `codes` (c,) of the first `count` ladders give over what none gives, (count, c)."""
    smu = tools.need_smu()
    smu.set_level(level_volts)
    amps = np.empty((count, len(codes)))
    least_amps = _LEAST_PART * port.step_siemens * codes[-1] * abs(level_volts)
    for channel in range(count):
        begin: list[PortRequest] = [RoutePort(port.route, **{port.place: channel})]
        for at, code in enumerate(codes.tolist()):
            tools.board.ports.run([*begin, port.load(channel, code)])
            amps[channel, at] = read_amps(smu, 1)[0]
            begin = []
        require_current(smu, amps[channel, -1] - amps[channel, 0], least_amps, "a ladder")
        tools.on_step(f"ladders at {level_volts:+g} V", channel + 1, count)
    return (amps - amps[:, :1]) / level_volts


@dataclass(frozen=True)
class LadderCalibration:
    """See Procedure. Finds the steps of the `kind` of ladders at `port`, one at each `node`; what is measured with no
    bit on is taken off, and with it the `taken_out`."""

    kind: str
    node: str
    taken_out: str
    limit_fraction: float
    port: Callable[[Tools], LadderPort]

    def plan(self, tools: Tools) -> Plan:
        """See Procedure."""
        port = self.port(tools)
        return Plan(
            (f"{port.count} ladders of {port.bits} bits at ±{port.drive_volts:g} V from the SMU, bit by bit",),
            ("smu",), reading_seconds(port.readings, autozero=False),
        )

    def run(self, tools: Tools) -> Findings:
        """See Procedure."""
        steps = measure_steps(tools, self.port(tools))
        residual_siemens, fraction = steps.check()
        return Findings(
            (steps.parameter(f"{self.kind}_step_siemens"),),
            Residual(fraction, self.limit_fraction, "of the conductance"),
            f"the SMU as source and ammeter at each {self.node}, four wires and both signs, with each bit alone and "
            f"with none, which takes the {self.taken_out} out; checked with several bits together",
            (steps.trace(f"{self.kind} ladders", residual_siemens),),
        )
