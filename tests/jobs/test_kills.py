"""A few of the kills of `make kills`: runs that are killed at random instants, and gone on with, end as if not."""

import random

import pytest

from benchmarks import kill_runs


@pytest.mark.parametrize(("job", "kills"), [("ratings-small", 3)])
def test_runs_that_are_killed_end_as_the_run_that_nobody_killed(tmp_path, job, kills):
    assert kill_runs.campaign(job, kills, random.Random(8), tmp_path) == 0
