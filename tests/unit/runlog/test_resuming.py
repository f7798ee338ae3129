"""A conversation that is cut off after any record of its journal goes on as if nothing had been; no pulse comes twice.

The board runs in this process; the process that talks to it "dies" with the record that is written last.
"""

import contextlib
import socket
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from hwloop.errors import AmbiguousError, DeviceError
from hwloop.link.link import Link
from hwloop.link.protocol import Command, CompensateRequest
from hwloop.link.transport import SocketTransport
from hwloop.mock.bench import Bench
from hwloop.mock.bench_config import BenchConfig
from hwloop.mock.board import SimulatedBoard
from hwloop.mock.serve import BoardServer
from hwloop.runlog.journal import Journal, JournalWriter
from hwloop.runlog.recorded import RecordedLink, Recording
from hwloop.runlog.recording import JournalRecorder
from hwloop.runlog.resuming import ResumingLink
from tests.unit.link.running_board import SMALL, pulse, pulse_counts, read


def compensate(codes):
    """A COMPENSATE request for rows by their codes."""
    return Command.COMPENSATE, CompensateRequest(1).pack() + np.array(list(codes.items()), "<u2").tobytes()


STEPS = [[compensate({1: 500, 3: 700})]] + [
    [pulse(cell, amplitude_code=20000 + 100 * cell), pulse(cell + 8), read(*range(cell, cell + 10))]
    for cell in range(5)
] + [[compensate({3: 0, 5: 90}), *[read(*range(40))] * 6]]


class KilledError(BaseException):
    """This process is no more."""


class MortalWriter:
    """A journal's writer that is killed after so many records of exchanges."""

    def __init__(self, writer, lives):
        self._writer, self._lives = writer, lives

    def __getattr__(self, name):
        return getattr(self._writer, name)

    def requests(self, told):
        self._writer.requests(told)
        self._die()

    def replies(self, told):
        self._writer.replies(told)
        self._die()

    def _die(self):
        self._lives -= 1
        if self._lives == 0:
            raise KilledError


class Place:
    """A journal, and a board on a bench: hosts come and go, and the board may be reset."""

    def __init__(self, folder):
        self.path = folder / "x.journal"
        self.bench = Bench(BenchConfig(board_name=SMALL))
        self.found = []
        self.restored = 0
        self.reset()

    def reset(self):
        """A board without a session; the cells are as they were."""
        self.board = SimulatedBoard(self.bench)

    @contextlib.contextmanager
    def host(self):
        """A transport to the board."""
        here, there = socket.socketpair()
        server = BoardServer(self.board)
        server.end = lambda: None       # the bench goes on
        server.attach(there.fileno())
        thread = threading.Thread(target=server.run)
        thread.start()
        transport = SocketTransport(here, "a socket")
        try:
            yield transport
        finally:
            transport.close()
            thread.join(timeout=20)
            there.close()

    def run(self, lives=0):
        """From the beginning; killed after the record number `lives`."""
        writer = JournalWriter.create(self.path)
        with contextlib.closing(writer), self.host() as transport, contextlib.suppress(KilledError):
            recorder = JournalRecorder(MortalWriter(writer, lives))
            return converse(Link(transport, 0.3, 2, recorder=recorder))

    def resume(self, lives=0, is_end_certain=True, restore=False):
        """From where the journal ends."""
        writer = JournalWriter.go_on(self.path)

        def on_live(found):
            self.found.append(found)
            writer.event("resumed", {"restore": restore})
            return restore

        with (
            contextlib.closing(writer), Journal.open(self.path) as journal, self.host() as transport,
            contextlib.suppress(KilledError),
        ):
            recorder = JournalRecorder(MortalWriter(writer, lives))
            recorded = RecordedLink(Recording(journal), "a socket")
            link = ResumingLink(recorded, Link(transport, 0.3, 2, recorder=recorder), recorder, on_live, is_end_certain)
            link.on_resumed = lambda: link.run([read(60)])
            return converse(link)

    def replay(self):
        """From the journal alone."""
        with Journal.open(self.path) as journal:
            link = RecordedLink(Recording(journal), "a socket")
            link.on_resumed = lambda: link.run([read(60)])
            return converse(link)

    def pulses(self):
        return pulse_counts(self.board)

    def compensation(self):
        """What is set on the board: a code for every row."""
        return self.board.panel.registers.compensation_code

    def records(self):
        with Journal.open(self.path) as journal:
            return list(journal.records())


def converse(link):
    """All replies of the conversation."""
    link.max_in_flight = 4
    replies = [link.request(Command.IDENTIFY), link.request(Command.DESCRIBE)]
    link.open()
    for requests in STEPS:
        replies += link.run(requests)
    return replies


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Replies, pulses by cell, compensation, number of records of the conversation that nobody cut off."""
    place = Place(tmp_path_factory.mktemp("whole"))
    replies = place.run()
    assert place.replay() == replies
    return SimpleNamespace(
        replies=replies, pulses=place.pulses(), compensation=place.compensation().copy(), records=len(place.records())
    )


def check_same(place, reference):
    """The board was made to do the same."""
    assert np.array_equal(place.pulses(), reference.pulses)
    assert np.array_equal(place.compensation(), reference.compensation)


def test_cut_off_after_any_record(tmp_path, reference):
    for number in range(1, reference.records + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        place = Place(folder)
        place.run(lives=number)
        assert place.resume() == reference.replies == place.replay()
        check_same(place, reference)
        assert all(not found.session_lost and not found.grounded for found in place.found)


def test_cut_off_again_and_again(tmp_path, reference):
    place = Place(tmp_path)
    place.run(lives=7)
    for _ in range(30):
        found = place.resume(lives=10)
        if found is not None:
            break
    assert found == reference.replies == place.replay() and len(place.found) > 2
    check_same(place, reference)


@pytest.mark.parametrize("grounded", [False, True])
@pytest.mark.parametrize("cut", range(1, 9))
def test_the_end_of_the_journal_is_lost(tmp_path, reference, cut, grounded):
    """The board is ahead of it, and answers from its cache; only then it is set up again."""
    place = Place(tmp_path)
    place.run(lives=reference.records - 4)
    if grounded:
        place.board.ground(1)
    with open(place.path, "r+b") as file:
        file.truncate(place.records()[-cut].offset)
    found = place.resume(is_end_certain=False)
    check_same(place, reference)
    assert found == place.replay()
    if place.found[0].session_lost:
        assert found.count(None) <= 2       # longer ago than the board remembers: read back
    elif not grounded:
        assert found == reference.replies


def test_the_board_was_grounded_meanwhile(tmp_path, reference):
    for number in range(8, reference.records, 3):
        folder = tmp_path / str(number)
        folder.mkdir()
        place = Place(folder)
        place.run(lives=number)
        place.board.ground(1)
        found = place.resume()
        assert [one.grounded for one in place.found] == [True]
        check_same(place, reference)
        assert found == place.replay()


def test_the_board_has_lost_the_session(tmp_path, reference):
    """What is not known stays unknown; nothing is pulsed twice; what was asked to be read is read."""
    unknown = 0
    for number in range(8, reference.records):
        folder = tmp_path / str(number)
        folder.mkdir()
        place = Place(folder)
        place.run(lives=number)
        place.reset()
        found = place.resume()
        assert [one.session_lost for one in place.found] == [True]
        assert (place.pulses() <= reference.pulses).all()
        assert np.array_equal(place.compensation(), reference.compensation)
        assert found == place.replay()
        unknown += found.count(None)
        missing = int((reference.pulses - place.pulses()).sum())
        assert missing <= found.count(None) <= 2
    assert unknown


def test_where_the_computer_lost_its_power_too_the_next_step_is_not_given_again(tmp_path, reference):
    place = Place(tmp_path)
    place.run(lives=9)
    with open(place.path, "r+b") as file:
        file.truncate(place.records()[-1].offset)       # the requests of a step that was on its way
    place.reset()
    found = place.resume(is_end_certain=False)
    assert found.count(None) == 2 and found == place.replay()
    assert (place.pulses() <= reference.pulses).all()


def test_cells_are_looked_after_before_the_next_exchange(tmp_path, reference):
    """`on_resumed` comes at the same place when the run is replayed."""
    for number in range(8, reference.records, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        place = Place(folder)
        place.run(lives=number)
        found = place.resume(restore=True)
        check_same(place, reference)
        assert found == place.replay()


def test_another_host_has_the_board(tmp_path):
    place = Place(tmp_path)
    place.run(lives=9)
    place.reset()
    with place.host() as transport:
        Link(transport, session=77).open()
    with pytest.raises(DeviceError, match="another host has session 77"):
        place.resume()


def test_pulses_that_nothing_reads_back_are_not_guessed(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "STEPS", [[pulse(1)]])
    place = Place(tmp_path)
    place.run(lives=7)
    place.reset()
    with pytest.raises(AmbiguousError, match="nothing in this step reads them back"):
        place.resume()
