"""The 34970A's messages: one configuration, then one trigger and one transfer a scan, in the order asked for."""

import contextlib

import numpy as np
import pytest

from hwloop import errors
from hwloop.drivers.instruments import open_daq
from tests.unit.drivers.scripted import Scripted
from tests.unit.link.stand_in_instrument import StandInInstrument

IDENTITY = "HEWLETT-PACKARD,34970A,0,13-2-2"


@contextlib.contextmanager
def connected(**replies):
    table = {
        ":SENS:VOLT:DC:RANG?": "+1.0E+01,+1.0E+01,+1.0E+01", ":SENS:VOLT:DC:NPLC?": "+1.0E+00,+1.0E+00,+1.0E+00",
        ":TRIG:COUN?": "+1.0E+00", ":SYST:ERR?": '+0,"No error"', ":READ?": "+1.01E+00,+1.05E+00,+2.02E+00",
    } | {name.replace("__", ":") + "?": reply for name, reply in replies.items()}  # fmt: skip
    scripted = Scripted(table)
    with StandInInstrument(scripted, IDENTITY) as instrument, open_daq(instrument.resource, timeout_seconds=0.5) as daq:
        yield daq, scripted


def test_the_unit_scans_upwards_and_the_volts_come_in_the_order_asked_for():
    with connected() as (daq, scripted):
        volts = daq.scan_volts(np.array([202, 101, 105]), range_volts=2.5)
        assert volts.tolist() == [2.02, 1.01, 1.05]
        assert ":ROUT:SCAN (@101,105,202)" in scripted.told
        assert ":CONF:VOLT:DC 10,(@101,105,202)" in scripted.told


def test_the_same_scan_again_is_one_exchange():
    with connected() as (daq, scripted):
        daq.scan_volts(np.array([101, 105, 202]), 10.0)
        scripted.told.clear()
        daq.scan_volts(np.array([101, 105, 202]), 10.0)
        assert scripted.told == [":READ?", ":SYST:ERR?"]


def test_several_scans_are_one_trigger():
    with connected(__TRIG__COUN="+2.0E+00", __READ="1,2,3,4,5,9.9E+37") as (daq, _):
        volts = daq.scan_volts(np.array([105, 101, 202]), 10.0, count=2)
    assert volts.shape == (2, 3)
    assert volts[0].tolist() == [2, 1, 3] and np.isnan(volts[1, 2])


def test_what_the_unit_cannot_do_is_refused():
    with connected() as (daq, scripted):
        with pytest.raises(errors.LimitError, match="range of the 34970A is 400 V"):
            daq.scan_volts(np.array([101]), 400.0)
        with pytest.raises(errors.UsageError, match="integrates 0.02, 0.2, 1, .* not 3"):
            daq.scan_volts(np.array([101]), 1.0, nplc=3)
        with pytest.raises(errors.UsageError, match="different channels"):
            daq.scan_volts(np.array([101, 101]), 1.0)
        assert scripted.told == []


def test_an_empty_slot_is_told_with_the_units_own_words():
    entry = '-222,"Data out of range; channel not present"'
    with connected() as (daq, scripted):
        scripted.replies[":SYST:ERR?"] = [entry, '+0,"No error"']
        with pytest.raises(errors.InstrumentRefusalError, match="-222 Data out of range"):
            daq.scan_volts(np.array([101, 105, 202]), 10.0)


def test_accuracy_is_of_the_reading_and_of_the_range():
    with connected() as (daq, _):
        accuracy = daq.accuracy(9.0)
    # The example that the specifications work through: 9 V in the 10 V range, 365 µV.
    assert accuracy.gain_fraction * 9.0 + accuracy.offset == pytest.approx(365e-6)
