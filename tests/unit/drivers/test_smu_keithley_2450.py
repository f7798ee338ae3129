"""The 2450's messages on a real socket, and the faults of a bench, each an error of its own."""

import time

import numpy as np
import pytest

from hwloop import errors
from hwloop.drivers.instrument import parse_identity
from hwloop.drivers.smu.checks import require_contact, require_within_limit
from hwloop.drivers.smu.keithley_2450 import Keithley2450
from hwloop.drivers.smu.settings import SmuSetting
from hwloop.link.visa import VisaPort
from tests.unit.drivers import scripted as scripted_instrument
from tests.unit.drivers.scripted import doubles
from tests.unit.link.stand_in_instrument import IDENTITY, PowerOffError, StandInInstrument

SETTING = SmuSetting("volts", limit=1e-3, source_range=2.0, measure_range=1e-3, nplc=0.01, four_wire=True)
AS_SET = {
    "*LANG?": "SCPI",
    ":SOUR:FUNC?": "VOLT", ":SOUR:VOLT:ILIM?": "0.001", ":SOUR:VOLT:RANG?": "2", ":SENS:CURR:RANG?": "0.001",
    ":SOUR:VOLT:READ:BACK?": "0", ":SOUR:VOLT:DEL?": "0", ":SENS:CURR:NPLC?": "0.01", ":SENS:CURR:AZER?": "1",
    ":SENS:CURR:RSEN?": "1", ":OUTP:VOLT:SMOD?": "NORM", ":OUTP?": "1", ":SOUR:VOLT?": "0.2",
    ":TRIG:STAT?": ["RUNNING;RUNNING;3", "IDLE;IDLE;6"],
}  # fmt: skip


def connected(**replies):
    """A configured 2450 and what it was told since; `replies` change the table by header, "__" for ":"."""
    table = AS_SET | {name.replace("__", ":") + "?": reply for name, reply in replies.items()}
    return scripted_instrument.connected(Keithley2450, IDENTITY, SETTING, table)


def test_identity():
    identity = parse_identity("here", IDENTITY)
    assert (identity.model, identity.serial, identity.firmware) == ("2450", "04400001", "1.7.3b")


def test_a_sweep_is_a_list_a_trigger_and_one_transfer():
    levels = np.linspace(-1, 1, 1001)
    status = 128 + 64 + 32 * (levels > 0.9)
    rows = zip(levels, levels * 1e-4, 0.1 + 0.02 * np.arange(1001), status, strict=True)
    with connected(__TRAC__DATA=doubles(*rows)) as (smu, scripted):
        before = smu.port.counters.exchanges
        readings = smu.sweep(levels)
        assert smu.port.counters.exchanges - before == 4
    np.testing.assert_allclose(readings.volts, levels)
    np.testing.assert_allclose(readings.amps, levels * 1e-4)
    np.testing.assert_allclose(readings.seconds, 0.02 * np.arange(1001), atol=1e-12)
    assert np.array_equal(readings.in_limit, levels > 0.9)
    lists = [part for part in scripted.told if part.startswith(":SOUR:LIST:VOLT")]
    assert len(lists) == 11 and all(part.count(",") <= 99 for part in lists)
    assert [part for part in scripted.told if part not in lists] == [
        ":SENS:COUN 1", ':TRAC:CLE "defbuffer1"', ':SOUR:SWE:VOLT:LIST 1,0,1,OFF,"defbuffer1"', ":INIT", ":SYST:ERR?",
        ":TRIG:STAT?", ":SYST:ERR?", ":TRIG:STAT?", ":SYST:ERR?",
        "*WAI", ':TRAC:DATA? 1,1001,"defbuffer1",SOUR,READ,REL,SOURSTAT', ":SOUR:VOLT 0", ":OUTP ON", ":SYST:ERR?",
    ]  # fmt: skip


def test_readings_at_one_level_are_one_exchange():
    with connected(__TRAC__DATA=doubles((0.2, 1e-6, 3.0, 128), (0.2, 9.9e37, 3.1, 160))) as (smu, _):
        smu.set_level(0.2)
        before = smu.port.counters.exchanges
        readings = smu.measure(2)
        assert smu.port.counters.exchanges - before == 1
    assert readings.amps[0] == 1e-6 and np.isnan(readings.amps[1])
    assert readings.in_limit.tolist() == [False, True]


@pytest.mark.parametrize(
    "entry", ['-222,"Parameter data out of range;1;2026/01/01 12:00:00"', '-113,"Undefined header;1;2026/01/01"']
)
def test_what_stands_in_the_error_queue_is_raised_with_the_step_and_all_of_it(entry):
    with connected() as (smu, scripted):
        scripted.replies[":SYST:ERR?"] = [entry, '-350,"Queue overflow"', '0,"No error"']
        with pytest.raises(errors.InstrumentRefusalError) as caught:
            smu.output(True)
        number, text = entry.split(";")[0].split(',"')
        assert caught.value.entries == ((int(number), text), (-350, "Queue overflow"))
        assert smu.port.name in str(caught.value) and ":OUTP ON" in str(caught.value) and caught.value.exit_code == 5
        smu.output(True)


def test_an_error_behind_which_the_rest_of_the_message_is_dropped_is_told_all_the_same():
    with connected() as (smu, scripted):
        scripted.drops_after_error = ":OUTP ON"
        with pytest.raises(errors.InstrumentRefusalError, match="-113 Undefined header.*OUTP ON"):
            smu.output(True)


def test_an_open_interlock_is_its_own_error():
    with connected() as (smu, scripted):
        scripted.replies[":SYST:ERR?"] = ['5075,"Output blocked by interlock;1;"', '0,"No error"']
        with pytest.raises(errors.InterlockError, match="close the interlock"):
            smu.output(True)


def test_an_output_that_stays_off_without_a_reason_is_told():
    with connected(__OUTP="0") as (smu, _), pytest.raises(errors.SettingError, match="does not go on"):
        smu.output(True)


def test_what_reads_back_differently_is_refused():
    with pytest.raises(errors.SettingError, match="set to 0.001 A, but reads back 0.0001 A .at 'limit'"):
        with connected(**{"__SOUR__VOLT__ILIM": "0.0001"}):
            pass


def test_a_garbled_reply():
    with connected() as (smu, scripted):
        scripted.replies[":SOUR:VOLT?"] = "0.x2"
        with pytest.raises(errors.GarbledReplyError, match=r"garbled reply '0.x2' .*configure it again"):
            smu.set_level(0.2)


def test_switched_off_in_a_sweep():
    def power_fails(query):
        raise PowerOffError(b"#516")

    with connected(__TRAC__DATA=power_fails) as (smu, _):
        with pytest.raises(errors.OutputUnknownError) as caught, smu:
            smu.sweep(np.linspace(0, 1, 11))
    assert isinstance(caught.value.__cause__, errors.InstrumentLostError)
    assert "STATE OF ITS OUTPUT IS UNKNOWN" in str(caught.value)
    assert "closed it in the middle of a reply (at '*WAI;:TRAC:DATA?" in str(caught.value)


@pytest.mark.parametrize("ending", [KeyboardInterrupt, errors.StoppedError("stopped"), ZeroDivisionError])
def test_the_output_is_off_whatever_ended_the_work(ending):
    with connected(__OUTP=["1", "0"]) as (smu, scripted), pytest.raises((BaseException,)) as caught, smu:
        smu.output(True)
        raise ending
    assert caught.type is (ending if isinstance(ending, type) else type(ending))
    assert scripted.told[-3:] == [":ABOR", ":OUTP OFF", ":OUTP?"]


def test_a_stop_during_a_sweep_leaves_within_a_fraction_of_it():
    with connected(**{"__TRIG__STAT": "RUNNING;RUNNING;3", "__OUTP": "0"}) as (smu, scripted):
        begun = time.monotonic()

        def stop():
            raise errors.StoppedError("stopped")

        smu.between_exchanges = stop
        with pytest.raises(errors.StoppedError), smu:
            smu.sweep(np.linspace(0, 1, 2500))
        assert time.monotonic() - begun < 0.3
    assert scripted.told[-3:] == [":ABOR", ":OUTP OFF", ":OUTP?"]


def test_an_output_that_stays_on_is_said_to_be_unknown():
    with connected() as (smu, _), pytest.raises(errors.OutputUnknownError, match="reads back as on"):
        smu.make_safe()


def test_a_garbled_answer_does_not_keep_the_output_on():
    with connected(__OUTP=["x", "0"]) as (smu, scripted):
        smu.make_safe()
        assert scripted.told == [":ABOR", ":OUTP OFF", ":OUTP?", ":ABOR", ":OUTP OFF", ":ABOR", ":OUTP OFF", ":OUTP?"]


def test_values_beyond_the_data_sheet_are_refused_before_anything_is_sent():
    with connected() as (smu, scripted):
        with pytest.raises(errors.LimitError, match="source level .* is 2.2 V, allowed within ±2.1 V"):
            smu.set_level(2.2)
        with pytest.raises(errors.LimitError, match="limit of the 2450 is 3 A, allowed up to ±1.05 A"):
            smu.configure(SmuSetting("volts", limit=3.0))
        with pytest.raises(errors.LimitError, match="1 to 2500 points"):
            smu.sweep(np.zeros(2501))
        assert scripted.told == []


def test_a_channel_that_was_not_configured_is_not_driven():
    with StandInInstrument() as instrument, VisaPort(instrument.resource, 0.5) as port:
        smu = Keithley2450(port, parse_identity(instrument.resource, IDENTITY))
        for use in (lambda: smu.output(True), lambda: smu.set_level(0.1), smu.measure, lambda: smu.sweep(np.ones(3))):
            with pytest.raises(errors.UsageError, match="call configure first"):
                use()
        assert instrument.heard == []


def test_nothing_is_measured_with_the_output_off():
    with connected() as (smu, scripted):
        smu.configure(SETTING)
        scripted.told.clear()
        for use in (smu.measure, lambda: smu.sweep(np.ones(3))):
            with pytest.raises(errors.UsageError, match="while the output is off"):
                use()
        assert scripted.told == []


def test_the_data_sheets_accuracy_of_the_range_that_holds_a_value():
    with connected() as (smu, _):
        assert smu.accuracy("amps", "measure", 30e-6) == smu.accuracy("amps", "measure", 100e-6)
        accuracy = smu.accuracy("volts", "measure", 2.0)
        assert (accuracy.gain_fraction, accuracy.offset) == (pytest.approx(0.00012), 300e-6)


def test_nothing_but_an_open_lead():
    with connected(__TRAC__DATA=doubles((0.2, 3e-12, 0, 128))) as (smu, _):
        with pytest.raises(errors.OpenLeadError, match="at most 1.5e-11 S where 1e-07 S or more .*check the leads"):
            require_contact(smu.port.name, smu.measure(), least_siemens=1e-7)


def test_a_limit_that_acted_is_a_flag_and_where_it_must_not_an_error():
    with connected(__TRAC__DATA=doubles((0.2, 1e-6, 0, 128), (0.2, 1e-3, 0, 160))) as (smu, _):
        readings = smu.measure(2)
        with pytest.raises(errors.InLimitError, match=r"in its limit at 1 of 2 readings, first at number 2 \(0.2 V"):
            require_within_limit(smu.port.name, readings)


def test_readings_with_the_output_off_are_no_result():
    with connected(__TRAC__DATA=doubles((0.2, 1e-6, 0, 128), (0.2, 1e-6, 0, 0))) as (smu, _):
        with pytest.raises(errors.InstrumentError, match="the output went off while it measured"):
            smu.measure(2)


def test_another_command_set_is_said_before_anything_is_misunderstood():
    with pytest.raises(errors.SettingError, match="speaks 'TSP' instead of SCPI .*choose SCPI in its menu"):
        with connected(**{"*LANG": "TSP"}):
            pass
