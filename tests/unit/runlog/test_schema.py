"""schema.json against real run files, both ways: nothing undocumented, nothing missing."""

import json
import re
from importlib.resources import files

import h5py
import pytest

from hwloop.runlog.layout import LAYOUT
from hwloop.runlog.run_file import journal_of, upgrade_run, write_run_file
from tests.unit.runlog.results import full_record
from tests.unit.runlog.telling import Teller, tell_everything

SCHEMA = json.loads((files("hwloop.runlog") / "schema.json").read_text("utf-8"))
# Groups that repeat a JSON text as attributes; their structure is the run's own.
FREE = re.compile(r"entry/(configuration|board|array)/.+")


@pytest.fixture(scope="module")
def run_files(tmp_path_factory):
    """A run with everything, the same without its result, one that hardly began, and an upgraded old file."""
    folder = tmp_path_factory.mktemp("files")
    tell_everything(folder / "whole.journal", full_record())
    tell_everything(folder / "killed.journal")
    Teller(folder / "begun.journal").close()
    for name in ("whole", "killed", "begun"):
        with journal_of(folder / f"{name}.journal") as journal:
            write_run_file(journal, folder / f"{name}.h5")
    upgrade_run("tests/recordings/layout1.h5", folder / "upgraded.h5")
    return sorted(folder.glob("*.h5"))


def described(name, table):
    """The entry of the schema for the path `name`, None where there is none."""
    plain = re.sub(r"_\d+(?=/|$)", "_<i>", name)
    for candidate in (name, plain, re.sub(r"[^/]+$", "<name>", plain)):
        if candidate in table:
            return table[candidate]
    return None


def nodes(path):
    def walk(name, node):
        yield name, node
        if isinstance(node, h5py.Group):
            for own, member in node.items():
                yield from walk(f"{name}/{own}".lstrip("/"), member)

    with h5py.File(path) as file:
        yield from walk("", file)


def test_everything_in_a_file_is_described(run_files):
    for path in run_files:
        sizes = {}
        for name, node in nodes(path):
            is_group = isinstance(node, h5py.Group)
            entry = described(name, SCHEMA["groups" if is_group else "datasets"])
            if entry is None and is_group and FREE.fullmatch(name):
                assert node.attrs["NX_class"] == "NXcollection"
                continue
            assert entry is not None, f"{path.name}: {name} is not in the schema"
            if is_group:
                assert node.attrs["NX_class"] == entry["class"], name
                for key in ("signal", "axes", "auxiliary_signals"):
                    if key in entry and key in node.attrs:
                        stored = node.attrs[key]
                        assert (stored if isinstance(stored, str) else list(stored)) == entry[key], (name, key)
                continue
            check_dataset(name, node, entry, sizes)


def check_dataset(name, node, entry, sizes):
    """Type, units and shape as the schema says; `sizes` are those seen so far, by group and symbol."""
    is_text = h5py.check_string_dtype(node.dtype) is not None
    if entry["type"] not in ("any", "number"):
        assert entry["type"] == ("text" if is_text else node.dtype.name), name
    if not is_text:
        assert node.attrs["units"], name
        assert entry["units"] in ("any", node.attrs["units"]), name
    if entry["shape"] == ["any"]:
        return
    symbols = list(entry["shape"])
    if len(symbols) > node.ndim:
        symbols = [symbol for symbol in symbols if not symbol.endswith("?")]
    assert len(symbols) == node.ndim, name
    group = name.rpartition("/")[0]
    for symbol, size in zip(symbols, node.shape, strict=True):
        assert sizes.setdefault((group, symbol.rstrip("?")), size) == size, (name, symbol)


def test_everything_that_is_required_is_there(run_files):
    for path in run_files:
        present = {name for name, _ in nodes(path)}
        for name, entry in SCHEMA["groups"].items():
            assert name in present or not entry["required"], f"{path.name} has no {name}"
        for name, entry in SCHEMA["datasets"].items():
            group = name.rpartition("/")[0]
            pattern = re.escape(group).replace("<i>", r"\d+")
            for found in [one for one in present if re.fullmatch(pattern, one)]:
                own = f"{found}/{name.rpartition('/')[2]}"
                assert own in present or not entry["required"], f"{path.name} has no {own}"


def test_the_whole_run_shows_nearly_all_of_the_schema(run_files):
    """So that the schema describes nothing that is never written."""
    whole, killed = (next(path for path in run_files if path.stem == stem) for stem in ("whole", "killed"))
    present = {re.sub(r"_\d+(?=/|$)", "_<i>", name) for path in (whole, killed) for name, _ in nodes(path)}
    names = {name for table in ("groups", "datasets") for name in SCHEMA[table] if "<name>" not in name}
    assert names - present == set()


def test_the_schema_is_that_of_the_layout():
    assert SCHEMA["layout"] == LAYOUT
    for table in ("groups", "datasets"):
        for name, entry in SCHEMA[table].items():
            assert entry.get("meaning") or entry.get("description"), name
