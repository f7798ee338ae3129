"""The VISA port over real sockets and a pseudo-terminal, and everything that goes wrong with instruments on them."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import tty

import pytest

from hwloop import errors, holders
from hwloop.link.visa import VisaPort
from tests.unit.link.stand_in_instrument import IDENTITY, PowerOffError, StandInInstrument


@pytest.fixture(autouse=True)
def _registry(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@contextlib.contextmanager
def talking_to(answer=lambda line: None, timeout_seconds=0.3):
    """(port, instrument)"""
    with StandInInstrument(answer) as instrument, VisaPort(instrument.resource, timeout_seconds) as port:
        yield port, instrument


def seconds_of(call):
    begun = time.monotonic()
    call()
    return time.monotonic() - begun


def test_opening_sends_nothing_and_identifying_only_asks():
    with talking_to() as (port, instrument):
        assert instrument.heard == []
        assert port.identify() == IDENTITY
        assert instrument.heard == ["*IDN?"]
        assert port.counters.exchanges == 1


def test_text_goes_both_ways_line_by_line():
    with talking_to(lambda line: f"{line}!\n".encode() if "?" in line else None) as (port, instrument):
        port.write(":OUTP OFF")
        assert port.query(":OUTP?") == ":OUTP?!"
        assert instrument.heard == [":OUTP OFF", ":OUTP?"]
        assert (port.counters.exchanges, port.counters.bytes_received) == (2, 8)


@pytest.mark.parametrize("head", [b"#3800", b"#0"])
def test_a_block_may_hold_any_bytes_and_text_follows_it(head):
    block = struct.pack("<100d", *range(100)).replace(b"\x00", b"\n")
    with talking_to(lambda line: head + block + b';0,"No error"\n') as (port, _):
        assert port.query_block(":TRAC:DATA?", 800) == (block, ';0,"No error"')
        assert port.query_block(":TRAC:DATA?", 800) == (block, ';0,"No error"')


def test_a_large_block_takes_little_longer_than_its_transfer():
    block = os.urandom(320_000)
    with talking_to(lambda line: b"#6320000" + block + b"\n") as (port, _):
        assert seconds_of(lambda: port.query_block("?", 320_000)) < 0.3


def test_text_where_a_block_was_asked_for_is_given_as_text():
    with talking_to(lambda line: b'-222,"Parameter data out of range"\n') as (port, _):
        assert port.query_block(":TRAC:DATA?", 80) == (b"", '-222,"Parameter data out of range"')


def test_a_long_message_arrives_whole():
    with talking_to(lambda line: b"1\n") as (port, instrument):
        message = ":SOUR:LIST:VOLT " + ",".join(["1.00000000"] * 20_000)
        port.query(message)
        assert instrument.heard == [message]


def test_a_refused_port_is_seen_at_once():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
    with pytest.raises(errors.AbsentInstrumentError, match=rf"127.0.0.1::{number}.*Connection refused.*check the addr"):
        VisaPort(f"TCPIP::127.0.0.1::{number}::SOCKET", 5.0)
    assert errors.AbsentInstrumentError.exit_code == 3


@pytest.mark.parametrize("resource", ["ASRL/dev/ttyNOT_THERE0::INSTR", "TCPIP::no.such.host.invalid::80::SOCKET"])
def test_resources_where_nothing_answers(resource):
    with pytest.raises(errors.AbsentInstrumentError, match="nothing answers there"):
        VisaPort(resource, 1.0)


def test_a_name_that_is_none_and_a_backend_that_is_not_there():
    with pytest.raises(errors.UsageError, match="no VISA resource name"):
        VisaPort("the one on the left")
    with pytest.raises(errors.UsageError, match="VISA backend '@none' cannot be used"):
        VisaPort("TCPIP::127.0.0.1::1::SOCKET", backend="@none")


def test_a_slow_reply_is_a_time_out_that_names_resource_command_and_seconds():
    with talking_to() as (port, instrument), pytest.raises(errors.InstrumentTimeoutError) as caught:
        port.query(":READ?")
    assert str(caught.value).startswith(f"{instrument.resource}: no reply in 0.3 s (at ':READ?'); check that")
    assert caught.value.exit_code == 5


def test_half_a_reply_is_said_to_be_half_a_reply():
    with talking_to(lambda line: b"1.234") as (port, _):
        with pytest.raises(errors.InstrumentTimeoutError, match="only 5 bytes of a reply in 0.3 s"):
            port.query(":READ?")


def test_a_reply_may_take_the_seconds_that_the_instrument_is_expected_to_work():
    def answer(line):
        time.sleep(0.5)
        return b"1\n"

    with talking_to(answer) as (port, _):
        assert port.query(":READ?", expected_seconds=1.0) == "1"


@pytest.mark.parametrize(("last", "words"), [(b"", "instrument closed it"), (b"1.2", "closed it in the middle")])
def test_an_instrument_that_is_switched_off_in_an_exchange_is_seen_at_once(last, words):
    def answer(line):
        raise PowerOffError(last)

    with talking_to(answer) as (port, _):
        cpu_seconds = time.process_time()

        def ask():
            with pytest.raises(errors.InstrumentLostError, match=words):
                port.query(":READ?", expected_seconds=20.0)

        assert seconds_of(ask) < 1.0
        assert time.process_time() - cpu_seconds < 0.5


def test_an_instrument_that_was_switched_off_before_is_lost_and_not_spun_upon():
    with talking_to(lambda line: (_ for _ in ()).throw(PowerOffError)) as (port, _):
        port.write("end")
        time.sleep(0.05)
        for _ in range(3):
            with pytest.raises(errors.InstrumentLostError, match="connection lost"):
                port.query(":READ?")


def test_bytes_that_are_no_text_are_garbled():
    with talking_to(lambda line: b"\xff\x80\x01\n") as (port, _):
        with pytest.raises(errors.GarbledReplyError, match=r"garbled reply .*xff.*at ':READ\?'.*baud rate"):
            port.query(":READ?")


def test_a_block_of_another_length_is_garbled():
    with talking_to(lambda line: b"#14abcd\n") as (port, _), pytest.raises(errors.GarbledReplyError):
        port.query_block(":READ?", 8)


def test_a_line_that_nobody_asked_for_is_garbled_and_then_the_port_is_in_step_again():
    with talking_to(lambda line: b"1\n2\n" if line == ":TWICE?" else b"3\n") as (port, _):
        port.identify()
        assert port.query(":TWICE?") == "1"
        with pytest.raises(errors.GarbledReplyError, match="b'2.n'"):
            port.query(":ONCE?")
        assert port.query(":ONCE?") == "3"


def test_after_a_late_reply_the_next_question_gets_its_own_answer():
    def answer(line):
        if line == ":SLOW?":
            time.sleep(0.6)
        return f"reply to {line}\n".encode()

    with talking_to(answer, timeout_seconds=0.5) as (port, instrument):
        port.identify()
        with pytest.raises(errors.InstrumentTimeoutError):
            port.query(":SLOW?")
        assert port.query(":FAST?") == "reply to :FAST?"
        assert instrument.heard == ["*IDN?", ":SLOW?", "*IDN?", ":FAST?"]


def test_an_instrument_that_is_asked_for_its_name_in_vain_and_then_answers_all_at_once():
    release = threading.Event()

    def answer(line):
        if line == ":SLOW?":
            release.wait(5)
        return f"reply to {line}\n".encode()

    with talking_to(answer, timeout_seconds=0.2) as (port, _):
        port.identify()
        for question in (":SLOW?", ":FAST?", ":FAST?"):
            with pytest.raises(errors.InstrumentTimeoutError):
                port.query(question)
        release.set()
        time.sleep(0.1)
        assert port.query(":FAST?") == "reply to :FAST?"
        assert port.query(":FAST?") == "reply to :FAST?"


def test_what_has_to_be_said_at_once_goes_out_before_the_late_reply_is_waited_for():
    with talking_to(lambda line: b"late\n" if line == ":OUTP OFF" else None) as (port, instrument):
        port.identify()
        with pytest.raises(errors.InstrumentTimeoutError):
            port.query(":READ?")
        port.resynchronize(":OUTP OFF")
        assert instrument.heard[-2:] == [":OUTP OFF", "*IDN?"]


def test_something_that_answers_but_not_as_an_instrument():
    with StandInInstrument(identity="SSH-2.0-OpenSSH") as instrument, VisaPort(instrument.resource, 0.3) as port:
        with pytest.raises(errors.WrongInstrumentError, match="SSH-2.0.*no instrument's name"):
            port.identify()


def test_an_instrument_that_takes_nothing_any_more():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with VisaPort(f"TCPIP::127.0.0.1::{listener.getsockname()[1]}::SOCKET", 0.3) as port:
            with pytest.raises(errors.InstrumentTimeoutError, match=r"takes nothing for 0.3 s"):
                port.write("x" * 20_000_000)


def test_two_programs_on_one_instrument_however_it_is_written():
    program = (
        "import sys, time; from hwloop.link.visa import VisaPort; port = VisaPort(sys.argv[1]);"
        "print('open', flush=True); time.sleep(60)"
    )
    with StandInInstrument() as instrument:
        resource = instrument.resource.replace("TCPIP::127.0.0.1", "TCPIP0::localhost")
        other = subprocess.Popen([sys.executable, "-c", program, resource], stdout=subprocess.PIPE, text=True)
        try:
            assert other.stdout.readline() == "open\n"
            with pytest.raises(errors.HeldInstrumentError, match=f"{instrument.resource}.*process {other.pid}"):
                VisaPort(instrument.resource)
            assert instrument.connections == 1
        finally:
            other.kill()
            other.communicate()
        VisaPort(instrument.resource).close()


def test_a_port_that_could_not_be_opened_is_free_again():
    with pytest.raises(errors.AbsentInstrumentError):
        VisaPort("TCPIP::127.0.0.1::1::SOCKET")
    assert holders.holders("tcp:127.0.0.1:1") == []


def test_a_signal_ends_a_wait_at_once():
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))

    def ask(port):
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            port.query(":READ?", expected_seconds=20.0)

    with talking_to() as (port, _):
        assert seconds_of(lambda: ask(port)) < 1.0
        assert not port.in_step


@pytest.fixture
def terminal():
    """(name of a pseudo-terminal, descriptor of the instrument's end)"""
    master, slave = os.openpty()
    tty.setraw(slave)
    name = os.ttyname(slave)
    yield name, master
    os.close(slave)
    with contextlib.suppress(OSError):
        os.close(master)


def test_a_serial_port(terminal):
    name, master = terminal
    block = struct.pack("<10d", *range(10))

    def serve():
        assert os.read(master, 100) == b":READ?\n"
        os.write(master, b"1.5")
        time.sleep(0.05)
        os.write(master, b"e-3\n")
        assert os.read(master, 100) == b":DATA?\n"
        os.write(master, b"#280" + block + b"\n")

    thread = threading.Thread(target=serve)
    thread.start()
    with VisaPort(f"ASRL{name}::INSTR", 1.0) as port:
        assert port.query(":READ?") == "1.5e-3"
        assert port.query_block(":DATA?", 80) == (block, "")
        thread.join(5)
        with pytest.raises(errors.InstrumentTimeoutError, match="no reply in 1 s"):
            port.query(":READ?")


def test_a_serial_port_and_a_board_on_it_exclude_each_other(terminal):
    with holders.hold(holders.port_key(terminal[0])), pytest.raises(errors.HeldInstrumentError, match=terminal[0]):
        VisaPort(f"ASRL{terminal[0]}::INSTR")
