"""What every board must do, whatever it is made of, seen from the driver."""

import numpy as np
import pytest
from scipy.optimize import nnls

from hwloop.drivers.board import SolveGroup
from hwloop.drivers.board.ports import HoldLevels, RoutePort, SampleAdcs
from hwloop.drivers.cells import CellPulses, Polarity
from hwloop.errors import LimitError, LinkError, SafetyError
from hwloop.link import protocol as wire
from hwloop.link.protocol import Command, Constraint, Hold, Reference, Route, SafeReason, SampleSource, TiaRange

HIGHEST_SIEMENS = 200e-6


def every_cell(board) -> np.ndarray:
    return np.arange(2 * board.rows * board.columns)


def cells_of(board, array: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(m, k) flat cells."""
    return (array * board.rows + rows[:, None]) * board.columns + columns


def set_pulses(cells: np.ndarray, siemens: np.ndarray) -> CellPulses:
    """SET pulses whose gate lets about `siemens` (n,) through: 98 µS a volt above 0.6 V."""
    n = len(cells)
    gate_volts = 0.6 + siemens / 98e-6
    return CellPulses(cells, np.full(n, Polarity.SET), np.full(n, 1.2), gate_volts, np.full(n, 1e-6))


def reset_pulses(cells: np.ndarray, volts: float = 2.0) -> CellPulses:
    n = len(cells)
    return CellPulses(cells, np.full(n, Polarity.RESET), np.full(n, volts), np.full(n, 2.7), np.full(n, 1e-6))


def program(board, rows, columns, siemens: np.ndarray) -> np.ndarray:
    """Both arrays to `siemens` (m, k), and the rest of them to nothing; gives what both arrays read, (2, R, C)."""
    board.pulse_and_read(reset_pulses(every_cell(board)), None)
    targets = np.concatenate([siemens.ravel()] * 2)
    cells = np.concatenate([cells_of(board, array, rows, columns).ravel() for array in (0, 1)])
    written = targets > 1e-6
    board.pulse_and_read(set_pulses(cells[written], targets[written]), None)
    reads = board.pulse_and_read(None, every_cell(board), averages=8, sub_averages=1)
    return reads.conductance_siemens.reshape(2, board.rows, board.columns)


def compensate(board, read_siemens: np.ndarray) -> float:
    """The same sum of conductances for every row; gives it."""
    sums = read_siemens.sum(axis=(0, 2)) + board.scales.input_siemens
    step = board.scales.compensation_step_siemens
    wanted = np.rint((sums.max() - sums) / step) * step
    board.compensate(np.arange(board.rows), wanted)
    return float(sums.max())


@pytest.mark.simulated_bench("asks for serial numbers")
def test_it_says_what_it_is(connect):
    board = connect(board_serial=41, array_serial=42)
    geometry = wire.BOARDS[board.name]
    assert (board.rows, board.columns) == (geometry.rows, geometry.columns)
    assert board.link.max_in_flight == geometry.max_in_flight
    assert board.describe.max_frame_bytes == geometry.max_frame_bytes
    assert (board.identity.board_serial, board.identity.array_serial) == (41, 42)
    assert board.describe.amplitude_code_limit == wire.LIMIT_AMPLITUDE_CODE
    assert board.describe.output_max_microvolts == wire.SCALE_OUTPUT_MAX_MICROVOLTS
    status = board.status()
    assert not status.armed and status.safe_reason == SafeReason.RESET and status.last_begun_kind == 0


def test_nothing_moves_before_it_is_opened(connect):
    board = connect()
    with pytest.raises(SafetyError, match="not open"):
        board.pulse_and_read(reset_pulses(np.array([0])), None)
    board.open()
    assert board.status().armed
    board.pulse_and_read(reset_pulses(np.array([0])), None)


@pytest.mark.simulated_bench("to the microsiemens")
def test_a_set_pulse_raises_and_a_reset_pulse_lowers(board):
    cells = every_cell(board)
    before = board.pulse_and_read(None, cells).conductance_siemens
    after_set = board.pulse_and_read(set_pulses(cells, np.full(len(cells), 100e-6)), cells).conductance_siemens
    after_reset = board.pulse_and_read(reset_pulses(cells), cells).conductance_siemens
    assert (before < 10e-6).all() and (after_reset < 10e-6).all()
    assert after_set == pytest.approx(100e-6, abs=2e-6)


@pytest.mark.simulated_bench("to the microsiemens")
def test_the_gate_decides_where_a_set_pulse_ends(board):
    cells = every_cell(board)
    targets = np.linspace(20e-6, HIGHEST_SIEMENS, len(cells))
    reads = board.pulse_and_read(set_pulses(cells, targets), cells)
    assert reads.conductance_siemens == pytest.approx(targets, abs=2e-6)
    assert not reads.saturated.any() and reads.steady.all()


@pytest.mark.simulated_bench("knows where every cell starts")
def test_cells_that_are_not_listed_are_inhibited(board):
    cells = every_cell(board)
    chosen = cells[1::3]
    reads = board.pulse_and_read(set_pulses(chosen, np.full(len(chosen), 80e-6)), cells).conductance_siemens
    listed = np.isin(cells, chosen)
    assert (reads[listed] > 70e-6).all() and (reads[~listed] < 10e-6).all()


@pytest.mark.simulated_bench("to the microsiemens")
def test_the_order_of_a_list_does_not_matter(board):
    cells = np.random.default_rng(0).permutation(every_cell(board))
    targets = np.linspace(20e-6, HIGHEST_SIEMENS, len(cells))
    board.pulse_and_read(set_pulses(cells, targets), None)
    some = cells[::5]
    assert board.pulse_and_read(None, some).conductance_siemens == pytest.approx(targets[::5], abs=2e-6)


@pytest.mark.simulated_bench("to the microsiemens")
def test_beyond_the_range_of_a_reading(board):
    cells = np.array([0, 1])
    board.pulse_and_read(set_pulses(cells, np.array([10e-6, 100e-6])), None)
    fine = board.pulse_and_read(None, cells, tia_range=wire.TiaRange.FINE)
    assert fine.saturated.tolist() == [False, True]
    assert fine.conductance_siemens[0] == pytest.approx(10e-6, abs=2e-7)


@pytest.mark.parametrize("constraint", [Constraint.RECTIFIER, Constraint.NONE])
@pytest.mark.simulated_bench("as exact as the ideal device")
def test_a_solve_is_the_least_squares_solution(board, constraint):
    """An 8×2 bank against numpy: non-negative with the rectifier, unconstrained with a dual supply."""
    rng = np.random.default_rng(1)
    rows, columns = np.arange(2, 10), np.array([1, 3])
    program(board, rows, columns, rng.uniform(20e-6, HIGHEST_SIEMENS, (8, 2)))
    read = board.pulse_and_read(None, every_cell(board), averages=8, sub_averages=1).conductance_siemens
    read = read.reshape(2, board.rows, board.columns)
    matrix = read[0][np.ix_(rows, columns)]
    compensate(board, read)
    currents = rng.uniform(-1.0, 0.4, (40, 8)) * 0.25 * board.scales.input_siemens
    volts = currents / board.scales.input_siemens
    (outputs,) = board.solve([SolveGroup(rows, columns, volts, 40e-6, 4, constraint)])
    assert not outputs.saturated.any() and not outputs.unsettled.any()
    if constraint == Constraint.NONE:
        wanted = -np.linalg.lstsq(matrix, currents.T, rcond=None)[0].T
        assert (wanted < 0).any()
    else:
        wanted = np.array([nnls(matrix, -current)[0] for current in currents])
        assert (wanted == 0).any() and (wanted > 0.01).any()
    assert outputs.output_volts == pytest.approx(wanted, abs=0.004 * np.abs(wanted).max())


@pytest.mark.simulated_bench("as exact as the ideal device")
def test_the_same_solve_by_indices_and_by_mask_and_in_any_company(board):
    """Neighbouring rows are packed as a mask, scattered ones as indices; groups share frames. One answer a solve."""
    rng = np.random.default_rng(2)
    rows = np.arange(16)
    program(board, rows, np.arange(4), rng.uniform(20e-6, 60e-6, (16, 4)))
    volts = -rng.uniform(0.0, 0.05, (5, 16))
    groups = [
        SolveGroup(rows[::step], np.arange(4)[:k], volts[:, ::step], 40e-6, 8) for step in (1, 2, 5) for k in (1, 2)
    ]
    together = board.solve(groups)
    for group, answer in zip(groups, together, strict=True):
        (alone,) = board.solve([group])
        assert answer.output_volts.shape == (5, len(group.columns))
        assert alone.output_volts == pytest.approx(answer.output_volts, abs=3e-5)


@pytest.mark.simulated_bench("as exact as the ideal device")
def test_feedback_is_ridge_and_bias_shifts(board):
    rows, columns = np.arange(4), np.array([0])
    read = program(board, rows, columns, np.full((4, 1), 100e-6))
    row_sum = compensate(board, read)
    column = read[1, :4, 0]
    volts = np.full((1, 4), -0.05)
    q = float(column @ read[0, :4, 0]) / row_sum
    drive = float(column.sum()) * board.scales.input_siemens * 0.05 / row_sum

    def output(feedback=None, bias=None):
        group = SolveGroup(rows, columns, volts, 40e-6, 8, Constraint.RECTIFIER, feedback, bias)
        return board.solve([group])[0].output_volts[0, 0]

    assert output() == pytest.approx(drive / q, rel=0.01)
    feedback = np.array([50e-6])
    assert output(feedback) == pytest.approx(drive / (q + 50e-6), rel=0.01)
    assert output(feedback, np.array([-1e-6])) == pytest.approx((drive + 1e-6) / (q + 50e-6), rel=0.01)


@pytest.mark.simulated_bench("needs exact conductances")
def test_a_solve_beyond_the_rail_is_flagged(board):
    rows, columns = np.arange(4), np.array([0])
    program(board, rows, columns, np.full((4, 1), 20e-6))
    small, large = board.solve(
        [SolveGroup(rows, columns, np.full((2, 4), volts), 40e-6, 4) for volts in (-0.01, -2.0)]
    )
    assert not small.saturated.any() and large.saturated.all()


@pytest.mark.simulated_bench("as exact as the ideal device")
def test_products(board):
    rng = np.random.default_rng(3)
    rows, columns = np.array([0, 3, 4, 9]), np.array([0, 1, 3])
    read = program(board, rows, columns, rng.uniform(20e-6, 100e-6, (4, 3)))
    volts = rng.uniform(-0.1, 0.1, (6, 4))
    for array in (0, 1):
        amps, beyond = board.multiply(array, rows, columns, volts, averages=8)
        wanted = volts @ read[array][np.ix_(rows, columns)]
        assert amps == pytest.approx(wanted, abs=5e-8) and not beyond.any()
    assert board.multiply(0, rows, columns, np.full((1, 4), 0.5))[1].all()


def test_compensation_is_gone_with_the_safe_state(connect):
    board = connect()
    board.open()
    board.compensate(np.arange(board.rows), np.full(board.rows, 1e-3))
    board.safe()
    status = board.status()
    assert not status.armed and status.safe_reason == SafeReason.COMMAND
    with pytest.raises(SafetyError, match="safe state"):
        board.pulse_and_read(reset_pulses(np.array([0])), None)
    with pytest.raises(SafetyError, match="opened before"):
        board.open()


def test_compensation_by_the_ticks_that_it_takes(board):
    def load_ticks(siemens):
        before = board.counters.hardware_seconds.load
        board.compensate(np.arange(board.rows), np.full(board.rows, siemens))
        return round((board.counters.hardware_seconds.load - before) * wire.TICK_HERTZ)

    changed = wire.TICKS_LOAD + board.rows * wire.TICKS_LOAD_CHANGED_ROW
    assert [load_ticks(1e-3), load_ticks(1e-3), load_ticks(2e-3)] == [changed, wire.TICKS_LOAD, changed]


def test_masks_by_the_ticks_that_they_take(board):
    """Rows and columns that are the active ones already cost nothing; loading others counts as load, not as solving."""

    def ticks(call):
        seconds = board.counters.hardware_seconds
        before = (seconds.load, seconds.solve)
        call()
        spent = (seconds.load - before[0], seconds.solve - before[1])
        return tuple(round(part * wire.TICK_HERTZ) for part in spent)

    def solve(*banks):
        groups = [SolveGroup(rows, columns, np.zeros((3, len(rows))), 5e-6, 2) for rows, columns in banks]
        return ticks(lambda: board.solve(groups))

    def product(array, rows, columns):
        return ticks(lambda: board.multiply(array, rows, columns, np.zeros((3, len(rows))), averages=2))

    first, second = (np.arange(4), np.arange(2)), (np.arange(2, 8), np.arange(2, 4))
    four, six = 3 * (40 + 50 + 320), 3 * (60 + 50 + 320)
    board.compensate(np.arange(board.rows), np.zeros(board.rows))
    assert solve(first) == (200 + 4 * 10, four)
    assert solve(first) == (0, four)
    assert product(0, *first) == product(1, *first) == (0, four)
    # Two rows stay on, two go off and four on; then all of it back.
    assert solve(second, second, first) == (2 * (200 + 6 * 10), six + six + four)
    # Other columns only.
    assert product(1, first[0], second[1]) == (200, four)


def test_status_follows_the_commands(board):
    board.wait(1e-3)
    before = board.status()
    board.pulse_and_read(reset_pulses(np.array([0])), None)
    after = board.status()
    assert (after.last_begun_kind, after.last_begun_sequence, after.last_completed) == (Command.PULSE, 1, 1)
    assert after.expected_sequence == before.expected_sequence + 1
    assert after.open_session == board.link.session and after.boot_counter == before.boot_counter


def test_bench_time_advances_by_the_tick_rules_only(board):
    start = board.status().ticks
    board.wait(0.25)
    assert board.status().ticks - start == 2_500_000
    board.temperature_celsius()
    assert board.status().ticks - start == 2_500_000
    # All four columns and the gate are new: 50 + 100 + 10 + 50; then one row read of four samples.
    board.pulse_and_read(reset_pulses(np.arange(4)), np.arange(4), averages=4, sub_averages=1)
    assert board.status().ticks - start == 2_500_000 + 210 + (200 + 640)
    # Four rows go on; then four inputs, the shortest wait, two samples.
    board.solve([SolveGroup(np.arange(4), np.arange(2), np.zeros((1, 4)), 0.0, 2)])
    assert board.status().ticks - start == 2_500_000 + 210 + 840 + (200 + 4 * 10) + (40 + 50 + 320)


@pytest.mark.simulated_bench("25 °C to the hundredth")
def test_temperature(board):
    assert board.temperature_celsius() == 25.0


def test_closing_ends_the_session_and_gives_the_port_back(connect):
    board = connect()
    with board:
        board.wait(1e-6)
    board.close()
    with pytest.raises(LinkError):
        board.status()


@pytest.mark.simulated_bench("needs an unformed array")
def test_pristine_cells_have_to_be_formed(connect):
    board = connect(preset="default", pristine=True)
    board.open()
    cells = every_cell(board)
    n = len(cells)
    unformed = board.pulse_and_read(set_pulses(cells, np.full(n, 100e-6)), cells).conductance_siemens
    # A board that is taken at its word reads its amplifiers' pedestal, too.
    assert np.median(unformed) < 2e-6
    form = CellPulses(cells, np.full(n, Polarity.FORM), np.full(n, 3.3), np.full(n, 1.6), np.full(n, 1e-5))
    formed = board.pulse_and_read(form, cells).conductance_siemens
    assert np.median(formed) > 50e-6


@pytest.mark.simulated_bench("a bench has no seed")
def test_the_same_seed_answers_the_same_and_another_does_not(connect):
    def session(**wanted):
        board = connect(preset="default", **wanted)
        board.open()
        cells = every_cell(board)
        reads = board.pulse_and_read(set_pulses(cells, np.full(len(cells), 120e-6)), cells).conductance_siemens
        (outputs,) = board.solve([SolveGroup(np.arange(8), np.arange(2), np.full((3, 8), -0.1), 40e-6, 4)])
        return reads.tobytes() + outputs.output_volts.tobytes() + board.status().ticks.to_bytes(8, "little")

    assert session(seed=3) == session(seed=3) != session(seed=4)


def test_column_dacs_come_back_through_the_output_adcs(board):
    volts = np.linspace(0.0, 0.28, board.columns)
    codes = board.scales.amplitude_codes(volts, False, np.arange(board.columns))
    *_, found = board.ports.run([
        RoutePort(Route.LOOPBACK), HoldLevels(Hold.AMPLITUDE, np.arange(board.columns), codes),
        SampleAdcs(SampleSource.OUTPUTS, averages=64),
    ])  # fmt: skip
    columns = np.arange(board.columns)
    assert np.allclose(board.scales.volts_from_output_codes(found, columns), volts, rtol=0.02, atol=2e-3)
    board.ports.route(Route.NOTHING)
    at_rest = board.scales.volts_from_output_codes(board.ports.sample(SampleSource.OUTPUTS), columns)
    assert np.abs(at_rest).max() < 2e-3


@pytest.mark.parametrize("reference, tia_range", [(Reference.LOW, TiaRange.COARSE), (Reference.HIGH, TiaRange.FINE)])
def test_reference_resistors_stand_in_for_cells(board, reference, tia_range):
    ohms = board.describe.reference_high_ohms if reference else board.describe.reference_low_ohms
    for column in range(board.columns):
        board.ports.route(Route.REFERENCE_TO_TIA, row=reference, column=column)
        found = board.scales.siemens_from_read_codes(
            board.ports.sample(SampleSource.CURRENTS, tia_range), tia_range, np.arange(board.columns)
        )
        assert found[column] == pytest.approx(1 / ohms, rel=0.05)
        assert np.delete(found, column).max() < 0.05 / ohms
    assert board.ports.supply_volts() == pytest.approx(5.0, rel=0.05)


def test_levels_are_held_at_ports_only_and_leave_the_cells_alone(board):
    cells = every_cell(board)
    before = board.pulse_and_read(None, cells, averages=8)
    with pytest.raises(LimitError, match="HOLD TARGET"):
        board.ports.hold_gate(1.0)
    board.ports.route(Route.AMPLITUDES_TO_DAQ)
    board.ports.hold_amplitudes(np.arange(board.columns), np.full(board.columns, 3.0))
    board.ports.hold_gate(2.9)
    after = board.pulse_and_read(None, cells, averages=8)
    with pytest.raises(LimitError, match="HOLD TARGET"):
        board.ports.hold_gate(1.0)
    assert np.allclose(before.conductance_siemens, after.conductance_siemens, rtol=0.2, atol=2e-6)
