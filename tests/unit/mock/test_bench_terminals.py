"""What instruments find at the ports of a bench, against calculation by hand from the board's and cells' hidden values.

The bench has all its errors, so that nothing comes out right by being nominal.
"""

import numpy as np
import pytest

from hwloop.link import protocol as wire
from hwloop.link.protocol import BiasDivider, Command, Hold, Reference, Route, SampleSource
from hwloop.mock.connection import Connection
from hwloop.mock.curvature import curvature_per_square_volt
from hwloop.mock.ports import CHAIN_OHMS, LEAD_OHMS, OPEN_OHMS, SOURCE_OHMS, BenchPins, BenchTerminals
from tests.unit.mock.talking import Host, opened, solve_section, words

ROW, COLUMN, ARRAY = 5, 2, 1
CELL = (ARRAY * 16 + ROW) * 4 + COLUMN
LIMIT_AMPS, LIMIT_VOLTS, SECONDS = 0.1, 20.0, 0.02


@pytest.fixture
def host() -> Host:
    """A board with every error; cells are formed and stand still."""
    return opened(off=("relaxation", "cell_noise", "rtn", "stuck", "slow"), board_serial=3, array_serial=4)


def routed(host: Host, route: Route, row: int = ROW, column: int = COLUMN, array: int = ARRAY) -> BenchTerminals:
    host.done(Command.ROUTE, wire.RouteRequest(route, array, row, column).pack())
    return BenchTerminals(host.board.bench)


def hold(host: Host, what: Hold, channel: int, code: int, divider: BiasDivider = BiasDivider.BY_1) -> None:
    host.done(Command.HOLD, wire.HoldRequest(what, divider).pack() + words(channel, code))


def open_volts(terminals: BenchTerminals, remote_sense: bool = True) -> float:
    """As a voltmeter, which takes no current."""
    found = terminals.drive_amps(0.0, LIMIT_VOLTS, SECONDS, remote_sense)
    assert not found.limited and found.amps == 0.0
    return found.volts


def amps_at(terminals: BenchTerminals, volts: float, remote_sense: bool = True) -> float:
    found = terminals.drive_volts(volts, LIMIT_AMPS, SECONDS, remote_sense)
    assert not found.limited and found.volts == volts
    return found.amps


def pin_volts(channels, code: int, full_scale_volts: float, codes: int, channel: int) -> float:
    """What stands at a DAC's pin: gain × x + offset + bend × (x / full scale)²."""
    nominal = code * full_scale_volts / codes
    bend = channels.bend[channel] * (nominal / full_scale_volts) ** 2
    return channels.gain[channel] * nominal + channels.offset[channel] + bend


SOURCES = {
    Route.INPUT_TO_SMU: (Hold.INPUT, ROW, 20_000, lambda truth: pin_volts(truth.input_dac, 20_000, 2.5, 32768, ROW)),
    Route.AMPLITUDE_TO_SMU: (
        Hold.AMPLITUDE, COLUMN, 30_000, lambda truth: pin_volts(truth.amplitude_dac, 30_000, 5.0, 65536, COLUMN)
    ),
    Route.GATE_TO_SMU: (Hold.GATE, 0, 35_000, lambda truth: pin_volts(truth.gate_dac, 35_000, 5.0, 65536, 0)),
}


@pytest.mark.parametrize("route", SOURCES, ids=lambda route: route.name)
def test_a_dac_is_a_stiff_source_at_its_own_volts(host, route):
    what, channel, code, by_hand = SOURCES[route]
    terminals = routed(host, route)
    hold(host, what, channel, code)
    expected = by_hand(host.board.bench.truth)
    assert abs(expected - code * {Hold.INPUT: 2.5 / 32768}.get(what, 5 / 65536)) > 1e-4, "this one has errors"
    for remote_sense in (False, True):
        assert open_volts(terminals, remote_sense) == pytest.approx(expected, rel=1e-9)
    loaded = terminals.drive_amps(1e-3, LIMIT_VOLTS, SECONDS, remote_sense=True)
    assert loaded.volts - expected == pytest.approx(1e-3 * SOURCE_OHMS, rel=1e-6)
    loaded = terminals.drive_amps(1e-3, LIMIT_VOLTS, SECONDS, remote_sense=False)
    assert loaded.volts - expected == pytest.approx(1e-3 * (SOURCE_OHMS + LEAD_OHMS), rel=1e-6)


def test_the_read_voltage_is_seen_as_it_is(host):
    truth = host.board.bench.truth
    assert truth.read_volts != 0.2
    assert open_volts(routed(host, Route.READ_TO_SMU)) == pytest.approx(truth.read_volts, rel=1e-9)


@pytest.mark.parametrize("remote_sense", [True, False])
def test_a_row_is_its_input_resistor_beside_its_ladder(host, remote_sense):
    truth, code = host.board.bench.truth, 0b10_1000_0001
    host.done(Command.COMPENSATE, words(0, ROW, code))
    terminals = routed(host, Route.ROW_TO_SMU)
    hold(host, Hold.INPUT, ROW, -12_000)
    input_siemens = 1 / truth.input_ohms[ROW]
    ladder = sum(truth.compensation_step_siemens[ROW, bit] for bit in range(10) if code >> bit & 1)
    driven = pin_volts(truth.input_dac, -12_000, 2.5, 32768, ROW)
    leads = 0.0 if remote_sense else LEAD_OHMS
    behind = 1 / (input_siemens + ladder)
    expected = (0.3 - driven * input_siemens * behind) / (behind + leads)
    assert amps_at(terminals, 0.3, remote_sense) == pytest.approx(expected, rel=1e-9)
    assert open_volts(terminals, remote_sense) == pytest.approx(driven * input_siemens * behind, rel=1e-9)


@pytest.mark.parametrize("divider", BiasDivider)
def test_a_column_is_its_feedback_ladder_and_its_bias_source(host, divider):
    truth, code = host.board.bench.truth, 0b1001_0110_0001
    terminals = routed(host, Route.COLUMN_TO_SMU)
    hold(host, Hold.FEEDBACK, COLUMN, code)
    hold(host, Hold.BIAS, COLUMN, -1500, divider)
    siemens = sum(truth.feedback_step_siemens[COLUMN, bit] for bit in range(12) if code >> bit & 1)
    bias = (truth.bias_gain[COLUMN] * -1500 * 50e-6 / 2048 + truth.bias_offset_amps[COLUMN]) / 16**divider
    for volts in (-0.4, 0.0, 0.4):
        assert amps_at(terminals, volts) == pytest.approx(volts * (siemens + 1 / OPEN_OHMS) - bias, rel=1e-9)
    two_wires = amps_at(terminals, 0.4, remote_sense=False)
    assert two_wires == pytest.approx((0.4 - bias / siemens) / (1 / siemens + LEAD_OHMS), rel=1e-6)


@pytest.mark.parametrize("reference", Reference)
def test_a_reference_resistor_with_two_and_four_wires(host, reference):
    ohms = host.board.bench.truth.reference_ohms[reference]
    terminals = routed(host, Route.REFERENCE_TO_SMU, row=reference)
    assert amps_at(terminals, 0.5, remote_sense=True) == pytest.approx(0.5 / ohms, rel=1e-12)
    assert amps_at(terminals, 0.5, remote_sense=False) == pytest.approx(0.5 / (ohms + LEAD_OHMS), rel=1e-9)


def cell_amps(siemens: float, volts: float, scale: float) -> float:
    """I = G V (1 + a V²) / (1 + a 0.2²)."""
    bend = scale * curvature_per_square_volt(siemens)
    return siemens * volts * (1 + bend * volts**2) / (1 + bend * 0.04)


def test_a_cell_with_four_wires_is_what_a_read_verifies(host):
    bench, terminals = host.board.bench, routed(host, Route.CELL_TO_SMU)
    siemens = bench.conductance(CELL)
    assert siemens > 1e-6
    assert amps_at(terminals, 0.2) == pytest.approx(0.2 * siemens, rel=1e-9)
    assert bench.cells.truth.curvature_scale != 1.0
    for volts in (-0.3, 0.05, 0.34):
        expected = cell_amps(siemens, volts, bench.cells.truth.curvature_scale)
        assert amps_at(terminals, volts) == pytest.approx(expected, rel=1e-9)


def test_with_two_wires_switches_and_lines_are_in_series(host):
    bench, terminals = host.board.bench, routed(host, Route.CELL_TO_SMU)
    program(terminals, 150e-6)
    hidden_ohms = bench.truth.port_ohms[COLUMN] + LEAD_OHMS
    amps = amps_at(terminals, 0.2, remote_sense=False)
    across = 0.2 - amps * hidden_ohms
    scale = bench.cells.truth.curvature_scale
    assert amps == pytest.approx(cell_amps(bench.conductance(CELL), across, scale), rel=1e-9)
    assert amps < amps_at(terminals, 0.2, remote_sense=True) * (1 - 1e-3)


def program(terminals: BenchTerminals, siemens: float) -> None:
    """A SET by the SMU, whose current limit decides where it ends."""
    terminals.drive_volts(1.2, 1.2 * siemens, SECONDS, True)


def test_every_cell_is_found_at_its_own_place(host):
    bench = host.board.bench
    for array, row, column in ((0, 0, 0), (0, 15, 3), (1, 0, 1), (1, 15, 3)):
        terminals = routed(host, Route.CELL_TO_SMU, row, column, array)
        siemens = bench.conductance((array * 16 + row) * 4 + column)
        assert amps_at(terminals, 0.2) == pytest.approx(0.2 * siemens, rel=1e-9)


NOTHING_THERE = (Route.NOTHING, Route.OUTPUTS_TO_DAQ, Route.INPUTS_TO_DAQ, Route.AMPLITUDES_TO_DAQ, Route.LOOPBACK,
                 Route.REFERENCE_TO_TIA)  # fmt: skip


@pytest.mark.parametrize("route", NOTHING_THERE, ids=lambda route: route.name)
def test_without_a_route_to_it_the_port_is_open(host, route):
    row = {Route.REFERENCE_TO_TIA: 1, Route.INPUTS_TO_DAQ: 0}.get(route, ROW)
    terminals = routed(host, route, row=row)
    assert amps_at(terminals, 10.0) == pytest.approx(10.0 / OPEN_OHMS)
    found = terminals.drive_amps(1e-6, 2.0, SECONDS, True)
    assert (found.volts, found.limited) == (2.0, True)
    found = terminals.drive_amps(-1e-6, 2.0, SECONDS, True)
    assert (found.volts, found.limited) == (-2.0, True)


def test_every_route_was_looked_at():
    looked_at = {*SOURCES, *NOTHING_THERE, Route.CELL_TO_SMU, Route.READ_TO_SMU, Route.ROW_TO_SMU, Route.COLUMN_TO_SMU,
                 Route.REFERENCE_TO_SMU, Route.SMU_TO_OUTPUT}  # fmt: skip
    assert looked_at == set(Route)


@pytest.mark.parametrize("remote_sense", [True, False])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_current_limit_acts_on_either_side(host, sign, remote_sense):
    ohms = host.board.bench.truth.reference_ohms[Reference.LOW]
    terminals = routed(host, Route.REFERENCE_TO_SMU, row=Reference.LOW)
    found = terminals.drive_volts(sign * 5.0, 1e-4, SECONDS, remote_sense)
    leads = 0.0 if remote_sense else LEAD_OHMS
    assert found.limited and found.amps == sign * 1e-4
    assert found.volts == pytest.approx(sign * 1e-4 * (ohms + leads), rel=1e-9)


@pytest.mark.parametrize("remote_sense", [True, False])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_voltage_limit_acts_on_either_side(host, sign, remote_sense):
    ohms = host.board.bench.truth.reference_ohms[Reference.LOW]
    terminals = routed(host, Route.REFERENCE_TO_SMU, row=Reference.LOW)
    found = terminals.drive_amps(sign * 1e-2, 0.5, SECONDS, remote_sense)
    leads = 0.0 if remote_sense else LEAD_OHMS
    assert found.limited and found.volts == sign * 0.5
    assert found.amps == pytest.approx(sign * 0.5 / (ohms + leads), rel=1e-9)


def test_a_limit_that_is_just_not_reached_does_not_act(host):
    ohms = host.board.bench.truth.reference_ohms[Reference.LOW]
    terminals = routed(host, Route.REFERENCE_TO_SMU, row=Reference.LOW)
    assert not terminals.drive_volts(1.0, 1.0001 / ohms, SECONDS, True).limited
    assert not terminals.drive_amps(1.0 / ohms, 1.0001, SECONDS, True).limited


def test_a_voltage_source_sinks_what_the_board_drives(host):
    """A driven row against 0 V: current flows out of the board into the SMU, up to its limit."""
    terminals = routed(host, Route.INPUT_TO_SMU)
    hold(host, Hold.INPUT, ROW, 20_000)
    found = terminals.drive_volts(0.0, 1e-3, SECONDS, True)
    assert found.limited and found.amps == -1e-3
    expected = pin_volts(host.board.bench.truth.input_dac, 20_000, 2.5, 32768, ROW)
    assert found.volts == pytest.approx(expected - 1e-3 * SOURCE_OHMS, rel=1e-9)


@pytest.mark.parametrize("siemens", [60e-6, 120e-6, 200e-6])
def test_a_set_by_the_smu_ends_where_its_current_limit_says(siemens):
    host = opened(off=("relaxation", "cell_noise", "rtn", "stuck", "slow", "stochastic"), board_serial=3)
    bench, terminals = host.board.bench, routed(host, Route.CELL_TO_SMU)
    before = bench.conductance(CELL)
    found = terminals.drive_volts(1.2, 1.2 * siemens, 1e-6, True)
    assert before < 0.5 * siemens and bench.conductance(CELL) == pytest.approx(siemens, rel=2e-3)
    assert found.volts <= 1.2 and found.amps <= 1.2 * siemens
    again = terminals.drive_volts(0.2, 1.2 * siemens, SECONDS, True)
    assert again.amps == pytest.approx(0.2 * bench.conductance(CELL), rel=1e-9)


def test_the_reading_of_a_set_is_that_of_the_cell_after_it(host):
    bench, terminals = host.board.bench, routed(host, Route.CELL_TO_SMU)
    found = terminals.drive_volts(1.2, 120e-6, SECONDS, True)
    scale = bench.cells.truth.curvature_scale
    assert found.amps == pytest.approx(cell_amps(bench.conductance(CELL), found.volts, scale), rel=1e-9)
    driven = terminals.drive_amps(150e-6, 2.0, SECONDS, True)
    assert driven.amps == pytest.approx(cell_amps(bench.conductance(CELL), driven.volts, scale), rel=1e-9)


def test_a_reset_by_the_smu_brings_it_down_again():
    host = opened(off=("relaxation", "cell_noise", "rtn", "stuck", "slow", "stochastic"))
    bench, terminals = host.board.bench, routed(host, Route.CELL_TO_SMU)
    count = int(bench.cells.cell_state.pulse_count[CELL])
    program(terminals, 150e-6)
    high = bench.conductance(CELL)
    assert terminals.drive_volts(-1.5, 10e-3, SECONDS, True).amps < 0
    assert bench.conductance(CELL) < 0.2 * high
    assert bench.cells.cell_state.pulse_count[CELL] == count + 2, "each counts as a pulse"


def test_a_pristine_cell_is_formed_by_the_smu():
    host = opened(pristine=True, off=("stuck", "slow"))
    bench, terminals = host.board.bench, routed(host, Route.CELL_TO_SMU)
    assert bench.conductance(CELL) < 1e-7
    terminals.drive_volts(1.2, 200e-6, SECONDS, True)
    assert bench.conductance(CELL) < 1e-7, "not at the volts of a SET"
    terminals.drive_volts(3.3, 200e-6, SECONDS, True)
    assert bench.conductance(CELL) > 20e-6


def test_reading_disturbs_nothing_and_other_cells_are_left_alone(host):
    bench, terminals = host.board.bench, routed(host, Route.CELL_TO_SMU)
    before = [values.copy() for values in bench.cells.cell_state]
    for volts in (-0.34, 0.34):
        terminals.drive_volts(volts, LIMIT_AMPS, 1.0, True)
    assert all(map(np.array_equal, bench.cells.cell_state, before))
    program(terminals, 150e-6)
    state = dict(zip(bench.cells.cell_state._fields, before, strict=True))
    changed = np.flatnonzero(bench.cells.cell_state.conductance_siemens != state["conductance_siemens"])
    assert changed.tolist() == [CELL]


@pytest.mark.parametrize("volts", [4.0, 21.0, 200.0, -4.0, -200.0])
def test_more_than_the_device_model_knows_does_what_its_most_does(volts):
    found = []
    for level in (volts, np.copysign(3.5, volts)):
        host = opened(off=("relaxation", "cell_noise", "rtn"), board_serial=3)
        terminals = routed(host, Route.CELL_TO_SMU)
        terminals.drive_volts(level, 1.0, SECONDS, True)
        found.append(host.board.bench.conductance(CELL))
    assert found[0] == found[1]


def test_what_the_smu_drives_stands_at_the_output_chain_until_its_output_goes_off(host):
    bench, terminals = host.board.bench, routed(host, Route.SMU_TO_OUTPUT)
    assert amps_at(terminals, 0.25) == pytest.approx(0.25 / CHAIN_OHMS)
    chain = bench.truth.output_adc
    nominal = chain.gain[COLUMN] * 0.25 + chain.offset[COLUMN] + chain.bend[COLUMN] * (0.25 / 0.32) ** 2

    def sampled() -> np.ndarray:
        reply = host.done(Command.SAMPLE, wire.SampleRequest(SampleSource.OUTPUTS, 0, 1000).pack())
        return np.frombuffer(reply, "<i4", offset=wire.SampleReply.STRUCT.size) / 1000

    assert sampled()[COLUMN] == pytest.approx(nominal * 32768 / 0.32, abs=1.0)
    terminals.release()
    assert sampled()[COLUMN] == pytest.approx(chain.offset[COLUMN] * 32768 / 0.32, abs=1.0)


def test_a_small_current_is_pulled_out_of_a_nearly_open_port(host):
    """Instruments are asked for a voltage at 0 A with everything open; the root has to be found all the same."""
    bench = host.board.bench
    bench.connection = Connection.without_levels(16, Route.NOTHING)
    found = BenchTerminals(bench).drive_amps(1e-12, LIMIT_VOLTS, SECONDS, True)
    assert (found.volts, found.limited) == (pytest.approx(1.0), False)


def test_pins_are_inputs_sixteen_rows_at_a_time():
    host = opened(board_name="hwloop-128x16", board_serial=3)
    bench, pins = host.board.bench, BenchPins(host.board.bench)
    routed(host, Route.INPUTS_TO_DAQ, row=32)
    for row, code in ((32, 10_000), (47, -20_000), (48, 5_000)):
        hold(host, Hold.INPUT, row, code)
    assert pins.volts(0) == pytest.approx(pin_volts(bench.truth.input_dac, 10_000, 2.5, 32768, 32))
    assert pins.volts(15) == pytest.approx(pin_volts(bench.truth.input_dac, -20_000, 2.5, 32768, 47))
    assert pins.volts(1) == pytest.approx(bench.truth.input_dac.offset[33]) and pins.volts(1) != 0.0
    assert [pins.volts(channel) for channel in (16, 17, 40)] == [0.0, 0.0, 0.0]


def test_pins_are_amplitudes_and_the_gate_behind_them(host):
    bench, pins = host.board.bench, BenchPins(host.board.bench)
    routed(host, Route.AMPLITUDES_TO_DAQ)
    hold(host, Hold.AMPLITUDE, 3, 30_000)
    hold(host, Hold.GATE, 0, 20_000)
    assert pins.volts(3) == pytest.approx(pin_volts(bench.truth.amplitude_dac, 30_000, 5.0, 65536, 3))
    assert pins.volts(16) == pytest.approx(pin_volts(bench.truth.gate_dac, 20_000, 5.0, 65536, 0))
    assert [pins.volts(channel) for channel in (4, 15, 17)] == [0.0, 0.0, 0.0]


def test_pins_show_the_outputs_that_the_last_solve_left():
    host = opened(board_serial=3, off=("chain_noise",))
    bench, pins = host.board.bench, BenchPins(host.board.bench)
    routed(host, Route.OUTPUTS_TO_DAQ)
    request = solve_section(*range(2), -9000, -9000, columns=0b0110, row_count=2, settle_ticks=2000)
    reply = host.done(Command.SOLVE, request)
    codes = np.frombuffer(reply, "<i2", 2, wire.SolveReply.STRUCT.size)
    held = np.array([pins.volts(column) for column in (1, 2)])
    assert held.max() > 1e-3
    chain = bench.truth.output_adc
    seen = chain.gain[[1, 2]] * held + chain.offset[[1, 2]] + chain.bend[[1, 2]] * (held / 0.32) ** 2
    assert np.abs(seen * 32768 / 0.32 - codes).max() < 2.0
    assert pins.volts(0) == 0.0 and pins.volts(4) == 0.0
    routed(host, Route.NOTHING)
    assert pins.volts(1) == 0.0, "the pins are open again"
