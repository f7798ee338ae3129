"""Switches in daisy chains, as the data sheet has them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwloop.mock.chips import adg1414


def exchange(switches: np.ndarray, sent: bytes, chain: int = 0, length: int | None = None) -> bytes:
    answer = np.zeros(255, np.uint8)
    data = np.frombuffer(bytearray(sent), np.uint8)
    adg1414.transfer(switches, chain, length or len(switches), data, 0, len(data), answer)
    return answer[: len(data)].tobytes()


def test_the_first_byte_ends_up_in_the_farthest_chip():
    switches = np.zeros(3, np.uint8)
    exchange(switches, b"\x01\x02\x03")
    assert switches.tolist() == [3, 2, 1]


def test_what_was_sent_before_comes_back():
    switches = np.zeros(3, np.uint8)
    assert exchange(switches, b"\x01\x02\x03") == b"\0\0\0"
    assert exchange(switches, b"\x0a\x0b\x0c") == b"\x01\x02\x03"


def test_bit_0_is_switch_s1_of_the_nearest_chip():
    switches = np.zeros(2, np.uint8)
    exchange(switches, (1 << 0 | 1 << 10).to_bytes(2, "big"))
    assert adg1414.bits(switches, 0, 0, 16) == 1 << 0 | 1 << 10
    assert adg1414.bits(switches, 0, 7, 4) == 1 << 3


def test_chains_beside_each_other_do_not_touch():
    switches = np.array([9, 0, 0, 9], np.uint8)
    assert exchange(switches, b"\x05\x06", chain=1, length=2) == b"\0\0"
    assert switches.tolist() == [9, 6, 5, 9]


def test_it_says_whether_a_switch_has_moved():
    switches, data, answer = np.zeros(1, np.uint8), np.array([4], np.uint8), np.zeros(255, np.uint8)
    assert [adg1414.transfer(switches, 0, 1, data, 0, 1, answer) for _ in range(2)] == [True, False]


@given(st.integers(1, 24), st.lists(st.binary(min_size=1, max_size=40), max_size=6))
def test_a_chain_is_one_long_shift_register(length, frames):
    """Whatever the lengths of frames: what comes out is what went in, as many bytes later as there are chips."""
    switches = np.zeros(length, np.uint8)
    came_out = b"".join(exchange(switches, frame) for frame in frames)
    went_in = bytes(length) + b"".join(frames)
    assert came_out == went_in[: len(came_out)]
    assert switches[::-1].tobytes() == went_in[len(came_out) :]
