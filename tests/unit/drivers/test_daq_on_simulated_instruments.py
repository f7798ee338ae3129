"""Our DAQ driver against the simulated units, which were written from the manuals by themselves."""

import contextlib
import importlib
import threading

import numpy as np
import pytest

from hwloop import errors
from hwloop.drivers.instruments import open_daq

pytest.importorskip("hwloop.mock.instruments.server")
UNITS = [("keysight_34970a", "Keysight34970A"), ("keysight_daq970a", "KeysightDaq970A")]
PIN_VOLTS = np.linspace(-2.4, 2.4, 40)


@contextlib.contextmanager
def connected(module, name):
    """(driver, simulated unit), its first 40 channels at PIN_VOLTS."""
    elements = importlib.import_module("hwloop.mock.instruments.elements")
    server = importlib.import_module("hwloop.mock.instruments.server")
    unit = getattr(pytest.importorskip(f"hwloop.mock.instruments.{module}"), name)(1, elements.FixedPins(PIN_VOLTS))
    with server.serve_instrument(unit, "tcp:127.0.0.1:0", threading.Lock()) as served:
        host, port = served.name.removeprefix("tcp:").rsplit(":", 1)
        with open_daq(f"TCPIP::{host}::{port}::SOCKET", timeout_seconds=1.0) as daq:
            yield daq, unit


@pytest.mark.parametrize(("module", "name"), UNITS)
def test_channels_in_any_order_are_within_the_data_sheets_accuracy(module, name):
    with connected(module, name) as (daq, _):
        channels = np.array([205, 101, 120, 111])
        volts = daq.scan_volts(channels, range_volts=2.5, nplc=10.0)
        accuracy = daq.accuracy(2.5)
    wanted = PIN_VOLTS[[24, 0, 19, 10]]
    assert np.all(np.abs(volts - wanted) <= accuracy.gain_fraction * np.abs(wanted) + accuracy.offset + 1e-5)


@pytest.mark.parametrize(("module", "name"), UNITS)
def test_many_scans_are_one_trigger_and_one_transfer(module, name):
    with connected(module, name) as (daq, _):
        channels = np.arange(101, 117)
        daq.scan_volts(channels, 10.0, count=20)
        before = daq.port.counters.exchanges
        volts = daq.scan_volts(channels, 10.0, count=20)
        assert daq.port.counters.exchanges - before == 1
    assert volts.shape == (20, 16)
    np.testing.assert_allclose(volts.mean(axis=0), PIN_VOLTS[:16], atol=1e-3)


@pytest.mark.parametrize(("module", "name"), UNITS)
def test_what_the_range_does_not_hold_is_no_number(module, name):
    with connected(module, name) as (daq, _):
        volts = daq.scan_volts(np.array([101, 201]), range_volts=1.0)
    assert np.isnan(volts[0]) and volts[1] == pytest.approx(PIN_VOLTS[20], abs=1e-4)


@pytest.mark.parametrize(("module", "name"), UNITS)
def test_a_channel_that_no_card_has(module, name):
    with connected(module, name) as (daq, _):
        with pytest.raises(errors.InstrumentRefusalError):
            daq.scan_volts(np.array([101, 150]), 10.0)
        assert daq.scan_volts(np.array([101]), 10.0)[0] == pytest.approx(-2.4, abs=1e-3)


@pytest.mark.parametrize(("module", "name"), UNITS)
def test_switched_off_garbled_and_slow(module, name):
    with connected(module, name) as (daq, unit):
        unit.faults.garbled_replies = 1
        with pytest.raises(errors.GarbledReplyError):
            daq.scan_volts(np.array([101]), 10.0)
        unit.faults.readings_until_power_loss = 2
        with pytest.raises(errors.InstrumentLostError):
            daq.scan_volts(np.arange(101, 110), 10.0)
