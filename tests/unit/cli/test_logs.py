"""Runs listed, shown, watched, checked, recovered and reported."""

import contextlib
import json
import os
import pty
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from hwloop.runlog.journal import Journal, JournalWriter
from hwloop.runlog.run_file import write_run_file
from tests.journals import ToldRun, complete_run


@pytest.fixture
def runs(workplace):
    """runs/ with a complete, a stopped, a died and a going run; the last one's writer is given."""
    folder = workplace / "runs"
    complete_run(folder / "20260501-120000-image-1.journal", created="2026-05-01T12:00:00.000000+00:00")
    stopped = ToldRun(folder / "20260502-120000-image-1.journal", created="2026-05-02T12:00:00.000000+00:00")
    stopped.iteration(1)
    stopped.stop("stopped by `hwloop board safe` from another terminal")
    died = ToldRun(folder / "20260503-120000-program-1.journal", "program", created="2026-05-03T12:00:00.000000+00:00")
    died.round()
    died.die()
    going = ToldRun(folder / "20260504-120000-image-1.journal", created="2026-05-04T12:00:00.000000+00:00")
    going.iteration(2)
    yield going
    going.writer.close()


def listed(here, *arguments):
    return {run["name"]: run for run in json.loads(here("logs", "list", *arguments, "--json").stdout)["runs"]}


def test_list_says_how_every_run_stands_newest_first(runs, here):
    found = listed(here)
    assert list(found) == sorted(found, reverse=True)
    assert [run["state"] for run in found.values()] == ["running", "died", "stopped", "complete"]
    complete = found["20260501-120000-image-1"]
    assert (complete["kind"], complete["iterations"], complete["of"], complete["rounds"]) == ("image", 3, 3, 6)
    assert complete["figure"] == {"name": "PSNR", "value": 33.25, "unit": "dB"}
    assert complete["bytes"] == os.stat("runs/20260501-120000-image-1.journal").st_size
    assert found["20260504-120000-image-1"]["figure"]["value"] == 32.0
    text = here("logs", "list").stderr
    assert "PSNR 33.25 dB" in text and "2 unfinished; `hwloop logs resume NAME`" in text


def test_list_reads_run_files_and_passes_strange_files_over(runs, here, workplace):
    with Journal.open("runs/20260501-120000-image-1.journal") as journal:
        write_run_file(journal, workplace / "other" / "a.h5")
    (workplace / "other" / "b.h5").write_bytes(b"not ours")
    (workplace / "other" / "c.journal").write_bytes(b"damaged")
    (workplace / "other" / "d.txt").write_text("nothing")
    found = listed(here, "other")
    assert list(found) == ["a", "c"]
    assert (found["a"]["state"], found["a"]["figure"]["value"]) == ("complete", 33.25)
    assert found["c"]["state"] is None and "no journal" in found["c"]["trouble"]


def test_list_of_nothing(workplace, here):
    assert here("logs", "list").stderr.strip() == "no runs in runs"
    assert listed(here, "nowhere") == {}
    Path("file").touch()
    assert here("logs", "list", "file").returncode == 6


def test_list_is_quick_for_hundreds_of_large_journals(workplace, here):
    told = complete_run(workplace / "runs" / "r-0.journal")
    data = told.path.read_bytes()
    with Journal.open(told.path) as journal:
        middle = list(journal.records())[5].offset
    for number in range(1, 200):
        # Sparse: what a list reads of it is the beginning and the end, the middle is a hole of 100 MB.
        with open(workplace / "runs" / f"r-{number}.journal", "wb") as file:
            file.write(data[:middle])
            file.seek(100 << 20, os.SEEK_CUR)
            file.write(data[middle:])
    begun = time.perf_counter()
    found = listed(here)
    assert time.perf_counter() - begun < 5.0
    assert len(found) == 200 and all(run["figure"]["value"] == 33.25 for run in found.values())


def test_show_says_everything(runs, here):
    document = json.loads(here("logs", "show", "20260501-120000-image-1", "--json").stdout)
    assert (document["state"], document["kind"], document["seed"], document["resume"]) == ("complete", "image", 3, None)
    assert [told["quality"] for told in document["iterations"]][3:] == [31.0, 32.0, 33.0]
    assert document["metrics"]["psnr"] == {"value": 33.25, "unit": "dB"}
    assert document["so_far"]["cell_pulses"] == 6 * 60 and document["so_far"]["frames"] == {"READ": 6}
    assert document["so_far"]["hardware_seconds"] == pytest.approx(6 * 1000e-7)
    assert document["inputs"][0]["sha256"] == "ab" * 32 and document["board"]["name"] == "hwloop-16x4"
    text = here("logs", "show", "20260501-120000-image-1").stderr
    for line in (
        "run        20260501-120000-image-1, image, complete", "command    hwloop factorize image photograph.png",
        "after      circuit, iteration 3 of 3: residual 0.1667, PSNR 33.00 dB", "note       the board was simulated",
        "rounds     6 programming rounds, 240 cells in 18 steps, 3 given up, 360 cell pulses", "end        complete",
    ):
        assert line in text


@pytest.mark.parametrize(("name", "how"), [
    ("20260502-120000-image-1", "stopped: stopped by `hwloop board safe` from another terminal"),
    ("20260503-120000-program-1", "nobody writes the journal"),
])
def test_show_names_the_line_that_goes_on_with_an_unfinished_run(runs, here, name, how):
    text, line = here("logs", "show", name).stderr, f"hwloop logs resume runs/{name}.journal"
    assert how in text and line in text
    assert json.loads(here("logs", "show", name, "--json").stdout)["resume"] == line


def test_a_run_that_goes_on_is_shown_as_it_stands(runs, here):
    document = json.loads(here("logs", "show", "20260504-120000-image-1", "--json").stdout)
    assert (document["state"], document["resume"], document["figure"]["value"]) == ("running", None, 32.0)


def test_what_is_no_run_is_refused(runs, here):
    done = here("logs", "show", "20260501-120000-imag-1")
    assert done.returncode == 6 and "did you mean 20260501-120000-image-1" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["20260501-120000-image-1", "runs/20260501-120000-image-1.journal", "kept.h5"])
def test_check_of_what_is_whole(runs, here, name):
    with Journal.open("runs/20260501-120000-image-1.journal") as journal:
        records = journal.check().records
        write_run_file(journal, "kept.h5")
    done = here("logs", "check", name, "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert (document["ok"], document["records"], document["first_bad_offset"]) == (True, records, None)
    assert f"{records} records" in here("logs", "check", name).stderr


@pytest.mark.parametrize("json_too", [False, True])
def test_check_names_the_first_bad_offset(runs, here, json_too):
    path = Path("runs/20260501-120000-image-1.journal")
    with Journal.open(path) as journal:
        bad = list(journal.records())[4]
    data = bytearray(path.read_bytes())
    data[bad.offset + 30] ^= 4
    path.write_bytes(data)
    done = here("logs", "check", path, *(["--json"] if json_too else []))
    assert done.returncode == 6 and done.stderr.count("\n") == 1
    assert f"bad from offset {bad.offset:,} on" in done.stderr and "the 4 records before" in done.stderr
    assert "hwloop logs recover" in done.stderr
    if json_too:
        document = json.loads(done.stdout)
        assert (document["ok"], document["records"], document["first_bad_offset"]) == (False, 4, bad.offset)


def test_check_of_a_run_that_goes_on_is_not_fooled_by_its_growing(runs, here):
    done = threading.Event()

    def write():
        while not done.is_set():
            runs.iteration(2)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            assert here("logs", "check", runs.path).returncode == 0
    finally:
        done.set()
        writer.join()


def test_recover_makes_a_partial_run_file_of_a_torn_journal(runs, here):
    path = Path("runs/20260503-120000-program-1.journal")
    path.write_bytes(path.read_bytes()[:-7])
    done = here("logs", "recover", path, "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0 and document["partial"]
    assert document["file"] == "runs/20260503-120000-program-1-recovered.h5"
    assert json.loads(here("logs", "show", document["file"], "--json").stdout)["so_far"]["exchanges"] == 1
    again = here("logs", "recover", path)
    assert again.returncode == 2 and "exists and is not overwritten" in again.stderr


def test_recover_of_a_finished_run_takes_its_own_name_once(runs, here):
    files = [json.loads(here("logs", "recover", "20260501-120000-image-1", "--json").stdout)["file"] for _ in range(2)]
    assert files == ["runs/20260501-120000-image-1.h5", "runs/20260501-120000-image-1-recovered.h5"]
    named = here("logs", "recover", "20260501-120000-image-1", "--output", "mine.h5", "--json")
    assert json.loads(named.stdout) | {"partial": False} == json.loads(named.stdout) and Path("mine.h5").exists()


def test_recover_does_not_take_the_place_of_a_run_that_goes_on(runs, here):
    assert json.loads(here("logs", "recover", runs.path, "--json").stdout)["file"].endswith("-recovered.h5")


@pytest.mark.parametrize("name", ["20260501-120000-image-1", "20260503-120000-program-1"])
@pytest.mark.parametrize("form", ["csv", "mat"])
def test_export_of_a_run_finished_or_not(runs, here, name, form):
    done = here("logs", "export", name, "out", "--format", form, "--json")
    assert done.returncode == 0, done.stderr
    files = json.loads(done.stdout)["files"]
    assert files and all(file.endswith(form) and Path("out", file).stat().st_size for file in files)
    again = here("logs", "export", name, "out")
    assert again.returncode == 2 and "not empty" in again.stderr


def test_dry_runs_write_nothing(runs, here):
    before = sorted(Path("runs").iterdir())
    for verb in ("recover", "report"):
        done = here("logs", verb, "20260501-120000-image-1", "--dry-run")
        assert done.returncode == 0 and "would write runs/20260501-120000-image-1" in done.stderr
    assert sorted(Path("runs").iterdir()) == before


def test_report_writes_a_page_once(runs, here):
    done = here("logs", "report", "20260504-120000-image-1")
    assert done.returncode == 0, done.stderr
    page = Path("runs/20260504-120000-image-1.html").read_text()
    assert "running" in page and "32.00 dB" in page
    assert here("logs", "report", "20260504-120000-image-1").returncode == 2
    assert here("logs", "report", "20260504-120000-image-1", "--output", "page.txt").returncode == 2


def lines_of(process, until):
    """Lines of stderr up to one that holds `until`."""
    lines = []
    while not lines or until not in lines[-1]:
        lines.append(process.stderr.readline())
        assert lines[-1], lines
    return lines


def test_follow_tells_what_happens_until_the_end(runs, start):
    watching = start("logs", "show", runs.path, "--follow")
    lines_of(watching, "iteration 2 of 3")
    runs.note("something happened")
    runs.iteration(3)
    lines_of(watching, "something happened")
    lines_of(watching, "circuit, iteration 3 of 3: residual 0.1667, PSNR 33.00 dB")
    runs.result()
    assert watching.wait(timeout=20) == 0
    assert "end        complete" in watching.stderr.read()


def test_follow_at_a_terminal_has_bars(runs, start):
    terminal, inside = pty.openpty()
    environment = {"TERM": "xterm", "COLUMNS": "120"}
    watching = start("logs", "show", runs.path, "--follow", stderr=inside, environment=environment)
    os.close(inside)
    shown = b""
    while b"2/3" not in shown:
        shown += os.read(terminal, 4096)
    runs.iteration(3)
    runs.result()
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 4096):
            shown += piece
    os.close(terminal)
    assert watching.wait(timeout=20) == 0
    text = shown.decode()
    assert "circuit, iterations" in text and "3/3" in text
    assert "circuit, iteration 3 of 3: residual 0.1667, PSNR 33.00 dB" in text
    assert text.rstrip().endswith("end        complete") and "\x1b[?25h" in text


def test_follow_says_when_the_writer_has_died(runs, start):
    watching = start("logs", "show", runs.path, "--follow")
    lines_of(watching, "iteration 2 of 3")
    runs.round()
    runs.die()
    assert watching.wait(timeout=20) == 1
    text = watching.stderr.read()
    assert "whoever wrote it is gone" in text and "hwloop logs resume" in text and "1 exchanges" in text


def test_follow_with_json_is_one_line_an_event(runs, start):
    watching = start("logs", "show", runs.path, "--follow", "--json")
    first = [json.loads(watching.stdout.readline()) for _ in range(6)]
    assert [line["event"] for line in first] == ["run", "input", "cells", "board", "iteration", "phase"]
    assert first[1]["arrays"] == {"data": [5]} and first[4]["fields"]["quality"] == 32.0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*\+00:00", first[0]["time"]) and first[5]["record"] == 5
    runs.stop("enough")
    assert [json.loads(line)["event"] for line in watching.stdout] == ["stopped", "end"]
    assert watching.wait(timeout=20) == 0 and watching.stderr.read() == ""


def test_follow_leaves_quietly_and_the_run_does_not_notice(runs, start):
    before = runs.path.stat()
    watching = start("logs", "show", runs.path, "--follow")
    lines_of(watching, "iteration 2 of 3")
    watching.send_signal(signal.SIGINT)
    assert watching.wait(timeout=20) == 130
    assert watching.stderr.read() == ""
    assert (runs.path.stat().st_mtime_ns, runs.path.stat().st_size) == (before.st_mtime_ns, before.st_size)
    runs.iteration(3)


@pytest.mark.parametrize(("name", "exit_code"), [
    ("20260501-120000-image-1", 0), ("20260502-120000-image-1", 0), ("20260503-120000-program-1", 1),
])
def test_follow_of_what_is_over_ends_at_once(runs, here, name, exit_code):
    begun = time.perf_counter()
    assert here("logs", "show", name, "--follow").returncode == exit_code
    assert time.perf_counter() - begun < 1.0


def test_a_run_that_was_gone_on_with_is_followed_past_its_first_end(runs, here):
    path = Path("runs/20260502-120000-image-1.journal")
    writer = JournalWriter.go_on(path)
    writer.event("resumed", {"at": "2026-05-02T13:00:00+00:00", "settled": "cache", "away_seconds": 60.0})
    assert listed(here)["20260502-120000-image-1"]["state"] == "running"
    writer.close()
    assert listed(here)["20260502-120000-image-1"]["state"] == "died"
    assert here("logs", "show", path, "--follow").returncode == 1
    resumed = "resumed    at 2026-05-02 13:00:00 UTC after 1 min 00 s, settled from cache"
    assert resumed in here("logs", "show", path).stderr
