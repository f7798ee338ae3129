"""The SCPI engine on a small instrument of its own: headers, paths, parameters, and the errors that wrong ones give."""

import pytest

from hwloop.mock.instruments.scpi import Command, Scpi, split
from hwloop.mock.instruments.scpi_kinds import (
    ChannelList,
    Integer,
    Many,
    Number,
    Optional,
    ScpiError,
    Style,
    Switch,
    Text,
    Word,
)


class Bench:
    """A tree that notes what it was told."""

    def __init__(self):
        self.told, self.errors = [], []
        volts = Number(-10.0, 10.0, 1.0, "V")
        self.scpi = Scpi(
            [
                Command("[:SOURce#2]:VOLTage[:LEVel][:IMMediate]", (volts,), self.note("volts"), lambda: "1.5"),
                Command("[:SOURce#2]:VOLTage:RANGe", (volts,), self.note("range"), lambda: "2"),
                Command("[:SOURce#2]:VOLTage:RANGe:AUTO", (Switch(),), self.note("auto"), lambda: "0"),
                Command(":FILTer", (Word("REPeat", "MOVing"),), self.note("filter")),
                Command(":FREQuency", (Number(0, 1e9, 1.0, "HZ"),), self.note("frequency")),
                Command(":LIST", (Many(volts, 1, 3),), self.note("list")),
                Command(":COUNt", (Integer(1, 100, 1, infinite=True),), self.note("count")),
                Command(":TEXT", (Text(), Optional(Integer(), 7)), self.note("text")),
                Command(":ROUTe", (ChannelList(),), self.note("route")),
                Command(":DELay:USER#5", (Number(),), self.note("user"), suffixed=True),
                Command("*CLS", do=self.note("cls")),
                Command("*IDN", ask=lambda: "me"),
            ],
            Style(),
        )

    def note(self, name):
        return lambda *values: self.told.append((name, *values))

    def __call__(self, message):
        """(what was told, answers, error numbers) of one message."""
        self.told.clear()
        self.errors.clear()
        answers = list(self.scpi.run(message, lambda error: self.errors.append(error.code)))
        return list(self.told), answers, list(self.errors)


@pytest.mark.parametrize(
    "header", ["VOLT", ":volt", "SOUR:VOLT", "SOURCE:VOLTAGE:LEVEL:IMMEDIATE", "sour1:volt:lev", "SOUR2:VOLT:IMM"]
)
def test_a_header_may_be_short_long_suffixed_and_without_its_optional_nodes(header):
    assert Bench()(f"{header} 2") == ([("volts", 2.0)], [], [])


@pytest.mark.parametrize(
    ("header", "code"),
    [("VOLTA", -113), ("SOUR:LEV", -113), ("SOUR3:VOLT", -114), ("VOLT2", -113), ("IDN", -113), ("VOLT:RANG:A", -113)],
)
def test_other_headers_are_refused_with_the_number_that_says_why(header, code):
    assert Bench()(f"{header} 2") == ([], [], [code])


def test_paths_stay_where_the_last_header_was_until_a_colon():
    told, _, errors = Bench()("SOUR:VOLT:RANG 2;RANG:AUTO 1;:VOLT 1;*CLS")
    assert told == [("range", 2.0), ("auto", True), ("volts", 1.0), ("cls",)]
    assert errors == []
    assert Bench()("SOUR:VOLT 1;*CLS;VOLT 2")[0] == [("volts", 1.0), ("cls",), ("volts", 2.0)]
    assert Bench()("SOUR:VOLT:RANG 2;VOLT 1")[2] == [-113]


def test_a_command_error_ends_the_message_and_an_execution_error_does_not():
    assert Bench()("VOLT 1;FOO;VOLT 2") == ([("volts", 1.0)], [], [-113])
    assert Bench()("VOLT 11;:VOLT 2;:VOLT?") == ([("volts", 2.0)], ["1.5"], [-222])


def test_queries_answer_in_order():
    assert Bench()("*IDN?;VOLT?;:VOLT:RANG?")[1] == ["me", "1.5", "2"]


@pytest.mark.parametrize(
    ("text", "volts"),
    [
        ("1e0", 1.0), ("+.5", 0.5), ("-2.", -2.0), ("250 mV", 0.25), ("250MV", 0.25), ("1E3UV", 1e-3), ("MAX", 10.0),
        ("minimum", -10.0), ("DEF", 1.0), ("#HA", 10.0), ("#b101", 5.0), ("#Q7", 7.0),
    ],
)  # fmt: skip
def test_numbers_come_with_multipliers_units_bases_and_names(text, volts):
    told, _, errors = Bench()(f"VOLT {text}")
    assert errors == []
    assert told[0][1] == pytest.approx(volts)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("VOLT", -109), ("VOLT 1,2", -108), ("VOLT 1 A", -131), ("COUN 1 V", -138), ("VOLT 'x'", -104),
        ("VOLT abc", -141), ("VOLT 1..2", -121), ("VOLT 10.1", -222), ("COUN 101", -222), ("FILT", -109),
        ("FILT AVER", -224), ("FILT 'REP'", -104), ("TEXT abc", -104), ("TEXT 'abc", -151), ("LIST 1,2,3,4", -223),
        ("LIST", -109), ("ROUT 101", -171), ("VO@LT 1", -101), ("VOLT:ABCDEFGHIJKLMN 1", -112), ("*FOO", -113),
    ],
)  # fmt: skip
def test_wrong_parameters_give_the_numbers_of_the_standard(message, code):
    assert Bench()(message)[2] == [code]


def test_m_is_milli_but_for_hertz_and_ohms():
    assert Bench()("FREQ 2 MHZ")[0] == [("frequency", 2e6)]
    assert Bench()("FREQ 2 kHz")[0] == [("frequency", 2e3)]


def test_words_strings_lists_and_channels():
    bench = Bench()
    assert bench("FILT moving")[0] == [("filter", "MOV")]
    assert bench("TEXT 'it''s; a, test', 3")[0] == [("text", "it's; a, test", 3)]
    assert bench('TEXT "x"')[0] == [("text", "x", 7)]
    assert bench("LIST 1,2 ,3")[0] == [("list", [1.0, 2.0, 3.0])]
    assert bench("ROUT (@101:103,205)")[0] == [("route", [101, 102, 103, 205])]
    assert bench("COUN INF")[0] == [("count", float("inf"))]
    assert bench("DEL:USER3 0.5")[0] == [("user", 3, 0.5)]
    assert bench("COUN 2.6")[0] == [("count", 3)]


def test_strings_and_parentheses_hide_separators():
    assert split("a 'b;c';d (1;2)", ";") == ["a 'b;c'", "d (1;2)"]
    assert split("", ",") == []
    with pytest.raises(ScpiError):
        split("'open", ";")
