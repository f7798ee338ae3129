"""Simulated instruments behind TCP sockets and pseudo-terminals: controllers come and go, and things break."""

import os
import select
import socket
import threading
import time

import pytest

from hwloop.errors import DeviceError, UsageError
from hwloop.mock.instruments.elements import Resistor
from hwloop.mock.instruments.keithley_2450 import Keithley2450
from hwloop.mock.instruments.server import serve_instrument

SWEEP = b"SOUR:SWE:VOLT:LIN 0,1,1001,0;:INIT;:TRAC:ACT?\n"


@pytest.fixture
def smu():
    return Keithley2450(Resistor(1e4), 1)


def connect(served):
    """A connection with a time-out."""
    host, _, number = served.name.removeprefix("tcp:").rpartition(":")
    return socket.create_connection((host, int(number)), timeout=5)


def ask(connection, message):
    """One answer, to its terminator; b"" where the peer closed."""
    connection.sendall(message)
    answer = b""
    while not answer.endswith(b"\n"):
        part = connection.recv(1 << 16)
        if not part:
            return answer
        answer += part
    return answer


def test_controllers_follow_each_other_and_find_the_same_instrument(smu):
    with serve_instrument(smu, "tcp:127.0.0.1:0", threading.Lock()) as served:
        with connect(served) as first:
            assert b"MODEL 2450" in ask(first, b"*IDN?\n")
            ask(first, b"SOUR:VOLT 0.25;:SOUR:VOLT?\n")
            first.sendall(b"half a mess")
        time.sleep(0.05)
        with connect(served) as second:
            assert ask(second, b"SOUR:VOLT?\n") == b"0.25\n"


def test_a_second_controller_at_the_same_time_is_closed_at_once(smu):
    with serve_instrument(smu, "tcp:127.0.0.1:0", threading.Lock()) as served, connect(served) as first:
        ask(first, b"*OPC?\n")
        with connect(served) as second:
            assert second.recv(1) == b""
        assert ask(first, b"*OPC?\n") == b"1\n"


def test_a_terminal_may_be_opened_again(smu):
    with serve_instrument(smu, "pty", threading.Lock()) as served:
        for _ in range(2):
            descriptor = os.open(served.name, os.O_RDWR | os.O_NOCTTY)
            os.write(descriptor, b"*OPC?\n")
            assert select.select([descriptor], [], [], 5)[0]
            assert os.read(descriptor, 100) == b"1\n"
            os.close(descriptor)


def test_the_lock_of_the_bench_is_held_while_the_instrument_works(smu):
    lock = threading.Lock()
    with serve_instrument(smu, "tcp:127.0.0.1:0", lock) as served, connect(served) as connection:
        with lock:
            connection.sendall(b"*OPC?\n")
            assert not select.select([connection], [], [], 0.1)[0]
        assert connection.recv(10) == b"1\n"


def test_power_that_fails_in_a_sweep_ends_the_connection_and_the_port(smu):
    with serve_instrument(smu, "tcp:127.0.0.1:0", threading.Lock()) as served, connect(served) as connection:
        smu.faults.readings_until_power_loss = 400
        assert ask(connection, SWEEP) == b""
        with pytest.raises(ConnectionRefusedError):
            connect(served)


def test_a_switched_off_instrument_hangs_up(smu):
    with serve_instrument(smu, "tcp:127.0.0.1:0", threading.Lock()) as served, connect(served) as connection:
        ask(connection, b"*OPC?\n")
        smu.faults.is_off = True
        assert connection.recv(1) == b""


def test_slow_and_garbled_replies(smu):
    with serve_instrument(smu, "tcp:127.0.0.1:0", threading.Lock()) as served, connect(served) as connection:
        smu.faults.reply_delay_seconds, smu.faults.garbled_replies = 0.2, 1
        began = time.monotonic()
        garbled = ask(connection, b"*IDN?\n")
        assert time.monotonic() - began >= 0.2
        smu.faults.reply_delay_seconds = 0.0
        true = ask(connection, b"*IDN?\n")
        assert garbled != true
        assert len(garbled) == len(true)
        assert garbled.endswith(b"\n")


def test_in_real_time_a_reading_takes_its_integration_time(smu):
    with (
        serve_instrument(smu, "tcp:127.0.0.1:0", threading.Lock(), real_time=True) as served,
        connect(served) as connection,
    ):
        ask(connection, b"SENS:CURR:AZER OFF;NPLC 5;:OUTP ON;*OPC?\n")
        began = time.monotonic()
        ask(connection, b"MEAS:CURR?\n")
        assert time.monotonic() - began >= 5 / 50


def test_ports_that_cannot_be(smu):
    with pytest.raises(UsageError, match="expected pty or tcp:HOST:PORT"):
        serve_instrument(smu, "gpib:5", threading.Lock())
    with serve_instrument(smu, "tcp:127.0.0.1:0", threading.Lock()) as served:
        with pytest.raises(DeviceError, match="cannot listen"):
            serve_instrument(smu, served.name, threading.Lock())
