"""Whatever the firmware does: beyond the hard limits nothing reaches the cells, and it is told what was tried."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.link import protocol as wire
from hwloop.mock.chips import wiring
from hwloop.mock.chips.state import VIOLATION_ROOM
from tests.unit.mock.chips.test_panel import READ, SOLVE, pulse_row
from tests.unit.mock.chips.writing import mode, opened

A, B = wiring.MODE_CONNECT_A, wiring.MODE_CONNECT_B
BIT_LINES, SOURCE_LINES = wiring.MODE_DRIVE_BIT_LINES, wiring.MODE_DRIVE_SOURCE_LINES
PULSED = [20000, None, None, None]


def pulse_counts(writer) -> np.ndarray:
    return writer.bench.cells.cell_state.pulse_count.copy()


def refused(writer) -> list[str]:
    """What the panel noted of a stream that must not have pulsed any cell."""
    before = pulse_counts(writer)
    writer.ask()
    assert np.array_equal(pulse_counts(writer), before)
    return writer.panel.violations


@pytest.mark.parametrize(
    "pulse, sentence",
    [
        ({"amplitudes": [wire.LIMIT_FORM_CODE + 1] * 4}, "amplitude code 43255, allowed 43254"),
        ({"amplitudes": [wire.LIMIT_AMPLITUDE_CODE + 1], "side": SOURCE_LINES}, "amplitude code 32769, allowed 32768"),
        ({"gate": wire.LIMIT_GATE_CODE + 1}, "gate code 39323, allowed 39322"),
        ({"width": wire.LIMIT_WIDTH_TICKS + 1}, "10001 ticks, allowed 1 to 10000"),
        ({"width": 0}, "0 ticks"),
        ({"amplitudes": [wire.LIMIT_AMPLITUDE_CODE + 1000], "width": 10_000}, "energy 10874536, allowed 10240000"),
        ({"row": None}, "0 rows selected, allowed 1"),
    ],
)
def test_pulses_beyond_a_limit(pulse, sentence):
    writer = opened()
    pulse_row(writer, **({"row": 1, "amplitudes": PULSED} | pulse))
    assert any(sentence in violation for violation in refused(writer))


def test_pulses_at_the_limits_are_carried_out():
    writer = opened()
    before = pulse_counts(writer)
    pulse_row(writer, 1, [wire.LIMIT_FORM_CODE], gate=wire.LIMIT_GATE_CODE)
    pulse_row(writer, 2, [wire.LIMIT_AMPLITUDE_CODE], width=wire.LIMIT_WIDTH_TICKS, tick=5000, side=SOURCE_LINES)
    writer.ask()
    assert (pulse_counts(writer) - before).sum() == 2 and not writer.panel.violations


@pytest.mark.parametrize(
    "modes, sentence",
    [
        ((A, BIT_LINES, SOURCE_LINES), "2 sides of the cells driven, allowed 1"),
        ((A,), "0 sides of the cells driven"),
        ((A, B, BIT_LINES), "2 arrays connected, allowed 1"),
        ((BIT_LINES,), "0 arrays connected"),
        ((A, BIT_LINES, SOLVE), "2 modes chosen"),
    ],
)
def test_pulses_in_no_sound_mode(modes, sentence):
    writer = opened()
    pulse_row(writer, 1, PULSED)
    writer.ask()
    writer.write(wiring.SELECT_MODE_SWITCHES, mode(*modes))
    writer.pulse(10)
    assert any(sentence in violation for violation in refused(writer))


def test_several_rows_at_once():
    writer = opened()
    pulse_row(writer, 1, PULSED)
    writer.ask()
    writer.write(wiring.SELECT_ROW_SELECT, b"\x01\x01")
    writer.pulse(10)
    assert any("2 rows selected" in violation for violation in refused(writer))


def test_nothing_is_driven_while_enable_is_low():
    writer = opened()
    writer.pin(wiring.PIN_ENABLE, 0)
    pulse_row(writer, 1, PULSED)
    writer.write(wiring.SELECT_MODE_SWITCHES, mode(A, READ))
    writer.pin(wiring.PIN_DRIVE, 1)
    assert refused(writer) == ["DRIVE high while ENABLE is low"] * 2
    assert not writer.panel.lines_driven


def test_a_pulse_mode_is_driven_by_the_timer_only():
    writer = opened()
    pulse_row(writer, 1, PULSED)
    writer.ask()
    writer.pin(wiring.PIN_DRIVE, 1)
    writer.at(10**6)
    writer.pin(wiring.PIN_DRIVE, 0)
    assert refused(writer) == ["DRIVE held high in a pulse mode instead of timed"]


def test_time_and_switches_while_lines_are_driven():
    writer = opened()
    pulse_row(writer, 1, PULSED, width=100, tick=1000)
    writer.at(1099)
    writer.at(3000)
    writer.pulse(100)
    writer.at(3050)
    writer.write(wiring.SELECT_MODE_SWITCHES, mode(A, READ))
    writer.at(4000)
    writer.pin(wiring.PIN_DRIVE, 1)
    writer.select_row(2)
    writer.ask()
    assert writer.panel.violations == [
        "tick 1099 comes after tick 1150", "tick 3050 begins while a pulse lasts until 3100",
        "switches of select 0x6 moved while lines were driven",
        "switches of select 0x100 moved while lines were driven",
    ]


def test_switches_rest_until_a_pulse_is_over():
    writer = opened()
    pulse_row(writer, 1, PULSED, width=100, tick=1000)
    writer.pulse(100)
    writer.select_row(2)
    writer.at(1250)
    writer.select_row(3)
    writer.ask()
    assert writer.panel.violations == ["switches of select 0x100 moved while lines were driven"]


def test_lines_driven_follows_the_pins_and_the_end_of_the_stream():
    writer = opened()
    writer.select_row(1)
    writer.write(wiring.SELECT_MODE_SWITCHES, mode(A, READ))
    driven = []
    for level in (0, 1, 0, 1):
        writer.pin(wiring.PIN_DRIVE, level)
        writer.ask()
        driven.append(writer.panel.lines_driven)
    assert driven == [False, True, False, True]
    writer.panel.cut()
    assert not writer.panel.lines_driven


def test_a_pulse_that_came_whole_is_whole_and_a_half_one_never_was():
    whole, half = opened(), opened()
    before = pulse_counts(whole)
    for writer in (whole, half):
        pulse_row(writer, 1, PULSED)
    stream = bytes(whole.stream)
    end = stream.rindex(b"\x05", 0, stream.rindex(b"\x06"))     # the AT before the PULSE
    whole.panel.feed(stream)
    half.panel.feed(stream[: stream.index(b"\x06", end + 9) + 2])
    for writer in (whole, half):
        writer.panel.cut()
    assert (pulse_counts(whole) - before).sum() == 1 and np.array_equal(pulse_counts(half), before)


def test_violations_are_bounded():
    writer = opened()
    for _ in range(3 * VIOLATION_ROOM):
        writer.pulse(10)
    assert len(refused(writer)) == VIOLATION_ROOM


entries = st.one_of(
    st.builds(lambda pin, level: bytes([4, pin, level]), st.integers(0, 2), st.integers(0, 1)),
    st.builds(lambda ticks: b"\x05" + ticks.to_bytes(8, "little"), st.integers(0, 2**40)),
    st.builds(lambda width: b"\x06" + width.to_bytes(2, "little"), st.integers(0, 65535)),
    st.builds(
        lambda select, frame: b"\x02" + select.to_bytes(2, "little") + bytes([len(frame), 1, 0]) + frame,
        st.sampled_from([0, 1, 2, 3, 5, 6, 7, 8, 9, 0x100, 0x180, 0x200, 0x400, 0x999]),
        st.binary(min_size=1, max_size=4),
    ),
    st.builds(
        lambda frames: b"\x03\x03\x00\x04" + frames.to_bytes(2, "little") + b"\x02" + b"\0\0\0\0" * frames,
        st.integers(0, 20),
    ),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(entries, max_size=60))
def test_no_stream_pulses_a_cell_beyond_the_limits(stream):
    """Any sound entries in any order: only pulses within the limits arrive, and FINISH is answered."""
    writer = opened()
    given_pulses = []
    give = writer.bench.pulse
    writer.bench.pulse = lambda *arguments: (given_pulses.append(arguments), give(*arguments))
    writer.stream += b"".join(stream)
    writer.ask()
    for _, _, amplitude, gate, width, _ in given_pulses:
        assert (amplitude <= wire.LIMIT_FORM_CODE).all() and (gate <= wire.LIMIT_GATE_CODE).all()
        assert ((width >= 1) & (width <= wire.LIMIT_WIDTH_TICKS)).all()
