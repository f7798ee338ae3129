"""A board whose process is killed at any instant goes on exactly: same replies, same cells, no pulse twice or never."""

from hwloop.mock import bench_state
from tests.unit.mock.killing import run_with_kills

KILLS = 80


def test_a_board_killed_at_many_instants_gives_every_reply_as_if_it_had_not_been(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_state, "LOG_BYTES", 20_000)      # so that snapshots are renewed on the way, too
    run_with_kills(tmp_path, KILLS, commands_a_kill=120, seed=1)
