"""A record of a kind that this version does not know is passed over, wherever a journal is read."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from hwloop.controller.logs_job import check_run
from hwloop.controller.replay_job import replay_run
from hwloop.controller.run_cells import cells_of_run
from hwloop.controller.run_summary import summary_of
from hwloop.report import Report
from hwloop.runlog.framing import encode_record
from hwloop.runlog.journal import Journal
from hwloop.runlog.run_file import write_run_file
from hwloop.runlog.sources import find_run

RECORDED = Path(__file__).parents[2] / "recordings" / "matrix.journal"
LATER_KIND = 77


@pytest.fixture
def later(tmp_path):
    """The recording, with a record of another kind behind each tenth record and at its end."""
    path = tmp_path / "later.journal"
    with Journal.open(RECORDED) as journal, open(path, "wb") as file:
        file.write(journal.header.encode())
        number = 0
        records = list(journal.records())
        for record in records:
            kinds = [(record.kind, record.body)]
            if record.sequence % 10 == 9 or record is records[-1]:
                kinds.append((LATER_KIND, b"what nobody knows yet"))
            for kind, body in kinds:
                file.write(encode_record(journal.header, kind, number, record.time_ns, body))
                number += 1
    return find_run(path)


def test_it_is_whole_and_says_the_same(later, tmp_path):
    assert check_run(later.path).ok
    plain, found = summary_of(find_run(RECORDED)), summary_of(later)
    assert found.records > plain.records and found.counters_so_far() == plain.counters_so_far()
    np.testing.assert_array_equal(cells_of_run(later).maps.a_siemens, cells_of_run(find_run(RECORDED)).maps.a_siemens)


def test_it_is_replayed_and_made_into_a_run_file(later, tmp_path):
    replay_run(later, Report(), tmp_path / "replay")
    with later.journal() as journal:
        write_run_file(journal, tmp_path / "later.h5")
    with h5py.File(tmp_path / "later.h5") as file:
        assert file["entry/status"].asstr()[()] == "complete"
