"""Keysight (Agilent, HP) 34970A and DAQ970A with multiplexer cards (User's Guides 34970-90003 and DAQ970-90003)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hwloop.drivers.daq.daq import Daq
from hwloop.drivers.instrument import Accuracy, InstrumentIdentity
from hwloop.drivers.scpi import Scpi
from hwloop.errors import LimitError, SettingError, UsageError
from hwloop.link.visa import VisaPort

# Percent of the reading and of the range, one year, (23 ± 5) °C, switching included: the units' specifications.
_ACCURACIES = {
    "34970A": {
        0.1: (0.0050, 0.0040), 1.0: (0.0040, 0.0007), 10.0: (0.0035, 0.0005), 100.0: (0.0045, 0.0006),
        300.0: (0.0045, 0.0030),
    },
    "DAQ970A": {
        0.1: (0.0050, 0.0060), 1.0: (0.0035, 0.0006), 10.0: (0.0030, 0.0004), 100.0: (0.0040, 0.0006),
        300.0: (0.0040, 0.0020),
    },
}  # fmt: skip
_NPLC = (0.02, 0.2, 1.0, 2.0, 10.0, 20.0, 100.0, 200.0)
_MEMORY_READINGS = 50_000
# A reading with autozero takes two integrations; then relays, and the filter of slow settings.
_SLOWEST_LINE_HERTZ, _CHANNEL_SECONDS, _INTEGRATIONS = 50.0, 0.1, 3.0


class Keysight34970A(Daq):
    """A 34970A or DAQ970A; channels by slot and place, such as 101 to 120 for a 34901A or DAQM901A in slot 1.

    The inputs stay at their high impedance (more than 10 GΩ) up to the 10 V range, so they load no divider.
    """

    models: ClassVar = tuple(_ACCURACIES)

    def __init__(self, port: VisaPort, identity: InstrumentIdentity):
        self.port, self.identity, self.name = port, identity, port.name
        self.scpi = Scpi(port)
        self._figures = _ACCURACIES.get(identity.model, _ACCURACIES["34970A"])
        self._scanned: object = None

    def accuracy(self, range_volts: float) -> Accuracy:
        full_scale = self.range_for(range_volts)
        reading_percent, range_percent = self._figures[full_scale]
        return Accuracy(reading_percent / 100, range_percent / 100 * full_scale)

    def close(self) -> None:
        self.port.close()

    def _ranges(self) -> tuple[float, ...]:
        return tuple(self._figures)

    def _scan(self, channels: np.ndarray, full_scale_volts: float, nplc: float, count: int) -> np.ndarray:
        if nplc not in _NPLC:
            known = ", ".join(f"{value:g}" for value in _NPLC)
            raise UsageError(f"{self.name}: the {self.identity.model} integrates {known} cycles, not {nplc:g}")
        if count * channels.size > _MEMORY_READINGS:
            raise LimitError("readings of one scan", count * channels.size, f"up to {_MEMORY_READINGS}", "", "split it")
        if not self.port.in_step:
            self._scanned = None
            self.port.resynchronize(":ABOR")
        # The unit goes through its channels in ascending order, however they are listed.
        order = np.argsort(channels)
        wanted = (tuple(channels[order].tolist()), full_scale_volts, nplc, count)
        if wanted != self._scanned:
            self._scanned = None
            self._configure(*wanted)
            self._scanned = wanted
        seconds = count * channels.size * (_CHANNEL_SECONDS + _INTEGRATIONS * nplc / _SLOWEST_LINE_HERTZ)
        reply = self.scpi.ask(":READ?", expected_seconds=seconds)[0]
        values = self.scpi.numbers(":READ?", reply, count * channels.size).reshape(count, channels.size)
        volts = np.empty_like(values)
        volts[:, order] = values
        return volts

    def _configure(self, channels: tuple[int, ...], full_scale_volts: float, nplc: float, count: int) -> None:
        where = f"(@{','.join(map(str, channels))})"
        replies = self.scpi.ask(
            f":CONF:VOLT:DC {full_scale_volts:g},{where}", f":SENS:VOLT:DC:NPLC {nplc:g},{where}",
            f":INP:IMP:AUTO ON,{where}", f":ROUT:SCAN {where}", ":TRIG:SOUR IMM", f":TRIG:COUN {count}",
            ":FORM:READ:UNIT OFF", ":FORM:READ:CHAN OFF", ":FORM:READ:TIME OFF", ":FORM:READ:ALAR OFF",
            f":SENS:VOLT:DC:RANG? {where}", f":SENS:VOLT:DC:NPLC? {where}", ":TRIG:COUN?",
        )  # fmt: skip
        sent = (("range", full_scale_volts, "V"), ("NPLC", nplc, "power line cycles"), ("trigger count", count, ""))
        for (what, value, unit), reply in zip(sent, replies, strict=True):
            got = self.scpi.numbers(what, reply, 1 if what == "trigger count" else len(channels))
            if not np.allclose(got, value, rtol=2e-3):
                raise SettingError(
                    self.name, what, f"set to {value:g} {unit}, but reads back {reply}",
                    "check that nothing else sets it, and which cards are in its slots",
                )  # fmt: skip
