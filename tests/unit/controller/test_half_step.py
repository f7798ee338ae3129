"""The digital shadow's policies, with a solver that errs by a known amount, and refinement on the circuit itself."""

import numpy as np
import pytest

from hwloop.anls.exact import exact_half_step
from hwloop.anls.regression import DenseRegression, MaskedRegression
from hwloop.config import SolverConfig
from hwloop.controller.counters import HostClock
from hwloop.controller.half_step import AnalogHalfStep
from hwloop.controller.session import open_session
from hwloop.errors import GoalNotReachedError
from hwloop.report import Report


class WrongByAFactor:
    """Solves exactly, and gives the solutions of right side 0 times 1.5."""

    def solve_dense(self, design, targets, ridge, l1):
        return self._wrong(exact_half_step(DenseRegression(design, targets, ridge, l1)))

    def solve_masked(self, design, indptr, indices, values, ridge, l1):
        return self._wrong(exact_half_step(MaskedRegression(design, indptr, indices, values, ridge, l1)))

    def _wrong(self, solution):
        solution = solution.copy()
        solution[..., 0] *= 1.5
        return solution


@pytest.fixture
def regression():
    random = np.random.default_rng(0)
    return DenseRegression(random.random((2, 8, 3)), random.random((2, 8, 4)))


def half_step(policy, report, limit=0.2):
    clock = HostClock(lambda: 0.0, lambda: 0.0)
    return AnalogHalfStep(WrongByAFactor(), SolverConfig(shadow=policy, shadow_limit=limit), clock, report)


def test_off_compares_nothing(regression, report):
    solver = half_step("off", report)
    solver(regression)
    assert solver.shadow.half_steps == 0 and not report.notes


@pytest.mark.parametrize("policy", ["warn", "refine"])
def test_warn_keeps_the_solution_and_says_how_far_it_is(regression, report, policy):
    solver = half_step(policy, report)
    solution = solver(regression)
    assert solution[0, :, 0] == pytest.approx(1.5 * exact_half_step(regression)[0, :, 0])
    assert report.notes == [
        "half-step 1: 2 of 8 regressions deviate from exact NNLS by more than 0.2 (largest 0.5)"
    ]
    assert (solver.shadow.half_steps, solver.shadow.beyond_limit) == (1, 2)
    assert solver.shadow.largest_deviation == pytest.approx(0.5)


def test_fallback_replaces_what_deviates_and_nothing_else(regression, report):
    solution = half_step("fallback", report)(regression)
    assert np.array_equal(solution, exact_half_step(regression))
    assert report.notes[0].endswith("replaced by float64")


def test_stop_ends_the_run(regression, report):
    with pytest.raises(GoalNotReachedError, match="2 of 8 regressions .* the shadow's policy is to stop"):
        half_step("stop", report)(regression)


def test_deviations_within_the_limit_pass(regression, report):
    half_step("stop", report, limit=0.6)(regression)
    assert not report.notes


def test_masked_regressions_and_solutions_that_are_zero(report):
    regression = MaskedRegression(
        np.ones((3, 1)), np.array([0, 2, 2]), np.array([0, 2]), np.array([1.0, 3.0]), np.zeros(2)
    )
    solver = half_step("warn", report)
    assert solver(regression).shape == (1, 2)
    assert solver.shadow.beyond_limit == 1


def test_refinement_on_the_circuit_comes_close_to_float64(regression, settings_of):
    with open_session(settings_of(solver={"shadow": "refine", "shadow_limit": "0.01"}), Report()) as session:
        solver = session.half_step()
        solution = solver(regression)
    exact = exact_half_step(regression)
    assert np.abs(solution - exact).max() <= 0.01 * np.abs(exact).max()
    assert solver.shadow.beyond_limit == 0
