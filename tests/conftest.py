"""What all tests share: where data are, and that CI skips nothing."""

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("HWLOOP_CI") == "1"


@pytest.fixture(scope="session")
def movielens_folder() -> Path:
    """The folder ml-100k: in $HWLOOP_DATA, else in the project's data/. Skips where it is absent."""
    folder = Path(os.environ.get("HWLOOP_DATA", PROJECT / "data")) / "ml-100k"
    if not folder.is_dir():
        pytest.skip(f"no MovieLens data: {folder} is not there (set HWLOOP_DATA)")
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return _refuse_skip((yield))


def _refuse_skip(report):
    """In CI a missing tool or missing data is a failure, whatever skipped for it."""
    if IN_CI and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report
