"""The DAC by its data sheet, word by word."""

import numpy as np
import pytest

from hwloop.mock.chips import ltc2668
from hwloop.mock.chips.ltc2668 import level, ltc2668s


def send(chips, *words: str, chip: int = 0) -> bytes:
    """Words in hexadecimal, one chip select each; gives what the last one brought back."""
    answer = np.zeros(255, np.uint8)
    for word in words:
        data = np.frombuffer(bytearray.fromhex(word), np.uint8)
        ltc2668.transfer(chips, chip, data, 0, len(data), answer)
    return answer[: len(data)].tobytes()


def levels(chips, chip: int = 0) -> list[int]:
    """Outputs in steps of 5 V / 2^16."""
    return [level(chips, chip, channel) for channel in range(16)]


def test_after_power_up_all_outputs_are_at_0_volts():
    assert levels(ltc2668s(1)) == [0] * 16


def test_a_code_is_written_first_and_taken_over_by_an_update():
    chips = ltc2668s(1)
    send(chips, "03 1234")
    assert levels(chips)[3] == 0
    send(chips, "12 0000")
    assert levels(chips)[3] == 0, "another channel's update"
    send(chips, "13 0000")
    assert levels(chips)[3] == 0x1234


@pytest.mark.parametrize(
    "words, wanted",
    [
        (["35 ffff"], {5: 0xFFFF}),                         # write n, update n
        (["01 0001", "02 0002", "24 0004"], {1: 1, 2: 2, 4: 4}),    # write n, update all
        (["80 0007", "19 0000"], {9: 7}),                   # write all; update one
        (["80 0007", "90 0000"], {channel: 7 for channel in range(16)}),    # update all
        (["a0 0009"], {channel: 9 for channel in range(16)}),               # write all, update all
        (["0f 0005", "ff ffff"], {}),                       # no operation
        (["b0 0010", "c0 ffff", "d0 0001", "70 0001"], {}),     # multiplexer, toggle, configuration: not wired here
    ],
)
def test_commands(words, wanted):
    chips = ltc2668s(1)
    send(chips, *words)
    assert {channel: value for channel, value in enumerate(levels(chips)) if value} == wanted


@pytest.mark.parametrize(
    "span, low, high",
    [(0, 0, 65535), (1, 0, 131070), (2, -65536, 65534), (3, -131072, 131068), (4, -32768, 32767)],
)
def test_spans(span, low, high):
    """0…5 V, 0…10 V, ±5 V, ±10 V, ±2.5 V, in steps of 5 V / 2^16."""
    chips = ltc2668s(1)
    send(chips, f"e0 000{span}")
    assert levels(chips) == [0] * 16, "a span is taken over by an update"
    send(chips, "a0 0000")
    assert levels(chips) == [low] * 16
    send(chips, "a0 ffff")
    assert levels(chips) == [high] * 16


def test_a_span_of_one_channel():
    chips = ltc2668s(1)
    send(chips, "62 0004", "32 8001", "33 8001")
    assert levels(chips)[2:4] == [1, 0x8001]


def test_power_down_and_up_again():
    chips = ltc2668s(1)
    send(chips, "a0 0100", "41 0000")
    assert levels(chips) == [256, 0] + [256] * 14
    send(chips, "50 0000")
    assert levels(chips) == [0] * 16
    send(chips, "11 0000")
    assert levels(chips) == [0, 256] + [0] * 14


def test_32_bit_frames_echo_the_word_before():
    chips = ltc2668s(1)
    send(chips, "00 31 1234")
    assert levels(chips)[1] == 0x1234
    assert send(chips, "00 32 5678").hex() == "00311234"


def test_half_a_word_does_nothing():
    chips = ltc2668s(1)
    send(chips, "31 12")
    assert levels(chips) == [0] * 16


def test_chips_are_apart_and_one_can_forget():
    chips = ltc2668s(2)
    send(chips, "a0 0001", chip=0)
    send(chips, "a0 0002", chip=1)
    ltc2668.forget(chips, 0)
    assert levels(chips, 0) == [0] * 16 and levels(chips, 1) == [2] * 16
