"""Other people's drivers, unchanged and over pyvisa-py or pyserial, work the simulated 2600B and 34970A."""

import threading

import numpy as np
import pytest

from hwloop.mock.instruments.elements import FixedPins, Resistor
from hwloop.mock.instruments.keysight_34970a import Keysight34970A
from hwloop.mock.instruments.keysight_daq970a import KeysightDaq970A
from hwloop.mock.instruments.server import serve_instrument
from hwloop.mock.instruments.tsp.keithley_2600b import Keithley2600B

pytestmark = pytest.mark.filterwarnings("ignore")  # of the drivers


@pytest.fixture
def smu():
    """A 2602B with 10 kΩ at channel A and 1 kΩ at channel B, on a socket."""
    instrument = Keithley2600B("2602B", 1398687, (Resistor(10e3), Resistor(1e3)))
    with serve_instrument(instrument, "tcp:127.0.0.1:0", threading.Lock()) as served:
        yield served


def resource(served) -> str:
    """The VISA resource of a served instrument."""
    return f"TCPIP::127.0.0.1::{served.name.rpartition(':')[2]}::SOCKET"


def test_pymeasure_keithley_2600_sources_volts_and_measures(smu):
    keithley = pytest.importorskip("pymeasure.instruments.keithley")
    driver = keithley.Keithley2600(
        resource(smu), visa_library="@py", read_termination="\n", write_termination="\n", timeout=5000
    )
    channel = driver.ChA
    channel.apply_voltage(compliance_current=1e-3)
    channel.source_voltage = 1.0
    channel.measure_current(nplc=1.0)
    channel.source_output = "ON"
    assert channel.voltage == pytest.approx(1.0, abs=1e-3)
    assert channel.current == pytest.approx(100e-6, rel=2e-3)
    assert channel.resistance == pytest.approx(10e3, rel=1e-3)
    assert driver.next_error == (0, "Queue Is Empty")
    channel.source_output = "OFF"
    assert channel.source_output == "OFF"
    driver.adapter.close()


def test_qcodes_keithley_2602b_sweeps_by_its_own_script_with_a_binary_transfer(smu):
    drivers = pytest.importorskip("qcodes.instrument_drivers.Keithley")
    from qcodes.dataset import LinSweep

    driver = drivers.Keithley2602B("smu", resource(smu), visalib="@py", terminator="\n")
    try:
        assert driver.get_idn()["model"] == "2602B" and driver.get_idn()["serial"] == "1398687"
        driver.smua.mode("voltage")
        driver.smua.limiti(20e-6)
        driver.smua.volt(0.5)
        driver.smua.output(True)
        assert driver.smua.curr() == pytest.approx(20e-6, rel=0.01)  # 50 µA were asked for
        assert driver.smua.curr.measurement_status.name == "CURRENT_COMPLIANCE_ERROR"
        driver.smua.limiti(1e-3)
        driver.smua.setup_fastsweep(LinSweep(driver.smua.volt, 0, 1, 101))
        amps = driver.smua.fastsweep()
        assert np.allclose(amps, np.linspace(0, 100e-6, 101), atol=200e-9)
        driver.smua.timetrace_npts(50)
        driver.smua.timetrace_mode("voltage")
        assert driver.smua.timetrace() == pytest.approx(np.full(50, 1.0), abs=1e-3)
    finally:
        driver.close()


def test_keithley2600_finds_the_object_tree_and_sweeps_two_channels_by_the_trigger_model(smu):
    library = pytest.importorskip("keithley2600")
    driver = library.Keithley2600(resource(smu), visa_library="@py", timeout=5000, write_termination="\n")
    assert {"smua", "smub", "errorqueue", "format", "status", "trigger"} <= set(dir(driver))
    driver.apply_voltage(driver.smua, 0.3)
    assert driver.smua.measure.i() == pytest.approx(30e-6, rel=5e-3)
    levels = [0.1, 0.2, 0.3]
    volts_a, amps_a, volts_b, amps_b = driver.voltage_sweep_dual_smu(
        driver.smua, driver.smub, levels, levels, t_int=0.02, delay=-1, pulsed=False
    )
    assert volts_a == pytest.approx(levels, abs=1e-3) and volts_b == pytest.approx(levels, abs=1e-3)
    assert amps_a == pytest.approx(np.array(levels) / 10e3, abs=100e-9)
    assert amps_b == pytest.approx(np.array(levels) / 1e3, abs=1e-6)
    assert driver.read_error_queue() == []
    driver.disconnect()


def test_daqmon_logs_a_timed_scan_of_the_34970a_over_a_serial_port():
    daqmon = pytest.importorskip("daqmon.instrument")
    pin_volts = np.linspace(-3.0, 3.0, 20)
    with serve_instrument(Keysight34970A(4711, FixedPins(pin_volts)), "pty", threading.Lock()) as served:
        driver = daqmon.HP34970A(served.name, timeout=5)
        driver.open()
        assert driver.idn().startswith("HEWLETT-PACKARD,34970A")
        channels = [101, 102, 120]
        driver.configure_dc_voltage(channels, range_val="10", nplc=10)
        driver.set_scan_list(channels)
        driver.set_channel_delay(102, 0.01)
        driver.set_scan_interval(2.0)
        driver.set_scan_count(0)
        driver.enable_channel_in_readings()
        assert daqmon.normalize_range(driver.query_channel_range(101, "VOLT:DC")) == "10"
        assert float(driver.query_channel_nplc(101, "VOLT:DC")) == 10
        assert driver.query_trigger_count() == "+9.90000000E+37"
        driver.initiate_scan()
        assert driver.get_data_count() == 3
        readings = driver.query_readings_with_channels("DATA:REM? 3")
        assert [channel for _, channel in readings] == channels
        assert [volts for volts, _ in readings] == pytest.approx(pin_volts[[0, 1, 19]], abs=200e-6)
        driver.abort_scan()
        driver.close()


@pytest.mark.parametrize("model", [Keysight34970A, KeysightDaq970A])
def test_the_manuals_own_example_of_a_scan_works_over_visa(model):
    pyvisa = pytest.importorskip("pyvisa")
    pin_volts = np.linspace(-3.0, 3.0, 60)
    with serve_instrument(model(4711, FixedPins(pin_volts)), "tcp:127.0.0.1:0", threading.Lock()) as served:
        manager = pyvisa.ResourceManager("@py")
        with manager.open_resource(resource(served), read_termination="\n", write_termination="\n") as daq:
            assert model.model in daq.query("*IDN?")
            daq.write("*RST")
            daq.write("CONF:VOLT:DC 10,(@103,108,215)")
            daq.write("TRIG:COUN 2")
            daq.write("INIT")
            values = daq.query_ascii_values("FETC?")
            assert values == pytest.approx([*pin_volts[[2, 7, 34]]] * 2, abs=300e-6)
            daq.write("SENS:VOLT:LOUD 1")
            assert daq.query("SYST:ERR?") == '-113,"Undefined header"'
        manager.close()
