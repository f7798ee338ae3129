"""Transports over real ports: pseudo-terminal through pyserial, TCP and Unix sockets, and what goes wrong with them."""

import contextlib
import os
import socket
import threading
import time
import tty

import pytest

from hwloop.errors import DeviceError, LinkError, UsageError
from hwloop.link.transport import SerialTransport, SocketTransport, open_transport


@pytest.fixture
def terminal():
    """(transport on a pseudo-terminal, descriptor of the board's end)"""
    master, slave = os.openpty()
    tty.setraw(slave)
    transport = open_transport(os.ttyname(slave), 115200)
    os.close(slave)
    yield transport, master
    transport.close()
    try:
        os.close(master)
    except OSError:
        pass


@pytest.fixture
def pair():
    """(transport on a socket, the other end)"""
    here, there = socket.socketpair()
    transport = SocketTransport(here, "pair")
    yield transport, there
    transport.close()
    there.close()


def test_a_serial_port_carries_bytes_both_ways(terminal):
    transport, master = terminal
    assert isinstance(transport, SerialTransport)
    transport.send(bytes(range(256)))
    assert os.read(master, 1000) == bytes(range(256))
    os.write(master, b"\0\x11\x13\r\n")
    assert transport.receive(1.0) == b"\0\x11\x13\r\n"


def test_receive_gives_up_after_the_time_asked_for(terminal, pair):
    for transport in (terminal[0], pair[0]):
        start = time.monotonic()
        assert transport.receive(0.05) == b""
        assert 0.04 < time.monotonic() - start < 0.5


def test_a_serial_port_is_held_by_one_program(terminal):
    with pytest.raises(DeviceError, match="cannot be opened"):
        open_transport(terminal[0].name)


def test_a_serial_port_that_vanishes(terminal):
    transport, master = terminal
    os.close(master)
    with pytest.raises(LinkError, match="lost"):
        transport.receive(1.0)
    with pytest.raises(LinkError, match="lost"):
        transport.send(b"x")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_sockets(kind, tmp_path):
    if kind == "tcp":
        listener = socket.create_server(("127.0.0.1", 0))
        port = f"tcp:127.0.0.1:{listener.getsockname()[1]}"
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "board"))
        listener.listen()
        port = f"unix:{tmp_path / 'board'}"
    transport = open_transport(port)
    board, _ = listener.accept()
    transport.send(b"to the board")
    assert board.recv(100) == b"to the board"
    board.sendall(b"to the host")
    assert transport.receive(1.0) == b"to the host"
    board.close()
    with pytest.raises(LinkError, match="closed the connection"):
        transport.receive(1.0)
    transport.close()
    transport.close()
    listener.close()


def test_a_peer_that_vanishes_while_sending(pair):
    transport, board = pair
    board.close()
    with pytest.raises(LinkError, match="lost while sending"):
        for _ in range(3):
            transport.send(b"x" * 1_000_000)


def test_a_peer_that_takes_nothing_is_reported(pair, monkeypatch):
    transport, _ = pair
    monkeypatch.setattr(transport, "BLOCKED_SECONDS", 0.2)
    with pytest.raises(LinkError, match="nothing could be sent for 0.2 s"):
        transport.send(b"x" * 10_000_000)


@pytest.mark.parametrize("which", ["terminal", "pair"])
def test_full_buffers_on_both_sides_do_not_lock(which, request):
    """The board answers much before it goes on reading; the host takes the answers in while it is still sending."""
    transport, board = request.getfixturevalue(which)
    descriptor = board if which == "terminal" else board.fileno()
    size = 300_000
    received = bytearray()

    def answer_then_read():
        answered = 0
        while answered < size:
            answered += os.write(descriptor, b"r" * min(1000, size - answered))
        while len(received) < size:
            received.extend(os.read(descriptor, 65536))

    thread = threading.Thread(target=answer_then_read)
    thread.start()
    transport.send(b"q" * size)
    arrived = b""
    while len(arrived) < size:
        arrived += transport.receive(5.0)
    thread.join(10)
    assert arrived == b"r" * size and received == b"q" * size


def test_a_thread_that_sends_takes_nothing_from_the_one_that_receives(pair):
    """A heartbeat goes out while the other thread waits: nothing that arrives meanwhile may be lost or late."""
    transport, board = pair
    stop = threading.Event()

    def beat():
        with contextlib.suppress(LinkError):
            while not stop.is_set():
                transport.send(b".")

    def answer():
        for number in range(2000):
            board.sendall(number.to_bytes(2, "little"))
            board.recv(65536)

    threads = [threading.Thread(target=beat), threading.Thread(target=answer)]
    for thread in threads:
        thread.start()
    arrived, start = b"", time.monotonic()
    while len(arrived) < 4000 and time.monotonic() - start < 20:
        arrived += transport.receive(1.0)
    stop.set()
    board.close()
    for thread in threads:
        thread.join(10)
    assert arrived == b"".join(number.to_bytes(2, "little") for number in range(2000))


def test_closed_by_ourselves(pair, terminal):
    for transport in (pair[0], terminal[0]):
        transport.close()
        for use in (lambda t=transport: t.send(b"x"), lambda t=transport: t.receive(0.1)):
            with pytest.raises(LinkError):
                use()


@pytest.mark.parametrize(
    "port", ["tcp:127.0.0.1:1", "unix:/nowhere/board", "/dev/ttyNOT_THERE0", "tcp:no.such.host.invalid:80"]
)
def test_ports_where_nothing_answers(port):
    with pytest.raises(DeviceError) as caught:
        open_transport(port)
    assert str(caught.value).startswith(f"{port}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("port", ["tcp:", "tcp:host", "tcp:host:0", "tcp:host:65536", "tcp:host:abc", "tcp::80"])
def test_malformed_names_of_ports(port):
    with pytest.raises(UsageError, match="expected tcp:HOST:PORT"):
        open_transport(port)
