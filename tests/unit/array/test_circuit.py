"""Flagged solves: only they are repeated, saturated ones smaller, unsettled ones after a longer wait."""

import numpy as np
import pytest

from hwloop.array.circuit import Circuit, Job
from hwloop.array.loading import load_banks
from hwloop.array.placement import place_banks
from hwloop.array.settings import SolverSettings
from hwloop.drivers.board import SolveGroup
from hwloop.errors import GoalNotReachedError
from hwloop.link.protocol import Constraint


@pytest.fixture(scope="module")
def loaded(ideal):
    """A circuit with one 4×1 matrix of 200 µS on it, and the volts at its inputs that make a volt at its output."""
    banks = place_banks(ideal.chip.map.usable(), 4, 1).first(1)
    target = np.full((1, 4, 1), 200e-6)
    load_banks(ideal.board, ideal.chip, banks, target, target)
    return Circuit(ideal.board, ideal.chip, SolverSettings(averages=1)), banks


def _groups(banks, volts, asked):
    def group(job: Job) -> SolveGroup:
        asked.append(job)
        inputs = -2.0 * volts[job.solves][:, None] * job.shrink * np.ones((1, 4))
        return SolveGroup(banks.rows[0], banks.columns[0], inputs, job.wait_seconds, 1, Constraint.RAIL)

    return group


def test_only_saturated_solves_are_repeated_and_come_back_at_full_size(loaded):
    circuit, banks = loaded
    asked, volts = [], np.array([0.1, 0.5, 0.2, 1.0])       # outputs may reach 0.3 V
    solves = circuit.board.counters.solves
    done = circuit.solve_clean([Job(0, np.arange(4), 2e-5)], _groups(banks, volts, asked))
    outputs = np.zeros(4)
    for job, output_volts in done:
        outputs[job.solves] = output_volts[:, 0]
    np.testing.assert_allclose(outputs, volts, rtol=1e-3)
    assert [job.solves.tolist() for job in asked] == [[0, 1, 2, 3], [1, 3]]
    assert [job.shrink for job in asked] == [1.0, 0.25]
    assert circuit.board.counters.solves - solves == 6
    assert circuit.totals.repeated_saturated == 2


def test_unsettled_solves_are_repeated_after_a_longer_wait(ideal):
    """Two nearly equal columns make a loop of some 30 µs; the first try waits for 5."""
    banks = place_banks(ideal.chip.map.usable(), 4, 2).first(1)
    target = np.full((1, 4, 2), 200e-6) - 20e-6 * (np.indices((4, 2)).sum(axis=0) % 2)
    load_banks(ideal.board, ideal.chip, banks, target, target)
    circuit, asked = Circuit(ideal.board, ideal.chip, SolverSettings()), []

    def group(job: Job) -> SolveGroup:
        asked.append(job.wait_seconds)
        inputs = -0.1 * target[:, :, 0] / target.max()
        return SolveGroup(banks.rows[0], banks.columns[0], inputs, job.wait_seconds, 4, Constraint.RAIL)

    (_, output_volts), = circuit.solve_clean([Job(0, np.arange(1), 5e-6)], group)
    np.testing.assert_allclose(asked, 5e-6 * 3.0 ** np.arange(len(asked)))
    assert len(asked) == 1 + circuit.totals.repeated_unsettled > 1
    np.testing.assert_allclose(output_volts, [[0.05, 0.0]], atol=1e-3)


def test_what_stays_flagged_ends_in_an_error_that_says_what_to_do(loaded):
    circuit, banks = loaded
    impatient = Circuit(circuit.board, circuit.chip, SolverSettings(repeats=1))
    with pytest.raises(GoalNotReachedError, match="1 regressions still saturate.*add ridge"):
        impatient.solve_clean([Job(0, np.arange(1), 2e-5)], _groups(banks, np.array([1.2]), []))
