"""What a journal adds up to, and how a run stands that ended, was stopped, was gone on with, or just went silent."""

import pytest

from hwloop.controller.run_summary import (
    Figure,
    RunSummary,
    duration_text,
    iso_time,
    main_figure,
    summary_of,
    time_text,
)
from hwloop.runlog.journal import Journal, JournalWriter
from hwloop.runlog.record import Quantity
from hwloop.runlog.sources import State, find_run
from tests.journals import TICKS_A_ROUND, ToldRun, complete_run


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.journal"


def test_a_complete_run_adds_up(path):
    complete_run(path)
    told = summary_of(find_run(path))
    so_far = told.counters_so_far()
    assert (so_far["rounds"], so_far["cells"], so_far["cells_given_up"], so_far["cell_pulses"]) == (6, 240, 3, 360)
    assert (so_far["bytes_sent"], so_far["bytes_received"], told.ticks) == (6 * 300, 6 * 500, 6 * TICKS_A_ROUND)
    assert told.figure == Figure("PSNR", 33.25, "dB") and told.record.factors[0].w.shape == (2, 8, 2)
    assert [phase.phase for phase in told.phases] == ["float64 reference, iterations", "circuit, iterations"]
    assert told.last_iteration.iteration == 3 and not told.last_iteration.is_reference


def test_how_it_stands(path):
    told = ToldRun(path)
    assert summary_of(find_run(path)).state(is_written=True) is State.RUNNING
    told.iteration(1)
    assert summary_of(find_run(path)).state(is_written=False) is State.DIED
    told.stop("enough")
    stopped = summary_of(find_run(path))
    assert stopped.state(is_written=False) is State.STOPPED and stopped.ended
    writer = JournalWriter.go_on(path)
    writer.event("resumed", {"at": "2026-05-01T13:00:00+00:00"})
    writer.close()
    resumed = summary_of(find_run(path))
    assert resumed.state(is_written=True) is State.RUNNING and not resumed.ended and resumed.stopped is None
    assert resumed.state(is_written=False) is State.DIED


def test_a_result_counts_also_where_the_last_record_is_missing(path):
    complete_run(path)
    with Journal.open(path) as journal:
        last = list(journal.records())[-1]
    path.write_bytes(path.read_bytes()[: last.offset])
    assert summary_of(find_run(path)).state(is_written=False) is State.COMPLETE


def test_the_figure_of_a_run_that_is_not_finished_is_that_of_its_last_iteration(path):
    told = ToldRun(path)
    told.iteration(3, label="float64 reference")
    assert summary_of(find_run(path)).figure is None
    told.iteration(1)
    assert summary_of(find_run(path)).figure == Figure("PSNR", 31.0, "dB")
    told.die()


@pytest.mark.parametrize(("metrics", "text"), [
    ([("ssim", 0.9, "1"), ("psnr", 35.4, "dB")], "PSNR 35.40 dB"),
    ([("rmse", 0.91234, "1")], "RMSE 0.9123"),
    ([("accepted", 1999, "1"), ("cells", 2000, "1")], "accepted 1,999"),
    ([("something", 0.5, "V")], "something 0.5000 V"),
])
def test_the_main_figure(metrics, text):
    assert main_figure(tuple(Quantity(*metric) for metric in metrics)).text() == text


def test_no_metrics_no_figure():
    assert main_figure(()) is None and RunSummary().figure is None and RunSummary().kind == "?"


@pytest.mark.parametrize(("seconds", "text"), [
    (0.25, "0.25 s"), (59.6, "59.6 s"), (200.0, "3 min 20 s"), (7500.0, "2 h 05 min"), (273600.0, "3 d 04 h"),
])
def test_durations(seconds, text):
    assert duration_text(seconds) == text


def test_times():
    assert time_text(1_777_636_800 * 10**9) == "2026-05-01 12:00:00"
    assert iso_time(1_777_636_800 * 10**9 + 1000) == "2026-05-01T12:00:00.000001+00:00"
