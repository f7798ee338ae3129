"""A recording in place of a link: the same requests get the replies that they got then, anything else is refused."""

from contextlib import closing

import pytest

from hwloop.errors import BoardError, DivergenceError, ReplayEndError, SafetyError
from hwloop.link.protocol import Command, Refusal, SafeReason, Status
from hwloop.runlog.bodies import Replies, ReplyFrame, Requests
from hwloop.runlog.journal import Journal, JournalWriter
from hwloop.runlog.recorded import RecordedLink, Recording

READ, PULSE, STATUS, SAFE, CLOSE = Command.READ, Command.PULSE, Command.STATUS, Command.SAFE, Command.CLOSE
TICKS = (7).to_bytes(4, "little")
REFUSED = Refusal(**{**vars(Refusal.unpack(bytes(Refusal.STRUCT.size))), "value": int(SafeReason.DEAD_MAN)}).pack()


@pytest.fixture
def told(tmp_path):
    """Writes a journal of ("asks", …) and ("gets", …); gives the link that its recording makes, which is open."""
    with JournalOpener(tmp_path / "x.journal") as opener:
        yield opener


class JournalOpener:
    """See `told`."""

    def __init__(self, path):
        self._path, self._open = path, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._open:
            self._open.__exit__(None, None, None)

    def __call__(self, *lines):
        with closing(JournalWriter.create(self._path)) as writer:
            for what, *rest in lines:
                getattr(self, f"_{what}")(writer, *rest)
        self._open = Journal.open(self._path)
        return RecordedLink(Recording(self._open.__enter__()), "a recording")

    @staticmethod
    def _asks(writer, exchange, frames, first=0, recovery=False):
        writer.requests(Requests(exchange, 1, first, frames, first, recovery))

    @staticmethod
    def _gets(writer, exchange, frames, recovery=False):
        listed = [ReplyFrame(index, status, payload, unknown) for index, status, payload, unknown in frames]
        writer.replies(Replies(exchange, 10, 20, 5, listed, recovery))

    @staticmethod
    def _says(writer, event, fields):
        writer.event(event, fields)


def ok(index, payload=TICKS):
    return (index, Status.OK, payload, False)


STEP = [(PULSE, b"p"), (READ, b"r")]


def test_replies_come_in_order_however_they_were_written(told):
    link = told(
        ("asks", 0, STEP), ("gets", 0, [ok(1, b"read")]), ("says", "note", {"text": "x"}),
        ("gets", 0, [ok(0, b"pulse")]),
        ("asks", 1, [(STATUS, b"")]), ("gets", 1, [ok(0, b"status")]),
    )
    assert link.run(STEP) == [b"pulse", b"read"]
    assert link.request(STATUS) == b"status"
    assert (link.counters.bytes_sent, link.counters.bytes_received) == (30, 60)
    with pytest.raises(ReplayEndError, match="ends after 2 exchanges.*`hwloop logs resume` finishes it"):
        link.run(STEP)


@pytest.mark.parametrize("asked", [[(PULSE, b"p")], [(PULSE, b"p"), (READ, b"x")], [(READ, b"r"), (PULSE, b"p")]])
def test_the_first_request_that_differs_stops_it(told, asked):
    link = told(("asks", 4, STEP), ("gets", 4, [ok(0), ok(1)]))
    with pytest.raises(DivergenceError, match="replay diverged at exchange 4") as found:
        link.run(asked)
    assert (found.value.recorded, found.value.asked) == (STEP, asked)


def test_an_exchange_that_the_recording_ends_in_is_not_guessed(told):
    link = told(("asks", 0, STEP), ("gets", 0, [ok(0)]))
    with pytest.raises(ReplayEndError):
        link.run(STEP)


def test_pulses_that_nobody_knows_of_stay_unknown(told):
    link = told(
        ("asks", 0, STEP), ("says", "resumed", {"restore": False}), ("gets", 0, [(0, 0, b"", True)]),
        ("asks", 0, STEP[1:], 1), ("gets", 0, [ok(1, b"read")]),
    )
    assert link.run(STEP) == [None, b"read"]


def test_what_a_resumption_asked_and_the_way_out_are_passed_over(told):
    link = told(
        ("asks", 0, STEP), ("gets", 0, [ok(0)]), ("asks", 1, [(SAFE, b"")]), ("gets", 1, [ok(0)]),
        ("asks", 2, [(CLOSE, b"")]), ("says", "stopped", {}), ("says", "end", {}),
        ("asks", 3, [(STATUS, b"")], 0, True), ("gets", 3, [ok(0)], True), ("says", "resumed", {"restore": False}),
        ("gets", 0, [ok(1)]), ("asks", 4, STEP), ("gets", 4, [ok(0), ok(1)]),
    )
    assert link.run(STEP) == link.run(STEP) == [TICKS, TICKS]
    assert link.request(SAFE) and link.request(CLOSE)     # answered wherever the replay ends


def test_a_recorded_refusal_is_raised_again_unless_the_run_went_on_with_it(told):
    asked = [("asks", 0, STEP), ("gets", 0, [ok(0), (1, Status.SAFE_LATCHED, REFUSED, False)])]
    link = told(*asked, ("says", "stopped", {}))
    with pytest.raises(SafetyError, match="READ was refused: the board is in its safe state .reason: dead-man"):
        link.run(STEP)
    assert link.recording.is_at_end


def test_a_refusal_that_the_run_went_on_with_is_forgotten(told):
    link = told(
        ("asks", 0, STEP), ("gets", 0, [ok(0), (1, Status.SAFE_LATCHED, REFUSED, False)]), ("says", "stopped", {}),
        ("says", "resumed", {"restore": False}), ("asks", 0, STEP[1:], 1), ("gets", 0, [ok(1, b"read")]),
    )
    assert link.run(STEP) == [TICKS, b"read"]


def test_a_run_that_took_a_refusal_goes_on_behind_it(told):
    refused = (0, Status.UNKNOWN_COMMAND, REFUSED, False)
    link = told(("asks", 0, STEP), ("gets", 0, [refused]), ("asks", 1, STEP), ("gets", 1, [ok(0), ok(1)]))
    with pytest.raises(BoardError):
        link.run(STEP)
    assert link.run(STEP) == [TICKS, TICKS]


def test_cells_are_looked_after_where_they_were(told):
    """Before the exchange that follows the resumption, and only where the run did so."""
    link = told(
        ("asks", 0, STEP), ("gets", 0, [ok(0), ok(1)]), ("says", "resumed", {"restore": True}),
        ("asks", 1, [(READ, b"all")]), ("gets", 1, [ok(0, b"looked")]), ("asks", 2, STEP), ("gets", 2, [ok(0), ok(1)]),
        ("says", "resumed", {"restore": False}), ("asks", 3, STEP), ("gets", 3, [ok(0), ok(1)]),
    )
    seen = []
    link.on_resumed = lambda: seen.append(link.run([(READ, b"all")]))
    for _ in range(3):
        assert link.run(STEP) == [TICKS, TICKS]
    assert seen == [[b"looked"]]


def test_how_a_recording_ends(told):
    link = told(
        ("asks", 0, [(Command.OPEN, bytes(8))]), ("gets", 0, [ok(0)]), ("asks", 1, STEP), ("gets", 1, [ok(0), ok(1)]),
    )
    recording = link.recording
    while recording.next():
        pass
    tail = recording.tail
    assert (tail.session, tail.sequence, tail.exchange, tail.ticks) == (1, 2, 2, 5) and tail.time_ns > 0
