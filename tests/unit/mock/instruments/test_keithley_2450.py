"""The simulated Keithley 2450 as its reference manual has it."""

import numpy as np
import pytest

from hwloop.mock.instruments.elements import Resistor
from hwloop.mock.instruments.faults import PowerLossError
from hwloop.mock.instruments.keithley_2450 import Keithley2450
from tests.unit.mock.instruments.talking import ask, numbers

READY = 'SENS:FUNC "CURR";:SOUR:VOLT:ILIM 1E-3;:SENS:CURR:RANG 1E-3;AZER OFF;NPLC 1'


@pytest.fixture
def smu():
    return Keithley2450(Resistor(1e4), 1)


def test_identity_and_no_error(smu):
    identity = "KEITHLEY INSTRUMENTS,MODEL 2450,00000001,1.7.12b"
    assert ask(smu, "*IDN?;*LANG?;:SYST:ERR?") == f'{identity};SCPI;0,"No error;0;0 0"'


def test_errors_carry_type_and_time(smu):
    assert ask(smu, "FOO") == ""
    number, text = ask(smu, "SYST:ERR?").split(",", 1)
    assert number == "-113"
    assert text.startswith('"Undefined header;1;2026/01/01')
    ask(smu, "SOUR:VOLT 300")
    assert ask(smu, "SYST:ERR:COUN?;CODE?;COUN?") == "1;-222;0"


def test_defaults_after_reset(smu):
    ask(smu, "SOUR:FUNC CURR;:SENS:FUNC 'RES';:OUTP ON;*RST")
    assert ask(smu, "SOUR:FUNC?;:SENS:FUNC?;:OUTP?;:SOUR:VOLT:ILIM?;:SENS:CURR:NPLC?") == 'VOLT;"CURR:DC";0;0.000105;1'
    assert ask(smu, "SENS:CURR:RANG:AUTO?;:SENS:CURR:AZER?;:SENS:CURR:RSEN?;:FORM?;:FORM:BORD?") == "1;1;0;ASC;SWAP"


def test_ranges_are_the_most_sensitive_that_take_the_value_and_end_autorange(smu):
    assert ask(smu, "SENS:CURR:RANG 2E-6;RANG?;RANG:AUTO?") == "1E-05;0"
    assert ask(smu, "SOUR:VOLT:RANG 3;RANG?;RANG:AUTO?") == "20;0"
    assert ask(smu, "SOUR:VOLT:RANG? MAX;:SENS:CURR:RANG? MIN") == "200;1E-08"
    ask(smu, "SOUR:VOLT 21.5")
    assert ask(smu, "SYST:ERR:CODE?") == "-222"


def test_a_sweep_of_1001_points_is_one_trigger_and_one_transfer(smu):
    assert ask(smu, f"{READY};:FORM REAL;:SYST:ERR:CODE?") == "0"
    began = smu.clock_seconds
    ask(smu, "SOUR:SWE:VOLT:LIN -1,1,1001,0;:INIT")
    block = smu.say(b'TRAC:DATA? 1,1001,"defbuffer1",SOUR,READ,REL,SOURSTAT\n')
    assert 1001 / 50 / (smu.clock_seconds - began) > 0.9
    assert block.startswith(b"#0")
    rows = np.frombuffer(block[2:-1], "<f8").reshape(1001, 4)
    assert rows[:, 0] == pytest.approx(np.linspace(-1, 1, 1001), abs=1e-3)
    assert rows[:, 1] == pytest.approx(np.linspace(-1, 1, 1001) / 1e4, abs=3e-7)
    assert np.diff(rows[:, 2]).min() > 1 / 50
    assert not (rows[:, 3].astype(int) & 32).any()
    assert ask(smu, "TRAC:ACT?;:OUTP?;:SYST:ERR:CODE?") == "1001;0;0"


def test_byte_order_and_single_precision(smu):
    ask(smu, f"{READY};:OUTP ON;:TRAC:TRIG")
    values = [
        np.frombuffer(smu.say(f"FORM {data};:FORM:BORD {order};:TRAC:DATA? 1,1\n".encode())[2:-1], dtype)[0]
        for data, order, dtype in (
            ("REAL", "NORM", ">f8"), ("REAL", "SWAP", "<f8"), ("SRE", "NORM", ">f4"), ("SRE", "SWAP", "<f4"),
        )  # fmt: skip
    ]
    assert values == pytest.approx([values[0]] * 4, rel=1e-6)


def test_logarithmic_dual_and_list_sweeps(smu):
    ask(smu, f"{READY};:SOUR:SWE:VOLT:LOG 0.01,1,3,0,1,BEST,OFF,ON;:INIT")
    assert numbers(smu, 'TRAC:DATA? 1,6,"defbuffer1",SOUR') == pytest.approx([0.01, 0.1, 1, 1, 0.1, 0.01], abs=2e-3)
    ask(smu, "SOUR:LIST:VOLT 0.1,0.3;:SOUR:LIST:VOLT:APP 0.2;:SOUR:SWE:VOLT:LIST 1,0.05;:INIT")
    assert ask(smu, "SOUR:LIST:VOLT:POIN?;:TRAC:ACT?") == "3;3"
    assert numbers(smu, 'TRAC:DATA? 1,3,"defbuffer1",SOUR') == pytest.approx([0.1, 0.3, 0.2], abs=2e-3)
    ask(smu, "SOUR:SWE:VOLT:LIN:STEP 0,1,0.25,0;:INIT")
    assert ask(smu, "TRAC:ACT?;:TRIG:STAT?") == "5;IDLE;IDLE;7"


def test_a_limit_shows_in_the_query_and_the_status_and_may_end_the_sweep():
    smu = Keithley2450(Resistor(150.0), 1)
    ask(smu, f"{READY};:SOUR:SWE:VOLT:LIN 0,1,11,0;:INIT")
    assert ask(smu, "TRAC:ACT?") == "3"  # 0.2 V is the first beyond 1 mA
    ask(smu, "SOUR:SWE:VOLT:LIN 0,1,11,0,1,BEST,OFF;:INIT")
    status = numbers(smu, 'TRAC:DATA? 1,11,"defbuffer1",SOURSTAT').astype(int)
    assert list(status & 32 > 0) == [False] * 2 + [True] * 9
    ask(smu, "SOUR:VOLT 1;:OUTP ON")
    assert ask(smu, "SOUR:VOLT:ILIM:TRIP?") == "1"
    ask(smu, "SOUR:VOLT 0.01")
    assert ask(smu, "SOUR:VOLT:ILIM:TRIP?") == "0"


def test_buffers_are_made_filled_read_and_deleted(smu):
    ask(smu, f"{READY};:SENS:COUN 4;:OUTP ON;:TRAC:MAKE 'mine',10;:TRAC:TRIG 'mine'")
    assert ask(smu, "TRAC:ACT? 'mine';:TRAC:POIN? 'mine';:TRAC:ACT?") == "4;10;0"
    row = ask(smu, "FETC? 'mine',READ,UNIT,SOURUNIT,STAT,DATE").split(",")
    assert row[1:] == ["Amp DC", "Volt", "8", "01/01/2026"]
    assert float(ask(smu, "TRAC:STAT:MAX? 'mine'")) >= float(ask(smu, "TRAC:STAT:MIN? 'mine'"))
    ask(smu, "TRAC:DEL 'mine';:TRAC:ACT? 'mine'")
    assert ask(smu, "SYST:ERR:CODE?") == "-224"
    ask(smu, "TRAC:DATA? 1,5")
    assert ask(smu, "SYST:ERR:CODE?") == "-222"


def test_simple_loop(smu):
    assert ask(smu, f"{READY};:OUTP ON;:TRIG:LOAD 'SimpleLoop',7,0.1;:INIT;*WAI;:TRAC:ACT?") == "7"
    assert np.diff(numbers(smu, 'TRAC:DATA? 1,7,"defbuffer1",REL')).min() > 0.1
    ask(smu, "TRIG:LOAD 'Empty';:INIT")
    assert ask(smu, "SYST:ERR:CODE?") == "-200"


def test_over_voltage_protection_holds_the_output(smu):
    ask(smu, "SOUR:VOLT:PROT PROT2;:SOUR:VOLT:ILIM 1E-2;:SOUR:VOLT 5;:OUTP ON")
    assert float(ask(smu, "MEAS:VOLT?")) == pytest.approx(2.0, abs=5e-3)
    assert ask(smu, "SOUR:VOLT:PROT:TRIP?;:SOUR:VOLT:PROT?") == "1;PROT2"


def test_an_open_interlock_keeps_high_voltage_off(smu):
    smu.faults.interlock_open = True
    assert ask(smu, "OUTP:INT:TRIP?;:SOUR:VOLT 10;:OUTP ON;OUTP?") == "0;1"
    ask(smu, "SOUR:VOLT 60")
    assert ask(smu, "OUTP?;:SYST:ERR?").startswith('0;5074,"Output blocked by interlock')


def test_power_off_in_the_middle_of_a_sweep(smu):
    smu.faults.readings_until_power_loss = 10
    with pytest.raises(PowerLossError):
        smu.say(b"SOUR:SWE:VOLT:LIN 0,1,21,0;:INIT\n")
    with pytest.raises(PowerLossError):
        smu.say(b"*IDN?\n")


def test_resistance_four_wires_and_filter():
    smu = Keithley2450(Resistor(1e3, lead_ohms=50.0), 1)
    ask(smu, "SOUR:FUNC CURR;:SOUR:CURR:VLIM 2;:SOUR:CURR 1E-4;:SENS:FUNC 'RES';:OUTP ON")
    assert float(ask(smu, "READ?")) == pytest.approx(1050.0, rel=5e-3)
    assert float(ask(smu, "SENS:RES:RSEN ON;:READ?")) == pytest.approx(1000.0, rel=5e-3)
    ask(smu, "SENS:RES:AVER:COUN 10;:SENS:RES:AVER ON;AZER OFF;NPLC 1")
    began = smu.clock_seconds
    ask(smu, "READ?")
    assert smu.clock_seconds - began > 10 / 50
