"""The chips as a board: what the firmware's words do to the arrays is what the bench does when it is asked directly."""

import struct

import numpy as np
import pytest

from hwloop.errors import DeviceError
from hwloop.link import protocol as wire
from hwloop.link.protocol import Constraint, Polarity, ResetCause
from hwloop.mock.bench import Bench, BenchConfig, SolveSetting
from hwloop.mock.chips import wiring
from hwloop.mock.chips.panel import ChipPanel
from tests.unit.mock.chips.writing import BIPOLAR_2_5, BIPOLAR_5, UNIPOLAR_5, codes, mode, opened

CONNECT_A, CONNECT_B, READ, SOLVE = (
    wiring.MODE_CONNECT_A, wiring.MODE_CONNECT_B, wiring.MODE_READ, wiring.MODE_SOLVE,
)
GATE_2_VOLTS = 26214


def pulse_row(writer, row, amplitudes, gate=GATE_2_VOLTS, width=10, tick=1000, side=wiring.MODE_DRIVE_BIT_LINES):
    """One row pulse on array A, at `tick`; `amplitudes` (columns,) with None where the column is inhibited."""
    writer.write(wiring.SELECT_MODE_SWITCHES, mode(CONNECT_A, side))
    writer.select_row(row)
    writer.columns_to(wiring.SELECT_COLUMN_SELECT, sum(1 << c for c, a in enumerate(amplitudes) if a is not None))
    writer.codes_to(wiring.SELECT_COLUMN_DAC, [amplitude or 0 for amplitude in amplitudes])
    writer.codes_to(wiring.SELECT_GATE_DAC, [gate])
    writer.at(tick)
    writer.pulse(width)
    writer.at(tick + width + 50)


def read_row(writer, row, samples=4, tick=5000, columns=0b1111, array=CONNECT_A, finish_every=1 << 20):
    """Raw codes (samples, columns) of one row."""
    writer.write(wiring.SELECT_MODE_SWITCHES, mode(array, READ, wiring.MODE_TIA_COARSE))
    writer.set_range(UNIPOLAR_5, columns)
    writer.at(tick)
    writer.select_row(row)
    writer.pin(wiring.PIN_DRIVE, 1)
    kept = b""
    for sample in range(samples):
        writer.at(tick + 200 + 160 * sample)
        writer.scan(columns)
        if sample % finish_every == finish_every - 1:
            kept += writer.ask()
    writer.at(tick + 200 + 160 * samples)
    writer.pin(wiring.PIN_DRIVE, 0)
    kept += writer.ask()
    return np.frombuffer(kept, ">u2").reshape(samples, -1)


def test_hello_and_what_is_kept_over_a_reset():
    bench = Bench(BenchConfig("hwloop-16x4", board_serial=7, array_serial=8))
    panel = ChipPanel(bench)
    hello = panel.feed(b"\x01\x01")
    assert struct.unpack_from("<BBIIBQ", hello) == (1, 1, 7, 8, ResetCause.POWER, 0)
    magic, boots, kind, completed, sequence = struct.unpack_from("<IIBBH", hello, 19)
    assert (magic, boots, kind, completed, sequence) == (wiring.STREAM_STORE_MAGIC, 0, 0, 1, 0)
    stored = struct.pack("<IIBBH", wiring.STREAM_STORE_MAGIC, 1, wire.Command.PULSE, 0, 513) + b"crc!"
    assert panel.feed(b"\x07" + stored) == b""
    assert (bench.boot_counter, bench.last_command, bench.last_completed) == (1, (wire.Command.PULSE, 513), False)
    panel.cut(ResetCause.WATCHDOG)
    hello = panel.feed(b"\x01\x01")
    assert hello[10] == ResetCause.WATCHDOG and hello[19:] == stored


def test_a_reset_that_nobody_saw():
    """A second HELLO in one stream: the pins had fallen, results are forgotten, and the clock goes on."""
    writer = opened()
    writer.panel.feed(b"\x01\x01")
    writer.at(1000)
    writer.select_row(1)
    writer.write(wiring.SELECT_MODE_SWITCHES, mode(CONNECT_A, READ))
    writer.pin(wiring.PIN_DRIVE, 1)
    writer.read(wiring.SELECT_MODE_SWITCHES, b"\0\0\0\x05")
    writer.panel.feed(bytes(writer.stream))
    writer.stream.clear()
    assert writer.panel.lines_driven
    hello = writer.panel.feed(b"\x01\x01")
    assert hello[10] == ResetCause.WATCHDOG and not writer.panel.lines_driven
    assert struct.unpack_from("<Q", hello, 11) == (1000,) and writer.ask() == b""


def test_pulses_and_readings_as_the_bench_itself_has_them():
    writer, bench = opened(seed=5), Bench(BenchConfig("hwloop-16x4", seed=5))
    amplitudes = [20000, None, 15729, 30000]
    pulse_row(writer, 3, amplitudes)
    pulse_row(writer, 4, [25000] * 4, gate=35389, tick=1500, side=wiring.MODE_DRIVE_SOURCE_LINES)
    raw = read_row(writer, 3)
    n = np.ones(3, np.int64)
    bench.pulse(
        np.array([12, 14, 15]), n * Polarity.SET, np.array([20000, 15729, 30000]), n * GATE_2_VOLTS, n * 10, n * 1000
    )
    n = np.ones(4, np.int64)
    bench.pulse(np.arange(16, 20), n * Polarity.RESET, n * 25000, n * 35389, n * 10, n * 1500)
    wanted = bench.read_codes(np.arange(12, 16), n * 5000, n * 5200, 4, wire.TiaRange.COARSE)
    assert raw.tolist() == wanted.T.tolist()
    for mine, theirs in zip(writer.bench.cells.cell_state, bench.cells.cell_state, strict=True):
        assert np.array_equal(mine, theirs)
    assert writer.bench.ticks == 5200 + 640 and not writer.panel.violations


@pytest.mark.parametrize("cut", [1, 7, 100])
def test_the_stream_in_any_cuts(cut):
    def story(cut):
        writer = opened(seed=2)
        pulse_row(writer, 1, [20000] * 4)
        writer.write(wiring.SELECT_MODE_SWITCHES, mode(CONNECT_A, READ))
        writer.set_range(UNIPOLAR_5)
        writer.at(4000)
        writer.pin(wiring.PIN_DRIVE, 1)
        writer.at(4200)
        writer.scan()
        return writer.ask(cut)

    assert story(cut) == story(1 << 20)


@pytest.mark.parametrize("finish_every", [1, 2, 3])
def test_a_reading_does_not_depend_on_where_it_is_finished(finish_every):
    assert np.array_equal(read_row(opened(), 2, 8), read_row(opened(), 2, 8, finish_every=finish_every))


def test_only_the_scanned_columns_come_back():
    whole, part = read_row(opened(), 2), read_row(opened(), 2, columns=0b1010)
    assert np.array_equal(whole[:, [1, 3]], part)


SETTING = SolveSetting(
    rows=np.array([2, 3, 11]), columns=np.array([0, 2]), compensation_code=np.array([5, 700, 1023]),
    feedback_code=np.array([9, 4095]), bias_code=np.array([-2047, 100]), bias_divider=1, constraint=Constraint.NONE,
)  # fmt: skip
INPUT_CODE = np.array([[100, -20000, 32767], [-32768, 5, 0], [3000, 3000, -3000]])


def load_setting(writer):
    writer.row_mask(SETTING.rows)
    writer.columns_to(wiring.SELECT_COLUMN_MASK, 0b101)
    feedback = 9 | 4095 << 24
    writer.write(wiring.SELECT_FEEDBACK, feedback.to_bytes(6, "big"))
    bias = (-2047 << 4 & 0xFFFF ^ 0x8000, 0x8000, 100 << 4 ^ 0x8000)
    writer.codes_to(wiring.SELECT_BIAS_DAC, bias)
    compensation = 5 << 20 | 700 << 30 | 1023 << 110
    writer.write(wiring.SELECT_COMPENSATION, compensation.to_bytes(20, "big"))


def solve(writer, *modes, finish_every=1 << 20, samples=2):
    kept = b""
    for number, inputs in enumerate(INPUT_CODE):
        tick = 20_000 + 1000 * number
        writer.at(tick)
        writer.inputs_to(SETTING.rows, inputs)
        writer.at(tick + 30)
        writer.pin(wiring.PIN_DRIVE, 1)
        for sample in range(samples):
            writer.at(tick + 30 + 60 + 160 * sample)
            writer.scan(0b101)
            if sample % finish_every == finish_every - 1:
                kept += writer.ask()
        writer.at(tick + 90 + 160 * samples)
        writer.pin(wiring.PIN_DRIVE, 0)
    kept += writer.ask()
    return (np.frombuffer(kept, ">u2").astype(np.int64) - 32768).reshape(len(INPUT_CODE), samples, 2)


@pytest.mark.parametrize("finish_every", [1, 1 << 20])
def test_solves_as_the_bench_itself_has_them(finish_every):
    writer, bench = opened(seed=1), Bench(BenchConfig("hwloop-16x4", seed=1))
    load_setting(writer)
    writer.write(
        wiring.SELECT_MODE_SWITCHES,
        mode(
            CONNECT_A, CONNECT_B, SOLVE, wiring.MODE_ADC_FROM_OUTPUTS, wiring.MODE_DUAL_SUPPLY, wiring.MODE_BIAS_BY_16
        ),
    )
    writer.set_range(BIPOLAR_2_5, 0b101)
    release = 20_030 + 1000 * np.arange(3)
    wanted = bench.output_codes(SETTING, INPUT_CODE, release, release + 60, 2)
    assert solve(writer, finish_every=finish_every).tolist() == wanted.tolist()
    assert len(np.unique(wanted)) > 6 and not writer.panel.violations


def test_products_as_the_bench_itself_has_them():
    writer, bench = opened(seed=1), Bench(BenchConfig("hwloop-16x4", seed=1))
    load_setting(writer)
    writer.write(wiring.SELECT_MODE_SWITCHES, mode(CONNECT_B, wiring.MODE_MULTIPLY))
    writer.set_range(BIPOLAR_5, 0b101)
    release = 20_030 + 1000 * np.arange(3)
    wanted = bench.current_codes(1, SETTING.rows, SETTING.columns, INPUT_CODE, release, release + 60, 2, 0)
    assert solve(writer).tolist() == wanted.tolist()


def test_an_adc_that_lost_its_range_gives_other_codes():
    kept = read_row(opened(), 2)
    writer = opened()
    writer.write(wiring.SELECT_MODE_SWITCHES, mode(CONNECT_A, READ, wiring.MODE_TIA_COARSE))
    writer.set_range(UNIPOLAR_5)
    writer.at(5000)
    writer.select_row(2)
    writer.pin(wiring.PIN_DRIVE, 1)
    writer.ask()
    writer.panel.forget(wiring.SELECT_ADC_LOW)
    writer.write(wiring.SELECT_ADC_LOW, b"\xa0\0\0\0")
    writer.at(5200)
    writer.scan()
    assert codes(writer.ask()) == [32768 + (code + 2) // 4 for code in kept[0].tolist()]


def test_nothing_connected_reads_0_volts():
    writer = opened()
    writer.set_range(UNIPOLAR_5)
    writer.scan()
    assert codes(writer.ask()) == [0] * 4
    writer.set_range(BIPOLAR_5)
    writer.scan()
    assert codes(writer.ask()) == [32768] * 4


def test_temperature_and_its_alarm():
    writer = opened(temperature_celsius=84.99, temperature_drift_per_hour_celsius=36.0)
    writer.write(wiring.SELECT_TEMPERATURE, b"\x20\x2a\x80", b"\x28\x00\x00", b"\x08\x94\x00")
    writer.read(wiring.SELECT_TEMPERATURE, b"\x50\0\0", skip=1)
    assert codes(writer.ask()) == [round(84.99 * 128)] and writer.inputs == 0
    writer.at(3 * wire.TICK_HERTZ)
    writer.ask()
    assert writer.inputs == 1 << wiring.INPUT_OVERTEMPERATURE and writer.bench.is_too_hot()


def test_a_world_without_an_answer():
    """Colder than the model of the cells holds for: FINISH fails, and the next one does not."""
    writer = opened(temperature_celsius=-39.0, temperature_drift_per_hour_celsius=-3600.0)
    writer.write(wiring.SELECT_MODE_SWITCHES, mode(CONNECT_A, READ))
    writer.set_range(UNIPOLAR_5)
    writer.select_row(2)
    writer.at(2 * wire.TICK_HERTZ)
    writer.pin(wiring.PIN_DRIVE, 1)
    writer.scan()
    failed = b"\x08\0" + wiring.STREAM_FAILED.to_bytes(4, "little")
    assert writer.panel.feed(bytes(writer.stream) + b"\x08") == failed
    assert "temperature" in str(writer.panel.failure)
    writer.stream.clear()
    assert writer.ask() == b""


def test_what_is_no_stream_is_refused():
    with pytest.raises(DeviceError, match="firmware sends byte 99 where an entry"):
        opened().panel.feed(b"\x04\x00\x00\x63")


def test_faults_of_data_lines():
    writer = opened()
    switches = wiring.SELECT_MODE_SWITCHES
    writer.read(switches, mode(0, 2))
    writer.read(switches, mode())
    assert writer.ask() == mode() + mode(0, 2)
    writer.panel.stick(switches, "miso", 1)
    writer.read(switches, mode(0, 2))
    assert writer.ask() == b"\xff" * 4
    writer.panel.mend()
    writer.panel.stick(switches, "mosi", 0)
    writer.read(switches, mode(0, 1))
    writer.read(switches, mode(0, 1))
    assert writer.ask() == mode(0, 2) + mode()
    writer.panel.deaf = True
    assert writer.panel.feed(b"\x08") == b""


def test_routes():
    writer = opened()
    writer.select_row(7)
    writer.columns_to(wiring.SELECT_COLUMN_SELECT, 0b100)
    writer.write(
        wiring.SELECT_MODE_SWITCHES, mode(CONNECT_B, wiring.MODE_ROUTE_CELL_TO_SMU, wiring.MODE_ROUTE_OUTPUTS_TO_DAQ)
    )
    writer.ask()
    assert writer.panel.routed_cell == (1, 7, 2) and writer.panel.outputs_routed and not writer.panel.lines_driven
    writer.panel.cut()
    assert writer.panel.routed_cell is None and not writer.panel.outputs_routed
