"""The instrument ports through the driver: volts in, mean codes out, many requests in one exchange."""

from collections.abc import Iterator

import numpy as np
import pytest

from hwloop.drivers.board import Board
from hwloop.drivers.board.ports import HoldLevels, LoadCompensation, RoutePort, SampleAdcs
from hwloop.errors import LimitError, UsageError
from hwloop.link.link import Link
from hwloop.link.protocol import BiasDivider, Hold, Reference, Route, SampleSource, TiaRange
from hwloop.mock.bench import Bench
from hwloop.mock.bench_config import BenchConfig
from tests.unit.link.running_board import serving


@pytest.fixture
def board() -> Iterator[Board]:
    config = BenchConfig("hwloop-16x4", preset="ideal")
    with serving(config) as (simulated, (transport,)), Board(Link(transport)) as opened:
        opened.bench = simulated.bench
        yield opened


def test_levels_in_si_units(board):
    bench: Bench = board.bench
    board.ports.route(Route.INPUT_TO_SMU, row=3)
    board.ports.hold_inputs(np.array([3, 0]), np.array([-2.0, 1.25]))
    board.ports.hold_amplitudes(np.array([1]), np.array([3.3]))
    board.ports.hold_gate(2.5)
    board.ports.hold_feedback(np.array([0, 3]), 102.5e-6)
    board.ports.hold_bias(np.array([2]), np.array([-3e-6]))
    shown = bench.connection
    assert (shown.route, shown.row) == (Route.INPUT_TO_SMU, 3)
    assert shown.input_code[[0, 3]].tolist() == [16384, -26214] and shown.gate_code == 32768
    assert shown.amplitude_code[:4].tolist() == [0, 43254, 0, 0]
    assert shown.feedback_code[:4].tolist() == [2048, 0, 0, 2048]
    assert (shown.bias_code[2], shown.bias_divider) == (-1966, BiasDivider.BY_16)
    board.ports.route(Route.NOTHING)
    assert not bench.connection.input_code.any()


def test_samples_are_means_below_a_code(board):
    board.ports.route(Route.SMU_TO_OUTPUT, column=2)
    board.bench.port_volts = 0.15
    found = board.ports.sample(SampleSource.OUTPUTS, averages=5)
    assert found.dtype == float and found.tolist() == [0, 0, 15360, 0]
    assert board.scales.volts_from_output_codes(found, np.arange(len(found)))[2] == pytest.approx(0.15)
    board.ports.route(Route.REFERENCE_TO_TIA, row=Reference.HIGH, column=1)
    siemens = board.scales.siemens_from_read_codes(
        board.ports.sample(SampleSource.CURRENTS, TiaRange.FINE), TiaRange.FINE, np.arange(4)
    )
    assert 1 / siemens[1] == pytest.approx(board.describe.reference_high_ohms, rel=1e-4)
    assert board.ports.supply_volts() == pytest.approx(5.0)


def test_a_whole_calibration_is_one_exchange(board):
    """Routes, levels, ladders and samples in one pipeline; what answers nothing gives None."""
    exchanges = board.counters.exchanges
    found = board.ports.run([
        RoutePort(Route.LOOPBACK), HoldLevels(Hold.AMPLITUDE, np.arange(4), np.array([0, 1000, 2000, 3000])),
        SampleAdcs(SampleSource.OUTPUTS), LoadCompensation(np.arange(16), np.arange(16)),
        RoutePort(Route.ROW_TO_SMU, row=5),
    ])  # fmt: skip
    assert board.counters.exchanges == exchanges + 1
    assert [codes is None for codes in found] == [True, True, False, True, True]
    assert found[2] == pytest.approx(np.array([0, 1000, 2000, 3000]) * 5 / 65536 * 8 * 32768 / 2.56, abs=0.5)
    assert board.bench.connection.compensation_code.tolist() == list(range(16))


def test_levels_of_many_rows_are_cut_into_frames():
    with serving(BenchConfig("hwloop-4096x16", preset="ideal")) as (simulated, (transport,)):
        with Board(Link(transport)) as board:
            codes = np.arange(-2048, 2048) * 16
            board.ports.run([
                RoutePort(Route.INPUTS_TO_DAQ, row=4080), HoldLevels(Hold.INPUT, np.arange(4096), codes),
            ])  # fmt: skip
            assert simulated.bench.connection.input_code.tolist() == codes.tolist()
            assert simulated.bench.connection.row == 4080


def test_what_is_refused(board):
    with pytest.raises(LimitError, match="HOLD TARGET .* is 0 .*allowed 3 to 14"):
        board.ports.hold_gate(1.0)
    board.ports.route(Route.GATE_TO_SMU)
    with pytest.raises(LimitError, match="gate voltage is 3.1 V"):
        board.ports.hold_gate(3.1)
    with pytest.raises(LimitError, match="HOLD COLUMN at entry 1 is 4"):
        board.ports.hold_codes(Hold.AMPLITUDE, np.array([0, 4]), np.array([1, 1]))
    with pytest.raises(LimitError, match="code of HOLD is 65536"):
        board.ports.hold_codes(Hold.AMPLITUDE, np.array([0]), np.array([65536]))
    with pytest.raises(UsageError, match="do not belong together"):
        board.ports.hold_codes(Hold.AMPLITUDE, np.array([0, 1]), np.array([1]))
    with pytest.raises(LimitError, match="4097 samples"):
        board.ports.sample(SampleSource.OUTPUTS, averages=4097)
    with pytest.raises(LimitError, match="ROUTE ROW at entry 0 is 3"):
        board.ports.route(Route.INPUTS_TO_DAQ, row=3)
