"""A file appears whole or not at all, and never over another one."""

import errno
import os

import pytest

from hwloop.errors import UsageError
from hwloop.runlog.publish import publish


def test_the_file_appears_when_the_block_ends_and_folders_are_made(tmp_path):
    path = tmp_path / "new" / "folder" / "result.bin"
    with publish(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert os.listdir(path.parent) == ["result.bin"]


def test_an_existing_file_is_refused_before_any_work(tmp_path):
    path = tmp_path / "result.bin"
    path.write_bytes(b"first")
    with pytest.raises(UsageError, match="result.bin exists"), publish(path):
        pytest.fail("the block must not be entered")
    assert path.read_bytes() == b"first"


def test_a_file_that_came_to_exist_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "result.bin"
    with pytest.raises(UsageError, match="exists"), publish(path) as file:
        file.write(b"second")
        path.write_bytes(b"first")
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["result.bin"]


def test_without_hard_links_the_file_still_appears_once(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "result.bin"
    with publish(path) as file:
        file.write(b"whole")
    assert path.read_bytes() == b"whole"
    with pytest.raises(UsageError, match="exists"), publish(path) as file:
        file.write(b"again")
    assert os.listdir(tmp_path) == ["result.bin"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_an_interrupted_block_leaves_nothing(tmp_path, failure):
    with pytest.raises(failure), publish(tmp_path / "result.bin") as file:
        file.write(b"half")
        raise failure
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_a_file_is_a_usage_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="cannot write"), publish(tmp_path / "file" / "result.bin"):
        pytest.fail("the block must not be entered")
