"""Instruments of tests are held in a registry of the tests' own."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def _registry(tmp_path_factory):
    # One a module: hypothesis refuses fixtures that are made anew for every test.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("registry")))
        yield
