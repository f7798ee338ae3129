"""The link over a real socket: pipelining, order, refusals, wrap, strangers at the port."""

import contextlib
import os
import re
import socket
import threading
import time

import numpy as np
import pytest

from hwloop.drivers.board import Board
from hwloop.errors import (
    AmbiguousError,
    BoardError,
    DeviceError,
    LimitError,
    LinkError,
    SafetyError,
    WireVersionError,
)
from hwloop.link import protocol as wire
from hwloop.link.frames import Frame, FrameReader
from hwloop.link.link import Link
from hwloop.link.protocol import REPLY_BIT, Command, Status
from hwloop.link.refusals import refusal_error
from hwloop.link.transport import SocketTransport, open_transport
from tests.unit.link.running_board import opened, pulse, pulse_counts, serving, temperature


class Tap:
    """Listens in on a real transport: what went out, what came in, how many requests were unanswered at once."""

    def __init__(self, inner):
        self.name, self._inner = inner.name, inner
        self.sent, self.received = [], []
        self.unanswered, self.most_unanswered = set(), 0
        self._out, self._in = FrameReader(), FrameReader()

    def send(self, data):
        for frame in self._out.feed(data):
            self.sent.append(frame)
            if frame.kind in wire.SEQUENCED:
                self.unanswered.add(frame.sequence)
        self.most_unanswered = max(self.most_unanswered, len(self.unanswered))
        self._inner.send(data)

    def receive(self, timeout_seconds):
        data = self._inner.receive(timeout_seconds)
        for frame in self._in.feed(data):
            self.received.append(frame)
            self.unanswered.discard(frame.sequence)
        return data

    def close(self):
        self._inner.close()


def test_never_more_in_flight_than_the_board_states():
    with serving() as (board, (transport,)):
        tap = Tap(transport)
        link = opened(tap)
        link.run([pulse(i % 64) for i in range(100)])
        assert tap.most_unanswered == 4 == wire.BOARDS["hwloop-16x4"].max_in_flight
        assert [frame.sequence for frame in tap.sent if frame.kind == Command.PULSE] == list(range(100))
        assert link.counters.resent == 0 and pulse_counts(board).sum() == 100
        assert link.counters.bytes_sent == sum(len(frame.encode()) for frame in tap.sent) + 1  # OPEN comes afresh


def test_replies_come_in_the_order_of_the_requests():
    with serving() as (_, (transport,)):
        link = opened(transport)
        waits = [(Command.WAIT, wire.WaitRequest(ticks).pack()) for ticks in range(1, 40)]
        elapsed = [wire.WaitReply.unpack(reply).elapsed_ticks for reply in link.run(waits)]
        assert elapsed == list(range(1, 40))
        assert link.run([]) == []


def test_sequence_numbers_wrap():
    with serving() as (board, (transport,)):
        link = opened(transport)
        board._expected = link.sequence = 65530
        link.run([pulse(i) for i in range(12)])
        assert link.sequence == 6 and pulse_counts(board)[:12].tolist() == [1] * 12


def test_one_batch_may_be_longer_than_the_sequence_numbers():
    with serving() as (board, (transport,)):
        link = opened(transport)
        replies = link.run([temperature()] * 65_600)
        assert len(replies) == 65_600 and link.sequence == 64 and link.counters.resent == 0


def test_a_refusal_is_raised_once_everything_on_its_way_is_answered():
    with serving() as (board, (transport,)):
        tap = Tap(transport)
        link = opened(tap)
        too_high = pulse(5, amplitude_code=32769)
        with pytest.raises(LimitError, match=r"PULSE AMPLITUDE_CODE at entry 0 is 32769 .* 0 to 32768") as caught:
            link.run([pulse(0), too_high, pulse(1), pulse(2), *[pulse(3)] * 20])
        assert caught.value.value == 32769
        assert not tap.unanswered
        counts = pulse_counts(board)
        assert counts[5] == 0 and counts[:3].tolist() == [1, 1, 1] and counts[3] <= 4
        # The link and the board agree on what comes next.
        link.run([pulse(4)])
        assert pulse_counts(board)[4] == 1 and link.counters.resent == 0


def test_requests_beside_an_interrupted_exchange():
    """Ctrl-C in the middle of a run: the board can still be made safe; another run has to wait for resume."""
    with serving() as (board, (transport,)):
        link = opened(transport)
        original, calls = transport.receive, []

        def interrupted(timeout_seconds):
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return original(timeout_seconds)

        transport.receive = interrupted
        with pytest.raises(KeyboardInterrupt):
            link.run([pulse(i % 64) for i in range(60)])
        with pytest.raises(LinkError, match="interrupted; resume"):
            link.run([temperature()])
        link.request(Command.STATUS)
        resumed = link.resume()
        assert not resumed.grounded
        assert pulse_counts(board).sum() == len(resumed.replies) < 60
        link.run([temperature()])
        link.request(Command.SAFE)
        assert not board.armed


def test_an_interrupt_in_the_middle_of_sending_leaves_no_half_frame_behind():
    with serving() as (board, (transport,)):
        link = opened(transport)
        whole = transport.send

        def half(data):
            whole(data[: len(data) // 2])
            raise KeyboardInterrupt

        transport.send = half
        with pytest.raises(KeyboardInterrupt):
            link.run([pulse(0)])
        transport.send = whole
        assert link.resume().replies == [] and pulse_counts(board).sum() == 0
        link.run([pulse(0)])
        assert pulse_counts(board)[0] == 1 and link.counters.resent == 0


def test_a_second_host_is_refused_while_the_first_is_alive():
    with serving(connections=2) as (board, (first, second)):
        link = opened(first)
        other = Link(second)
        assert other.request(Command.IDENTIFY) and other.request(Command.STATUS)
        with pytest.raises(DeviceError, match=f"another host has session {link.session} open"):
            other.open()
        with pytest.raises(DeviceError, match="another host"):
            other.run([pulse(0)])
        other.request(Command.CLOSE)
        link.run([pulse(0)])
        assert pulse_counts(board).sum() == 1
        link.request(Command.CLOSE)
        other.open()


def test_without_a_session_nothing_moves():
    with serving() as (board, (transport,)):
        with pytest.raises(SafetyError, match="not open"):
            Link(transport).run([pulse(0)])
        assert pulse_counts(board).sum() == 0


def test_after_safe_nothing_moves_and_the_reason_is_said():
    with serving() as (board, (transport,)):
        link = opened(transport)
        link.run([pulse(0)])
        link.request(Command.SAFE)
        with pytest.raises(SafetyError, match="safe state .reason: command."):
            link.run([pulse(1), pulse(2)])
        assert pulse_counts(board)[:3].tolist() == [1, 0, 0]
        assert link.resume().grounded
        link.run([pulse(1)])
        assert pulse_counts(board)[:3].tolist() == [1, 1, 0]


def test_a_stale_sequence_is_refused_and_not_executed():
    with serving() as (board, (transport,)):
        link = opened(transport)
        link.run([pulse(i % 8) for i in range(wire.SESSION_REPLY_CACHE + 4)])
        before = pulse_counts(board)
        link.sequence = 3
        with pytest.raises(AmbiguousError, match="PULSE 3"):
            link.run([pulse(0)])
        assert (pulse_counts(board) == before).all()


def test_every_reply_is_lost():
    """A board that carries out and cannot answer: the pulses in flight are named."""
    with serving() as (board, (transport,)):
        link = opened(transport, timeout_seconds=0.05, retries=1)
        transport.receive = lambda timeout_seconds: time.sleep(timeout_seconds) or b""
        with pytest.raises(AmbiguousError) as caught:
            link.run([pulse(0), temperature(), pulse(1)])
        assert caught.value.pending == ("PULSE 0", "PULSE 2")
        with pytest.raises(LinkError, match="interrupted"):
            link.run([temperature()])


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (Status.BAD_LENGTH, BoardError, "BAD_LENGTH"),
        (Status.FAULT, BoardError, "found itself broken"),
        (Status.WIRE_MISMATCH, WireVersionError, f"host {wire.WIRE_HASH:08x}, board 80000000"),
        (Status.SAFE_LATCHED, SafetyError, "dead-man"),
        (77, BoardError, "status 77"),
    ],
)
def test_what_refusals_mean(status, error, says):
    value = -(2**31) if status == Status.WIRE_MISMATCH else 3
    reply = Frame(Command.OPEN | REPLY_BIT, status, 1, 1, wire.Refusal(0, 0, value, 0, 0).pack())
    assert isinstance(refusal_error(Command.OPEN, reply), error)
    assert re.search(says, str(refusal_error(Command.OPEN, reply)))


def test_a_refusal_that_is_too_short_is_an_error_of_the_board():
    assert isinstance(refusal_error(Command.READ, Frame(Command.READ | REPLY_BIT, 3, 1, 1, b"\1")), BoardError)


@contextlib.contextmanager
def stranger(answer):
    """A TCP server that is not a board: `answer(connection)` in a thread, until the host has gone."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    transport = open_transport(f"tcp:127.0.0.1:{listener.getsockname()[1]}")
    try:
        yield transport
    finally:
        transport.close()
        thread.join(10)
        listener.close()


def echo(connection):
    while data := connection.recv(4096):
        connection.sendall(data)


def silent(connection):
    while connection.recv(4096):
        pass


def garbage(connection):
    while True:
        connection.sendall(os.urandom(512))
        time.sleep(0.002)


def garbage_after_a_question(connection):
    while connection.recv(4096):
        connection.sendall(np.random.default_rng(0).bytes(3000))


@pytest.mark.parametrize("answer", [echo, silent, garbage, garbage_after_a_question])
def test_something_that_is_not_our_board(answer):
    with stranger(answer) as transport:
        start = time.monotonic()
        with pytest.raises(LinkError) as caught:
            Board(Link(transport, timeout_seconds=0.3))
        assert time.monotonic() - start < 3
        assert "no answer to IDENTIFY" in str(caught.value) and "\n" not in str(caught.value)


def answering(payload_of_identify):
    def answer(connection):
        reader = FrameReader()
        while data := connection.recv(4096):
            for frame in reader.feed(data):
                connection.sendall(
                    Frame(frame.kind | REPLY_BIT, 0, frame.session, frame.sequence, payload_of_identify).encode()
                )

    return answer


def test_a_board_of_another_wire_version_is_refused_with_both_versions():
    identity = wire.IdentifyReply(0xDEADBEEF, 0x020103, 5, 6, 1, b"hwloop-9000x1").pack()
    with stranger(answering(identity)) as transport:
        with pytest.raises(WireVersionError, match=f"host {wire.WIRE_HASH:08x}, board deadbeef .firmware 2.1.3"):
            Board(Link(transport))


def test_a_device_with_our_frames_but_another_identity():
    with stranger(answering(b"hello")) as transport:
        with pytest.raises(DeviceError, match="not a hwloop board"):
            Board(Link(transport))


def test_the_wire_version_is_compared_by_the_board_too():
    with serving() as (board, (transport,)):
        link = Link(transport)
        with pytest.raises(WireVersionError, match=f"board {wire.WIRE_HASH:08x}"):
            link.request(Command.OPEN, wire.OpenRequest(wire.WIRE_HASH ^ 1, 0).pack())
        assert not board.armed and board.safe_reason == wire.SafeReason.WIRE_MISMATCH


def test_heartbeats_of_another_thread_count_as_nothing():
    with serving() as (board, (transport,)):
        link = opened(transport)
        sent = link.counters.bytes_sent
        before = board.bench.ticks
        for _ in range(50):
            link.heartbeat()
        link.request(Command.STATUS)
        assert link.counters.bytes_sent - sent < 30 and board.bench.ticks == before


def test_a_socket_of_the_real_kind():
    """TCP end to end: the port of a stranger's machine behaves as the socket pair of the other tests."""
    listener = socket.create_server(("127.0.0.1", 0))
    transport = open_transport(f"tcp:127.0.0.1:{listener.getsockname()[1]}")
    connection, _ = listener.accept()
    connection.close()
    listener.close()
    with pytest.raises(LinkError, match="closed the connection|lost"):
        Board(Link(transport))
    assert isinstance(transport, SocketTransport)
