"""The B2900's messages, on both channels."""

import numpy as np
import pytest

from hwloop import errors
from hwloop.drivers.smu.keysight_b2900 import KeysightB2900
from hwloop.drivers.smu.settings import SmuSetting
from tests.unit.drivers import scripted

IDENTITY = "Keysight Technologies,B2912A,MY51142345,3.4.2012.5110"
NAN = 9.91e37


def connected(channel, setting, **replies):
    source, measured = ("VOLT", "CURR") if setting.source == "volts" else ("CURR", "VOLT")
    own = str(channel)
    table = {
        f":OUTP{own}?": "0", f":SOUR{own}:FUNC:MODE?": source, f":SENS{own}:{measured}:PROT?": f"{setting.limit:+.8E}",
        f":SOUR{own}:{source}:RANG:AUTO?": "1", f":SENS{own}:{measured}:RANG:AUTO?": "1",
        f":SENS{own}:{measured}:NPLC?": "+1.00000000E+00", f":SENS{own}:REM?": "0",
        f":TRIG{own}:ACQ:DEL?": "+0.00000000E+00", f":OUTP{own}:OFF:MODE?": "NORM", ":SYST:ERR?": '+0,"No error"',
    } | {name.replace("__", ":") + "?": reply for name, reply in replies.items()}  # fmt: skip
    return scripted.connected(KeysightB2900, IDENTITY, setting, table, channel)


def test_the_second_channel_is_swept_and_asked_whether_it_is_idle():
    levels = np.array([-0.1, 0.0, 0.1])
    rows = [(NAN, level * 1e-4, 5.0 + place, place, level) for place, level in enumerate(levels)]
    replies = {"__FETC__ARR": scripted.doubles(*rows), "__STAT__OPER__COND": "+1170"}
    with connected(2, SmuSetting("volts", 1e-3), **replies) as (smu, told):
        before = smu.port.counters.exchanges
        readings = smu.sweep(levels)
        assert smu.port.counters.exchanges - before == 3
    assert told.told == [
        ":SOUR2:VOLT 0", ":SOUR2:LIST:VOLT -0.1,0,0.1", ":SOUR2:VOLT:MODE LIST", ":TRIG2:COUN 3", ":INIT (@2)",
        ":SYST:ERR?", ":STAT:OPER:COND?", ":SYST:ERR?",
        "*WAI", ":FETC:ARR? (@2)", ":SOUR2:VOLT:MODE FIX", ":SOUR2:VOLT 0", ":SYST:ERR?",
    ]  # fmt: skip
    assert readings.volts.tolist() == levels.tolist()
    assert readings.in_limit.tolist() == [False, False, True]


def test_a_source_of_zero_amps_is_a_voltmeter():
    with connected(1, SmuSetting("amps", 2.0), __READ__ARR=scripted.doubles((1.25, NAN, 1.0, 1, 0.0))) as (smu, _):
        readings = smu.measure()
    assert (readings.volts[0], readings.amps[0], readings.in_limit[0]) == (1.25, 0.0, False)


def test_what_is_read_back_replaces_what_was_programmed():
    setting = SmuSetting("volts", 1e-3, readback=True)
    with connected(1, setting, __READ__ARR=scripted.doubles((0.1999, 1e-6, 1.0, 0, 0.2))) as (smu, told):
        assert smu.measure().volts[0] == 0.1999
        assert ':SENS1:FUNC "VOLT","CURR"' in told.configured


def test_a_channel_that_the_model_does_not_have():
    with pytest.raises(errors.UsageError, match="channel 3, but the B2912A has 2"):
        with connected(3, SmuSetting("volts", 1e-3)):
            pass


def test_both_channels_share_a_port():
    with connected(1, SmuSetting("volts", 1e-3)) as (smu, _):
        other = smu.on_channel(2)
        assert (other.channel, other.port) == (2, smu.port)
