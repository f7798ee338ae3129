"""Flagged solves: only they are repeated, saturated ones smaller, unsettled ones after a longer wait."""

import numpy as np
import pytest

from hwloop.array.circuit import Circuit, Solves
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


def _group(banks, volts, asked):
    def group(solves: Solves) -> SolveGroup:
        asked.append(solves)
        inputs = (-2.0 * volts[solves.problem] * solves.shrink)[:, None] * np.ones((1, 4))
        return SolveGroup(
            banks.rows[np.zeros_like(solves.first)], banks.columns[np.zeros_like(solves.first)], inputs,
            solves.wait_seconds[solves.first], 1, Constraint.RAIL, solves=solves.counts,
        )

    return group


def _due(count, wait_seconds):
    """First solves of `count` problems on one matrix."""
    return Solves.of(np.arange(count), np.zeros(count, np.int64), np.full(count, wait_seconds))


def test_only_saturated_solves_are_repeated_and_come_back_at_full_size(loaded):
    circuit, banks = loaded
    asked, volts = [], np.array([0.1, 0.5, 0.2, 1.0])       # outputs may reach 0.3 V
    solves, outputs = circuit.board.counters.solves, np.zeros((4, 1))
    circuit.solve_clean(_due(4, 2e-5), _group(banks, volts, asked), outputs)
    np.testing.assert_allclose(outputs[:, 0], volts, rtol=1e-3)
    assert [due.problem.tolist() for due in asked] == [[0, 1, 2, 3], [1, 3]]
    assert [due.shrink.tolist() for due in asked] == [[1.0] * 4, [0.25] * 2]
    assert circuit.board.counters.solves - solves == 6
    assert circuit.totals.repeated_saturated == 2


def test_unsettled_solves_are_repeated_after_a_longer_wait(ideal):
    """Two nearly equal columns make a loop of some 30 µs; the first try waits for 5."""
    banks = place_banks(ideal.chip.map.usable(), 4, 2).first(1)
    target = np.full((1, 4, 2), 200e-6) - 20e-6 * (np.indices((4, 2)).sum(axis=0) % 2)
    load_banks(ideal.board, ideal.chip, banks, target, target)
    circuit, asked, outputs = Circuit(ideal.board, ideal.chip, SolverSettings()), [], np.zeros((1, 2))

    def group(solves: Solves) -> SolveGroup:
        asked.append(solves.wait_seconds[0])
        inputs = -0.1 * target[:, :, 0] / target.max()
        return SolveGroup(banks.rows[0], banks.columns[0], inputs, solves.wait_seconds[0], 4, Constraint.RAIL)

    circuit.solve_clean(_due(1, 5e-6), group, outputs)
    np.testing.assert_allclose(asked, 5e-6 * 3.0 ** np.arange(len(asked)))
    assert len(asked) == 1 + circuit.totals.repeated_unsettled > 1
    np.testing.assert_allclose(outputs, [[0.05, 0.0]], atol=1e-3)


def test_what_is_flagged_comes_again_saturated_before_unsettled_each_bank_for_itself():
    """Three solves on one bank, two on the next; problems 10 to 14."""
    due = Solves.of(np.arange(10, 15), np.array([7, 7, 7, 9, 9]), np.array([1e-4, 1e-4, 1e-4, 3e-3, 3e-3]))
    assert due.first.tolist() == [0, 3] and due.counts.tolist() == [3, 2]
    again = due.again(np.array([False, False, True, True, False]), np.array([True, False, True, False, True]))
    assert again.problem.tolist() == [12, 10, 13, 14] and again.section.tolist() == [0, 1, 2, 3]
    assert again.shrink.tolist() == [0.25, 1.0, 0.25, 1.0]
    assert again.wait_seconds == pytest.approx([1e-4, 3e-4, 3e-3, 6e-3])


def test_what_stays_flagged_ends_in_an_error_that_says_what_to_do(loaded):
    circuit, banks = loaded
    impatient = Circuit(circuit.board, circuit.chip, SolverSettings(repeats=1))
    with pytest.raises(GoalNotReachedError, match="1 regressions still saturate.*add ridge"):
        impatient.solve_clean(_due(1, 2e-5), _group(banks, np.array([1.2]), []), np.zeros((1, 1)))
