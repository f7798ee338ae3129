"""The 2400's messages: an older SCPI, text, and a sweep that begins and ends with the question for its data."""

import numpy as np
import pytest

from hwloop import errors
from hwloop.drivers.smu.keithley_2400 import Keithley2400
from hwloop.drivers.smu.settings import SmuSetting
from tests.unit.drivers import scripted

IDENTITY = "KEITHLEY INSTRUMENTS INC.,MODEL 2400,1234567,C32   Oct  4 2010 14:20:11/A02  /S/K"
SETTING = SmuSetting("volts", limit=1e-4, source_range=2.0, measure_range=1e-4, autozero=False)
AS_SET = {
    ":SOUR:FUNC?": "VOLT", ":SENS:CURR:PROT?": "1.000000E-04",
    # Ranges read back with the 5 % that they hold beyond their name.
    ":SOUR:VOLT:RANG?": "2.100000E+00", ":SENS:CURR:RANG?": "1.050000E-04",
    ":SOUR:DEL?": "0.00000", ":SENS:CURR:NPLC?": "1.00", ":SYST:AZER?": "0", ":SYST:RSEN?": "0", ":OUTP:SMOD?": "NORM",
    ":OUTP?": "1", ":SOUR:VOLT?": "2.000000E-01",
}  # fmt: skip


def connected(**replies):
    table = AS_SET | {name.replace("__", ":") + "?": reply for name, reply in replies.items()}
    return scripted.connected(Keithley2400, IDENTITY, SETTING, table)


def row(volts, amps, seconds, status):
    return f"{volts:+.6E},{amps:+.6E},{seconds:+.6E},{status:+.6E}"


def test_a_sweep_is_two_exchanges_and_status_bits_tell_compliance():
    levels = np.array([0.1, 0.2, 0.3, 0.4])
    status = (1 << 2, 1 << 2 | 1 << 3, 1 << 2 | 1 << 16, 1 << 2)
    reply = ",".join(row(v, v * 1e-4, 7 + v, s) for v, s in zip(levels, status, strict=True))
    with connected(__READ=reply) as (smu, told):
        before = smu.port.counters.exchanges
        readings = smu.sweep(levels)
        assert smu.port.counters.exchanges - before == 2
    assert told.told == [
        ":SOUR:LIST:VOLT 0.1,0.2,0.3,0.4", ":SOUR:VOLT:MODE LIST", ":TRIG:COUN 4", ":SYST:ERR?",
        ":READ?", ":SOUR:VOLT:MODE FIX", ":SOUR:VOLT 0", ":SYST:ERR?",
    ]  # fmt: skip
    np.testing.assert_allclose(readings.amps, levels * 1e-4)
    np.testing.assert_allclose(readings.seconds, [0, 0.1, 0.2, 0.3])
    assert readings.in_limit.tolist() == [False, True, True, False]


def test_switched_off_autozero_begins_with_a_fresh_zero():
    with connected() as (_, told):
        assert told.configured.index(":SYST:AZER ONCE") + 1 == told.configured.index(":SYST:AZER OFF")


def test_too_few_numbers_are_garbled():
    with connected(__READ=row(0.1, 1e-6, 0, 4)) as (smu, _):
        with pytest.raises(errors.GarbledReplyError, match="4 numbers instead of 8"):
            smu.measure(2)


def test_what_the_instrument_reads_beyond_its_range_is_no_number():
    with connected(__READ=row(0.1, 9.9e37, 0, 5)) as (smu, _):
        assert np.isnan(smu.measure().amps[0])
