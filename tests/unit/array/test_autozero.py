"""Offset auto-zero."""

import numpy as np
import pytest

from hwloop.array.autozero import AutoZero, circuit_matrices
from hwloop.array.loading import Load, load_banks
from hwloop.array.observations import Observations
from hwloop.array.placement import Banks, place_banks
from hwloop.mock.bench import Bench


def _load(rig, m=8, k=2, seed=0):
    banks = place_banks(rig.chip.map.usable(), m, k)
    targets = np.random.default_rng(seed).uniform(5e-6, 225e-6, (len(banks), m, k))
    return load_banks(rig.board, rig.chip, banks, targets, targets)


@pytest.fixture(scope="module")
def measured(open_rig):
    """A board with its load, and the auto-zero that has seen it."""
    rig = open_rig(board_serial=3)
    load, auto_zero = _load(rig), AutoZero(16)
    auto_zero.measure(rig.board, load, 4)
    return rig, load, auto_zero


def test_finds_the_offsets_of_the_bench_within_a_microvolt(measured):
    rig, _, auto_zero = measured
    truth = Bench(rig.config).truth.amplifier_offset_volts
    assert np.abs(truth).max() > 5e-6
    np.testing.assert_allclose(auto_zero.offset_volts, truth, atol=2e-6)


def test_known_columns_are_not_measured_again(measured):
    rig, load, auto_zero = measured
    solves = rig.board.counters.solves
    auto_zero.measure(rig.board, load, 4)
    assert rig.board.counters.solves == solves


def test_bias_cancels_most_of_what_offsets_do(open_rig):
    """Without input, outputs are offsets only; compared through the error they cause in small solutions."""
    rng = np.random.default_rng(2)
    design, solution = rng.random((40, 8, 2)), rng.random((40, 2, 4))
    rig = open_rig(board_serial=3, off=("chain_noise", "relaxation", "cell_noise", "rtn", "curvature", "temperature"))
    small = design @ solution * 1e-2       # far below full scale if the range is pinned by one large right side
    errors = {}
    for auto_zero in (True, False):
        solver = rig.solver(auto_zero=auto_zero, output_fraction=0.02)
        errors[auto_zero] = np.median(np.abs(solver.solve_dense(design, small) - 1e-2 * solution))
    assert errors[True] < 0.6 * errors[False]


def test_columns_without_conductance_are_passed_over(open_rig):
    rig = open_rig(preset="ideal")
    banks = place_banks(rig.chip.map.usable(), 4, 2).first(1)
    targets = np.zeros((1, 4, 2))
    targets[0, :, 0] = 100e-6
    auto_zero = AutoZero(16)
    auto_zero.measure(rig.board, load_banks(rig.board, rig.chip, banks, targets, targets), 4)
    assert np.isnan(auto_zero.offset_volts).all()


def test_bias_is_k_times_offset_of_every_matrix_and_of_every_masked_solve():
    """With c = Vos at every column node the rows leak nothing: Σ_i B_ij (c_j - v_i) + Gf_j c_j, v = B c / S."""
    rng = np.random.default_rng(0)
    b, feedback = rng.uniform(3e-6, 225e-6, (2, 6, 3)), rng.uniform(0, 1e-5, (2, 3))
    load = Load(Banks(np.arange(12).reshape(2, 6), np.array([[0, 1, 2], [4, 5, 6]])), np.ones(2, bool), b, b, 4e-3)
    auto_zero = AutoZero(8)
    auto_zero.offset_volts[:] = rng.normal(0, 5e-6, 8)
    active = np.array([[True, True, True], [True, False, True]])
    expected = []
    for matrix in range(2):
        volts = auto_zero.offset_volts[load.banks.columns[matrix]] * active[matrix]
        k = circuit_matrices(b[matrix], b[matrix], 4e-3)[1] + np.diag(feedback[matrix])
        expected.append(k @ volts)
    found = auto_zero.bias_amps(load, feedback, active)
    np.testing.assert_allclose(found[active], np.array(expected)[active], rtol=1e-12)

    seen = Observations(np.array([0, 4, 4, 6]), np.array([0, 2, 3, 5, 1, 4]), np.ones(6), np.zeros(3))
    feedback = rng.uniform(0, 1e-5, (3, 3))
    for solve, found in enumerate(auto_zero.masked_bias_amps(load, seen, feedback)):
        own = b[0, seen.indices[seen.entries(solve)]]
        k = circuit_matrices(own, own, 4e-3)[1] + np.diag(feedback[solve])
        np.testing.assert_allclose(found, k @ auto_zero.offset_volts[:3], rtol=1e-12)
