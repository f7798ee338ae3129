"""The deliberate faults are kept: each applies to the sources as they are, and stands in the table for people."""

import tomllib
from pathlib import Path

import pytest

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
MUTATIONS = tomllib.loads((FIRMWARE / "tests/mutations.toml").read_text())["mutation"]
LISTED = [line.split(" | ") for line in (FIRMWARE / "tests/README.md").read_text().splitlines() if " | " in line]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation["name"])
def test_it_applies_and_is_listed(mutation):
    assert (FIRMWARE / mutation["file"]).read_text().count(mutation["old"]) == 1
    (row,) = [row for row in LISTED if row[0] == f"| {mutation['name']}"]
    assert row[1] == mutation["what"]


def test_there_are_more_than_ten_and_each_has_a_name():
    names = [mutation["name"] for mutation in MUTATIONS]
    assert len(set(names)) == len(names) > 10
