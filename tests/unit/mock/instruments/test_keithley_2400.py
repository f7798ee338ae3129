"""The simulated Keithley 2400 as its user's manual has it."""

import numpy as np
import pytest

from hwloop.mock.instruments.elements import OpenLead, Resistor
from hwloop.mock.instruments.faults import PowerLossError
from hwloop.mock.instruments.keithley_2400 import Keithley2400
from tests.unit.mock.instruments.talking import ask, numbers

READY = "SENS:CURR:PROT 1E-3;RANG 1E-3;:SENS:FUNC 'VOLT';:SYST:AZER OFF"
SWEEP = "SOUR:VOLT:MODE SWE;STAR -1;STOP 1;:SOUR:SWE:POIN 1001;:TRIG:COUN 1001"
COMPLIANCE = 1 << 3


@pytest.fixture
def smu():
    return Keithley2400(Resistor(1e4), 1)


def rows(answer):
    """Reading arrays (n, 5) of an ASCII answer."""
    return np.array([float(part) for part in answer.split(",")]).reshape(-1, 5)


def test_identity_and_no_error(smu):
    assert ask(smu, "*IDN?").startswith("KEITHLEY INSTRUMENTS INC.,MODEL 2400,0000001,C")
    assert ask(smu, "SYST:ERR?;VERS?") == '0,"No error";1996.0'


def test_defaults_after_reset(smu):
    ask(smu, "SOUR:FUNC CURR;:FORM:ELEM CURR;BORD SWAP;:OUTP ON;*RST")
    assert ask(smu, "SOUR:FUNC?;:SENS:FUNC?;:OUTP?;:TRIG:COUN?;:ARM:SOUR?") == 'VOLT;"CURR:DC";0;1;IMM'
    assert ask(smu, "SENS:CURR:PROT?;:SENS:VOLT:PROT?") == "+1.050000E-04;+2.100000E+01"
    assert ask(smu, "FORM:ELEM?;BORD?;:FORM?") == "VOLT,CURR,RES,TIME,STAT;NORM;ASC"
    ask(smu, "SYST:PRES")
    assert ask(smu, "FORM:BORD?") == "SWAP"


def test_reading_with_the_output_off_is_refused(smu):
    assert ask(smu, "READ?") == ""
    assert ask(smu, "SYST:ERR?;*ESR?") == '803,"Not permitted with OUTPUT off";144'  # power on, execution error


def test_what_is_not_measured_is_the_source_value_or_not_a_number(smu):
    ask(smu, "SOUR:VOLT 0.5;:OUTP ON")
    volts, amps, ohms, _, status = rows(ask(smu, "READ?"))[0]
    assert volts == 0.5
    assert amps == pytest.approx(5e-5, rel=5e-3)
    assert ohms == 9.91e37
    assert int(status) == 1 << 2 | 1 << 12 | 1 << 14  # front, amps measured, volts sourced
    ask(smu, "SENS:FUNC 'VOLT'")
    assert rows(ask(smu, "READ?"))[0, 0] == pytest.approx(0.5, rel=3e-3)
    assert ask(smu, "SENS:FUNC?;FUNC:COUN?") == '"VOLT:DC","CURR:DC";2'


def test_a_sweep_of_1001_points_is_one_query(smu):
    assert ask(smu, f"{READY};:{SWEEP};:FORM REAL,32;:OUTP ON;:SYST:ERR?") == '0,"No error"'
    began = smu.clock_seconds
    block = smu.say(b"READ?\n")
    assert 1001 / 50 / (smu.clock_seconds - began) > 0.9
    table = np.frombuffer(block[2:-1], ">f4").reshape(1001, 5)
    assert table[:, 0] == pytest.approx(np.linspace(-1, 1, 1001), abs=2e-3)
    assert table[:, 1] == pytest.approx(np.linspace(-1, 1, 1001) / 1e4, abs=3e-7)
    assert not (table[:, 4].astype(int) & COMPLIANCE).any()


def test_the_error_queue_comes_with_the_data(smu):
    answer = ask(smu, "OUTP ON;:READ?;:SYST:ERR?")
    assert answer.endswith(';0,"No error"')


def test_compliance_is_bit_three_of_the_status_and_a_measurement_event():
    smu = Keithley2400(Resistor(100.0), 1)
    ask(smu, "SENS:CURR:PROT 1E-3;:SOUR:VOLT 1;:OUTP ON")
    row = rows(ask(smu, "READ?"))[0]
    assert row[1] == pytest.approx(1e-3, rel=2e-3)
    assert int(row[4]) & COMPLIANCE
    assert ask(smu, "SENS:CURR:PROT:TRIP?;:STAT:MEAS:COND?") == f"1;{1 << 14 | 1 << 6}"
    ask(smu, "SENS:CURR:PROT 20E-3;RANG 1E-3")
    status = int(rows(ask(smu, "READ?"))[0, 4])
    assert status & (1 << 16)  # range compliance
    assert not status & COMPLIANCE


def test_an_open_lead_takes_a_current_source_into_compliance():
    smu = Keithley2400(OpenLead(), 1)
    ask(smu, "SOUR:FUNC CURR;:SOUR:CURR 1E-5;:SENS:FUNC 'VOLT';:SENS:VOLT:PROT 2;:OUTP ON")
    row = rows(ask(smu, "READ?"))[0]
    assert row[0] == pytest.approx(2.0, rel=2e-3)
    assert int(row[4]) & COMPLIANCE


def test_the_buffer_stores_until_full_and_says_so(smu):
    ask(smu, "TRAC:CLE;POIN 5;FEED:CONT NEXT;:TRIG:COUN 8;:STAT:MEAS:ENAB 512;*SRE 1;:OUTP ON;:INIT")
    assert int(ask(smu, "*STB?")) & 65 == 65
    assert ask(smu, "TRAC:POIN:ACT?;:TRAC:FEED:CONT?") == "5;NEV"
    table = rows(ask(smu, "TRAC:DATA?"))
    assert table.shape == (5, 5)
    assert table[0, 3] == 0.0
    assert ask(smu, "CALC3:FORM MAX;DATA?").count(",") == 2
    assert numbers(smu, "CALC3:DATA?")[1] == pytest.approx(table[:, 1].max(), rel=1e-4, abs=1e-12)


def test_the_trigger_model_waits_for_the_bus(smu):
    ask(smu, "ARM:SOUR BUS;:TRIG:COUN 3;:OUTP ON")
    ask(smu, "READ?")
    assert ask(smu, "SYST:ERR:CODE?") == "-214"
    ask(smu, "INIT;*TRG")
    assert rows(ask(smu, "FETC?")).shape == (3, 5)
    ask(smu, "*TRG")
    assert ask(smu, "SYST:ERR:CODE?") == "-211"


def test_lists_and_sweep_settings(smu):
    assert ask(smu, "SOUR:VOLT:STAR 0;STOP 1;STEP 0.1;:SOUR:SWE:POIN?;:SOUR:VOLT:CENT?;SPAN?") == (
        "11;+5.000000E-01;+1.000000E+00"
    )
    ask(smu, "SOUR:LIST:VOLT 0.3,0.1;:SOUR:LIST:VOLT:APP 0.2;:SOUR:VOLT:MODE LIST;:TRIG:COUN 3;:OUTP ON")
    assert rows(ask(smu, "READ?"))[:, 0] == pytest.approx([0.3, 0.1, 0.2])
    ask(smu, "TRIG:COUN 2500;:ARM:COUN 2")
    assert ask(smu, "SYST:ERR:CODE?") == "-222"


def test_ranges_and_power_have_their_own_errors(smu):
    ask(smu, "SENS:CURR:RANG 1")
    assert ask(smu, "SYST:ERR?") == '824,"Cannot exceed compliance range"'
    ask(smu, "SENS:VOLT:RANG 2")
    assert ask(smu, "SYST:ERR:CODE?") == "823"
    ask(smu, "SENS:CURR:PROT 1;:SOUR:VOLT 50")
    assert ask(smu, "SYST:ERR:CODE?;:SOUR:VOLT?") == "826;+0.000000E+00"


def test_resistance_automatic_and_by_hand(smu):
    ask(smu, "OUTP ON")
    assert numbers(smu, "MEAS:RES?")[2] == pytest.approx(1e4, rel=2e-3)
    ask(smu, "SENS:RES:MODE MAN;:SOUR:FUNC CURR;:SOUR:CURR 1E-5;:OUTP ON")
    assert numbers(smu, "SENS:FUNC 'RES';:READ?")[2] == pytest.approx(1e4, rel=2e-2)


def test_the_output_enable_line_blocks_the_output(smu):
    smu.faults.interlock_open = True
    assert ask(smu, "OUTP ON;OUTP?") == "1"  # the line is not used
    ask(smu, "OUTP OFF;:OUTP:ENAB ON;:OUTP ON")
    assert ask(smu, "OUTP?;:OUTP:ENAB:TRIP?;:SYST:ERR?") == '0;0;802,"OUTPUT blocked by output enable"'


def test_auto_output_off(smu):
    ask(smu, "SOUR:CLE:AUTO ON;:SOUR:VOLT 0.1")
    assert rows(ask(smu, "READ?"))[0, 1] == pytest.approx(1e-5, rel=2e-2)
    assert ask(smu, "OUTP?") == "0"


def test_power_off_in_the_middle_of_a_sweep(smu):
    ask(smu, f"{READY};:{SWEEP};:OUTP ON")
    smu.faults.readings_until_power_loss = 10
    with pytest.raises(PowerLossError):
        smu.say(b"READ?\n")


def test_wrong_commands_end_the_message(smu):
    assert ask(smu, "SOUR:VOLT 0.5;FOO;:SOUR:VOLT 0.7") == ""
    assert ask(smu, "SYST:ERR:CODE:ALL?;:SOUR:VOLT?") == "-113;+5.000000E-01"
