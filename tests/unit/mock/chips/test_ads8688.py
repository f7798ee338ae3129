"""The ADC by its data sheet, frame by frame."""

import numpy as np
import pytest

from hwloop.mock.chips import ads8688
from hwloop.mock.chips.ads8688 import ads8688s, code, range_of

AUTO, NO_OP = "a000 0000", "0000 0000"


class Adc:
    """One chip, and what its frames bring."""

    def __init__(self):
        self.chips = ads8688s(1)

    def frame(self, word: str) -> tuple[int, bytes]:
        """(channel whose result comes out in this frame or -1, the other bytes that come out)."""
        data, answer = np.frombuffer(bytearray.fromhex(word), np.uint8), np.zeros(255, np.uint8)
        channel = ads8688.transfer(self.chips, 0, data, 0, len(data), answer)
        return channel, answer[: len(data)].tobytes()

    def channels(self, *words: str) -> list[int]:
        return [self.frame(word)[0] for word in words]


def test_after_power_up_it_waits():
    assert Adc().channels(NO_OP, NO_OP) == [-1, -1]


def test_manual_channels_come_out_one_frame_later_and_go_on():
    words = ["c000 0000", "d400 0000", "dc00 0000", NO_OP, NO_OP]
    assert Adc().channels(*words) == [-1, 0, 5, 7, 7]


def test_the_automatic_sequence_goes_round():
    assert Adc().channels(AUTO, *[NO_OP] * 9) == [-1, *range(8), 0]


def test_the_sequence_visits_enabled_channels_and_begins_anew_with_auto_rst():
    adc = Adc()
    adc.frame("03 29 00")
    assert adc.channels(AUTO, *[NO_OP] * 4, AUTO, NO_OP) == [-1, 0, 3, 5, 0, 3, 0]


def test_a_channel_that_is_powered_down_is_left_out():
    adc = Adc()
    adc.frame("05 fd 00")
    assert adc.channels(AUTO, NO_OP, NO_OP, "c000 0000", NO_OP) == [-1, 1, 1, 1, -1]


def test_program_registers_are_read_back_in_the_third_byte():
    adc = Adc()
    assert adc.frame("0b 06 00")[1].hex() == "000006"
    assert adc.frame("0a 00 00")[1].hex() == "000006"
    assert range_of(adc.chips, 0, 0) == ads8688.UNIPOLAR_5 and range_of(adc.chips, 0, 1) == ads8688.BIPOLAR_10


def test_programming_ends_the_sequence():
    assert [adc := Adc(), adc.channels(AUTO, NO_OP, "0a0000", NO_OP, NO_OP)][1] == [-1, 0, -1, -1, -1]


def test_the_command_before_can_be_read_back():
    adc = Adc()
    adc.frame("c400 0000")
    assert adc.frame("7e 00 00")[1].hex() == "0000c4"


@pytest.mark.parametrize("command", ["8200 0000", "8300 0000", "8500 0000"])
def test_standby_power_down_and_reset_sample_no_channel(command):
    adc = Adc()
    adc.frame("0d 02 00")
    assert adc.channels(AUTO, command, NO_OP, NO_OP) == [-1, 0, -1, -1]
    assert range_of(adc.chips, 0, 1) == (ads8688.BIPOLAR_10 if command.startswith("85") else ads8688.BIPOLAR_2_5)


def test_the_auxiliary_input_is_sampled_until_the_next_command():
    assert Adc().channels("e000 0000", NO_OP, NO_OP, AUTO, NO_OP) == [-1, 8, 8, 8, 0]


def test_an_aborted_frame_changes_nothing():
    adc = Adc()
    adc.channels("c800 0000", "c4")
    assert adc.channels(NO_OP) == [2]


@pytest.mark.parametrize(
    "range_code, zero, half_volt",
    [(ads8688.BIPOLAR_10, 32768, 34368), (ads8688.BIPOLAR_5, 32768, 35968), (ads8688.BIPOLAR_2_5, 32768, 39168),
     (ads8688.UNIPOLAR_10, 0, 3200), (ads8688.UNIPOLAR_5, 0, 6400)],
)  # fmt: skip
def test_codes_of_the_ranges(range_code, zero, half_volt):
    """±10.24 V, ±5.12 V, ±2.56 V, 10.24 V and 5.12 V; an input in steps of 5.12 V / 2^16."""
    assert code(range_code, 0) == zero and code(range_code, 6400) == half_volt
    assert code(range_code, 1 << 20) == 65535 and code(range_code, -1 << 20) == 0
