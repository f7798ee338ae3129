"""Plans of dry runs: counts that follow from the sizes, and refusals of what does not fit."""

import pytest

from hwloop.controller.plan import check_simulated_fit, plan_dense, plan_masked, plan_solve
from hwloop.errors import UsageError


def test_dense_counts(settings_of):
    plan = plan_dense(settings_of(), matrices=3072, m=8, n=8, rank=2, iterations=6)
    assert (plan.half_steps, plan.solves, plan.cells) == (12, 3072 * 16 * 6, 2 * 3072 * 16 * 2 * 6)
    assert plan.rounds == 2 * 24 * 6        # 128 banks of 8x2 at once
    assert plan.document()["dry_run"] and "goal_missed" not in plan.document()
    assert "3,072 matrices of 8x8" in plan.text() and plan.text().endswith("nothing was opened or driven")


def test_one_is_not_plural(settings_of):
    assert plan_dense(settings_of(), 1, 4, 4, 1, 1).what == "1 matrix of 4x4, rank 1, 1 iteration, on hwloop-128x16"
    assert plan_solve(settings_of(), 4, 1, 2).what == "1 regression on one 4x2 matrix, on hwloop-128x16"


def test_tall_matrices_take_tiles(settings_of):
    assert plan_solve(settings_of(), m=300, n=5, rank=4).rounds == 3
    assert plan_masked(settings_of(), m=943, n=1682, rank=8, iterations=10, folds=5).rounds == (8 + 14) * 50


@pytest.mark.parametrize("rank", [0, 17])
def test_a_rank_that_no_board_has(settings_of, rank):
    settings = settings_of()
    for plan in (
        lambda: plan_dense(settings, 1, 20, 20, rank, 1), lambda: plan_solve(settings, 20, 1, rank),
        lambda: plan_masked(settings, 20, 20, rank, 1), lambda: check_simulated_fit(settings, 20, rank),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=f"rank is {rank}, allowed 1 to 16"):
            plan()
