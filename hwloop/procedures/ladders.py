"""Steps of switched ladders at the SMU: each bit alone less none, with both signs, in the range that suits it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwloop.calibration.record import Parameter
from hwloop.drivers.board.ports import PortRequest, RoutePort
from hwloop.link.protocol import Route
from hwloop.procedures.fitting import parameter, pooled_sigma
from hwloop.procedures.metering import ammeter, read_amps
from hwloop.procedures.tools import Tools, Trace

_SCATTER_READINGS = 20


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
        return 2 * (self.count * codes + _SCATTER_READINGS * len(self.ranges_amps))


@dataclass(frozen=True)
class Steps:
    """What was found: `siemens` (count, bits); `sigma` (bits,) of their scatter; `gain_95` (bits,), the part of them
    that the instrument may be off by; `codes` (c,) that were looked at, and what they gave, (count, c)."""

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
    """Every step of every ladder. Offsets of source, meter and whatever else drives the node cancel between the code
    and none, and between the signs."""
    channels = np.arange(port.count)
    found = np.empty((port.count, port.bits))
    sigma, gain_95 = np.empty(port.bits), np.empty(port.bits)
    codes_seen, siemens_seen = [], []
    to_clear: list[PortRequest] = port.clear(channels)
    for number, range_amps in enumerate(port.ranges_amps.tolist()):
        codes = port.codes(range_amps)
        amps = np.empty((2, port.count, len(codes)))
        with ammeter(tools.need_smu(), port.drive_volts, range_amps, autozero=False) as smu:
            for sign, level in enumerate((port.drive_volts, -port.drive_volts)):
                smu.set_level(level)
                for channel in channels.tolist():
                    begin = [RoutePort(port.route, **{port.place: channel}), *to_clear]
                    for at, code in enumerate(codes.tolist()):
                        tools.board.ports.run([*begin, port.load(channel, code)])
                        amps[sign, channel, at] = read_amps(smu, 1)[0]
                        begin, to_clear = [], []
                    tools.board.ports.run([port.load(channel, 0)])
                tools.on_step(f"ladders, {range_amps * 1e6:g} uA", sign + 1, 2)
            scatter = pooled_sigma(read_amps(smu, _SCATTER_READINGS)[:, None])
            source_95 = smu.accuracy("volts", "source", port.drive_volts).gain_fraction
            meter_95 = smu.accuracy("amps", "measure", range_amps).gain_fraction
        siemens = (amps[0] - amps[1]) / (2 * port.drive_volts)
        siemens -= siemens[:, :1]
        bits = np.flatnonzero(port.bit_ranges_amps == range_amps)
        found[:, bits] = siemens[:, 1 : 1 + len(bits)]
        # A step is a difference of differences: four readings over twice the voltage.
        sigma[bits] = scatter / port.drive_volts
        gain_95[bits] = np.hypot(source_95, meter_95)
        codes_seen.append(codes[1:])
        siemens_seen.append(siemens[:, 1:])
        tools.on_step("ladders", number + 1, len(port.ranges_amps))
    tools.board.ports.route(Route.NOTHING)
    return Steps(found, sigma, gain_95, np.concatenate(codes_seen), np.concatenate(siemens_seen, axis=1))
