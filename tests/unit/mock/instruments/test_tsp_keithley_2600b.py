"""The simulated 2600B over bytes: identity, Lua, errors, source and measure, limits, formats, faults."""

import socket
import struct
import threading

import numpy as np
import pytest

from hwloop.mock.instruments.elements import OpenLead, Resistor, VoltageSource
from hwloop.mock.instruments.faults import PowerLossError
from hwloop.mock.instruments.server import serve_instrument
from hwloop.mock.instruments.tsp.keithley_2600b import Keithley2600B

OHMS = 10e3


class Bench:
    """A 2602B (or another model) with a part at channel A, spoken to line by line."""

    def __init__(self, part=None, model="2602B", serial_number=7):
        self.instrument = Keithley2600B(model, serial_number, (part or Resistor(OHMS), Resistor(1e3)))

    def tell(self, *lines: str) -> bytes:
        return self.instrument.say("".join(line + "\n" for line in lines).encode())

    def ask(self, expression: str) -> str:
        return self.tell(f"print({expression})").decode().removesuffix("\n")

    def number(self, expression: str) -> float:
        return float(self.ask(expression))

    def errors(self) -> list[int]:
        found = []
        while self.number("errorqueue.count"):
            found.append(int(float(self.ask("errorqueue.next()").split("\t")[0])))
        return found


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_identity_is_that_of_the_manual(bench):
    assert bench.tell("*IDN?") == b"Keithley Instruments Inc., Model 2602B, 7, 3.4.0\n"
    assert bench.ask("localnode.model, localnode.serialno") == "2602B\t7"
    assert bench.number("localnode.linefreq") == 50


def test_numbers_are_printed_with_the_ascii_precision(bench):
    assert bench.ask("1/3, true, nil, 'text'") == "3.33333e-01\ttrue\tnil\ttext"
    bench.tell("format.asciiprecision = 10")
    assert bench.ask("1/3") == "3.333333333e-01"
    assert bench.tell("printnumber(1, 2)") == b"1.000000000e+00, 2.000000000e+00\n"
    bench.tell("format.asciiprecision = 17")
    assert bench.errors() == [1405]


def test_bytes_may_come_in_any_portions_and_with_carriage_returns(bench):
    assert bench.instrument.say(b"print(") == b""
    assert bench.instrument.say(b"2)\r\nprint(3)\n") == b"2.00000e+00\n3.00000e+00\n"


@pytest.mark.parametrize(
    ("line", "number", "words"),
    [
        ("*foo", -285, "TSP Syntax error at line 1: unexpected symbol near `*'"),
        ("for i = 1, 2 do", -285, "TSP Syntax error at line 1: `end' expected near `<eof>'"),
        ("foo.bar = 1", -286, "TSP Runtime error at line 1: attempt to index global `foo' (a nil value)"),
        ("smua.source.levelv = 41", 1101, "Parameter Too Big"),
        ("smua.measure.nplc = 0.0001", 1102, "Parameter Too Small"),
        ("smua.measure.nplc = 'slow'", -104, "Data Type Error"),
        ("smua.source.func = 2", -224, "Illegal Parameter Value"),
        ("smua.source.limiti = 2 smua.source.rangev = 40", 5007, "Operation would exceed safe operating area"),
        ("smua.source.rangev = 1 smua.source.levelv = 2", 5005, "Value too big for range"),
        ("delay()", 1400, "Expected at least 1 parameters"),
        ("printbuffer(1, 1, smua.nvbuffer1)", 5038, "Index exceeds maximum reading"),
        ("smua.trigger.source.action = 1 smua.trigger.initiate()", 5059, "trigger.source.action enabled without"),
        ("format.data = 9", 1406, "Invalid data format"),
    ],
)
def test_a_wrong_command_enters_the_error_queue_as_on_the_instrument(bench, line, number, words):
    bench.tell(line)
    code, text, severity, node = bench.ask("errorqueue.next()").split("\t")
    assert int(float(code)) == number
    assert text.startswith(words)
    assert float(severity) == 20 and float(node) == 1
    assert bench.ask("errorqueue.next()").startswith("0.00000e+00\tQueue Is Empty")


def test_a_refused_value_leaves_the_old_one(bench):
    bench.tell("smua.source.levelv = 1", "smua.source.levelv = 300")
    assert bench.number("smua.source.levelv") == 1


def test_a_script_goes_on_after_an_error_but_not_after_a_runtime_error(bench):
    assert bench.tell("smua.measure.nplc = 99 print('on')") == b"on\n"
    assert bench.tell("local x = nil + 1 print('on')") == b""
    assert bench.errors() == [1101, -286]


def test_named_and_anonymous_scripts(bench):
    bench.tell("loadscript twice", "for i = 1, 2 do", "print(i)", "end", "endscript")
    assert bench.tell("twice()") == bench.tell("twice.run()") == b"1.00000e+00\n2.00000e+00\n"
    assert bench.ask("twice.name") == "twice"
    assert bench.tell("loadandrunscript", "print('now')", "endscript") == b"now\n"
    bench.tell("loadscript broken", "for", "endscript")
    assert bench.errors() == [-285]


def test_a_script_reaches_nothing_of_the_host(bench):
    names = "io, package, require, debug, dofile, loadfile, python, os.execute, os.getenv"
    assert set(bench.ask(names).split("\t")) == {"nil"}
    assert bench.ask("pcall(function() return smua.measure.v.__globals__ end)").startswith("false")
    bench.tell("local s = 'x' while true do s = s .. s end")
    assert bench.errors() == [-286]  # the instrument's memory, not the host's


def test_volts_sourced_and_both_quantities_measured_within_the_data_sheet(bench):
    bench.tell("smua.source.levelv = 1", "smua.source.limiti = 1e-3", "smua.source.output = smua.OUTPUT_ON")
    amps, volts = map(float, bench.ask("smua.measure.iv()").split("\t"))
    assert volts == pytest.approx(1.0, abs=0.02e-2 + 400e-6 + 0.015e-2 + 200e-6)
    assert amps == pytest.approx(1.0 / OHMS, abs=(0.02e-2 + 400e-6) / OHMS + 0.02e-2 * 100e-6 + 25e-9)
    assert bench.number("smua.measure.r()") == pytest.approx(OHMS, rel=1e-3)
    assert bench.number("smua.measure.p()") == pytest.approx(1e-4, rel=2e-3)
    assert bench.number("smua.source.rangev") == 1 and bench.number("smua.measure.rangei") == 100e-6


def test_amps_sourced_with_the_lead_seen_by_two_wires_and_not_by_four():
    bench = Bench(Resistor(1e3, lead_ohms=10.0))
    bench.tell("smua.source.func = smua.OUTPUT_DCAMPS", "smua.source.leveli = 1e-3", "smua.source.output = 1")
    assert bench.number("smua.measure.r()") == pytest.approx(1010.0, rel=1e-3)
    bench.tell("smua.sense = smua.SENSE_REMOTE")
    assert bench.number("smua.measure.r()") == pytest.approx(1000.0, rel=1e-3)


def test_compliance_shows_in_attribute_status_and_buffer(bench):
    bench.tell("smua.source.levelv = 1", "smua.source.limiti = 10e-6", "smua.source.output = 1")
    assert bench.ask("smua.source.compliance") == "true"
    assert bench.number("smua.measure.i(smua.nvbuffer1)") == pytest.approx(10e-6, rel=0.01)
    assert int(bench.number("smua.nvbuffer1.statuses[1]")) & 0x40
    condition = bench.number("status.measurement.instrument.smua.condition")
    assert int(condition) == 2 + 256  # current limit, buffer available
    bench.tell("smua.nvbuffer1.clear()")
    assert int(bench.number("status.measurement.instrument.smua.condition")) == 2
    bench.tell("smua.source.limiti = 1e-3")
    assert bench.ask("smua.source.compliance") == "false"
    assert bench.number("status.measurement.instrument.smua.ILMT") == 2


def test_a_fixed_measure_range_below_the_limit_limits_as_well(bench):
    bench.tell("smua.measure.rangei = 10e-6", "smua.source.levelv = 1", "smua.source.output = 1")
    assert bench.ask("smua.source.compliance") == "true"
    assert bench.number("smua.measure.autorangei") == 0


def test_an_open_lead_lets_a_current_source_run_to_its_limit():
    bench = Bench(OpenLead())
    bench.tell("smua.source.func = 0", "smua.source.limitv = 2", "smua.source.leveli = 1e-3", "smua.source.output = 1")
    assert bench.number("smua.measure.v()") == pytest.approx(2.0, rel=2e-3)
    assert bench.ask("smua.source.compliance") == "true"


def test_a_current_source_of_nothing_is_a_voltmeter():
    bench = Bench(VoltageSource(0.7, 1e3))
    bench.tell("smua.source.func = 0", "smua.source.rangei = 100e-9", "smua.measure.rangev = 1")
    bench.tell("smua.source.output = 1")
    assert bench.number("smua.measure.v()") == pytest.approx(0.7, abs=0.5e-3)


def test_off_is_off_after_reset_and_at_power_on(bench):
    assert bench.number("smua.source.output") == 0
    bench.tell("smua.source.levelv = 1", "smua.source.output = 1", "reset()")
    assert bench.number("smua.source.output") == 0
    assert bench.number("smua.source.levelv") == 0
    assert abs(bench.number("smua.measure.i()")) < 1e-9


def test_binary_formats_carry_the_same_readings(bench):
    bench.tell("smua.source.levelv = 1", "smua.source.output = 1", "smua.measure.count = 3")
    bench.tell("smua.measure.iv(smua.nvbuffer1, smua.nvbuffer2)", "format.asciiprecision = 16")
    ask = "printbuffer(1, 3, smua.nvbuffer1, smua.nvbuffer2.readings)"
    text = np.array(bench.tell(ask).decode().split(","), float)
    for setting, kind in (("REAL64", "<6d"), ("REAL32", "<6f")):
        bench.tell(f"format.data = format.{setting}")
        block = bench.tell(ask)
        assert block[:2] == b"#0" and block[-1:] == b"\n"
        assert np.allclose(struct.unpack(kind, block[2:-1]), text, rtol=1e-7)
    bench.tell("format.byteorder = format.BIGENDIAN")
    assert np.allclose(struct.unpack(">6f", bench.tell(ask)[2:-1]), text, rtol=1e-7)


def test_common_commands_and_the_status_byte(bench):
    assert bench.tell("*ESR?") == b"128\n"  # power on
    bench.tell("*ESE 32", "*SRE 32", "smua.measure.nplc = 'slow'")
    assert int(bench.tell("*STB?")) == 4 + 32 + 64  # error available, event summary, master summary
    assert bench.tell("*ESR?") == b"32\n"
    bench.tell("*CLS", "*OPC")
    assert bench.tell("*ESE?;*ESR?") == b"32\n1\n"
    assert bench.errors() == []


def test_a_current_limit_climbs_through_the_status_model_to_the_status_byte(bench):
    for register in ("measurement.instrument.smua", "measurement.instrument", "measurement"):
        bench.tell(f"status.{register}.enable = 65535")
    bench.tell("status.request_enable = status.MSB", "smua.source.limiti = 1e-6", "smua.source.levelv = 1")
    assert int(bench.number("status.condition")) == 0
    bench.tell("smua.source.output = 1", "smua.measure.i()")
    assert int(bench.number("status.condition")) == 1 + 64
    assert int(bench.number("status.measurement.event")) & 8192  # by its instrument summary
    assert int(bench.number("status.measurement.current_limit.condition")) == 2  # channel A
    bench.tell("status.reset()")
    assert int(bench.number("status.condition")) == 0
    assert int(bench.number("status.measurement.enable")) == 0


def test_transition_filters_choose_which_edge_is_an_event(bench):
    register = "status.measurement.instrument.smua"
    bench.tell(f"{register}.ptr = 0 {register}.ntr = {register}.ILMT", "smua.source.limiti = 1e-6")
    bench.tell("smua.source.levelv = 1 smua.source.output = 1 smua.measure.i()")
    assert int(bench.number(f"{register}.event")) == 0
    bench.tell("smua.source.levelv = 0 smua.measure.i()")
    assert int(bench.number(f"{register}.event")) == 2


def test_display_beeper_lines_and_node_are_there(bench):
    bench.tell("display.clear() display.settext('hello') beeper.beep(0.1, 1000)", "digio.writebit(3, 0)")
    assert bench.ask("display.gettext()") == "hello"
    assert bench.number("digio.readbit(3)") == 0 and bench.number("digio.readport()") == 2**14 - 1 - 4
    assert bench.ask("node[1].model, localnode.smua.source.func") == "2602B\t1.00000e+00"
    bench.tell("digio.writebit(15, 0)", "display.smua.digits = 9", "display.screen = display.SMUA_SMUB")
    assert bench.errors() == [1401, -224]


def test_filter_and_relative_readings(bench):
    bench.tell("smua.source.levelv = 1 smua.source.output = 1", "smua.measure.filter.count = 10")
    bench.tell("smua.measure.filter.enable = smua.FILTER_REPEAT_AVG smua.measure.rel.leveli = 100e-6")
    bench.tell("smua.measure.rel.enablei = 1")
    assert abs(bench.number("smua.measure.i(smua.nvbuffer1)")) < 1e-6
    assert int(bench.number("smua.nvbuffer1.statuses[1]")) & (0x20 | 0x80) == 0xA0


def test_prompts_and_errors_shown_at_once(bench):
    bench.tell("localnode.prompts = 1")
    assert bench.tell("x = 1") == b"TSP>\n"
    assert bench.tell("x = ") == b"TSP?\n"
    bench.tell("localnode.showerrors = 1")
    assert b"-285\tTSP Syntax error" in bench.tell("x = ")


def test_the_interlock_guards_the_200_volt_range():
    bench = Bench(model="2636B")
    bench.instrument.faults.interlock_open = True
    bench.tell("smua.source.levelv = 100", "smua.source.limiti = 1e-3", "smua.source.output = 1")
    assert bench.number("smua.source.output") == 0
    assert bench.errors() == [802]
    bench.instrument.faults.interlock_open = False
    bench.tell("smua.source.output = 1")
    assert bench.number("smua.source.output") == 1
    bench.instrument.faults.interlock_open = True
    assert bench.number("smua.source.output") == 0


def test_the_serial_number_fixes_the_hidden_errors_and_they_stay_inside_the_data_sheet():
    def worst(serial_number: int) -> list[float]:
        instrument = Keithley2600B("2636B", serial_number, (Resistor(1e3), Resistor(1e3)))
        parts = []
        for quantity in "vi":
            for found in instrument.model.ranges(quantity):
                error = instrument.hidden_error("smua", "measure", quantity, found.full_scale)
                parts += [error.gain / found.measure.gain, error.offset / found.measure.offset]
        return parts

    assert worst(1) == worst(1) != worst(2)
    together = np.array([worst(serial_number) for serial_number in range(40)]).ravel()
    assert np.abs(together).max() <= 1.0
    assert together.std() == pytest.approx(0.44, abs=0.03)  # half the data sheet, truncated at it


def test_noise_falls_with_the_integration_time():
    def spread(nplc: float) -> float:
        bench = Bench()
        bench.tell("smua.source.levelv = 1", "smua.source.output = 1", f"smua.measure.nplc = {nplc}", "delay(1)")
        bench.tell("smua.measure.count = 100 smua.measure.i(smua.nvbuffer1)", "format.asciiprecision = 12")
        return np.std(np.array(bench.tell("printbuffer(1, 100, smua.nvbuffer1)").decode().split(","), float))

    assert spread(1) == pytest.approx(100e-6 * 3e-6, rel=0.3)
    assert spread(0.01) > 20 * spread(1) > 60 * spread(25)


def test_without_autozero_the_zero_wanders_until_it_is_taken_again():
    bench = Bench()
    bench.tell("smub.measure.autozero = smub.AUTOZERO_OFF", "smub.measure.nplc = 10", "smub.measure.rangei = 1e-3")
    bench.tell("smub.source.output = 1")
    first = bench.number("smub.measure.i()")
    bench.tell("delay(3600)")
    wandered = bench.number("smub.measure.i()")
    bench.tell("smub.measure.autozero = smub.AUTOZERO_ONCE")
    again = bench.number("smub.measure.i()")
    assert abs(wandered - first) > 5 * abs(again - first)
    assert abs(wandered - first) < 200e-9


def test_power_lost_in_a_sweep_of_a_script():
    bench = Bench()
    bench.instrument.faults.readings_until_power_loss = 3
    with pytest.raises(PowerLossError):
        bench.tell("smua.measure.count = 10 smua.measure.i(smua.nvbuffer1)")
    with pytest.raises(PowerLossError):
        bench.tell("print(1)")


def test_power_lost_inside_a_protected_call_ends_the_script_too():
    bench = Bench()
    bench.instrument.faults.readings_until_power_loss = 3
    with pytest.raises(PowerLossError):
        bench.tell("for i = 1, 9 do pcall(smua.measure.i) end print('alive')")


def test_a_script_that_never_ends_ends_with_the_power():
    bench = Bench()
    timer = threading.Timer(0.2, lambda: setattr(bench.instrument.faults, "is_off", True))
    timer.start()
    with pytest.raises(PowerLossError):
        bench.tell("while true do end")


def test_a_pushed_error_and_a_lost_connection_over_a_socket():
    bench = Bench()
    with serve_instrument(bench.instrument, "tcp:127.0.0.1:0", threading.Lock()) as served:
        _, host, port = served.name.split(":")
        with socket.create_connection((host, int(port)), timeout=5) as controller:
            bench.instrument.push_error(5001, "SMU is unresponsive")
            controller.sendall(b"print(errorqueue.next())\n")
            assert controller.recv(100).startswith(b"5.00100e+03\tSMU is unresponsive")
            bench.instrument.faults.readings_until_power_loss = 3
            controller.sendall(b"smua.measure.count = 9 smua.measure.i(smua.nvbuffer1) print('done')\n")
            assert controller.recv(100) == b""  # closed, nothing said


def test_it_answers_on_a_pseudo_terminal():
    serial = pytest.importorskip("serial")
    with serve_instrument(Bench().instrument, "pty", threading.Lock()) as served:
        with serial.Serial(served.name, timeout=5) as port:
            port.write(b"*IDN?\n")
            assert port.readline().startswith(b"Keithley Instruments Inc., Model 2602B")
