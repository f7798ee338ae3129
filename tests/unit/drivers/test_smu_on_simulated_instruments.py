"""Our drivers against the simulated instruments, which were written from the manuals by themselves: one body, all."""

import contextlib
import importlib
import threading
import time

import numpy as np
import pytest

from hwloop import errors
from hwloop.drivers.instruments import open_smu
from hwloop.drivers.smu.checks import require_contact
from hwloop.drivers.smu.settings import SmuSetting

pytest.importorskip("hwloop.mock.instruments.server")
OHMS = 10e3
SETTING = SmuSetting("volts", limit=1e-3, source_range=2.0, measure_range=1e-3, nplc=1.0, autozero=False)
FAMILIES = ["keithley_2400", "keithley_2450", "keysight_b2900", "keithley_2600b"]


def simulated(family, terminals):
    """The instrument of a family, with serial number 1."""
    if family == "keithley_2600b":
        module = pytest.importorskip("hwloop.mock.instruments.tsp.keithley_2600b")
        return module.Keithley2600B("2612B", 1, (terminals, terminals))
    module = pytest.importorskip(f"hwloop.mock.instruments.{family}")
    name = {"keysight_b2900": "KeysightB2911A"}.get(family, f"Keithley{family[-4:]}")
    return getattr(module, name)(terminals, 1)


@contextlib.contextmanager
def connected(family, terminals=None, setting=SETTING, port="tcp:127.0.0.1:0"):
    """(driver, configured and on; simulated instrument)"""
    elements = importlib.import_module("hwloop.mock.instruments.elements")
    server = importlib.import_module("hwloop.mock.instruments.server")
    instrument = simulated(family, terminals or elements.Resistor(OHMS))
    with server.serve_instrument(instrument, port, threading.Lock()) as served:
        kind, _, address = served.name.partition(":")
        resource = f"TCPIP::{address.replace(':', '::')}::SOCKET" if kind == "tcp" else f"ASRL{served.name}::INSTR"
        with open_smu(resource, timeout_seconds=1.0) as smu:
            smu.configure(setting)
            smu.output(True)
            yield smu, instrument


def budget(smu, volts, amps):
    """What the data sheet allows a reading of `amps` with a source of `volts` to be off, in amps."""
    source, meter = smu.accuracy("volts", "source", 2.0), smu.accuracy("amps", "measure", 1e-3)
    volts_off = source.gain_fraction * np.abs(volts) + source.offset
    return meter.gain_fraction * np.abs(amps) + meter.offset + volts_off / OHMS


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sweep_of_1001_points(family):
    levels = np.linspace(-1, 1, 1001)
    with connected(family) as (smu, instrument):
        before, begun_seconds = smu.port.counters.exchanges, instrument.clock_seconds
        readings = smu.sweep(levels)
        assert smu.port.counters.exchanges - before <= 5
        modelled_seconds = instrument.clock_seconds - begun_seconds
    assert 1001 / 50 / modelled_seconds >= 0.9
    np.testing.assert_allclose(readings.volts, levels, atol=1e-4)
    # The first points may still settle; noise adds to the data sheet's figures.
    off = np.abs(readings.amps - levels / OHMS)[10:]
    assert np.all(off <= budget(smu, levels, levels / OHMS)[10:] + 5e-8)
    assert not readings.in_limit.any() and np.all(np.diff(readings.seconds) > 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sweep_over_a_serial_line(family):
    levels = np.linspace(0.1, 1, 201)
    with connected(family, port="pty") as (smu, _):
        assert smu.port.name.startswith("ASRL/dev/pts/")
        np.testing.assert_allclose(smu.sweep(levels).amps[10:], levels[10:] / OHMS, rtol=0.01)


@pytest.mark.parametrize("family", FAMILIES)
def test_after_a_sweep_the_output_is_on_at_zero_and_can_be_measured(family):
    with connected(family) as (smu, _):
        smu.sweep(np.linspace(0, 1, 5))
        assert np.all(np.abs(smu.measure(3).volts) < 1e-3)
        smu.set_level(0.5)
        assert smu.measure(20).amps[-1] == pytest.approx(0.5 / OHMS, abs=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_compliance_trip_is_a_flag(family):
    with connected(family, setting=SmuSetting("volts", limit=20e-6, source_range=2.0)) as (smu, _):
        readings = smu.sweep(np.linspace(0, 0.4, 41))
    assert np.array_equal(readings.in_limit[:19], np.zeros(19, bool)) and readings.in_limit[22:].all()
    assert readings.amps.max() == pytest.approx(20e-6, rel=0.02)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_source_of_zero_amps_is_a_voltmeter(family):
    source = importlib.import_module("hwloop.mock.instruments.elements").VoltageSource(1.25, 1e3)
    with connected(family, source, SmuSetting("amps", limit=2.0, source_range=10e-6, measure_range=2.0)) as (smu, _):
        assert smu.measure(10).volts[-1] == pytest.approx(1.25, abs=2e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_four_wires_do_not_see_the_leads(family):
    part = importlib.import_module("hwloop.mock.instruments.elements").Resistor(1e3, lead_ohms=100.0)
    ohms = {}
    for four_wire in (False, True):
        setting = SmuSetting("volts", 1e-2, 2.0, 1e-3, four_wire=four_wire, readback=True)
        with connected(family, part, setting) as (smu, _):
            smu.set_level(0.5)
            readings = smu.measure(20)
            ohms[four_wire] = readings.volts[-1] / readings.amps[-1]
    assert ohms[False] == pytest.approx(1100, rel=3e-3) and ohms[True] == pytest.approx(1000, rel=3e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_open_lead(family):
    with connected(family, importlib.import_module("hwloop.mock.instruments.elements").OpenLead()) as (smu, _):
        smu.set_level(0.2)
        with pytest.raises(errors.OpenLeadError, match="check the leads"):
            require_contact(smu.port.name, smu.measure(), least_siemens=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_switched_off_in_a_sweep(family):
    with pytest.raises(errors.OutputUnknownError) as caught, connected(family) as (smu, instrument):
        instrument.faults.readings_until_power_loss = 5
        smu.sweep(np.linspace(0, 1, 11))
    assert isinstance(caught.value.__cause__, errors.InstrumentLostError)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_garbled_reply(family):
    with connected(family) as (smu, instrument):
        instrument.faults.garbled_replies = 1
        with pytest.raises(errors.GarbledReplyError):
            smu.set_level(0.2)
        smu.set_level(0.2)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_slow_reply_and_then_its_own_answer_to_the_next_question(family):
    with connected(family) as (smu, instrument):
        smu.port.timeout_seconds, instrument.faults.reply_delay_seconds = 0.2, 0.3
        with pytest.raises(errors.InstrumentTimeoutError):
            smu.set_level(0.2)
        instrument.faults.reply_delay_seconds = 0.0
        time.sleep(0.3)
        smu.set_level(0.3)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_output_goes_off_even_while_a_late_reply_is_on_its_way(family):
    with connected(family) as (smu, instrument):
        smu.port.timeout_seconds, instrument.faults.reply_delay_seconds = 0.2, 0.3
        with pytest.raises(errors.InstrumentTimeoutError):
            smu.port.query("*IDN?")
        instrument.faults.reply_delay_seconds = 0.0
        smu.make_safe()
        smu.output(False)
        with pytest.raises(errors.UsageError, match="while the output is off"):
            smu.measure()


@pytest.mark.parametrize("family", FAMILIES)
def test_an_error_that_was_in_the_queue_before(family):
    with connected(family) as (smu, _):
        smu.port.write("nonsense")
        with pytest.raises(errors.InstrumentRefusalError) as caught:
            smu.set_level(0.2)
        assert caught.value.entries[0][0] in (-113, -285, -286)
        smu.set_level(0.2)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_setting_reads_back_as_it_was_set(family):
    with connected(family) as (smu, _):
        for setting in (
            SmuSetting("volts", 1e-4, nplc=0.1, four_wire=True, output_off="high-impedance", settle_delay_seconds=0.01),
            SmuSetting("volts", 0.5, 20.0, 1.0, nplc=10.0, output_off="zero", readback=True),
            SmuSetting("amps", 1.5, 1e-3, 2.0, autozero=False),
            SmuSetting("amps", 20.0, 1e-6, four_wire=True, readback=True),
        ):
            smu.configure(setting)
