"""The simulated Keysight B2901A and B2911A as their command reference has them."""

import numpy as np
import pytest

from hwloop.mock.instruments.elements import Resistor
from hwloop.mock.instruments.faults import PowerLossError
from hwloop.mock.instruments.keysight_b2900 import KeysightB2901A, KeysightB2911A
from tests.unit.mock.instruments.talking import ask, numbers

READY = "SENS:CURR:PROT 1E-3;:SENS:CURR:RANG 1E-3;:SENS:CURR:NPLC 1"
SWEEP = "SOUR:VOLT:MODE SWE;STAR -1;STOP 1;POIN 1001;:TRIG:SOUR AINT;COUN 1001"


@pytest.fixture
def smu():
    return KeysightB2911A(Resistor(1e4), 1)


def test_identity_and_no_error(smu):
    assert ask(smu, "*IDN?;:SYST:ERR?") == 'Keysight Technologies,B2911A,MY51000001,4.1.2226.1020;+0,"No error"'
    assert ask(KeysightB2901A(Resistor(1e4), 1), "*IDN?").split(",")[1] == "B2901A"


def test_only_the_b2911a_has_a_ten_nanoamp_range(smu):
    assert ask(smu, "SENS:CURR:RANG 1E-8;RANG?") == "+1.00000000E-08"
    assert ask(KeysightB2901A(Resistor(1e4), 1), "SENS:CURR:RANG 1E-8;RANG?") == "+1.00000000E-07"


def test_defaults_after_reset(smu):
    ask(smu, "SOUR:FUNC:MODE CURR;:FORM REAL,64;:OUTP ON;*RST")
    assert ask(smu, "SOUR:FUNC:MODE?;:OUTP?;:FORM?;:FORM:BORD?;:TRIG:SOUR?;COUN?") == "VOLT;0;ASC;NORM;AINT;1"
    assert ask(smu, "SENS:CURR:PROT?;:SENS:VOLT:PROT?") == "+1.00000000E-04;+2.00000000E+00"
    assert ask(smu, "FORM:ELEM:SENS?") == "VOLT,CURR,RES,TIME,STAT,SOUR"


def test_a_spot_measurement_turns_the_output_on(smu):
    ask(smu, "SOUR:VOLT 0.5;:SENS:CURR:PROT 1E-3")
    assert numbers(smu, "MEAS:CURR? (@1)")[0] == pytest.approx(5e-5, rel=2e-3)
    assert ask(smu, "OUTP?") == "1"
    volts, amps, ohms, _, status, source = numbers(smu, "MEAS?")
    assert (volts, amps, ohms) == pytest.approx((0.5, 5e-5, 1e4), rel=2e-3)
    assert (status, source) == (0, 0.5)
    ask(smu, "MEAS:CURR? (@2)")
    assert ask(smu, "SYST:ERR?") == '-222,"Data out of range"'


def test_a_sweep_of_1001_points_is_one_trigger_and_one_transfer(smu):
    assert ask(smu, f"{READY};:{SWEEP};:FORM REAL,64;:FORM:ELEM:SENS VOLT,CURR,STAT;:SYST:ERR?") == '+0,"No error"'
    began = smu.clock_seconds
    ask(smu, "OUTP ON;:INIT")
    block = smu.say(b"FETC:ARR?;:SYST:ERR?\n")
    assert 1001 / 50 / (smu.clock_seconds - began) > 0.9
    assert block.startswith(b"#524024")
    assert block.endswith(b';+0,"No error"\n')
    rows = np.frombuffer(block[7 : 7 + 24024], ">f8").reshape(1001, 3)
    assert rows[:, 0] == pytest.approx(np.linspace(-1, 1, 1001), abs=1e-3)
    assert rows[:, 1] == pytest.approx(np.linspace(-1, 1, 1001) / 1e4, abs=4e-7)
    assert not rows[:, 2].any()


def test_byte_order_and_single_precision(smu):
    ask(smu, "FORM:ELEM:SENS CURR;:OUTP ON;:INIT")
    values = []
    for data, order, dtype, header in (("REAL,64", "NORM", ">f8", b"#18"), ("REAL,32", "SWAP", "<f4", b"#14")):
        block = smu.say(f"FORM {data};:FORM:BORD {order};:FETC:ARR?\n".encode())
        assert block.startswith(header)
        values.append(np.frombuffer(block[3:-1], dtype)[0])
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_compliance_is_in_the_status_element():
    smu = KeysightB2901A(Resistor(100.0), 1)
    ask(smu, "SENS:CURR:PROT 1E-3;:SOUR:VOLT 1")
    status = int(numbers(smu, "MEAS:STAT?")[0])
    assert status & 0b110
    assert ask(smu, "SENS:CURR:PROT:TRIP?") == "1"
    ask(smu, "SOUR:FUNC:MODE CURR;:SOUR:CURR 1E-4")
    assert int(numbers(smu, "MEAS:STAT?")[0]) == 1  # a current source, out of compliance


def test_output_protection_turns_the_output_off_in_compliance():
    smu = KeysightB2901A(Resistor(100.0), 1)
    ask(smu, "OUTP:PROT ON;:SENS:CURR:PROT 1E-3;:SOUR:VOLT 1;:OUTP ON;:INIT")
    assert ask(smu, "OUTP?") == "0"


def test_the_trace_buffer(smu):
    ask(smu, "TRAC:POIN 4;FEED SENS;FEED:CONT NEXT;:TRAC:TST:FORM ABS;:TRIG:COUN 6;:FORM:ELEM:SENS CURR,TIME;:INIT")
    assert ask(smu, "TRAC:POIN:ACT?;:TRAC:FEED:CONT?;:TRAC:FREE?") == "4;NEV;0,4"
    assert ask(smu, "STAT:MEAS:COND?") == str(16 + 8 + 2)
    assert numbers(smu, "TRAC:DATA?").shape == (8,)
    assert numbers(smu, "TRAC:DATA? 1,2").shape == (4,)
    ask(smu, "TRAC:CLE;:TRAC:DATA?")
    assert ask(smu, "TRAC:POIN:ACT?;:SYST:ERR:CODE?") == "0;-230"


def test_source_and_measure_triggers_are_separate(smu):
    ask(smu, "SOUR:VOLT:MODE LIST;:SOUR:LIST:VOLT 0.1,0.2;:TRIG:TRAN:COUN 2;:TRIG:ACQ:COUN 5")
    assert numbers(smu, "FORM:ELEM:SENS SOUR;:READ:ARR?") == pytest.approx([0.1, 0.2, 0.2, 0.2, 0.2])
    ask(smu, "TRIG:SOUR BUS;:INIT;*TRG")
    assert numbers(smu, "FETC:ARR:SOUR?").shape == (5,)
    ask(smu, "*TRG")
    assert ask(smu, "SYST:ERR:CODE?") == "-211"


def test_a_timer_paces_the_readings(smu):
    ask(smu, "TRIG:SOUR TIM;TIM 0.1;COUN 5;:INIT")
    assert np.diff(numbers(smu, "FETC:ARR:TIME?")) == pytest.approx(0.1, abs=1e-3)


def test_aperture_and_cycles_are_one_setting(smu):
    assert ask(smu, "SENS:CURR:APER 0.1;NPLC?;:SENS:VOLT:NPLC?") == "+5.00000000E+00;+5.00000000E+00"


def test_log_and_double_sweeps(smu):
    ask(smu, "SOUR:VOLT:MODE SWE;STAR 0.01;STOP 1;POIN 3;:SOUR:SWE:SPAC LOG;STA DOUB;:TRIG:COUN 6")
    assert numbers(smu, "READ:ARR:SOUR?") == pytest.approx([0.01, 0.1, 1, 1, 0.1, 0.01])


def test_the_envelope_is_kept(smu):
    ask(smu, "SENS:CURR:PROT 2;:SOUR:VOLT 20")
    assert ask(smu, "SYST:ERR?;:SOUR:VOLT?") == '-221,"Settings conflict";+0.00000000E+00'


def test_an_open_interlock_keeps_high_voltage_off(smu):
    smu.faults.interlock_open = True
    ask(smu, "SENS:CURR:PROT 1E-3;:SOUR:VOLT 60;:OUTP ON")
    assert ask(smu, "OUTP?;:SYST:ERR?;:STAT:QUES:COND?") == '0;+303,"Interlock open";1024'


def test_power_off_in_the_middle_of_a_sweep(smu):
    ask(smu, f"{READY};:{SWEEP};:OUTP ON")
    smu.faults.readings_until_power_loss = 10
    with pytest.raises(PowerLossError):
        smu.say(b"INIT\n")
