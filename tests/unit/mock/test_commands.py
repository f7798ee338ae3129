"""Commands of the simulated board: tick rules to the tick, and every limit refused whole before anything changes.

Tick rules (firmware/protocol.toml [ticks]): 10 a changed DAC word, 100 settling, the width, 50 recovery; 200 + 160 a
sample a row read; 10 an input divided by the buses, the settle wait and 160 a sample a solve; 200 + 10 a changed row a
load of compensation or masks.
"""

import numpy as np
import pytest

from hwloop.link import protocol as wire
from hwloop.link.protocol import Command, Field, Layout, LimitKind, Polarity, Status, Target
from tests.unit.mock.talking import (
    VOLTS_2,
    mvm_section,
    opened,
    pulse_section,
    read_request,
    solve_section,
    words,
)


def test_ticks_of_pulses():
    host = opened()
    # Column word and gate word are new.
    assert host.ticks(Command.PULSE, pulse_section(0)) == 2 * 10 + 100 + 10 + 50
    # Nothing is new, in another row and with another polarity either.
    assert host.ticks(Command.PULSE, pulse_section(4, polarity=Polarity.SET)) == 100 + 10 + 50
    # Three more columns; one row pulse for the whole row.
    assert host.ticks(Command.PULSE, pulse_section(0, 1, 2, 3)) == 3 * 10 + 160
    # Two rows, two row pulses; two gates in one row, two row pulses, and the second changes the gate.
    assert host.ticks(Command.PULSE, pulse_section(0, 4, width_ticks=500)) == 2 * (100 + 500 + 50)
    gates = pulse_section(0, 20000, 1, 20001, target=Target.GATE)
    assert host.ticks(Command.PULSE, gates) == (10 + 160) + (10 + 160)
    # An amplitude a cell: one row pulse, one word a changed column.
    amplitudes = pulse_section(
        2, 0b1011, 100, 200, VOLTS_2, layout=Layout.ROWS, target=Target.AMPLITUDE, gate_code=20001
    )
    assert host.ticks(Command.PULSE, amplitudes) == 2 * 10 + 160
    # What the DACs hold goes with the safe state.
    host.ask(Command.SAFE)
    host.open()
    assert host.ticks(Command.PULSE, pulse_section(0)) == 2 * 10 + 160


def test_row_pulses_are_counted():
    host = opened()
    for payload, row_pulses in [
        (pulse_section(0, 1, 2, 3), 1),
        (pulse_section(0, 0), 2),                       # a cell twice is pulsed twice
        (pulse_section(1, 0), 2),
        (pulse_section(0, 1) + pulse_section(2, 3), 2),  # sections share nothing
        (pulse_section(5, 15, 6, 1, layout=Layout.ROWS), 2),
        (pulse_section(), 0),
        (b"", 0),
    ]:
        assert wire.PulseReply.unpack(host.done(Command.PULSE, payload)).row_pulses == row_pulses


def test_ticks_of_reads():
    host = opened()
    assert host.ticks(Command.READ, read_request(0, 1, 2, 3)) == 200 + 160
    assert host.ticks(Command.READ, read_request(0, 4, 8, averages=4, sub_averages=3)) == 3 * (200 + 12 * 160)
    assert host.ticks(Command.READ, read_request(3, 15, 9, 1, layout=Layout.ROWS)) == 2 * (200 + 160)
    assert host.ticks(Command.READ, read_request()) == 0


@pytest.mark.parametrize(("board", "input_ticks"), [("hwloop-16x4", 30), ("hwloop-128x16", 15), ("hwloop-4096x16", 1)])
def test_ticks_of_solves_and_products(board, input_ticks):
    """Three inputs: one bus on 16 rows, two on 128, sixty-four on 4096, rounded up."""
    host = opened(board_name=board)
    listed = (0, 1, 5, *[100] * 6)
    solves = solve_section(*listed, row_count=3, solves=2, averages=4, settle_ticks=77)
    # Three rows go on, once for both solves; the products find them on.
    assert host.ticks(Command.SOLVE, solves) == (200 + 3 * 10) + 2 * (input_ticks + 77 + 640)
    products = mvm_section(*listed, row_count=3, products=2, averages=4, settle_ticks=77)
    assert host.ticks(Command.MVM, products) == 2 * (input_ticks + 77 + 640)
    assert host.ticks(Command.SOLVE, b"") == 0


def test_ticks_of_masks():
    """A solve of one input takes 10 + 50 + 160; what is beyond that went into masks, and the reply says how much."""
    host = opened()

    def load_ticks(kind, payload, inputs):
        solve_ticks = sum(10 * m + 50 + 160 for m in inputs)
        reply = wire.SolveReply.unpack(host.done(kind, payload))
        assert reply.elapsed_ticks == solve_ticks + reply.load_ticks
        return reply.load_ticks

    def solve(*rows, columns=0b1):
        return solve_section(*rows, *[0] * len(rows), row_count=len(rows), columns=columns)

    def product(*rows, columns=0b1, array=0):
        return mvm_section(*rows, *[0] * len(rows), row_count=len(rows), columns=columns, array=array)

    # Nothing is on at first: three rows change.
    assert load_ticks(Command.SOLVE, solve(1, 2, 5), [3]) == 200 + 3 * 10
    assert load_ticks(Command.SOLVE, solve(1, 2, 5), [3]) == 0
    # The same rows as a mask over rows 1 to 16 are the same mask.
    same = solve_section(1, 1, 0b10011, 0, 0, 0, rows=1, row_count=3)
    assert load_ticks(Command.SOLVE, same, [3]) == 0
    # Products share the masks, of array A and of array B.
    assert load_ticks(Command.MVM, product(1, 2, 5) + product(1, 2, 5, array=1), [3, 3]) == 0
    # Rows 1 and 2 go off, row 7 on.
    assert load_ticks(Command.MVM, product(5, 7), [2]) == 200 + 3 * 10
    # Another column mask loads too; no row changes.
    assert load_ticks(Command.SOLVE, solve(5, 7, columns=0b11), [2]) == 200
    # Once a section: there (two rows), nothing, and back (two rows and the column mask).
    sections = solve(5, 8, columns=0b11) + solve(5, 8, columns=0b11) + solve(5, 7)
    assert load_ticks(Command.SOLVE, sections, [2, 2, 2]) == 2 * (200 + 2 * 10)
    # Rows that are pulsed and read, compensated or waited for are none of the masks' business.
    host.done(Command.PULSE, pulse_section(0))
    host.done(Command.READ, read_request(0))
    host.done(Command.COMPENSATE, words(0, 9, 1))
    host.done(Command.WAIT, wire.WaitRequest(10).pack())
    assert load_ticks(Command.SOLVE, solve(5, 7), [2]) == 0


@pytest.mark.parametrize("off", ["safe", "close", "open anew", "dead-man"])
def test_no_row_is_on_after_grounding(off):
    host = opened()
    section = solve_section(3, 4, 0, 0, row_count=2)
    assert host.ticks(Command.SOLVE, section) == (200 + 2 * 10) + (20 + 50 + 160)
    if off == "safe":
        host.ask(Command.SAFE)
        host.open(resume=1)
    elif off == "close":
        host.ask(Command.CLOSE)
        host.open()
    elif off == "open anew":
        host.open()
    else:
        host.board.check_dead_man(3.0)
        host.open(resume=1)
    assert host.ticks(Command.SOLVE, section) == (200 + 2 * 10) + (20 + 50 + 160)
    host.open(resume=1)
    assert host.ticks(Command.SOLVE, section) == 20 + 50 + 160, "going on with an open session changes nothing"


def test_ticks_of_loads_and_of_waiting():
    host = opened()
    assert host.ticks(Command.COMPENSATE, words(0, 0, 100, 1, 100, 2, 0)) == 200 + 2 * 10
    assert host.ticks(Command.COMPENSATE, words(0, 0, 100, 1, 101)) == 200 + 10
    assert host.ticks(Command.COMPENSATE, words(1, 5, 100)) == 10
    assert host.ticks(Command.COMPENSATE, words(0, 7, 1, 7, 0)) == 200 + 2 * 10
    assert host.ticks(Command.ROUTE, wire.RouteRequest(1, 0, 3, 2).pack()) == 200
    assert host.ticks(Command.WAIT, wire.WaitRequest(123_456_789).pack()) == 123_456_789
    assert host.ticks(Command.TEMPERATURE) == 0
    assert host.ticks(Command.TIGHTEN, wire.TightenRequest(0, 30000).pack()) == 0


B, O = Status.BAD_LENGTH, Status.OUT_OF_RANGE  # noqa: E741
good = pulse_section(0, 1, 2)


@pytest.mark.parametrize(
    ("kind", "payload", "status", "field", "position", "value", "low", "high"),
    [
        # PULSE: cells are counted over the sections, sections where a section's own field is wrong
        (Command.PULSE, good + pulse_section(3, array=2), O, Field.ARRAY, 1, 2, 0, 1),
        (Command.PULSE, good + pulse_section(3, polarity=3), O, Field.POLARITY, 1, 3, 0, 2),
        (Command.PULSE, good + pulse_section(3, layout=2), O, Field.LAYOUT, 1, 2, 0, 1),
        (Command.PULSE, good + pulse_section(3, target=3), O, Field.TARGET, 1, 3, 0, 2),
        (Command.PULSE, good + pulse_section(3, width_ticks=0), O, Field.WIDTH_TICKS, 1, 0, 1, 10_000),
        (Command.PULSE, good + pulse_section(3, width_ticks=10_001), O, Field.WIDTH_TICKS, 1, 10_001, 1, 10_000),
        (Command.PULSE, good + pulse_section(3, 64), O, Field.CELL, 4, 64, 0, 63),
        (Command.PULSE, good + pulse_section(3, amplitude_code=32769), O, Field.AMPLITUDE_CODE, 3, 32769, 0, 32768),
        (Command.PULSE, good + pulse_section(3, 1, 4, 40000, target=Target.AMPLITUDE), O, Field.AMPLITUDE_CODE, 4,
         40000, 0, 32768),
        (Command.PULSE, pulse_section(3, polarity=Polarity.FORM, amplitude_code=43255), O, Field.AMPLITUDE_CODE, 0,
         43255, 0, 43254),
        (Command.PULSE, pulse_section(3, gate_code=39323), O, Field.GATE_CODE, 0, 39323, 0, 39322),
        (Command.PULSE, pulse_section(3, 1, 4, 39323, target=Target.GATE), O, Field.GATE_CODE, 1, 39323, 0, 39322),
        (Command.PULSE, pulse_section(3, polarity=Polarity.FORM, amplitude_code=43254, width_ticks=5740), O,
         Field.PULSE_ENERGY, 0, 10_241_522, 0, 10_240_000),
        # 101 pulses of 1 ms on row 2, after one on row 0
        (Command.PULSE, pulse_section(0, *[9] * 101, width_ticks=10_000), O, Field.ROW_ON_TICKS, 1, 1_010_000, 0,
         1_000_000),
        (Command.PULSE, pulse_section(16, 1, layout=Layout.ROWS), O, Field.ROW, 0, 16, 0, 15),
        (Command.PULSE, good + pulse_section(1, 3, 2, 16, layout=Layout.ROWS), O, Field.COLUMN, 5, 16, 1, 15),
        (Command.PULSE, good + pulse_section(1, 3, 2, 0, layout=Layout.ROWS), O, Field.COLUMN, 5, 0, 1, 15),
        (Command.PULSE, good[:-1], B, Field.ENTRIES, 0, 17, 18, 18),
        (Command.PULSE, good + b"\0", B, Field.ENTRIES, 0, 19, 30, 30),
        (Command.PULSE, pulse_section(3, 1, 4, target=Target.GATE), B, Field.ENTRIES, 0, 3, 0, 0),
        (Command.PULSE, pulse_section(3, 1, 4, layout=Layout.ROWS), B, Field.ENTRIES, 0, 3, 0, 0),
        # READ
        (Command.READ, read_request(0, tia_range=2), O, Field.TIA_RANGE, 0, 2, 0, 1),
        (Command.READ, read_request(0, averages=0), O, Field.SAMPLES, 0, 0, 1, 4096),
        (Command.READ, read_request(0, averages=2049, sub_averages=2), O, Field.SAMPLES, 0, 4098, 1, 4096),
        (Command.READ, read_request(0, array=2), O, Field.ARRAY, 0, 2, 0, 1),
        (Command.READ, read_request(0, 64), O, Field.CELL, 1, 64, 0, 63),
        (Command.READ, b"\1", B, Field.ENTRIES, 0, 1, 6, 6),
        # 128 rows of four cells: 1024 + 64 bytes do not fit into a reply of 502
        (Command.READ, read_request(*[0, 15] * 128, layout=Layout.ROWS), O, Field.ENTRIES, 0, 1092, 0, 502),
        # SOLVE: sections are counted
        (Command.SOLVE, solve_section(0, 0) + solve_section(0, 0, constraint=3), O, Field.CONSTRAINT, 1, 3, 0, 2),
        (Command.SOLVE, solve_section(0, 0, feedback=2), O, Field.FEEDBACK_CODE, 0, 2, 0, 1),
        (Command.SOLVE, solve_section(0, 4096, 0, feedback=1), O, Field.FEEDBACK_CODE, 0, 4096, 0, 4095),
        (Command.SOLVE, solve_section(0, 0, bias_divider=3), O, Field.BIAS_CODE, 0, 3, 0, 2),
        (Command.SOLVE, solve_section(0, 65536 - 2048, 0, bias_divider=128), O, Field.BIAS_CODE, 0, -2048, -2047, 2047),
        (Command.SOLVE, solve_section(0, 0, averages=0), O, Field.SAMPLES, 0, 0, 1, 4096),
        (Command.SOLVE, solve_section(0, 0, settle_ticks=49), O, Field.SETTLE_TICKS, 0, 49, 50, 65535),
        (Command.SOLVE, solve_section(0, 0, rows=2), O, Field.LAYOUT, 0, 2, 0, 1),
        (Command.SOLVE, solve_section(0, 0, row_count=0), O, Field.ENTRIES, 0, 0, 1, 16),
        (Command.SOLVE, solve_section(0, 0, row_count=17), O, Field.ENTRIES, 0, 17, 1, 16),
        (Command.SOLVE, solve_section(0, 0, solves=0), O, Field.ENTRIES, 0, 0, 1, 65535),
        (Command.SOLVE, solve_section(0, 0, columns=0), O, Field.COLUMN, 0, 0, 1, 15),
        (Command.SOLVE, solve_section(0, 0, columns=16), O, Field.COLUMN, 0, 16, 1, 15),
        (Command.SOLVE, solve_section(16, 0), O, Field.ROW, 0, 16, 0, 15),
        (Command.SOLVE, solve_section(5, 5, 0, 0, row_count=2), O, Field.ROW, 0, 5, 6, 15),
        (Command.SOLVE, solve_section(15, 1, 3, 0, 0, rows=1, row_count=2), O, Field.ROW, 0, 16, 0, 15),
        (Command.SOLVE, solve_section(0, 1, 7, 0, 0, rows=1, row_count=2), O, Field.ENTRIES, 0, 3, 2, 2),
        (Command.SOLVE, solve_section(0), B, Field.ENTRIES, 0, 16, 18, 18),
        (Command.SOLVE, solve_section(0, *[0] * 100, columns=15, solves=100), O, Field.ENTRIES, 0, 834, 0, 502),
        # MVM
        (Command.MVM, mvm_section(0, 0) + mvm_section(0, 0, array=2), O, Field.ARRAY, 1, 2, 0, 1),
        (Command.MVM, mvm_section(0, 0, tia_range=2), O, Field.TIA_RANGE, 0, 2, 0, 1),
        (Command.MVM, mvm_section(0, 0, settle_ticks=0), O, Field.SETTLE_TICKS, 0, 0, 50, 65535),
        # the rest
        (Command.COMPENSATE, words(0, 3, 5, 16, 5), O, Field.ROW, 1, 16, 0, 15),
        (Command.COMPENSATE, words(0, 3, 5, 4, 1024), O, Field.COMPENSATION_CODE, 1, 1024, 0, 1023),
        (Command.COMPENSATE, words(0, 3), B, Field.ENTRIES, 0, 4, 2, 2),
        (Command.ROUTE, wire.RouteRequest(15, 0, 0, 0).pack(), O, Field.TARGET, 0, 15, 0, 14),
        (Command.ROUTE, wire.RouteRequest(1, 2, 0, 0).pack(), O, Field.ARRAY, 0, 2, 0, 1),
        (Command.ROUTE, wire.RouteRequest(1, 0, 16, 0).pack(), O, Field.ROW, 0, 16, 0, 15),
        (Command.ROUTE, wire.RouteRequest(1, 0, 0, 4).pack(), O, Field.COLUMN, 0, 4, 0, 3),
        (Command.ROUTE, wire.RouteRequest(1, 0, 0, 0).pack() + b"\0", B, Field.ENTRIES, 0, 7, 6, 6),
        (Command.WAIT, b"", B, Field.ENTRIES, 0, 0, 4, 4),
        (Command.TEMPERATURE, b"\0", B, Field.ENTRIES, 0, 1, 0, 0),
        (Command.TIGHTEN, wire.TightenRequest(6, 0).pack(), O, Field.LIMIT, 0, 6, 0, 5),
        (Command.TIGHTEN, wire.TightenRequest(0, 32769).pack(), O, Field.LIMIT, 0, 32769, 0, 32768),
    ],
)  # fmt: skip
def test_refused_whole_with_field_position_value_and_bounds(kind, payload, status, field, position, value, low, high):
    host = opened()
    found_status, found = host.refused(kind, payload)
    assert (found_status, Field(found.field), found.position) == (status, field, position)
    assert (found.value, found.low, found.high) == (value, low, high)


def test_a_limit_is_reached_without_being_crossed():
    host = opened()
    host.done(Command.PULSE, pulse_section(3, amplitude_code=32768, width_ticks=10_000, gate_code=39322))
    host.done(Command.PULSE, pulse_section(*[9] * 100, width_ticks=10_000))
    host.done(Command.PULSE, pulse_section(3, polarity=Polarity.FORM, amplitude_code=43254, width_ticks=5739))
    host.done(Command.READ, read_request(0, averages=4096))


def test_limits_only_tighten():
    host = opened()
    for kind, value, payload in [
        (LimitKind.AMPLITUDE_CODE, VOLTS_2 - 1, pulse_section(0)),
        (LimitKind.FORM_CODE, 40000, pulse_section(0, polarity=Polarity.FORM, amplitude_code=40001)),
        (LimitKind.GATE_CODE, 20000, pulse_section(0, amplitude_code=1, gate_code=20001)),
        (LimitKind.WIDTH_TICKS, 9, pulse_section(0, amplitude_code=1, gate_code=1)),
        (LimitKind.ROW_ON_TICKS, 10, pulse_section(0, 0, width_ticks=6, amplitude_code=1, gate_code=1)),
        (LimitKind.PULSE_ENERGY, 5, pulse_section(0, width_ticks=5, amplitude_code=2000, gate_code=1)),
    ]:
        host.done(Command.TIGHTEN, wire.TightenRequest(kind, value).pack())
        status, refusal = host.refused(Command.PULSE, payload)
        assert status == Status.OUT_OF_RANGE and refusal.high == value
        assert host.refused(Command.TIGHTEN, wire.TightenRequest(kind, value + 1).pack())[0] == Status.OUT_OF_RANGE
        host.done(Command.TIGHTEN, wire.TightenRequest(kind, value).pack())
    describe = wire.DescribeReply.unpack(host.ask(Command.DESCRIBE).payload)
    assert (describe.amplitude_code_limit, describe.row_on_ticks_limit) == (VOLTS_2 - 1, 10)
    host.ask(Command.CLOSE)
    host.open()
    assert host.board.panel.registers.limits[LimitKind.AMPLITUDE_CODE] == VOLTS_2 - 1, "until the next reset"


@pytest.mark.parametrize(
    ("celsius", "raw", "centicelsius"),
    [(25.0, 3200, 2500), (-12.344, -1580, -1234), (-0.004, -1, -1), (0.003, 0, 0), (84.9961, 10880, 8500)],
)
def test_temperature_is_what_a_sensor_of_an_eighth_of_a_sixteenth_degree_tells(celsius, raw, centicelsius):
    host = opened(temperature_celsius=celsius)
    assert host.board.bench.temperature_raw() == raw
    assert wire.TemperatureReply.unpack(host.done(Command.TEMPERATURE)).centicelsius == centicelsius


def test_readings_follow_pulses():
    """On the ideal device a SET at a 1.62 V gate leaves 100 µS, which is 0.4 of the coarse range."""
    host = opened(preset="ideal")
    gate_code = round((0.6 + 100 / 98) / 5 * 65536)
    host.done(Command.PULSE, pulse_section(5, polarity=Polarity.SET, amplitude_code=15729, gate_code=gate_code))
    reply = host.done(Command.READ, read_request(4, 5))
    codes = np.frombuffer(reply, "<u2", 2, 4)
    assert codes[0] == 0 and codes[1] == pytest.approx(0.4 * 65536, abs=10)
    assert reply[8:] == b"\3\0", "both are steady"
