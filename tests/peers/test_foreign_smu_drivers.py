"""Other people's drivers, unchanged, against the simulated source meters, over TCP and over a pseudo-terminal.

PyMeasure: Keithley 2400 and 2450. QCoDeS: Keithley 2400 and 2450; for the Keysight B2900 its driver of the B2962A,
whose command set is the same. PyVISA alone: a sweep of the B2900 in the steps that its manual gives.
"""

import contextlib
import threading

import numpy as np
import pytest

from hwloop.mock.instruments.elements import OpenLead, Resistor
from hwloop.mock.instruments.keithley_2400 import Keithley2400
from hwloop.mock.instruments.keithley_2450 import Keithley2450
from hwloop.mock.instruments.keysight_b2900 import KeysightB2911A
from hwloop.mock.instruments.server import serve_instrument

pyvisa = pytest.importorskip("pyvisa")
pytest.importorskip("pyvisa_py")
OHMS = 10e3
PORTS = ("tcp:127.0.0.1:0", "pty")


@contextlib.contextmanager
def resource_of(instrument, port):
    """The VISA resource string of an instrument behind a port."""
    with serve_instrument(instrument, port, threading.Lock()) as served:
        kind, _, number = served.name.rpartition(":")
        yield f"TCPIP::127.0.0.1::{number}::SOCKET" if kind else f"ASRL{served.name}::INSTR"


@contextlib.contextmanager
def pymeasure_driver(name, instrument, port):
    """A driver of PyMeasure's `keithley` package."""
    keithley = pytest.importorskip("pymeasure.instruments.keithley")
    with resource_of(instrument, port) as resource:
        ends = {"read_termination": "\n", "write_termination": "\n"}
        driver = getattr(keithley, name)(resource, visa_library="@py", **ends)
        try:
            yield driver
        finally:
            driver.adapter.close()


@contextlib.contextmanager
def qcodes_driver(module, name, instrument):
    """A driver of QCoDeS."""
    drivers = pytest.importorskip(f"qcodes.instrument_drivers.{module}")
    with resource_of(instrument, PORTS[0]) as resource:
        driver = getattr(drivers, name)("smu", resource, visalib="@py", terminator="\n")
        try:
            yield driver
        finally:
            driver.close()


@pytest.mark.parametrize("port", PORTS)
def test_pymeasure_2400_measures_a_resistor(port):
    with pymeasure_driver("Keithley2400", Keithley2400(Resistor(OHMS), 1), port) as smu:
        smu.reset()
        smu.reset_data_format()
        assert "MODEL 2400" in smu.id
        smu.source_mode = "voltage"
        smu.compliance_current = 1e-3
        smu.source_voltage = 0.5
        smu.current_nplc = 1
        smu.source_enabled = True
        assert smu.current == pytest.approx(0.5 / OHMS, rel=3e-3)
        everything = smu.measure_all()
        assert everything["voltage"] == pytest.approx(0.5, rel=3e-3)
        assert everything["resistance"] == pytest.approx(OHMS, rel=3e-3)
        assert smu.resistance == pytest.approx(OHMS, rel=3e-3)
        assert smu.wires == 2
        smu.shutdown()
        assert not smu.source_enabled
        assert smu.check_errors() == []


def test_pymeasure_2400_fills_its_buffer():
    with pymeasure_driver("Keithley2400", Keithley2400(Resistor(OHMS), 1), PORTS[0]) as smu:
        smu.reset()
        smu.reset_data_format()
        smu.source_mode = "voltage"
        smu.source_voltage = 0.2
        smu.source_enabled = True
        smu.config_buffer(20)
        smu.start_buffer()
        smu.wait_for_buffer(timeout=5)
        assert smu.buffer_data.reshape(-1, 5)[:, 1] == pytest.approx(np.full(20, 0.2 / OHMS), rel=1e-2)
        assert smu.mean_current == pytest.approx(0.2 / OHMS, rel=1e-2)
        assert 0 < smu.std_current < 1e-8


@pytest.mark.parametrize("port", PORTS)
def test_pymeasure_2450_measures_a_resistor(port):
    with pymeasure_driver("Keithley2450", Keithley2450(Resistor(OHMS), 2), port) as smu:
        smu.reset()
        assert "MODEL 2450" in smu.id
        smu.apply_voltage(compliance_current=1e-3)
        smu.source_voltage = 0.5
        smu.enable_source()
        smu.measure_current(nplc=1)
        assert smu.current == pytest.approx(0.5 / OHMS, rel=2e-3)
        smu.measure_voltage()
        assert smu.voltage == pytest.approx(0.5, rel=2e-3)
        smu.disable_source()
        smu.apply_current(compliance_voltage=2.0)
        smu.source_current = 1e-4
        smu.enable_source()
        smu.measure_resistance()
        assert smu.resistance == pytest.approx(OHMS, rel=2e-3)
        smu.ramp_to_current(0.0, steps=3, pause=0.0)
        smu.shutdown()
        assert not smu.source_enabled
        assert smu.check_errors() == []


def test_qcodes_2400_measures_a_resistor():
    with qcodes_driver("Keithley", "Keithley2400", Keithley2400(Resistor(OHMS), 3)) as smu:
        smu.mode("VOLT")
        smu.compliancei(1e-3)
        smu.rangev()
        smu.volt(0.5)
        smu.output(1)
        assert smu.curr() == pytest.approx(0.5 / OHMS, rel=3e-3)
        assert smu.resistance() == pytest.approx(OHMS, rel=3e-3)
        smu.output(0)
        assert smu.ask(":SYST:ERR?").startswith("0,")


def test_qcodes_2450_sweeps_a_resistor_and_reads_its_buffer():
    with qcodes_driver("Keithley", "Keithley2450", Keithley2450(Resistor(OHMS), 4)) as smu:
        smu.reset()
        smu.sense_function("current")
        smu.source_function("voltage")
        smu.source.limit(1e-3)
        smu.sense.four_wire_measurement(True)
        smu.sense.auto_range(True)
        smu.sense.nplc(0.1)
        with smu.buffer("sweep", 100) as buffer:
            smu.source.sweep_setup(-0.5, 0.5, 21, buffer_name="sweep")
            buffer.elements(["relative_time", "source_value", "measurement", "measurement_unit"])
            amps = smu.sense.sweep()
            rows = np.array(smu.sense.sweep.get_selected()).reshape(21, 4)
        assert amps == pytest.approx(np.linspace(-0.5, 0.5, 21) / OHMS, rel=5e-3, abs=1e-8)
        assert rows[:, 1].astype(float) == pytest.approx(np.linspace(-0.5, 0.5, 21), abs=1e-3)
        assert set(rows[:, 3]) == {"Amp DC"}
        assert not smu.source.limit_tripped()
        assert smu.ask(":SYST:ERR?").startswith("0,")


def test_qcodes_driver_of_the_b2900_family_measures_a_resistor():
    with qcodes_driver("Keysight.Keysight_B2962A", "KeysightB2962A", KeysightB2911A(Resistor(OHMS), 5)) as smu:
        assert smu.get_idn()["model"] == "B2911A"
        channel = smu.ch1
        channel.source_mode("voltage")
        channel.current_limit(1e-3)
        channel.source_voltage(0.5)
        channel.enable("on")
        assert channel.current() == pytest.approx(0.5 / OHMS, rel=2e-3)
        assert channel.voltage() == pytest.approx(0.5, rel=2e-3)
        assert channel.resistance() == pytest.approx(OHMS, rel=2e-3)
        channel.enable("off")
        assert smu.ask(":SYST:ERR?") == '+0,"No error"'


@pytest.mark.parametrize("port", PORTS)
def test_pyvisa_runs_a_sweep_in_the_steps_of_the_b2900_manual(port):
    with resource_of(KeysightB2911A(Resistor(OHMS), 6), port) as resource:
        smu = pyvisa.ResourceManager("@py").open_resource(resource, read_termination="\n", write_termination="\n")
        for line in (
            "*RST", ":sour:func:mode volt", ":sour:volt:mode swe", ":sour:volt:star 0", ":sour:volt:stop 0.1",
            ":sour:volt:poin 5", ':sens:func "curr"', ":sens:curr:rang:auto on", ":sens:curr:aper 1e-4",
            ":sens:curr:prot 0.1", ":trig:sour aint", ":trig:coun 5", ":outp on", ":init (@1)",
        ):  # fmt: skip
            smu.write(line)
        amps = smu.query_ascii_values(":fetc:arr:curr? (@1)", container=np.array)
        assert amps == pytest.approx(np.linspace(0, 0.1, 5) / OHMS, rel=2e-2, abs=3e-8)
        smu.write(":form real,64;:form:bord swap")
        binary = smu.query_binary_values(":fetc:arr:curr? (@1)", "d", is_big_endian=False, container=np.array)
        assert binary == pytest.approx(amps, rel=1e-5, abs=1e-13)
        assert smu.query(":syst:err?") == '+0,"No error"'
        smu.close()


def test_an_open_lead_shows_in_a_foreign_driver_as_on_a_bench():
    with pymeasure_driver("Keithley2450", Keithley2450(OpenLead(), 7), PORTS[0]) as smu:
        smu.reset()
        smu.apply_current(compliance_voltage=2.0)
        smu.source_current = 1e-5
        smu.enable_source()
        smu.measure_voltage()
        assert smu.voltage == pytest.approx(2.0, rel=1e-2)
        assert smu.ask(":SOUR:CURR:VLIM:TRIP?").strip() == "1"
