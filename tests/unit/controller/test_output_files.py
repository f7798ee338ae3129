"""Where results go: refused before a run what could not be written after it."""

from pathlib import Path

import pytest

from hwloop.controller.output_files import OutputFiles, check_folder, check_target
from hwloop.errors import UsageError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("mine")


def test_files_go_into_runs_or_where_they_are_named_and_nothing_is_made_yet():
    OutputFiles("image", None, None)
    OutputFiles("image", Path("a/b/run.h5"), Path("c"))
    assert sorted(path.name for path in Path().iterdir()) == ["taken"]


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


def test_pictures_lie_beside_the_run_or_in_their_folder():
    from hwloop.apps.pictures.figure import new_figure

    drawn = {"convergence": new_figure(1.0)}
    (beside,) = OutputFiles("image", None, None).write_pictures(Path("runs/x"), drawn)
    (apart,) = OutputFiles("image", None, Path("pictures")).write_pictures(Path("runs/x"), drawn)
    assert (beside, apart) == (Path("runs/x-convergence.png"), Path("pictures/x-convergence.png"))
    assert beside.read_bytes() == apart.read_bytes()


def test_a_picture_that_cannot_be_written_names_the_run_which_is_whole():
    from hwloop.apps.pictures.figure import new_figure

    files = OutputFiles("image", Path("run.h5"), Path("pictures"))
    Path("pictures").write_text("somebody was quicker")
    with pytest.raises(UsageError, match="the run itself is whole, in run"):
        files.write_pictures(Path("run"), {"convergence": new_figure(1.0)})
