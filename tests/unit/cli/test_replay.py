"""`replay` on the command line: where a replay parts from its recording, it shows both requests, then stops."""

import dataclasses
from pathlib import Path

import pytest

from hwloop.link.protocol import Command
from hwloop.runlog.bodies import Event, Requests
from hwloop.runlog.framing import Kind, encode_record
from hwloop.runlog.journal import Journal

RECORDINGS = Path(__file__).parents[2] / "recordings"


@pytest.fixture
def changed(workplace):
    """A recording rewritten: `change` takes every request of a kind in turn, and gives what stands there instead;
    `begin` takes the fields of the event "run"."""

    def rewrite(name, kind, change, begin=lambda fields: fields):
        target, seen = workplace / "changed.journal", 0
        with Journal.open(RECORDINGS / f"{name}.journal") as journal, open(target, "wb") as file:
            file.write(journal.header.encode())
            for record in journal.records():
                body = record.body
                if record.kind is Kind.REQUEST:
                    asked = Requests.decode(body)
                    if asked.frames[0][0] == kind:
                        seen += 1
                        asked = dataclasses.replace(asked, frames=[(kind, change(seen, asked.frames[0][1])),
                                                                   *asked.frames[1:]])
                    body = asked.encode()
                elif record.kind is Kind.EVENT:
                    event = Event.decode(body)
                    if event.name == "run":
                        body = Event("run", begin(dict(event.fields)), event.arrays).encode()
                file.write(encode_record(journal.header, record.kind, record.sequence, record.time_ns, body))
        return target

    return rewrite


def test_both_requests_are_shown_side_by_side_with_the_place_and_what_changed(here, changed):
    def last(number, payload):
        return payload if number != 5 else payload[:-2] + bytes([payload[-2] ^ 1, payload[-1]])

    path = changed("matrix", Command.SOLVE, last, lambda fields: fields | {"hwloop": "0.0.9", "wire_hash": "0badcafe"})
    done = here("replay", path)
    *shown, error = done.stderr.splitlines()
    assert done.returncode == 7 and done.stdout == ""
    assert shown[0].startswith("exchange ") and ", request 1; after iteration " in shown[0]
    assert "recorded: 1 SOLVE" in shown[1] and "asked now: 1 SOLVE" in shown[1]
    (marked,) = [line for line in shown if line.startswith(">")]
    assert marked.count("input_code") == 2 and marked.count(" row ") == 2 and marked.count("mV)") == 2
    assert len(shown) < 25
    assert error.startswith("hwloop: error: replay diverged at exchange ") and " of circuit" in error
    assert "after programming round " in error
    assert "since then changed: hwloop 0.0.9 then, 0.1.0 now; wire_hash 0badcafe then, " in error


def test_where_nothing_changed_it_says_that(here, changed):
    path = changed("program", Command.READ, lambda number, payload: bytes([payload[0] ^ 1]) + payload[1:])
    done = here("replay", path)
    assert done.returncode == 7 and "(before the first programming round" in done.stderr
    (marked,) = [line for line in done.stderr.splitlines() if line.startswith(">")]
    assert marked.split() == [">", "tia_range", "FINE", "tia_range", "COARSE"]


def test_two_runs_that_part_end_in_one_line_and_exit_7(here):
    done = here("replay", RECORDINGS / "matrix.journal", "--against", RECORDINGS / "image.journal")
    assert done.returncode == 7 and "\n\n" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("hwloop: error: ")
    done = here("replay", RECORDINGS / "matrix.journal", "--against", RECORDINGS / "matrix.journal", "--json")
    assert done.returncode == 0 and '"same": true' in done.stdout
