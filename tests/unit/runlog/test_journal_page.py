"""The page that documents the journal is right: its own reader reads one."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from hwloop.runlog.bodies import Replies, ReplyFrame, Requests
from hwloop.runlog.journal import JournalWriter

PAGE = Path(__file__).parents[3] / "docs" / "journal.md"


def test_the_reader_of_the_page_reads_a_journal_and_stops_where_it_is_torn(tmp_path):
    path = tmp_path / "run.journal"
    writer = JournalWriter.create(path)
    writer.event("run", {"kind": "image"}, {"values": np.arange(1000.0)})
    writer.requests(Requests(0, 7, 0, [(4, b"abc"), (5, b"")]))
    writer.replies(Replies(0, 30, 20, 12_345_678, [ReplyFrame(0, 0, b"xyz"), ReplyFrame(1, 0, b"")]))
    writer.event("end")
    writer.close()
    program = tmp_path / "reader.py"
    program.write_text(re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1])

    def told() -> list[str]:
        done = subprocess.run([sys.executable, program, path], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    assert told() == [
        "0 event run", "1 exchange 0: 2 requests", "2 exchange 0: 2 replies, bench time 1.234568 s", "3 event end",
        "4 records",
    ]
    path.write_bytes(path.read_bytes()[:-1])
    assert told()[-1] == "3 records"
