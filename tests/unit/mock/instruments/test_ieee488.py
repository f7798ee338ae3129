"""Common commands, status registers and the error queue, on the smallest instrument that has them."""

import pytest

from hwloop.mock.instruments.faults import PowerLossError
from hwloop.mock.instruments.ieee488 import ScpiInstrument
from hwloop.mock.instruments.scpi import Command
from hwloop.mock.instruments.scpi_kinds import Number


class Thermometer(ScpiInstrument):
    """One setting, one error queue of three."""

    queue_length = 3
    has_transition_filters = True

    def commands(self):
        self.limit_volts = 1.0
        return [
            self.setting(":LIMit", Number(0.0, 10.0, 1.0, "V"), self, "limit_volts"),
            Command(":SYSTem:ERRor[:NEXT]", ask=self.next_error),
        ]

    def identity(self):
        return "maker,thermometer,1,2"

    def reset(self):
        self.limit_volts = 1.0


@pytest.fixture
def thermometer():
    instrument = Thermometer()
    instrument.say(b"*CLS\n")
    return instrument


def ask(instrument, message):
    """The answer without its terminator."""
    return instrument.say(message.encode() + b"\n").decode().removesuffix("\n")


def test_messages_may_come_in_pieces_and_many_at_once(thermometer):
    assert thermometer.say(b"*ID") == b""
    assert thermometer.say(b"N?\r\n*OPC?\n*TS") == b"maker,thermometer,1,2\n1\n"
    assert thermometer.say(b"T?\n") == b"0\n"


def test_a_new_controller_does_not_finish_the_words_of_the_last_one(thermometer):
    thermometer.say(b"LIM 5")
    thermometer.forget_input()
    assert ask(thermometer, "LIM?") == "+1.000000E+00"


def test_power_on_is_told_once():
    instrument = Thermometer()
    assert ask(instrument, "*ESR?") == "128"
    assert ask(instrument, "*ESR?") == "0"


def test_settings_answer_and_know_their_bounds(thermometer):
    assert ask(thermometer, "LIM 250 mV;LIM?") == "+2.500000E-01"
    assert ask(thermometer, "LIM? MAX;LIM? MIN;LIM? DEF") == "+1.000000E+01;+0.000000E+00;+1.000000E+00"
    assert ask(thermometer, "*RST;LIM?") == "+1.000000E+00"


def test_errors_queue_first_in_first_out_and_say_when_there_were_too_many(thermometer):
    for message in ("FOO", "LIM 11", "LIM", "LIM 1,2"):
        thermometer.say(message.encode() + b"\n")
    assert ask(thermometer, "SYST:ERR?") == '-113,"Undefined header"'
    assert ask(thermometer, "SYST:ERR?") == '-222,"Data out of range"'
    assert ask(thermometer, "SYST:ERR?") == '-350,"Queue overflow"'
    assert ask(thermometer, "SYST:ERR?") == '0,"No error"'


@pytest.mark.parametrize(("message", "bit"), [("FOO", 32), ("LIM 11", 16), ("*OPC", 1)])
def test_the_class_of_an_error_shows_in_the_standard_event_register(thermometer, message, bit):
    thermometer.say(message.encode() + b"\n")
    assert ask(thermometer, "*ESR?") == str(bit)


def test_what_is_enabled_reaches_the_status_byte_and_asks_for_service(thermometer):
    ask(thermometer, "*ESE 32;*SRE 32")
    assert ask(thermometer, "*ESE?;*SRE?;*STB?") == "32;32;16"  # a message is available: the two answers before
    thermometer.say(b"FOO\n")
    assert ask(thermometer, "*STB?") == str(32 + 64 + 4)
    ask(thermometer, "*CLS")
    assert ask(thermometer, "*STB?") == "0"


def test_scpi_registers_latch_the_edges_that_their_filters_pass(thermometer):
    register = thermometer.registers["QUEStionable"]
    register.put(0b11, True)
    assert ask(thermometer, "STAT:QUES:COND?;EVEN?;EVEN?") == "3;3;0"
    ask(thermometer, "STAT:QUES:PTR 0;NTR 1;ENAB 1")
    register.put(0b11, False)
    assert ask(thermometer, "*STB?") == "8"
    assert ask(thermometer, "STAT:QUES?") == "1"
    ask(thermometer, "STAT:PRES")
    assert ask(thermometer, "STAT:QUES:ENAB?;PTR?;NTR?") == "0;32767;0"


def test_without_power_nothing_is_answered(thermometer):
    thermometer.faults.is_off = True
    with pytest.raises(PowerLossError):
        thermometer.say(b"*IDN?\n")
