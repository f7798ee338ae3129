"""Requests and replies in words: every command's fields with units, and lines whatever the bytes are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.link import protocol as wire
from hwloop.link.protocol import Command, Layout, Polarity, Rows, Status, Target
from hwloop.runlog.spoken import reply_lines, request_lines
from tests.unit.drivers.describing import scales_of
from tests.unit.mock.talking import mvm_section, pulse_section, read_request, solve_section, words

SCALES = scales_of("hwloop-16x4")
COLUMNS_0_AND_2, BEYOND = 0b0101, 65535
MINUS_ONE = 65535       # as a word


def told(lines):
    """Without the padding between a field and its value."""
    return [" ".join(line.split()) for line in lines]


def test_pulses_have_volts_seconds_rows_and_columns():
    payload = pulse_section(
        37, 26214, 38, 20000, array=1, polarity=Polarity.SET, target=Target.GATE, width_ticks=25, amplitude_code=13107
    )
    assert told(request_lines(Command.PULSE, payload, SCALES)) == [
        "PULSE, 20 bytes", "section 1", "array B", "polarity SET", "layout CELLS", "target GATE",
        "width_ticks 25 (2.5 µs)", "amplitude_code 13107 (999.98 mV)", "gate_code 26214 (2 V)", "word_count 4",
        "row 9 column 1: gate_code 26214 (2 V)", "row 9 column 2: gate_code 20000 (1.5259 V)",
    ]


def test_rows_of_pulses_have_a_mask_and_an_amplitude_a_column():
    payload = pulse_section(3, COLUMNS_0_AND_2, 13107, 26214, layout=Layout.ROWS, target=Target.AMPLITUDE)
    assert told(request_lines(Command.PULSE, payload, SCALES))[-1] == (
        "row 3 columns 0 2: amplitude_code 13107 (999.98 mV), 26214 (2 V)"
    )


def test_readings_and_their_replies_name_the_cells():
    request = read_request(37, 5, averages=3, sub_averages=2)
    assert told(request_lines(Command.READ, request, SCALES))[-2:] == ["row 9 column 1", "row 1 column 1"]
    reply = wire.ReadReply(320).pack() + words(26214, BEYOND, 0b01)
    assert told(reply_lines(Command.READ, request, Status.OK, reply, SCALES)) == [
        "READ reply, OK, 10 bytes", "elapsed_ticks 320 (32 µs)", "A row 9 column 1: code 26214 (99.998 µS)",
        "A row 1 column 1: code 65535 (beyond the range), not steady",
    ]


def test_solves_have_inputs_feedback_and_bias_and_their_replies_outputs():
    request = solve_section(
        2, 1, 0b11, 2048, MINUS_ONE, 16384, MINUS_ONE, rows=Rows.MASK, row_count=2, columns=0b10, feedback=1,
        bias_divider=wire.BiasDivider.BY_16 + 128,
    )
    lines = told(request_lines(Command.SOLVE, request, SCALES))
    assert "bias_divider BY_16, bias follows" in lines and "column_mask 0x0002 (columns 1)" in lines
    assert lines[-5:] == [
        "active rows 1…: 2 3", "column 1: feedback_code 2048 (102.5 µS)", "column 1: bias_code -1 (-1.5259 nA)",
        "solve 1 row 2: input_code 16384 (1.25 V)", "solve 1 row 3: input_code -1 (-76.294 µV)",
    ]
    reply = wire.SolveReply(500, 200).pack() + words(3277, wire.SolveFlag.UNSETTLED)
    assert told(reply_lines(Command.SOLVE, request, Status.OK, reply, SCALES))[-2:] == [
        "solve 1: UNSETTLED", "solve 1 column 1: output_code 3277 (32.002 mV)",
    ]


def test_the_other_commands():
    def last(kind, payload):
        return told(request_lines(kind, payload, SCALES))[-1]

    assert last(Command.COMPENSATE, words(0, 3, 512)) == "row 3: code 512 (3.6 mS)"
    assert last(Command.WAIT, wire.WaitRequest(10_000).pack()) == "wait_ticks 10000 (1 ms)"
    assert last(Command.MVM, mvm_section(3, 16384)) == "solve 1 row 3: input_code 16384 (1.25 V)"
    route = told(request_lines(Command.ROUTE, wire.RouteRequest(1, 0, 5, 2).pack()))
    assert route[1:] == ["route CELL_TO_SMU", "array A", "row 5", "column 2"]
    assert told(request_lines(Command.OPEN, wire.OpenRequest(0xB9B6463D, 1).pack()))[1] == "wire_hash b9b6463d"
    assert request_lines(Command.TEMPERATURE, b"") == ["TEMPERATURE, 0 bytes"]
    assert request_lines(99, b"\1\2") == ["command 99, 2 bytes", "  2 more bytes: 01 02"]


def test_levels_held_for_instruments_and_what_the_adcs_saw():
    def held(what, *pairs, divider=0, scales=SCALES):
        return told(request_lines(Command.HOLD, wire.HoldRequest(what, divider).pack() + words(*pairs), scales))

    assert held(wire.Hold.INPUT, 3, -16384)[1:] == [
        "what INPUT", "bias_divider BY_1", "row 3: input_code -16384 (-1.25 V)",
    ]
    assert held(wire.Hold.AMPLITUDE, 2, 13107)[-1] == "column 2: amplitude_code 13107 (999.98 mV)"
    assert held(wire.Hold.AMPLITUDE, 2, 40000)[-1].startswith("column 2: amplitude_code 40000")
    assert held(wire.Hold.GATE, 0, 32768)[-1] == "channel 0: gate_code 32768 (2.5 V)"
    assert held(wire.Hold.FEEDBACK, 1, 2048)[-1] == "column 1: feedback_code 2048 (102.5 µS)"
    assert held(wire.Hold.BIAS, 1, -1024, divider=1)[-2:] == [
        "bias_divider BY_16", "column 1: bias_code -1024 (-1.5625 µA)",
    ]
    assert held(wire.Hold.BIAS, 1, -1024, scales=None)[-1] == "column 1: bias_code -1024"
    request = wire.SampleRequest(wire.SampleSource.CURRENTS, 1, 4)
    assert told(request_lines(Command.SAMPLE, request.pack())) == [
        "SAMPLE, 4 bytes", "source CURRENTS", "tia_range COARSE", "averages 4",
    ]
    reply = wire.SampleReply(840).pack() + np.array([10, -3], "<i4").tobytes()
    assert told(reply_lines(Command.SAMPLE, request.pack(), Status.OK, reply))[1:] == [
        "elapsed_ticks 840 (84 µs)", "column 0: sum 10 (mean 2.5)", "column 1: sum -3 (mean -0.75)",
    ]


def test_without_scales_there_are_codes_alone():
    lines = told(request_lines(Command.PULSE, pulse_section(37)))
    assert lines[-1] == "cell 37" and "gate_code 26214" in lines


def test_a_refusal_is_told_by_its_name():
    refusal = wire.Refusal(wire.Field.GATE_CODE, 2, 50_000, 0, 39_322).pack()
    lines = told(reply_lines(Command.PULSE, b"", Status.OUT_OF_RANGE, refusal))
    assert lines == [
        "PULSE reply, OUT_OF_RANGE, 16 bytes", "field GATE_CODE", "position 2", "value 50000", "low 0", "high 39322",
    ]


def test_what_ends_too_early_and_what_is_too_much_is_shown():
    whole = pulse_section(37, 38)
    assert request_lines(Command.PULSE, whole[:-1], SCALES)[-2:] == [
        "  the payload ends in the middle of this", "  1 more bytes: 26",
    ]
    assert request_lines(Command.WAIT, b"\1\0\0\0\7")[-1] == "  1 more bytes: 07"


@pytest.mark.parametrize("scales", [None, SCALES], ids=["codes", "units"])
@given(st.integers(0, 255), st.binary(max_size=80), st.integers(0, 12), st.binary(max_size=80))
def test_any_bytes_give_lines(scales, kind, payload, status, reply):
    assert request_lines(kind, payload, scales)
    assert reply_lines(kind, payload, status, reply, scales)


@pytest.mark.parametrize("kind", [Command.PULSE, Command.READ, Command.SOLVE, Command.MVM, Command.HOLD])
@given(payload=st.lists(st.integers(0, 9), max_size=40), reply=st.binary(max_size=60))
def test_small_fields_of_any_kind_give_lines(kind, payload, reply):
    request = bytes(payload)
    assert request_lines(kind, request, SCALES) and reply_lines(kind, request, Status.OK, reply, SCALES)
