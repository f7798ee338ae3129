"""What source meters have in common: hidden errors by serial, noise by NPLC, drift without autozero, limits, time."""

import re

import numpy as np
import pytest

from hwloop.mock.instruments.elements import OpenLead, Resistor, VoltageSource
from hwloop.mock.instruments.keithley_2400 import Keithley2400
from hwloop.mock.instruments.keithley_2450 import Keithley2450
from hwloop.mock.instruments.keysight_b2900 import KeysightB2901A, KeysightB2911A
from hwloop.mock.instruments.smu_model import AMPS, OVERFLOW, VOLTS
from hwloop.mock.instruments.terminals import Operating

MODELS = (Keithley2400, Keithley2450, KeysightB2901A, KeysightB2911A)


def sourcing(model, terminals, volts=0.1, limit_amps=1e-3, amps_range=1e-3, serial=1, seed=0):
    """The core of a model that sources volts and measures amps in a fixed range, output on."""
    core = model(terminals, serial, seed).core
    core.settings.measured = (AMPS,)
    volts_function, amps = core.function(VOLTS), core.function(AMPS)
    volts_function.level, volts_function.source_range, volts_function.source_auto = volts, 2.0, False
    amps.limit, amps.measure_range, amps.measure_auto = limit_amps, amps_range, False
    core.set_output(True)
    return core


@pytest.mark.parametrize("model", MODELS)
def test_hidden_errors_are_half_the_data_sheet_wide_and_never_beyond_it(model):
    gains, offsets = [], []
    for serial in range(60):
        core = model(Resistor(1e4), serial).core
        for quantity in (VOLTS, AMPS):
            for index, part in enumerate(core.model.ranges(quantity)):
                for role in ("measure", "source"):
                    gain, offset = core.hidden_error(role, quantity, index)
                    gains.append(gain / getattr(part, f"{role}_gain"))
                    offsets.append(offset / getattr(part, f"{role}_offset"))
    for errors in (np.array(gains), np.array(offsets)):
        assert np.abs(errors).max() <= 1.0
        # A normal of sigma 1/2, cut at two sigma, has a standard deviation of 0.44.
        assert errors.std() == pytest.approx(0.44, abs=0.03)
        assert abs(errors.mean()) < 0.05


def test_the_serial_number_fixes_the_errors_and_the_seed_the_noise():
    names = ((1, 0), (1, 0), (1, 1), (2, 0))
    first, again, other_seed, other = (
        sourcing(Keithley2450, Resistor(1e4), serial=serial, seed=seed) for serial, seed in names
    )
    readings = [np.array([core.measure().amps for _ in range(20)]) for core in (first, again, other_seed, other)]
    assert np.array_equal(readings[0], readings[1])
    assert not np.array_equal(readings[0], readings[2])
    assert readings[0].mean() == pytest.approx(readings[2].mean(), abs=1e-8)
    assert first.hidden_error("measure", AMPS, 5) == other_seed.hidden_error("measure", AMPS, 5)
    assert first.hidden_error("measure", AMPS, 5) != other.hidden_error("measure", AMPS, 5)


def test_a_reading_is_the_truth_within_the_sum_of_source_and_measure_accuracy():
    for serial in range(20):
        reading = sourcing(Keithley2450, Resistor(1e4), serial=serial).measure()
        source_volts, source_amps = 2e-4 * 0.1 + 300e-6, (2e-4 * 0.1 + 300e-6) / 1e4
        assert abs(reading.volts - 0.1) <= source_volts + 1.2e-4 * 0.1 + 300e-6 + 2e-5
        assert abs(reading.amps - 1e-5) <= source_amps + 2e-4 * 1e-5 + 60e-9 + 5e-8


@pytest.mark.parametrize(("nplc", "expected"), [(10.0, 5e-9 / 10**0.5), (1.0, 5e-9), (0.1, 3 * 5e-9 * 10**0.5)])
def test_noise_falls_with_integration_and_hum_comes_below_one_cycle(nplc, expected):
    core = sourcing(Keithley2450, Resistor(1e4))
    core.function(AMPS).nplc = nplc
    amps = np.array([core.measure().amps for _ in range(400)])
    assert amps.std() == pytest.approx(expected, rel=0.15)


def test_without_autozero_the_zero_wanders_and_a_refresh_brings_it_back():
    core = sourcing(Keithley2450, Resistor(1e4))
    function = core.function(AMPS)
    function.nplc = 10.0
    with_zero = np.mean([core.measure().amps for _ in range(20)])
    function.autozero = False
    core.wait(900.0)
    wandered = np.mean([core.measure().amps for _ in range(20)])
    core.zero()
    refreshed = np.mean([core.measure().amps for _ in range(20)])
    assert 5e-10 < abs(wandered - with_zero) < 0.1 * 60e-9
    assert refreshed == pytest.approx(with_zero, abs=1.5e-9)


def test_time_is_integration_times_three_with_autozero():
    core = sourcing(Keithley2450, Resistor(1e4))
    core.measure()
    times = []
    for autozero in (True, False):
        core.function(AMPS).autozero = autozero
        times.append(-core.clock_seconds + core.measure().seconds)
    assert times[0] - times[1] == pytest.approx(2 / 50)
    assert times[1] == pytest.approx(1 / 50 + 1e-3 + 150e-6)


def test_the_limit_holds_the_current_and_is_told():
    reading = sourcing(Keithley2450, Resistor(10.0), volts=0.5, limit_amps=1e-3, amps_range=1e-3).measure()
    assert reading.in_limit
    assert not reading.in_range_limit
    assert reading.amps == pytest.approx(1e-3, rel=1e-3)
    assert reading.volts == pytest.approx(1e-2, abs=2e-3)


def test_a_fixed_measure_range_limits_below_the_programmed_limit():
    reading = sourcing(Keithley2450, Resistor(10.0), volts=0.5, limit_amps=1e-2, amps_range=1e-3).measure()
    assert reading.in_range_limit
    assert reading.amps == pytest.approx(1.05e-3, rel=1e-3)


def test_an_open_lead_takes_a_current_source_to_its_limit():
    core = sourcing(KeysightB2901A, OpenLead())
    core.settings.source, core.settings.measured = AMPS, (VOLTS,)
    core.function(AMPS).level, core.function(VOLTS).limit = 1e-6, 2.0
    reading = core.measure()
    assert reading.in_limit
    assert reading.volts == pytest.approx(2.0, rel=1e-3)


def test_a_value_beyond_the_range_is_an_overflow():
    core = sourcing(Keithley2450, VoltageSource(5.0, 1e3))
    core.settings.source, core.settings.measured = AMPS, (VOLTS,)
    volts = core.function(VOLTS)
    core.function(AMPS).level, volts.limit, volts.measure_auto = 0.0, 20.0, True
    assert core.measure().volts == pytest.approx(5.0, abs=5e-3)
    volts.measure_auto, volts.measure_range = False, 2.0
    reading = core.measure()
    assert reading.in_range_limit or reading.volts == OVERFLOW


def test_four_wires_leave_the_leads_out():
    for remote_sense, ohms in ((False, 1100.0), (True, 1000.0)):
        core = sourcing(Keithley2450, Resistor(1000.0, lead_ohms=100.0))
        core.function(AMPS).remote_sense = remote_sense
        reading = core.measure()
        assert reading.volts / reading.amps == pytest.approx(ohms, rel=1e-2)


def test_low_current_ranges_settle_slowly():
    core = sourcing(Keithley2450, Resistor(1e8), volts=0.5, limit_amps=1e-7, amps_range=1e-8)
    amps = core.function(AMPS)
    amps.autozero, amps.nplc = False, 0.01
    volts = core.function(VOLTS)
    volts.delay_auto, volts.delay_seconds = False, 1e-3
    core.measure()
    hasty = core.measure(1.0).amps
    volts.delay_seconds = 0.2
    patient = core.measure(0.0).amps
    assert abs(hasty) < 0.75e-8
    assert abs(patient) < 1e-10


def test_the_terminals_are_driven_for_as_long_as_the_reading_takes_and_released_when_off():
    class Notes:
        def __init__(self):
            self.seconds, self.released = 0.0, 0

        def drive_volts(self, volts, limit_amps, seconds, remote_sense):
            self.seconds += seconds
            return Operating(volts, volts / 1e4, False)

        def release(self):
            self.released += 1

    notes = Notes()
    core = sourcing(Keithley2450, notes)
    released = notes.released
    for _ in range(10):
        core.measure()
    assert notes.seconds == pytest.approx(core.clock_seconds)
    core.set_output(False)
    assert notes.released == released + 1
    assert core.measure().amps == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("model", MODELS)
def test_an_interlock_that_opens_later_switches_off(model):
    smu = model(Resistor(1e6), 1)
    if model is Keithley2400:
        smu.say(b"OUTP:ENAB ON\n")
    smu.say(b"SOUR:VOLT 60;:OUTP ON\n")
    assert smu.say(b"OUTP?\n") == b"1\n"
    smu.faults.interlock_open = True
    assert smu.say(b"OUTP?\n") == b"0\n"
    assert len(smu.errors) == 1


@pytest.mark.parametrize("model", MODELS)
def test_no_message_makes_an_instrument_fall(model):
    random = np.random.default_rng(1)
    smu = model(OpenLead(), 1)
    headers = [re.sub(r"#\d|[\[\]]", "", command.pattern) for command in smu.scpi_commands]
    arguments = (
        "", "1", "ON", "MAX", "MIN", "-1", "1e-3", "20", "'VOLT'", "CURR", "SWE", "REAL,32", "(@1)", "1,2", "'", ",",
    )  # fmt: skip
    for _ in range(1500):
        header, argument = random.choice(headers), random.choice(arguments)
        if "COUN" not in header.upper():
            smu.say(f"{header}{random.choice(['', '?'])} {argument}\n".encode())
    smu.say(b"*RST;*CLS\n")
    assert smu.say(b"*ESR?\n") == b"0\n"
