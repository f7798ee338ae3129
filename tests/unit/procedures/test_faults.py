"""Leads that are not connected: no calibration comes of it, but an error that says where to look."""

import dataclasses
import threading

import numpy as np
import pytest

from hwloop.drivers.instruments import open_daq, open_smu
from hwloop.errors import CalibrationError, OpenLeadError, OutputUnknownError
from hwloop.mock.bench_instruments import resource_of
from hwloop.mock.instruments.elements import FixedPins, OpenLead
from hwloop.mock.instruments.keithley_2450 import Keithley2450
from hwloop.mock.instruments.keysight_34970a import Keysight34970A
from hwloop.mock.instruments.server import serve_instrument
from hwloop.procedures.catalogue import PROCEDURES
from tests.unit.procedures.test_board_calibration import calibrate

ANYWHERE = "tcp:127.0.0.1:0"


@pytest.fixture(scope="module")
def tools(open_bench):
    """Of a board whose DACs and bias sources are calibrated."""
    bench = open_bench(board_name="hwloop-16x4")
    found = calibrate(bench, ["dac", "bias"])
    return dataclasses.replace(bench.tools, known={
        parameter.name: parameter for findings in found.values() for parameter in findings.parameters
    })


@pytest.mark.parametrize(
    "kind, error",
    [
        ("adc", CalibrationError), ("tia", OpenLeadError), ("series", OpenLeadError),
        ("input-resistors", OpenLeadError), ("compensation", OpenLeadError), ("feedback", OpenLeadError),
        ("bias", CalibrationError),
    ],
)
def test_an_open_lead(kind, error, tools):
    instrument = Keithley2450(OpenLead(), 1)
    with serve_instrument(instrument, ANYWHERE, threading.Lock()) as served:
        with pytest.raises(error, match="check the leads"), open_smu(resource_of(served.name)) as smu:
            PROCEDURES[kind].run(dataclasses.replace(tools, smu=smu))
        assert not instrument.core.settings.output_on


def test_pins_that_are_not_connected(tools):
    with serve_instrument(Keysight34970A(1, FixedPins(np.zeros(20))), ANYWHERE, threading.Lock()) as served:
        with pytest.raises(CalibrationError, match="check the leads .* which channel each pin is on"):
            with open_daq(resource_of(served.name)) as daq:
                PROCEDURES["dac"].run(dataclasses.replace(tools, daq=daq))


def test_an_smu_that_is_switched_off_meanwhile(tools):
    instrument = Keithley2450(OpenLead(), 1)
    instrument.faults.readings_until_power_loss = 3
    with serve_instrument(instrument, ANYWHERE, threading.Lock()) as served:
        with pytest.raises(OutputUnknownError, match="switch the output off at its front panel"):
            with open_smu(resource_of(served.name), timeout_seconds=0.5) as smu:
                PROCEDURES["bias"].run(dataclasses.replace(tools, smu=smu))
