"""The temperature sensor by its data sheet."""

import numpy as np
import pytest

from hwloop.mock.chips import adt7320
from hwloop.mock.chips.adt7320 import STATUS, TEMPERATURE, ct_level, word


class Sensor:
    """One chip, and its frames in hexadecimal."""

    def __init__(self):
        self.chip, self.measured = adt7320.adt7320(), -1

    def frame(self, text: str, tick: int = 0) -> str:
        data, answer = np.frombuffer(bytearray.fromhex(text), np.uint8), np.zeros(255, np.uint8)
        self.measured = adt7320.transfer(self.chip, data, 0, len(data), answer, tick)
        return answer[: len(data)].tobytes().hex()


@pytest.mark.parametrize(
    "read, wanted",
    [("48 00", "0000"), ("58 00", "00c3"), ("60 0000", "004980"), ("68 00", "0005"), ("70 0000", "002000"),
     ("78 0000", "000500")],
)  # fmt: skip
def test_registers_after_power_up(read, wanted):
    """Configuration, identity, critical temperature, hysteresis, high and low limit."""
    assert Sensor().frame(read) == wanted


def test_registers_are_written_and_read_back():
    sensor = Sensor()
    sensor.frame("20 2a80")
    sensor.frame("08 94")
    assert (sensor.frame("60 0000"), sensor.frame("48 00")) == ("002a80", "0094")


def test_the_identity_cannot_be_written():
    sensor = Sensor()
    sensor.frame("18 55")
    assert sensor.frame("58 00") == "00c3"


def test_temperature_and_status_are_measured():
    sensor = Sensor()
    sensor.frame("50 0000")
    assert sensor.measured == TEMPERATURE
    sensor.frame("40 00")
    assert sensor.measured == STATUS
    sensor.frame("58 00")
    assert sensor.measured == -1


def test_words_of_13_and_16_bits():
    sensor = Sensor()
    assert word(sensor.chip, TEMPERATURE, 25 * 128 + 5) == (25 * 128, 2)
    assert word(sensor.chip, TEMPERATURE, 70 * 128) == (70 * 128 | 2, 2), "above T_HIGH"
    assert word(sensor.chip, STATUS, 150 * 128) == (0x60, 1), "above T_CRIT and T_HIGH"
    sensor.frame("08 80")
    assert word(sensor.chip, TEMPERATURE, 25 * 128 + 5) == (25 * 128 + 5, 2)
    assert word(sensor.chip, TEMPERATURE, -1) == (0xFFFF, 2)


def test_one_shot_and_shutdown_hold_a_measurement():
    sensor = Sensor()
    held = [sensor.chip.held_tick[0]]
    for configuration, tick in (("08 20", 100), ("08 60", 200), ("08 00", 300), ("08 60", 400)):
        sensor.frame(configuration, tick)
        held.append(sensor.chip.held_tick[0])
    assert held == [-1, 100, 100, -1, 400]


def test_the_critical_pin():
    sensor = Sensor()
    limit = 147 * 128
    steps = [limit, limit + 1, limit - 5 * 128, limit - 5 * 128 - 1]
    assert [ct_level(sensor.chip, raw) for raw in steps] == [True, False, False, True], "low is on"
    sensor.frame("08 04")
    assert [ct_level(sensor.chip, raw) for raw in steps] == [False, True, True, False], "high is on"


def test_32_ones_reset_it():
    sensor = Sensor()
    sensor.frame("20 1234")
    sensor.frame("ff ffff ff")
    assert sensor.frame("60 0000") == "004980"
