"""A board's life: opened once, kept awake, stopped between exchanges, closed whatever happens."""

import time

import numpy as np
import pytest

from hwloop.drivers.board import Board
from hwloop.drivers.cells import CellPulses, Polarity
from hwloop.errors import AmbiguousError, LinkError, SafetyError, StoppedError
from hwloop.link.link import Link
from hwloop.link.protocol import SafeReason
from tests.unit.link.running_board import pulse_counts, serving


def one_pulse() -> CellPulses:
    return CellPulses(np.array([3]), np.array([Polarity.RESET]), np.array([2.0]), np.array([2.7]), np.array([1e-6]))


def test_leaving_the_context_grounds_and_closes_even_after_an_error():
    with serving() as (simulated, (transport,)):
        with pytest.raises(ZeroDivisionError):
            with Board(Link(transport)) as board:
                board.compensate(np.array([0]), np.array([1e-3]))
                assert simulated.armed and simulated.panel.registers.compensation_code.any()
                raise ZeroDivisionError
        assert not simulated.armed and not simulated.session and not simulated.panel.registers.compensation_code.any()
        board.close()
        with pytest.raises(LinkError):
            board.status()


def test_looking_at_a_board_changes_nothing():
    with serving(connections=2) as (simulated, (first, second)):
        with Board(Link(first)) as board:
            visitor = Board(Link(second))
            assert visitor.status().armed
            visitor.close()
            assert simulated.armed
            board.pulse_and_read(one_pulse(), None)


def test_the_heartbeat_keeps_the_board_awake_while_the_host_computes():
    with serving() as (simulated, (transport,)):
        with Board(Link(transport)) as board:
            sent = board.link.counters.bytes_sent
            time.sleep(2.6)
            assert simulated.armed and board.link.counters.bytes_sent == sent
            board.pulse_and_read(one_pulse(), None)
        board._heartbeat.join(2)
        assert not board._heartbeat.is_alive()


def test_a_board_that_went_safe_is_not_gone_on_with():
    """No silent solves without compensation: every command is refused until a new session begins."""
    with serving() as (simulated, (transport,)):
        with Board(Link(transport)) as board:
            board.compensate(np.array([0]), np.array([1e-3]))
            simulated.ground(SafeReason.DEAD_MAN)
            for _ in range(2):
                with pytest.raises(SafetyError, match="dead-man.*compensation and routing are gone"):
                    board.pulse_and_read(one_pulse(), np.array([3]))
            with pytest.raises(SafetyError, match="connect anew"):
                board.open()
            assert pulse_counts(simulated)[3] == 0


def test_a_run_is_stopped_between_exchanges():
    with serving() as (simulated, (transport,)):
        stop = []

        def check():
            if stop:
                raise StoppedError("stopped")

        with Board(Link(transport), between_exchanges=check) as board:
            board.pulse_and_read(one_pulse(), None)
            stop.append(True)
            with pytest.raises(StoppedError):
                board.pulse_and_read(one_pulse(), None)
            board.safe()
        assert pulse_counts(simulated)[3] == 1


def test_closing_a_board_that_is_gone_raises_nothing():
    with serving() as (_, (transport,)):
        board = Board(Link(transport))
        board.open()
        transport.close()
        with pytest.raises(AmbiguousError, match="PULSE 0"):
            board.pulse_and_read(one_pulse(), None)
        board.close()


def test_closing_that_is_interrupted_gives_the_port_back():
    """Ctrl-C in the middle of closing: the heartbeat has ended, so the board's dead-man does the rest."""
    with serving() as (simulated, (transport,)):
        board = Board(Link(transport))
        board.open()

        def interrupted(timeout_seconds):
            raise KeyboardInterrupt

        transport.receive = interrupted
        with pytest.raises(KeyboardInterrupt):
            board.close()
        board.close()
        with pytest.raises(LinkError):
            transport.send(b"x")
        board._heartbeat.join(2)
        assert not board._heartbeat.is_alive()


def test_counters_of_an_exchange():
    """hardware_seconds: bytes at 1 MB/s are hidden behind the board's own work, or the other way round, plus 1 ms."""
    with serving() as (_, (transport,)):
        with Board(Link(transport)) as board:
            board.wait(2.0)
            seconds, link = board.counters.hardware_seconds, board.link.counters
            assert seconds.load == pytest.approx(2.0) and board.counters.frames == 1
            assert seconds.link == pytest.approx(1e-3, abs=2e-4)
            assert seconds.total == pytest.approx(2.0 + seconds.link, abs=1e-6)
            assert link.resent == 0 and link.damaged == 0


def test_a_wait_may_take_as_long_as_it_says():
    """On a real board WAIT takes its time: the link is patient for as long, and not less patient afterwards."""
    with serving() as (_, (transport,)):
        with Board(Link(transport, timeout_seconds=0.1, retries=0)) as board:
            receive = transport.receive

            def slow(timeout_seconds):
                if timeout_seconds > 0.2:
                    time.sleep(0.3)
                return receive(timeout_seconds)

            transport.receive = slow
            board.wait(0.5)
            assert board.link.counters.resent == 0
