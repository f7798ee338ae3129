"""Exactly once: whatever the transport loses, damages, doubles, delays or cuts, each pulse is given once."""

import numpy as np
import pytest

from hwloop.errors import AmbiguousError, LinkError, SafetyError
from hwloop.link import protocol as wire
from hwloop.link.protocol import Command, SafeReason
from tests.unit.link.faults import Faults, FaultyTransport
from tests.unit.link.running_board import opened, pulse, pulse_counts, read, serving, temperature

EVERYTHING = Faults(drop=0.05, corrupt=0.05, duplicate=0.1, delay=0.1)


def write_verify(transport):
    """Four batches of 40 PULSE and READ frames; gives every reply, and the link."""
    link = opened(transport, timeout_seconds=0.03, retries=40)
    rng = np.random.default_rng(0)
    replies = []
    for _ in range(4):
        requests = []
        for _ in range(20):
            cells = np.sort(rng.choice(64, 12, replace=False)).tolist()
            requests += [pulse(*cells, amplitude_code=int(rng.integers(16000, 26000))), read(*cells)]
        replies += link.run(requests)
    return replies, link


@pytest.fixture(scope="module")
def undisturbed():
    with serving() as (board, (transport,)):
        replies, link = write_verify(transport)
        assert link.counters.resent == 0
        return replies, pulse_counts(board), board.bench.ticks


@pytest.mark.parametrize(
    ("faults", "seeds", "resends"),
    [
        (Faults(drop=0.15), 4, True),
        (Faults(corrupt=0.15), 4, True),
        (Faults(duplicate=0.4), 6, False),
        (Faults(delay=0.3), 6, True),
        (EVERYTHING, 12, True),
    ],
)
def test_faults_change_nothing(undisturbed, faults, seeds, resends):
    replies, counts, ticks = undisturbed
    assert counts.sum() == 4 * 20 * 12
    resent = 0
    for seed in range(seeds):
        with serving() as (board, (transport,)):
            disturbed, link = write_verify(FaultyTransport(transport, faults, seed))
            assert (pulse_counts(board) == counts).all(), f"seed {seed}"
            assert disturbed == replies and board.bench.ticks == ticks
            resent += link.counters.resent
    assert (resent > 0) == resends


@pytest.mark.parametrize("cut_after", range(2, 34, 3))
def test_a_cut_is_ambiguous_and_then_settled(cut_after):
    """After the cut the pulses in flight are named; over a second connection the board tells which were carried out."""
    with serving(connections=2) as (board, (first, second)):
        link = opened(FaultyTransport(first, Faults(cut_after=2 + cut_after), 0))
        cells = list(range(20))
        try:
            link.run([pulse(cell) for cell in cells])
            done = len(cells)
        except AmbiguousError as error:
            assert all(name.startswith("PULSE ") for name in error.pending)
            named = [int(name.split()[1]) for name in error.pending]
            resumed = link.resume(second)
            done = len(resumed.replies)
            assert not resumed.grounded
            assert named[0] <= done <= named[-1] + 1, "what was not named is certain"
            status = wire.StatusReply.unpack(link.request(Command.STATUS))
            assert status.expected_sequence == link.sequence == done
            assert (status.last_begun_sequence, status.last_completed) == (max(done - 1, 0), 1)
        assert pulse_counts(board)[:20].tolist() == [1] * done + [0] * (20 - done)
        link.run([pulse(cell) for cell in cells[done:]])
        assert pulse_counts(board)[:20].tolist() == [1] * 20


def test_a_reply_that_is_lost_by_the_cut_comes_from_the_cache():
    with serving(connections=2) as (board, (first, second)):
        link = opened(FaultyTransport(first, Faults(cut_after=3), 0))    # OPEN, its reply, PULSE
        with pytest.raises(AmbiguousError, match="PULSE 0"):
            link.run([pulse(7)])
        resumed = link.resume(second)
        assert wire.PulseReply.unpack(resumed.replies[0]).row_pulses == 1
        assert pulse_counts(board)[7] == 1


def test_a_cut_without_pulses_in_flight_is_no_ambiguity():
    with serving() as (_, (transport,)):
        link = opened(FaultyTransport(transport, Faults(cut_after=4), 0))
        with pytest.raises(LinkError) as caught:
            link.run([temperature()] * 20)
        assert not isinstance(caught.value, AmbiguousError)


def test_the_cut_during_resume_can_be_resumed():
    with serving(connections=3) as (board, (first, second, third)):
        link = opened(FaultyTransport(first, Faults(cut_after=5), 0))
        with pytest.raises(AmbiguousError):
            link.run([pulse(cell) for cell in range(10)])
        with pytest.raises(LinkError):
            link.resume(FaultyTransport(second, Faults(cut_after=3), 0))
        done = len(link.resume(third).replies)
        assert pulse_counts(board)[:10].tolist() == [1] * done + [0] * (10 - done)


def test_a_board_that_went_safe_meanwhile_says_so():
    with serving(connections=2) as (board, (first, second)):
        link = opened(FaultyTransport(first, Faults(cut_after=3), 0))
        with pytest.raises(AmbiguousError):
            link.run([pulse(7)])
        board.ground(SafeReason.DEAD_MAN)
        resumed = link.resume(second)
        assert resumed.grounded and len(resumed.replies) == 1 == pulse_counts(board)[7]


def test_a_board_that_lost_the_session_leaves_the_pulses_ambiguous():
    with serving(connections=2) as (board, (first, second)):
        link = opened(FaultyTransport(first, Faults(cut_after=3), 0))
        with pytest.raises(AmbiguousError):
            link.run([pulse(7)])
        board.session, board.armed = 0, False    # as after a reset
        with pytest.raises(AmbiguousError, match="PULSE 0"):
            link.resume(second)
        link.open()
        link.run([pulse(8)])
        assert pulse_counts(board)[7:9].tolist() == [1, 1]


def test_a_board_that_was_reset_in_the_middle_of_a_pulse():
    """The pulse may have begun before the reset: refused as not open after it was sent again does not mean not done."""
    with serving() as (board, (transport,)):
        link = opened(transport, timeout_seconds=0.2)
        original, lost = transport.receive, []

        def reset_and_lose(timeout_seconds):
            data = original(timeout_seconds)
            if data and not lost:
                lost.append(data)
                board.session, board.armed = 0, False
                return b""
            return data

        transport.receive = reset_and_lose
        with pytest.raises(AmbiguousError, match="PULSE 0"):
            link.run([pulse(7)])
        assert pulse_counts(board)[7] == 1


def test_resume_without_an_interrupted_exchange():
    with serving(connections=2) as (board, (first, second)):
        link = opened(first)
        link.run([pulse(0)])
        assert link.resume(second).replies == []
        link.run([pulse(1)])
        assert pulse_counts(board)[:2].tolist() == [1, 1]


def test_resume_of_a_session_that_is_gone():
    with serving() as (_, (transport,)):
        link = opened(transport)
        link.request(Command.CLOSE)
        with pytest.raises(SafetyError, match="not open"):
            link.resume()
