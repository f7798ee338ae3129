"""Ports that are not our board, or not the one that was meant: exit 3 (5 where it falls silent), one line, soon."""

import contextlib
import os
import pty
import socket
import threading
import tty

import pytest

from hwloop import holders
from hwloop.link import protocol as wire
from hwloop.link.frames import Frame, FrameReader


@contextlib.contextmanager
def listening(answer):
    """A TCP server; `answer(data)` gives what it says to each piece of data. Yields its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    while data := connection.recv(65536):
                        connection.sendall(answer(data))

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"tcp:127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def told(done, exit_code, text):
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert done.stderr.startswith("hwloop: error: ") and done.stderr.count("\n") == 1
    assert text in done.stderr


@pytest.mark.parametrize(
    ("port", "text"),
    [
        ("tcp:127.0.0.1:1", "tcp:127.0.0.1:1: nothing answers there (Connection refused)"),
        ("unix:absent", "unix:absent: nothing answers there (No such file or directory)"),
        ("/dev/absent", "/dev/absent: cannot be opened as a serial port"),
        ("/dev/null", "/dev/null: cannot be opened as a serial port"),
    ],
)
def test_nobody_there(here, real_rig, port, text):
    told(here("board", "info", "--rig", real_rig(port)), 3, text)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda data: data, id="an echo"),
        pytest.param(lambda data: b"", id="silence"),
        pytest.param(lambda data: b"HTTP/1.1 400 Bad Request\r\n\r\n", id="a web server"),
        pytest.param(lambda data: bytes(range(256)) * 8, id="noise"),
    ],
)
def test_something_else_answers(here, real_rig, answer):
    with listening(answer) as port:
        done = here("board", "info", "--rig", real_rig(port, patient=False))
    told(done, 5, f"{port}: no answer to IDENTIFY in 3 tries of 0.1 s; check that it is a hwloop board")


def board_with(changed):
    """A board that answers IDENTIFY, and nothing else, `changed` fields apart as ours does."""
    reader = FrameReader()
    size = wire.IdentifyReply.STRUCT.size
    fields = vars(wire.IdentifyReply.unpack(bytes(size))) | {"wire_hash": wire.WIRE_HASH, **changed}

    def answer(data):
        replies = b""
        for frame in reader.feed(data):
            payload = wire.IdentifyReply(**fields).pack()
            replies += Frame(frame.kind | wire.REPLY_BIT, 0, frame.session, frame.sequence, payload).encode()
        return replies

    return answer


def test_a_board_of_another_wire_version_is_refused_with_both_versions(here, real_rig):
    with listening(board_with({"wire_hash": 0xDEADBEEF, "firmware_version": 0x00020103})) as port:
        done = here("factorize", "image", "--rig", real_rig(port))
    told(done, 3, f"wire table differs: host {wire.WIRE_HASH:08x}, board deadbeef (firmware 2.1.3); flash")


def test_another_board_or_chip_than_the_rig_expects_is_refused(here, serve, real_rig):
    _, port = serve("--serial-number", "7")
    done = here("board", "info", "--rig", real_rig(port, "serial = 8\n"))
    told(done, 3, f"{port}: board 7 answers, the rig expects [board] serial 8")
    done = here("board", "info", "--rig", real_rig(port, "[array]\nserial = 9\n"))
    told(done, 3, "chip 1 is in the board's socket, the rig expects [array] serial 9")


def test_two_programs_on_one_port(here, real_rig):
    with holders.hold("tcp:127.0.0.1:9"):
        done = here("board", "info", "--rig", real_rig("tcp:localhost:9"))
    told(done, 3, f"port tcp:127.0.0.1:9 is held by process {os.getpid()}")


def test_a_serial_port_that_is_not_our_board(here, real_rig):
    master, slave = pty.openpty()
    tty.setraw(slave)
    done = here("board", "info", "--rig", real_rig(os.ttyname(slave), patient=False))
    told(done, 5, "no answer to IDENTIFY")
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("kind", ["tcp:127.0.0.1:0", "unix:socket", "pty"])
def test_a_served_board_is_a_real_one_to_everybody_else(here, serve, real_rig, kind):
    _, port = serve(port=kind)
    done = here("board", "info", "--rig", real_rig(port))
    assert done.returncode == 0 and f"hwloop-128x16, serial 1, at {port}" in done.stderr
    done = here("board", "safe", "--rig", real_rig(port), "--json")
    assert done.returncode == 0 and '"safe": true' in done.stdout
