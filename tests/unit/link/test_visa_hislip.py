"""The VISA port over HiSLIP, where a message has an end of its own and a device clear reaches a busy instrument."""

import struct
import time

import pytest

from hwloop import errors
from hwloop.link.visa import VisaPort
from tests.unit.link.hislip_instrument import HislipInstrument
from tests.unit.link.stand_in_instrument import IDENTITY


@pytest.fixture(autouse=True)
def _registry(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def answer(line):
    if line == "*IDN?":
        return IDENTITY.encode() + b"\n"
    if line == ":DATA?":
        return b"#280" + struct.pack("<10d", *range(10)) + b';0,"No error"\n'
    if line == ":OFF?":
        raise ConnectionAbortedError
    return None


@pytest.fixture
def connected():
    with HislipInstrument(answer) as instrument, VisaPort(instrument.resource, 0.5) as port:
        yield port, instrument


def test_text_and_blocks(connected):
    port, instrument = connected
    assert port.identify() == IDENTITY
    assert port.query_block(":DATA?", 80) == (struct.pack("<10d", *range(10)), ';0,"No error"')
    port.write(":SOUR:LIST:VOLT " + "1.5," * 2000)
    assert port.identify() == IDENTITY
    assert len(instrument.heard) == 4


def test_a_slow_reply_and_then_a_device_clear_before_the_next_question(connected):
    port, instrument = connected
    port.identify()
    with pytest.raises(errors.InstrumentTimeoutError, match=r"no reply in 0.5 s \(at ':READ\?'\)"):
        port.query(":READ?")
    assert port.query_block(":DATA?", 80)[1] == ';0,"No error"'
    assert instrument.clears == 1


def test_an_instrument_that_is_switched_off_is_lost_at_once(connected):
    port, _ = connected
    begun, cpu_seconds = time.monotonic(), time.process_time()
    with pytest.raises(errors.InstrumentLostError, match="closed it"):
        port.query(":OFF?", expected_seconds=20.0)
    with pytest.raises(errors.InstrumentLostError):
        port.query("*IDN?")
    assert time.monotonic() - begun < 2.0
    assert time.process_time() - cpu_seconds < 0.5


def test_nothing_listens(connected):
    with pytest.raises(errors.AbsentInstrumentError):
        VisaPort("TCPIP::127.0.0.1::hislip0,1::INSTR", 0.5)
