"""Instrument ports of the simulated chips: a connection is what switches and DAC words say, and nothing else."""

import numpy as np
import pytest

from hwloop.link import protocol as wire
from hwloop.link.protocol import BiasDivider, Route, SampleSource
from hwloop.mock.bench import Bench, BenchConfig
from hwloop.mock.chips import wiring
from tests.unit.mock.chips.test_panel import CONNECT_A, pulse_row
from tests.unit.mock.chips.writing import BIPOLAR_2_5, UNIPOLAR_5, Writer, codes, mode, opened

SAMPLE, HIGH = wiring.MODE_SAMPLE, wiring.MODE_REFERENCE_HIGH
AUXILIARY, NO_OP = b"\xe0\0\0\0", bytes(4)


def switched(*switches: int, row: int | None = None, columns: int = 0, board_name: str = "hwloop-16x4") -> Writer:
    """A board with these mode switches closed."""
    writer = opened(board_name)
    writer.select_row(row)
    writer.columns_to(wiring.SELECT_COLUMN_SELECT, columns)
    writer.write(wiring.SELECT_MODE_SWITCHES, mode(*switches))
    writer.ask()
    return writer


@pytest.mark.parametrize(
    "switches, row, columns, shown",
    [
        ((wiring.MODE_ROUTE_INPUT_TO_SMU,), 7, 0, (Route.INPUT_TO_SMU, 0, 7, 0)),
        ((wiring.MODE_ROUTE_COLUMN_TO_SMU,), None, 0b100, (Route.COLUMN_TO_SMU, 0, 0, 2)),
        ((wiring.MODE_ROUTE_REFERENCE_TO_TIA, HIGH), None, 0b10, (Route.REFERENCE_TO_TIA, 0, 1, 1)),
        ((wiring.MODE_ROUTE_REFERENCE_TO_SMU,), None, 0, (Route.REFERENCE_TO_SMU, 0, 0, 0)),
        ((wiring.MODE_ROUTE_CELL_TO_SMU, wiring.MODE_CONNECT_B), 3, 0b1, (Route.CELL_TO_SMU, 1, 3, 0)),
        ((wiring.MODE_ROUTE_GATE_TO_SMU, wiring.MODE_ROUTE_READ_TO_SMU), None, 0, (Route.NOTHING, 0, 0, 0)),
        ((wiring.MODE_ROUTE_ROW_TO_SMU,), None, 0, (Route.NOTHING, 0, 0, 0)),
        ((wiring.MODE_ROUTE_AMPLITUDE_TO_SMU,), None, 0b11, (Route.NOTHING, 0, 0, 0)),
    ],
)
def test_a_route_is_a_switch_and_what_is_selected(switches, row, columns, shown):
    writer = switched(*switches, row=row, columns=columns)
    found = writer.bench.connection
    assert (found.route, found.array, found.row, found.column) == shown
    writer.panel.cut()
    assert writer.bench.connection.route == Route.NOTHING


def test_levels_are_what_dacs_and_ladders_have():
    writer = switched(wiring.MODE_ROUTE_LOOPBACK, wiring.MODE_BIAS_BY_256, board_name="hwloop-128x16")
    writer.codes_to(wiring.SELECT_COLUMN_DAC, range(100, 116))
    writer.codes_to(wiring.SELECT_GATE_DAC, [777])
    writer.codes_to(wiring.SELECT_INPUT_DAC + 7, [0x8000 - 5] * 16)
    writer.codes_to(wiring.SELECT_BIAS_DAC, [0x8000 - (3 << 4)])
    writer.write(wiring.SELECT_FEEDBACK, (0xABC << 12 * 15 | 0x123).to_bytes(24, "big"))
    writer.write(wiring.SELECT_COMPENSATION + 1, (1023 << 10 * 15 | 5).to_bytes(20, "big"))
    writer.ask()
    found = writer.bench.connection
    assert found.amplitude_code.tolist() == list(range(100, 116)) and found.gate_code == 777
    assert found.input_code.tolist() == [0] * 112 + [-5] * 16
    assert found.feedback_code.tolist() == [0x123, *[0] * 14, 0xABC]
    assert found.compensation_code[[16, 31]].tolist() == [5, 1023] and np.count_nonzero(found.compensation_code) == 2
    assert found.bias_divider == BiasDivider.BY_256 and found.bias_code.tolist() == [-3, *[0] * 15]
    assert not writer.panel.violations


def sampled(writer: Writer, *switches: int, adc_range: int, tick: int = 1000, samples: int = 3) -> list[list[int]]:
    writer.write(wiring.SELECT_MODE_SWITCHES, mode(SAMPLE, *switches))
    writer.set_range(adc_range)
    writer.at(tick)
    writer.pin(wiring.PIN_DRIVE, 1)
    for sample in range(samples):
        writer.at(tick + 200 + 160 * sample)
        writer.scan()
    writer.pin(wiring.PIN_DRIVE, 0)
    return np.reshape(codes(writer.ask()), (samples, 4)).tolist()


def test_samples_as_the_bench_itself_has_them():
    writer, bench = switched(wiring.MODE_ROUTE_SMU_TO_OUTPUT, columns=0b10), Bench(BenchConfig("hwloop-16x4"))
    writer.bench.port_volts = bench.port_volts = 0.2
    bench.connection = writer.bench.connection
    found = sampled(
        writer, wiring.MODE_ROUTE_SMU_TO_OUTPUT, wiring.MODE_ADC_FROM_OUTPUTS, adc_range=BIPOLAR_2_5
    )
    assert found == (bench.sample_codes(SampleSource.OUTPUTS, 0, 1200, 3) + 32768).tolist()
    found = sampled(writer, wiring.MODE_ROUTE_SMU_TO_OUTPUT, wiring.MODE_TIA_COARSE, adc_range=UNIPOLAR_5, tick=5000)
    assert found == bench.sample_codes(SampleSource.CURRENTS, 1, 5200, 3).tolist()
    assert not writer.panel.violations and not writer.panel.lines_driven


def test_the_supply_is_at_the_auxiliary_input_of_the_first_adc():
    writer, bench = opened(), Bench(BenchConfig("hwloop-16x4"))
    writer.write(wiring.SELECT_MODE_SWITCHES, mode(SAMPLE))
    writer.write(wiring.SELECT_ADC_LOW, AUXILIARY)
    writer.pin(wiring.PIN_DRIVE, 1)
    for sample in range(3):
        writer.at(200 + 160 * sample)
        writer.read(wiring.SELECT_ADC_LOW, NO_OP, skip=2)
    assert codes(writer.ask()) == bench.sample_codes(SampleSource.SUPPLY, 0, 200, 3)[:, 0].tolist()


def test_the_auxiliary_input_of_the_second_adc_and_outside_of_sample_has_nothing():
    writer = opened("hwloop-128x16")
    writer.write(wiring.SELECT_MODE_SWITCHES, mode(SAMPLE))
    writer.write(wiring.SELECT_ADC_HIGH, AUXILIARY)
    writer.pin(wiring.PIN_DRIVE, 1)
    writer.read(wiring.SELECT_ADC_HIGH, NO_OP, skip=2)
    assert codes(writer.ask()) == [0]
    writer = opened()
    writer.select_row(0)
    writer.write(wiring.SELECT_MODE_SWITCHES, mode(CONNECT_A, wiring.MODE_READ))
    writer.write(wiring.SELECT_ADC_LOW, AUXILIARY)
    writer.pin(wiring.PIN_DRIVE, 1)
    writer.read(wiring.SELECT_ADC_LOW, NO_OP, skip=2)
    assert codes(writer.ask()) == [0]


@pytest.mark.parametrize(
    "select, code, sentence",
    [
        (wiring.SELECT_COLUMN_DAC, wire.LIMIT_FORM_CODE + 1, "amplitude code 43255 held at an instrument port"),
        (wiring.SELECT_GATE_DAC, wire.LIMIT_GATE_CODE + 1, "gate code 39323 held at an instrument port"),
    ],
)
def test_levels_beyond_the_limits_are_told(select, code, sentence):
    writer = switched(wiring.MODE_ROUTE_LOOPBACK)
    writer.codes_to(select, [code - 1])
    writer.ask()
    assert not writer.panel.violations
    writer.codes_to(select, [code])
    writer.ask()
    assert sentence in writer.panel.violations[0]


def test_no_array_is_connected_while_ports_are_sampled():
    writer = opened()
    writer.write(wiring.SELECT_MODE_SWITCHES, mode(SAMPLE, CONNECT_A))
    writer.pin(wiring.PIN_DRIVE, 1)
    writer.ask()
    assert writer.panel.violations == ["lines driven with 1 arrays connected, allowed 0"]
    writer = opened()
    writer.write(wiring.SELECT_MODE_SWITCHES, mode(SAMPLE, CONNECT_A, wiring.MODE_ROUTE_CELL_TO_SMU))
    writer.pin(wiring.PIN_DRIVE, 1)
    writer.ask()
    assert not writer.panel.violations


def test_no_pulse_while_ports_are_sampled():
    writer = opened()
    pulse_row(writer, 1, [20000] * 4, side=wiring.MODE_DRIVE_BIT_LINES)
    writer.write(wiring.SELECT_MODE_SWITCHES, mode(SAMPLE, CONNECT_A, wiring.MODE_DRIVE_BIT_LINES))
    writer.pulse(10)
    writer.ask()
    assert writer.panel.violations == ["lines driven with 2 modes chosen, allowed 1"]
