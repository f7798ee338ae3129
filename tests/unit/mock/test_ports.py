"""ROUTE, HOLD and SAMPLE on the Python board: what stands at the instrument ports, and what the ADCs see of it."""

import numpy as np
import pytest

from hwloop.link import protocol as wire
from hwloop.link.frames import Frame
from hwloop.link.protocol import BiasDivider, Command, Field, Hold, LimitKind, Route, SampleSource, Status, TiaRange
from tests.unit.link.running_board import serving
from tests.unit.mock.talking import (
    Host,
    mvm_section,
    opened,
    pulse_section,
    read_request,
    solve_section,
    words,
)

ALL = [route for route in Route if route >= Route.INPUT_TO_SMU]
OUTPUTS, CURRENTS, SUPPLY = SampleSource


def routed(host: Host, route: int, row: int = 0, column: int = 0, array: int = 0) -> None:
    host.done(Command.ROUTE, wire.RouteRequest(route, array, row, column).pack())


def hold(what: int, *pairs: int, bias_divider: int = 0) -> tuple[Command, bytes]:
    return Command.HOLD, wire.HoldRequest(what, bias_divider).pack() + words(*pairs)


def sums(host: Host, source: int, averages: int = 4, tia_range: int = TiaRange.COARSE) -> np.ndarray:
    reply = host.done(Command.SAMPLE, wire.SampleRequest(source, tia_range, averages).pack())
    return np.frombuffer(reply, "<i4", offset=wire.SampleReply.STRUCT.size)


def levels(host: Host) -> list[int]:
    """Every held level at the ports, one after the other."""
    shown = host.board.bench.connection
    held = (shown.amplitude_code, [shown.gate_code], shown.input_code, shown.feedback_code, shown.bias_code)
    return [*np.concatenate(held).tolist(), shown.bias_divider]


def hold_all(host: Host) -> None:
    """A level of each kind."""
    host.done(*hold(Hold.AMPLITUDE, 0, 43_254, 3, 7))
    host.done(*hold(Hold.GATE, 0, 39_322))
    host.done(*hold(Hold.INPUT, 15, -32_768, 2, 32_767))
    host.done(*hold(Hold.FEEDBACK, 1, 4095))
    host.done(*hold(Hold.BIAS, 2, -2047, bias_divider=BiasDivider.BY_256))


def test_what_a_route_is_about_is_shown_to_instruments():
    host = opened()
    for route, shown in {
        Route.CELL_TO_SMU: (1, 3, 2), Route.INPUT_TO_SMU: (0, 3, 0), Route.AMPLITUDE_TO_SMU: (0, 0, 2),
        Route.AMPLITUDES_TO_DAQ: (0, 0, 0), Route.GATE_TO_SMU: (0, 0, 0), Route.ROW_TO_SMU: (0, 3, 0),
        Route.COLUMN_TO_SMU: (0, 0, 2), Route.SMU_TO_OUTPUT: (0, 0, 2), Route.READ_TO_SMU: (0, 0, 0),
        Route.LOOPBACK: (0, 0, 0),
    }.items():  # fmt: skip
        assert host.ticks(Command.ROUTE, wire.RouteRequest(route, 1, 3, 2).pack()) == wire.TICKS_LOAD
        found = host.board.bench.connection
        assert (found.route, found.array, found.row, found.column) == (route, *shown)
    for row in wire.Reference:
        routed(host, Route.REFERENCE_TO_TIA, row, 2)
        found = host.board.bench.connection
        assert (found.row, found.column) == (row, 2)
        routed(host, Route.REFERENCE_TO_SMU, row, 2)
        found = host.board.bench.connection
        assert (found.row, found.column) == (row, 0)


def test_one_route_beside_the_outputs_and_one_thing_at_the_daq():
    host = opened()
    bench = host.board.bench
    routed(host, Route.OUTPUTS_TO_DAQ)
    routed(host, Route.GATE_TO_SMU)
    assert (bench.connection.route, bench.outputs_routed) == (Route.GATE_TO_SMU, True)
    routed(host, Route.ROW_TO_SMU, 3)
    assert (bench.connection.route, bench.outputs_routed) == (Route.ROW_TO_SMU, True)
    routed(host, Route.INPUTS_TO_DAQ)
    assert (bench.connection.route, bench.outputs_routed) == (Route.INPUTS_TO_DAQ, False)
    routed(host, Route.OUTPUTS_TO_DAQ)
    assert (bench.connection.route, bench.outputs_routed) == (Route.NOTHING, True)
    routed(host, Route.GATE_TO_SMU)
    routed(host, Route.NOTHING)
    assert (bench.connection.route, bench.outputs_routed) == (Route.NOTHING, False)


def test_levels_stay_from_route_to_route_and_are_gone_with_the_last():
    host = opened()
    host.done(Command.COMPENSATE, words(0, 3, 500))
    for end in (
        (Command.PULSE, pulse_section(0)), (Command.READ, read_request(0)), (Command.MVM, mvm_section(0, 0)),
        (Command.SOLVE, solve_section(0, 0)), (Command.ROUTE, wire.RouteRequest(Route.NOTHING, 0, 0, 0).pack()),
        (Command.ROUTE, wire.RouteRequest(Route.CELL_TO_SMU, 0, 0, 0).pack()),
    ):  # fmt: skip
        routed(host, Route.INPUT_TO_SMU, 3)
        assert not any(levels(host)), "a route begins at zero, whatever the last pulse left in the DACs"
        hold_all(host)
        held = levels(host)
        assert np.count_nonzero(held) == 8
        routed(host, Route.COLUMN_TO_SMU, 0, 1)
        for other in (
            (Command.COMPENSATE, words(0, 3, 501)), (Command.WAIT, wire.WaitRequest(1).pack()),
            (Command.TEMPERATURE, b""), (Command.SAMPLE, wire.SampleRequest(0, 0, 1).pack()),
        ):  # fmt: skip
            host.done(*other)
        assert levels(host) == held and host.board.bench.connection.compensation_code[3] == 501
        host.done(*end)
        assert not any(levels(host)) and host.board.panel.registers.compensation_code[3] == 501
    hold_route = wire.RouteRequest(Route.GATE_TO_SMU, 0, 0, 0).pack()
    host.done(Command.ROUTE, hold_route)
    hold_all(host)
    host.ask(Command.SAFE)
    assert not any(levels(host)) and host.board.bench.connection.route == Route.NOTHING
    assert not host.board.bench.connection.compensation_code.any()


def test_hold_costs_a_settling_and_the_words_that_change():
    host = opened()
    routed(host, Route.AMPLITUDES_TO_DAQ)
    assert host.ticks(*hold(Hold.AMPLITUDE)) == 100
    assert host.ticks(*hold(Hold.AMPLITUDE, 0, 5, 1, 6, 0, 7)) == 130, "a channel may come twice"
    assert host.ticks(*hold(Hold.AMPLITUDE, 0, 7, 1, 8)) == 110
    assert host.ticks(*hold(Hold.BIAS, 0, 0, bias_divider=BiasDivider.BY_16)) == 100
    routed(host, Route.NOTHING)
    host.done(Command.PULSE, pulse_section(0))
    routed(host, Route.AMPLITUDES_TO_DAQ)
    assert host.ticks(Command.PULSE, pulse_section(0)) == 2 * 10 + 100 + 10 + 50, "its DACs were at zero"


@pytest.mark.parametrize("source", SampleSource)
def test_without_a_route_the_adcs_see_nothing_but_noise(source):
    found = sums(opened(off=("converter_errors",)), source, 64)
    ideal = sums(opened(preset="ideal"), source, 64)
    if source == SUPPLY:
        assert ideal.tolist() == [64 * 40_000, 0, 0, 0] and not found[1:].any()
        assert found[0] != ideal[0] and abs(found[0] / 64 - 40_000) < 1
    else:
        assert not ideal.any() and found.any() and np.abs(found / 64).max() < 20


def test_sample_takes_the_time_of_a_reading():
    assert opened().ticks(Command.SAMPLE, wire.SampleRequest(0, 0, 10).pack()) == 200 + 1600


def test_the_port_drives_an_output_chain():
    host = opened(preset="ideal")
    routed(host, Route.SMU_TO_OUTPUT, 0, 2)
    host.board.bench.port_volts = 0.1
    assert sums(host, OUTPUTS, 3).tolist() == [0, 0, 3 * 10_240, 0]
    host.board.bench.port_volts = -0.5
    assert sums(host, OUTPUTS, 3).tolist() == [0, 0, -3 * 32_768, 0], "at the end of the range"
    assert not sums(host, CURRENTS).any()


@pytest.mark.parametrize("reference, tia_range, code", [(0, TiaRange.COARSE, 52_429), (1, TiaRange.FINE, 52_429)])
def test_a_reference_resistor_stands_in_for_a_cell(reference, tia_range, code):
    host = opened(preset="ideal")
    routed(host, Route.REFERENCE_TO_TIA, reference, 1)
    assert sums(host, CURRENTS, 2, tia_range).tolist() == [0, 2 * code, 0, 0]
    assert not sums(host, OUTPUTS).any()


def test_column_dacs_loop_back_to_the_output_adc():
    host = opened(preset="ideal")
    routed(host, Route.LOOPBACK)
    host.done(*hold(Hold.AMPLITUDE, 0, 1000, 3, 4000))
    step = 5 / 65536 * 8 * 32768 / 2.56
    assert sums(host, OUTPUTS, 1).tolist() == [round(1000 * step), 0, 0, round(4000 * step)]


def test_noise_is_that_of_column_and_tick_and_adds_up_over_commands():
    one, other = opened(seed=3), opened(seed=3)
    whole = sums(one, OUTPUTS, 3)
    parts = np.zeros(4, np.int64)
    for first in range(3):
        other.board.bench.ticks = 160 * first
        parts += sums(other, OUTPUTS, 1)
    assert whole.tolist() == parts.tolist()


BEYOND, LENGTH = Status.OUT_OF_RANGE, Status.BAD_LENGTH


@pytest.mark.parametrize(
    "request_, status, field, position, value, low, high",
    [
        ((Command.ROUTE, wire.RouteRequest(Route.REFERENCE_TO_SMU, 0, 2, 0).pack()), BEYOND, Field.ROW, 0, 2, 0, 1),
        ((Command.ROUTE, wire.RouteRequest(Route.INPUTS_TO_DAQ, 0, 9, 0).pack()), BEYOND, Field.ROW, 0, 9, 0, 0),
        ((Command.ROUTE, wire.RouteRequest(Route.GATE_TO_SMU, 0, 16, 0).pack()), BEYOND, Field.ROW, 0, 16, 0, 15),
        (hold(5), BEYOND, Field.LEVEL, 0, 5, 0, 4),
        (hold(Hold.BIAS, bias_divider=3), BEYOND, Field.BIAS_CODE, 0, 3, 0, 2),
        (hold(Hold.INPUT, bias_divider=1), BEYOND, Field.BIAS_CODE, 0, 1, 0, 0),
        (hold(Hold.AMPLITUDE, 0, 1, 4, 1), BEYOND, Field.COLUMN, 1, 4, 0, 3),
        (hold(Hold.AMPLITUDE, 0, 1, 1, 43_255), BEYOND, Field.AMPLITUDE_CODE, 1, 43_255, 0, 43_254),
        (hold(Hold.GATE, 1, 1), BEYOND, Field.COLUMN, 0, 1, 0, 0),
        (hold(Hold.GATE, 0, 39_323), BEYOND, Field.GATE_CODE, 0, 39_323, 0, 39_322),
        (hold(Hold.INPUT, 16, 1), BEYOND, Field.ROW, 0, 16, 0, 15),
        (hold(Hold.FEEDBACK, 4, 1), BEYOND, Field.COLUMN, 0, 4, 0, 3),
        (hold(Hold.FEEDBACK, 3, 4096), BEYOND, Field.FEEDBACK_CODE, 0, 4096, 0, 4095),
        (hold(Hold.BIAS, 4, 1), BEYOND, Field.COLUMN, 0, 4, 0, 3),
        (hold(Hold.BIAS, 3, -2048), BEYOND, Field.BIAS_CODE, 0, -2048, -2047, 2047),
        (hold(Hold.BIAS, 3), LENGTH, Field.ENTRIES, 0, 4, 2, 2),
        ((Command.HOLD, b"\1"), LENGTH, Field.ENTRIES, 0, 1, 2, 2),
        ((Command.SAMPLE, wire.SampleRequest(3, 0, 1).pack()), BEYOND, Field.SAMPLE_SOURCE, 0, 3, 0, 2),
        ((Command.SAMPLE, wire.SampleRequest(0, 2, 1).pack()), BEYOND, Field.TIA_RANGE, 0, 2, 0, 1),
        ((Command.SAMPLE, wire.SampleRequest(0, 0, 0).pack()), BEYOND, Field.SAMPLES, 0, 0, 1, 4096),
        ((Command.SAMPLE, wire.SampleRequest(0, 0, 4097).pack()), BEYOND, Field.SAMPLES, 0, 4097, 1, 4096),
        ((Command.SAMPLE, b"\0"), LENGTH, Field.ENTRIES, 0, 1, 4, 4),
    ],
)
def test_what_is_refused(request_, status, field, position, value, low, high):
    host = opened()
    routed(host, Route.GATE_TO_SMU)
    found, refusal = host.refused(*request_)
    assert (found, *vars(refusal).values()) == (status, field, position, value, low, high)


def test_levels_are_held_for_instruments_only():
    host = opened()
    for route in (Route.NOTHING, Route.CELL_TO_SMU, Route.OUTPUTS_TO_DAQ):
        routed(host, route)
        found, refusal = host.refused(*hold(Hold.GATE, 0, 1))
        stands = Route.CELL_TO_SMU if route == Route.OUTPUTS_TO_DAQ else route
        assert found == BEYOND and vars(refusal) == vars(wire.Refusal(Field.TARGET, 0, stands, 3, 14))


def test_tightened_limits_hold_here_too():
    host = opened()
    routed(host, Route.GATE_TO_SMU)
    host.done(Command.TIGHTEN, wire.TightenRequest(LimitKind.GATE_CODE, 100).pack())
    assert host.refused(*hold(Hold.GATE, 0, 101))[1].high == 100


def test_a_board_does_nothing_while_an_instrument_does():
    with serving() as (simulated, (transport,)):
        asked = Frame(Command.IDENTIFY, 0, 1, 1, b"").encode()
        with simulated.bench.lock:
            transport.send(asked)
            assert transport.receive(0.2) == b""
        assert transport.receive(10.0)


def test_a_board_that_goes_on_has_its_route_and_levels(tmp_path):
    config = dict(state=str(tmp_path / "chip"), continues=True)
    host = opened(**config)
    routed(host, Route.OUTPUTS_TO_DAQ)
    routed(host, Route.ROW_TO_SMU, 5)
    hold_all(host)
    shown = host.board.bench.connection
    host.board.end()
    again = Host(**config).board.bench
    found = again.connection
    assert again.outputs_routed
    for name, value in vars(shown).items():
        assert np.array_equal(getattr(found, name), value), name
