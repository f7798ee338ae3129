"""Where results go: refused before a run what could not be written after it."""

from pathlib import Path

import pytest

from hwloop.controller.output_files import OutputFiles, check_folder, check_target
from hwloop.errors import UsageError
from hwloop.runlog.record import RunRecord
from hwloop.runlog.run_file import read_run


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("mine")


def test_a_run_file_of_its_own_name_in_a_folder_that_is_made():
    path = OutputFiles("image", None, None).write_run(RunRecord("image", 3, {}))
    assert path.parent == Path("runs") and read_run(path).seed == 3


def test_a_named_run_file_and_folders_that_are_not_there_yet():
    path = OutputFiles("image", Path("a/b/run.h5"), Path("c")).write_run(RunRecord("image", 0, {}))
    assert path == Path("a/b/run.h5") and path.exists() and not Path("c").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Path("taken"), None), "taken exists and is not overwritten"),
        ((None, Path("taken")), "cannot write into taken: .*taken is no folder"),
        ((None, None, Path("taken/x")), "cannot write into taken"),
        ((Path("x"), None, Path("./x")), "x is named for two outputs of this image run"),
    ],
)
def test_what_could_not_be_written_is_refused_first(arguments, message):
    with pytest.raises(UsageError, match=message):
        OutputFiles("image", *arguments)


def test_suffixes():
    check_target(Path("x.NPY"), ".npy")
    with pytest.raises(UsageError, match="x ends in 'nothing', allowed .npy and .csv"):
        check_target(Path("x"), ".npy", ".csv")


def test_folders():
    check_folder(Path("far/away"))
    with pytest.raises(UsageError, match="is no folder"):
        check_folder(Path("taken/away"))


def test_a_picture_that_cannot_be_written_leaves_the_run_and_names_it(tmp_path):
    from hwloop.apps.pictures.figure import new_figure

    files = OutputFiles("image", Path("run.h5"), Path("pictures"))
    run_file = files.write_run(RunRecord("image", 0, {}))
    Path("pictures").write_text("somebody was quicker")
    with pytest.raises(UsageError, match="the run itself is whole, in run.h5"):
        files.write_pictures(run_file, {"convergence": new_figure(1.0)})
