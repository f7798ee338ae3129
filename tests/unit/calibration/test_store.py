"""The store of calibrations: files with names of their own, never overwritten, found again by board, chip and kind."""

import os
import re
import threading
from pathlib import Path

import pytest

from hwloop.calibration.record import to_toml
from hwloop.calibration.store import Store
from hwloop.errors import CalibrationError, UsageError
from tests.unit.calibration.making import CHIP, SMALL_BOARD, calibration


def store(folder: Path) -> Store:
    return Store((folder,))


def test_a_file_is_named_by_day_and_kind_in_the_folder_of_its_subject(tmp_path):
    board = store(tmp_path).save(calibration("input-resistors"))
    chip = store(tmp_path).save(calibration("gate-curve", subject=CHIP, taken="2027-12-31T23:59:59+00:00"))
    assert board == tmp_path / "hwloop-16x4-7" / "2026-03-04-input-resistors.toml"
    assert chip == tmp_path / "array-16x4-9" / "2027-12-31-gate-curve.toml"
    assert board.read_text("utf-8") == to_toml(calibration("input-resistors"))


def test_nothing_is_overwritten(tmp_path):
    paths = [store(tmp_path).save(calibration(seconds=float(number))) for number in range(3)]
    assert [path.name for path in paths] == ["2026-03-04-tia.toml", "2026-03-04-tia-2.toml", "2026-03-04-tia-3.toml"]
    assert [store(tmp_path).read(path).calibration.seconds for path in paths] == [0.0, 1.0, 2.0]


def test_not_even_by_two_at_once(tmp_path):
    # As many processes would; each has a name of its own for the file that it is still writing.
    writers = [threading.Thread(target=_save_in_a_child, args=(tmp_path, number)) for number in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    kept = store(tmp_path).of(SMALL_BOARD)
    assert sorted(each.calibration.seconds for each in kept) == [float(number) for number in range(6)]


def _save_in_a_child(folder: Path, number: int) -> None:
    child = os.fork()
    if child == 0:
        try:
            store(folder).save(calibration(seconds=float(number)))
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def test_a_file_that_someone_else_put_there_stays(tmp_path):
    taken = tmp_path / SMALL_BOARD.folder / "2026-03-04-tia.toml"
    taken.parent.mkdir()
    taken.write_text("mine")
    assert store(tmp_path).save(calibration()).name == "2026-03-04-tia-2.toml"
    assert taken.read_text() == "mine"


def test_only_whole_files_are_left_behind(tmp_path):
    path = store(tmp_path).save(calibration())
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_newest_comes_first_by_when_it_was_taken(tmp_path):
    days = ("2026-03-05T00:00:00+00:00", "2026-03-04T23:00:00+00:00", "2026-03-05T01:00:00+00:00")
    for taken in days:
        store(tmp_path).save(calibration(taken=taken))
    assert [each.calibration.taken for each in store(tmp_path).of(SMALL_BOARD)] == sorted(days, reverse=True)


def test_the_second_of_the_same_instant_counts_as_newer(tmp_path):
    for number in range(12):
        store(tmp_path).save(calibration(seconds=float(number)))
    assert store(tmp_path).of(SMALL_BOARD, "tia")[0].calibration.seconds == 11.0


def test_only_what_is_asked_for_is_read(tmp_path):
    for kind in ("dac", "adc", "tia"):
        store(tmp_path).save(calibration(kind))
    store(tmp_path).save(calibration("dac"))
    store(tmp_path).save(calibration("gate-curve", subject=CHIP))
    damaged = tmp_path / SMALL_BOARD.folder / "2026-03-04-tia.toml"
    damaged.write_text("gone")
    (damaged.parent / "notes.txt").write_text("no calibration")
    found = store(tmp_path).of(SMALL_BOARD, "dac")
    assert sorted(each.path.name for each in found) == ["2026-03-04-dac-2.toml", "2026-03-04-dac.toml"]
    with pytest.raises(CalibrationError, match=re.escape(f"{damaged}: no calibration that can be read")):
        store(tmp_path).of(SMALL_BOARD)


def test_a_board_that_nobody_calibrated_has_nothing(tmp_path):
    assert store(tmp_path / "not there").of(SMALL_BOARD) == [] and list(store(tmp_path / "not there").all()) == []


def test_several_folders_are_looked_through_and_the_first_one_is_written_to(tmp_path):
    own, shipped = tmp_path / "own", tmp_path / "shipped"
    store(shipped).save(calibration(seconds=1.0))
    both = Store((own, shipped))
    assert both.save(calibration(seconds=2.0, taken="2026-03-05T00:00:00+00:00")).parent.parent == own
    assert [each.calibration.seconds for each in both.of(SMALL_BOARD, "tia")] == [2.0, 1.0]
    assert len(list(both.all())) == 2


def test_a_folder_that_is_named_twice_is_looked_through_once(tmp_path):
    store(tmp_path).save(calibration())
    twice = Store((tmp_path, tmp_path / SMALL_BOARD.folder / ".."))
    assert len(twice.of(SMALL_BOARD)) == 1 and len(list(twice.all())) == 1


def test_all_goes_through_every_board_and_chip(tmp_path):
    store(tmp_path).save(calibration("gate-curve", subject=CHIP))
    store(tmp_path).save(calibration("dac"))
    store(tmp_path).save(calibration("adc"))
    (tmp_path / "readme").write_text("no folder")
    assert [each.calibration.kind for each in store(tmp_path).all()] == ["gate-curve", "adc", "dac"]


def test_a_place_that_cannot_be_written_is_named_with_what_to_do(tmp_path):
    (tmp_path / "calibration").write_text("a file")
    with pytest.raises(UsageError, match=r"calibration/hwloop-16x4-7: .*cannot be written.*\[calibration\] folder"):
        store(tmp_path / "calibration").save(calibration())


@pytest.mark.parametrize("content", [None, b"kind = \xff\xff\n"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "2026-03-04-tia.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CalibrationError, match=re.escape(f"{path}: cannot be read (")):
        store(tmp_path).read(path)
