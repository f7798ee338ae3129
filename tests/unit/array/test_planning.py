"""Plans: stable loops stay as they are, slow ones get feedback, unstable ones lose the column that is a copy."""

import numpy as np
import pytest

from hwloop.array.circuit import Circuit
from hwloop.array.loading import Load
from hwloop.array.placement import Banks
from hwloop.array.planning import EXTRA_SHARE, NEEDED_RATE_PER_SECOND, plan_masked, plan_matrices
from hwloop.array.settings import SolverSettings
from hwloop.array.settling import SETTLE_LIMIT_SECONDS, settling_rate_per_second

S = 4e-3


@pytest.fixture
def circuit(ideal):
    return Circuit(ideal.board, ideal.chip, SolverSettings())


def _plan(circuit, a, b, feedback=None):
    shape = (len(a), a.shape[2])
    return plan_matrices(circuit, a, b, S, np.zeros(shape) if feedback is None else feedback, np.ones(shape, bool))


def test_well_conditioned_matrices_get_no_feedback_and_their_own_wait(circuit):
    a = np.random.default_rng(0).uniform(3e-6, 225e-6, (20, 8, 2))
    plan = _plan(circuit, a, a)
    rate = settling_rate_per_second(a, a, S, np.zeros((20, 2)), circuit.gain_bandwidth_hertz)
    assert not plan.feedback_siemens.any() and plan.active.all() and circuit.totals.regularised == 0
    np.testing.assert_allclose(np.exp(-rate * plan.wait_seconds), 3e-4, rtol=1e-6)


def test_equal_columns_get_a_little_feedback_that_makes_the_loop_quick(circuit):
    a = np.random.default_rng(0).uniform(3e-6, 225e-6, (1, 8, 3))
    a[:, :, 1] = a[:, :, 0]
    plan = _plan(circuit, a, a)
    gain = (a * a).sum(axis=1) / S
    assert plan.active.all() and (plan.feedback_siemens > 0).all()
    assert (plan.feedback_siemens <= EXTRA_SHARE * gain).all()
    assert plan.wait_seconds[0] <= SETTLE_LIMIT_SECONDS
    assert circuit.totals.regularised == 1 and circuit.totals.columns_left_out == 0


def test_an_unstable_loop_loses_one_of_its_copies_and_not_another_column(circuit):
    rng = np.random.default_rng(0)
    b = rng.uniform(50e-6, 225e-6, (1, 8, 3))
    b[:, :, 2] = b[:, :, 0]
    b[:, :, 1] *= 0.2                       # the weakest column is no copy
    b[0, :, 0] += 60e-6 * np.array([1, -1] * 4)     # what is left of their difference has the wrong sign in A
    a = b[:, :, [2, 1, 0]]
    assert _rate(circuit, a, b) < 0
    plan = _plan(circuit, a, b)
    assert plan.active[0].tolist() in ([True, True, False], [False, True, True])
    assert not plan.feedback_siemens[~plan.active].any()
    assert _rate(circuit, a * plan.active[:, None], b * plan.active[:, None]) >= NEEDED_RATE_PER_SECOND
    assert circuit.totals.columns_left_out == 1


def _rate(circuit, a, b):
    return settling_rate_per_second(a, b, S, np.zeros((1, a.shape[2])), circuit.gain_bandwidth_hertz)[0]


def test_columns_without_conductance_are_left_off(circuit):
    a = np.random.default_rng(0).uniform(3e-6, 225e-6, (1, 8, 3))
    a[:, :, 1] = 0.0
    assert _plan(circuit, a, a).active.tolist() == [[True, False, True]]
    assert not _plan(circuit, 0 * a, 0 * a).active.any()


def test_masked_solves_with_fewer_rows_than_columns_still_settle(circuit):
    a = np.random.default_rng(0).uniform(3e-6, 225e-6, (1, 20, 4))
    load = Load(Banks(np.arange(20)[None], np.arange(4)[None]), np.ones(1, bool), a, a, S)
    indptr, indices = np.array([0, 20, 22, 22]), np.append(np.arange(20), [3, 7])
    plan = plan_masked(circuit, load, indptr, indices, np.zeros((3, 4)), np.ones(4, bool))
    assert not plan.feedback_siemens[0].any() and plan.feedback_siemens[1].all()
    assert (plan.wait_seconds[:2] <= SETTLE_LIMIT_SECONDS).all() and np.isfinite(plan.wait_seconds).all()
