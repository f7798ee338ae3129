"""The simulated 34970A and DAQ970A over bytes: configuration, channel lists, scans, memory, status, errors, truth."""

import numpy as np
import pytest

from hwloop.mock.instruments.elements import FixedPins
from hwloop.mock.instruments.faults import PowerLossError
from hwloop.mock.instruments.keysight_34970a import Keysight34970A
from hwloop.mock.instruments.keysight_daq970a import KeysightDaq970A

PIN_VOLTS = np.linspace(-3.0, 3.0, 60)


def tell(daq: Keysight34970A, *messages: str) -> str:
    return daq.say("".join(message + "\n" for message in messages).encode()).decode().removesuffix("\n")


def numbers(answer: str) -> np.ndarray:
    return np.array(answer.split(","), float)


def errors(daq: Keysight34970A) -> list[int]:
    found = []
    while (error := tell(daq, "SYST:ERR?")) != '+0,"No error"':
        found.append(int(error.split(",")[0]))
    return found


@pytest.fixture
def daq() -> Keysight34970A:
    return Keysight34970A(4711, FixedPins(PIN_VOLTS))


def test_identities():
    assert tell(Keysight34970A(5, FixedPins(PIN_VOLTS)), "*IDN?") == "HEWLETT-PACKARD,34970A,0,13-2-2"
    successor = KeysightDaq970A(5, FixedPins(PIN_VOLTS))
    assert tell(successor, "*IDN?").startswith("Keysight Technologies,DAQ970A,MY00000005,")
    assert tell(successor, "SYST:CTYP? 200") == "Keysight Technologies,DAQM901A,0,2.3"


@pytest.mark.parametrize("model", [Keysight34970A, KeysightDaq970A])
def test_all_channels_at_once_within_the_data_sheet(model):
    daq = model(4711, FixedPins(PIN_VOLTS))
    tell(daq, "CONF:VOLT:DC 10,(@101:120,201:220,301:320)", "VOLT:DC:NPLC 10")
    read = numbers(tell(daq, "READ?"))
    assert read.shape == (60,)
    assert np.abs(read - PIN_VOLTS).max() <= 0.0035e-2 * 3 + 0.0005e-2 * 10 + 3e-6 + 12e-6
    assert errors(daq) == []


def test_long_forms_case_and_the_optional_sense_node(daq):
    tell(daq, "configure:voltage:dc 1,(@101)", "SENSe:VOLTage:DC:NPLCycles 2,(@101)")
    assert numbers(tell(daq, "volt:nplc? (@101)")) == 2
    assert tell(daq, "SENS:FUNC? (@101)") == '"VOLT"'
    assert tell(daq, "CONF? (@101)") == '"VOLT +1.000000E+00,+2.200000E-06"'
    assert errors(daq) == []


@pytest.mark.parametrize(
    ("channels", "number"), [("(@421)", 111), ("(@021)", 111), ("(@123)", 112), ("(@101:130)", 112), ("(101)", 309)]
)
def test_channel_lists_that_name_no_channel(daq, channels, number):
    tell(daq, f"ROUT:SCAN {channels}")
    assert errors(daq) == [number]


def test_a_range_of_channels_passes_over_numbers_that_do_not_exist(daq):
    tell(daq, "ROUT:SCAN (@119:202)")
    assert tell(daq, "ROUT:SCAN?") == "#226(@119,120,121,122,201,202)"
    assert tell(daq, "ROUT:SCAN:SIZE?") == "+6"
    tell(daq, "ROUT:SCAN (@)")
    assert tell(daq, "ROUT:SCAN?") == "#13(@)"


@pytest.mark.parametrize(
    ("message", "number"),
    [
        ("VOLTS 1", -113),
        ("VOLT:DC:RANG 500,(@101)", -222),
        ("VOLT:DC:NPLC 0.001,(@101)", -222),
        ("VOLT:DC:NPLC", -109),
        ("TRIG:SOUR SUN", -224),
        ("TRIG:COUN 0", -222),
        ("CONF:CURR:DC (@101)", 305),
        ("CONF:VOLT:DC (@121)", 305),
        ("INIT", 113),
        ("FETC?", -230),
        ("*TRG", -211),
        ("ROUT:MON (@101,102)", 281),
        ("CONF:VOLT:DC (@101);:TRIG:COUN INF;:READ?", -214),
        ("CONF:VOLT:DC (@101);:TRIG:SOUR BUS;:INIT;:INIT", -213),
    ],
)
def test_a_wrong_command_enters_the_error_queue(daq, message, number):
    tell(daq, message)
    assert errors(daq) == [number]


def test_the_error_queue_holds_ten_and_ends_with_an_overflow(daq):
    tell(daq, *["NONSENSE"] * 12)
    assert errors(daq) == [-113] * 9 + [-350]
    assert tell(daq, "*ESR?") == "+160"  # power on, command error


def test_readings_carry_unit_time_channel_and_alarm_as_asked(daq):
    tell(daq, "CONF:VOLT:DC 10,(@101,205)", "FORM:READ:UNIT ON;TIME ON;CHAN ON;ALAR ON")
    fields = tell(daq, "READ?").split(",")
    assert [field[-4:] for field in fields[::4]] == [" VDC", " VDC"]
    assert float(fields[1]) < float(fields[5]) and len(fields[1]) == len("000000000.017")
    assert fields[2::4] == ["101", "205"] and fields[3::4] == ["0", "0"]
    tell(daq, "CONF:VOLT:DC 10,(@101)")  # presets: bare readings again
    assert "," not in tell(daq, "READ?")


def test_a_timed_scan_of_several_sweeps_and_its_memory(daq):
    tell(daq, "CONF:VOLT:DC 10,(@101:104)", "TRIG:SOUR TIM;TIM 2;COUN 3", "FORM:READ:TIME ON", "INIT")
    assert int(tell(daq, "STAT:OPER:COND?")) == 16
    assert tell(daq, "DATA:POIN?") == "+4"  # each look lets one more sweep happen
    times = numbers(tell(daq, "FETC?"))[1::2].reshape(3, 4)
    assert np.diff(times[:, 0]) == pytest.approx([2.0, 2.0], abs=2e-3)
    assert int(tell(daq, "STAT:OPER:COND?")) == 0
    assert tell(daq, "DATA:POIN?") == "+12"
    assert len(tell(daq, "DATA:REM? 5").split(",")) == 10
    tell(daq, "DATA:REM? 8")
    assert errors(daq) == [-222]
    block = tell(daq, "R?")
    digits = int(block[1])
    assert int(block[2 : 2 + digits]) == len(block) - 2 - digits
    assert tell(daq, "DATA:POIN?") == "+0"


def test_an_endless_scan_goes_on_until_it_is_aborted(daq):
    tell(daq, "CONF:VOLT:DC 10,(@101:102)", "TRIG:SOUR TIM;TIM 1;COUN INF", "INIT")
    assert tell(daq, "TRIG:COUN?") == "+9.90000000E+37"
    assert [tell(daq, "DATA:POIN?") for _ in range(3)] == ["+2", "+4", "+6"]
    tell(daq, "ABOR")
    assert tell(daq, "DATA:POIN?") == "+6"


def test_bus_and_external_triggers_make_one_sweep_each(daq):
    tell(daq, "CONF:VOLT:DC 10,(@101:103)", "TRIG:SOUR BUS;COUN 2", "INIT", "*TRG")
    assert tell(daq, "DATA:POIN?") == "+3"
    tell(daq, "ABOR", "TRIG:SOUR EXT", "INIT")
    daq.external_trigger()
    daq.external_trigger()
    assert tell(daq, "DATA:POIN?") == "+6"


def test_overload_is_a_reading_and_a_status_bit_and_no_error(daq):
    tell(daq, "CONF:VOLT:DC 0.1,(@101)")
    assert float(tell(daq, "READ?")) == -9.9e37
    assert int(tell(daq, "STAT:QUES?")) == 1
    assert int(tell(daq, "*ESR?")) & 8
    assert errors(daq) == []
    assert float(tell(daq, "MEAS:RES? (@101)")) == 9.9e37


def test_autorange_takes_the_range_that_fits(daq):
    small = Keysight34970A(4711, FixedPins(np.array([0.05, 5.0])))
    values = numbers(tell(small, "MEAS:VOLT:DC? AUTO,(@101,102)"))
    truth = [
        small.multimeter.hidden_error(scale).of(volts + small.multimeter.thermal_volts(channel))
        for scale, volts, channel in ((0.1, 0.05, 101), (10.0, 5.0, 102))
    ]
    assert values == pytest.approx(truth, abs=50e-6)
    assert values[0] == pytest.approx(truth[0], abs=1e-6)


def test_resolution_chooses_the_integration_time(daq):
    tell(daq, "CONF:VOLT:DC 10,0.001,(@101)")
    assert float(tell(daq, "VOLT:NPLC? (@101)")) == 0.02
    tell(daq, "CONF:VOLT:DC 10,MIN,(@101)")
    assert float(tell(daq, "VOLT:NPLC? (@101)")) == 200
    tell(daq, "CONF:VOLT:DC 10,DEF,(@101)")
    assert float(tell(daq, "VOLT:NPLC? (@101)")) == 1


def test_noise_and_time_follow_the_integration_time(daq):
    def scan(nplc: float) -> tuple[float, float]:
        tell(daq, "CONF:VOLT:DC 10,(@101)", f"VOLT:NPLC {nplc}", "TRIG:COUN 200")
        before = daq.clock_seconds
        values = numbers(tell(daq, "READ?"))
        return values.std(), (daq.clock_seconds - before) / 200

    assert scan(1)[0] == pytest.approx(10e-6, rel=0.2)
    assert scan(0.02)[0] > 20 * scan(1)[0]
    assert scan(1)[1] == pytest.approx(0.055, rel=0.05)  # 20 ms twice with autozero, relay and delay
    tell(daq, "ZERO:AUTO OFF")
    assert scan(10)[1] > 0.4


def test_hidden_errors_follow_the_serial_number_and_are_common_to_the_channels():
    def offsets(serial_number: int) -> np.ndarray:
        daq = KeysightDaq970A(serial_number, FixedPins(np.zeros(60)))
        tell(daq, "CONF:VOLT:DC 10,(@101:120)", "VOLT:NPLC 200")
        return numbers(tell(daq, "READ?"))

    first, again, other = offsets(3), offsets(3), offsets(4)
    assert first == pytest.approx(again, abs=1e-6)
    assert first.mean() != pytest.approx(other.mean(), abs=1e-6)
    assert first.std() < 4e-6
    errors_of_many = [KeysightDaq970A(n, FixedPins(np.zeros(1))).multimeter.hidden_error(10.0) for n in range(100)]
    assert max(abs(error.offset) for error in errors_of_many) <= 0.0004e-2 * 10
    assert max(abs(error.gain) for error in errors_of_many) <= 0.0030e-2


def test_binary_readings_of_the_daq970a():
    daq = KeysightDaq970A(1, FixedPins(PIN_VOLTS))
    tell(daq, "CONF:VOLT:DC 10,(@101:104)", "FORM:DATA REAL,64", "FORM:BORD SWAP")
    block = daq.say(b"READ?\n")
    assert block[:4] == b"#232"
    assert np.frombuffer(block[4:-1], "<f8") == pytest.approx(PIN_VOLTS[:4], abs=1e-3)
    assert tell(daq, "*RST;:FORM:DATA?") == "ASC,9"


def test_monitor_and_relays(daq):
    tell(daq, "CONF:VOLT:DC 10,(@105)", "ROUT:MON (@105);:ROUT:MON:STAT ON")
    assert float(tell(daq, "ROUT:MON:DATA?")) == pytest.approx(PIN_VOLTS[4], abs=1e-3)
    tell(daq, "ROUT:CLOS (@101,102)", "ROUT:CLOS:EXCL (@103)", "ROUT:OPEN (@104)")
    assert tell(daq, "ROUT:CLOS? (@101:104)") == "0,0,1,0"


def test_power_lost_in_a_scan(daq):
    daq.faults.readings_until_power_loss = 5
    with pytest.raises(PowerLossError):
        tell(daq, "MEAS:VOLT:DC? 10,(@101:110)")
