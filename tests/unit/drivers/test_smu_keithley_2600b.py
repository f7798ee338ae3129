"""The 2600B's scripts, line by line, as an interpreter without physics sees them."""

import contextlib
import re
import struct

import numpy as np
import pytest

from hwloop import errors
from hwloop.drivers.instrument import parse_identity
from hwloop.drivers.smu.keithley_2600b import Keithley2600B
from hwloop.drivers.smu.settings import SmuSetting
from hwloop.link.visa import VisaPort
from tests.unit.link.stand_in_instrument import StandInInstrument

IDENTITY = "Keithley Instruments Inc., Model 2636B, 4042137, 3.2.2"
EMPTY = "0.00000e+00\tQueue Is Empty\t0.00000e+00\t1.00000e+00"


class Interpreter:
    """Keeps what is assigned, prints it, and answers printbuffer with `rows` in the instrument's own block."""

    def __init__(self):
        self.values, self.lines, self.errors, self.rows = {}, [], [], []
        self.takes_nothing = False

    def __call__(self, line):
        self.lines.append(line)
        if match := re.fullmatch(r"print\((.*)\)", line):
            fields = []
            for name in match[1].split(", "):
                value = self.values.get(name, 0.0)
                fields.append(self._entry() if name == "errorqueue.next()" else f"{value:.5e}")
            return "\t".join(fields).encode() + b"\n"
        if line.startswith("printbuffer("):
            return b"#0" + b"".join(struct.pack("<4d", *row) for row in self.rows) + b"\n"
        if match := re.fullmatch(r"(\S+) = (\S+)", line):
            with contextlib.suppress(ValueError):
                self.values[match[1]] = 0.0 if self.takes_nothing else float(match[2])
        return None

    def _entry(self):
        return self.errors.pop(0) if self.errors else EMPTY


@contextlib.contextmanager
def connected(setting=SmuSetting("volts", 1e-3, source_range=2.0), channel=2):  # noqa: B008
    interpreter = Interpreter()
    with StandInInstrument(interpreter, IDENTITY) as instrument, VisaPort(instrument.resource, 0.5) as port:
        smu = Keithley2600B(port, parse_identity(instrument.resource, port.identify()), channel)
        smu.configure(setting)
        smu.output(True)
        interpreter.lines.clear()
        yield smu, interpreter


def test_a_sweep_of_the_second_channel():
    levels = np.linspace(0, 1, 150)
    with connected() as (smu, interpreter):
        interpreter.rows = [(v, v * 1e-4, place * 0.02, 0x40 * (v > 0.5)) for place, v in enumerate(levels)]
        before = smu.port.counters.exchanges
        readings = smu.sweep(levels)
        assert smu.port.counters.exchanges - before == 3
    np.testing.assert_allclose(readings.amps, levels * 1e-4)
    assert np.array_equal(readings.in_limit, levels > 0.5)
    lines = interpreter.lines
    assert sum(line.startswith("for _, level in ipairs({") for line in lines) == 2
    assert "smub.trigger.source.listv(hwloop_levels)" in lines and "smub.trigger.measure.i(smub.nvbuffer1)" in lines
    columns = "smub.nvbuffer1.sourcevalues, smub.nvbuffer1.readings, smub.nvbuffer1.timestamps, smub.nvbuffer1.statuses"
    assert lines[-3:] == ["waitcomplete()", f"printbuffer(1, 150, {columns})", "print(errorqueue.next())"]


def test_a_running_sweep_is_waited_for_and_can_be_stopped():
    with connected(SmuSetting("volts", 1e-3, source_range=2.0, nplc=25.0)) as (smu, interpreter):
        interpreter.values["status.operation.sweeping.condition"] = 4.0

        def stop():
            raise errors.StoppedError("stopped")

        smu.between_exchanges = stop
        with pytest.raises(errors.StoppedError), smu:
            smu.sweep(np.linspace(0, 1, 100))
    assert interpreter.lines[-3:] == ["smub.abort()", "smub.source.output = 0", "print(smub.source.output)"]


def test_the_source_is_read_back_into_the_second_buffer():
    with connected(SmuSetting("amps", 2.0, readback=True), channel=1) as (smu, interpreter):
        interpreter.rows = [(1e-6, 0.5, 0.0, 0.0)]
        readings = smu.measure()
    assert (readings.amps[0], readings.volts[0]) == (1e-6, 0.5)
    assert "smua.measure.iv(smua.nvbuffer2, smua.nvbuffer1)" in interpreter.lines


def test_every_entry_of_the_error_queue_is_raised_with_the_step():
    with connected() as (smu, interpreter):
        interpreter.errors = ["8.02000e+02\tOUTPUT blocked by interlock\t2.00000e+01\t1.00000e+00"]
        with pytest.raises(errors.InterlockError) as caught:
            smu.output(True)
        assert caught.value.entries == ((802, "OUTPUT blocked by interlock"),)
        interpreter.errors = [f"-2.85000e+02\tSyntax error {n}\t2.0e+01\t1.0e+00" for n in (1, 2)]
        with pytest.raises(errors.InstrumentRefusalError) as caught:
            smu.set_level(0.1)
        assert [number for number, _ in caught.value.entries] == [-285, -285]


def test_a_level_that_the_instrument_does_not_take():
    with connected() as (smu, interpreter):
        interpreter.takes_nothing = True
        with pytest.raises(errors.SettingError, match="set to 0.1 V, but reads back 0.0 V"):
            smu.set_level(0.1)
