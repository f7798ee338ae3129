"""What a reply tells of its samples: means rounded half up, steady bits and flags, in integers throughout."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.link import protocol as wire
from hwloop.link.protocol import Command, TiaRange
from hwloop.mock.bench import SolveSetting
from hwloop.mock.digest import digest_products, digest_reads, digest_solves
from tests.unit.mock.talking import mvm_section, opened, pulse_section, read_request, solve_section, words

SATURATED, UNSETTLED = wire.SCALE_SATURATED_CODE, wire.SCALE_UNSETTLED_CODE


def half_up(codes) -> int:
    """The definition: the mean, plus a half, rounded down."""
    return math.floor(Fraction(sum(codes), len(codes)) + Fraction(1, 2))


@pytest.mark.parametrize(
    ("samples", "mean"), [((1, 2), 2), ((-1, -2), -1), ((-1, 0), 0), ((1, 1, 2), 1), ((-2, -2, -3), -2), ((5,), 5)]
)
def test_a_half_is_rounded_up_for_negative_codes_too(samples, mean):
    codes = np.array(samples, np.int16).reshape(1, -1, 1)
    assert digest_solves(codes)[0].tolist() == digest_products(codes)[0].tolist() == [[mean]]


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=30))
def test_signed_means(samples):
    codes = np.array(samples, np.int16).reshape(1, -1, 1)
    assert digest_solves(codes)[0].item() == half_up(samples)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 200), st.data())
def test_readings_and_their_steady_bits(parts, averages, spread_code, data):
    n = parts * averages
    samples = data.draw(st.lists(st.integers(30_000, 30_300) | st.just(65535), min_size=n, max_size=n))
    code, steady = digest_reads(np.array([samples], np.uint16), averages, spread_code)
    whole = half_up(samples)
    part_means = [half_up(samples[first : first + averages]) for first in range(0, n, averages)]
    assert code.item() == whole
    assert steady.item() == all(abs(mean - whole) <= spread_code for mean in part_means)


@pytest.mark.parametrize("code", [SATURATED, -SATURATED, 32767, -32768])
def test_one_sample_of_one_output_at_the_threshold_saturates_a_solve(code):
    codes = np.zeros((3, 4, 2), np.int16)
    codes[1, 2, 1] = code
    codes[2, 2, 1] = code - 1 if 0 < code < 32767 else 0
    assert digest_solves(codes)[1].tolist() == [False, True, False]


@pytest.mark.parametrize("code", [32767, -32768])
def test_a_product_is_beyond_its_range_at_the_ends_of_the_converter_only(code):
    codes = np.zeros((3, 4, 2), np.int16)
    codes[1, 2, 1], codes[2, 2, 1] = code, code + (1 if code < 0 else -1)
    _, beyond, unsettled = digest_products(codes)
    assert beyond.tolist() == [False, True, False] and not unsettled.any()


def test_first_and_last_sample_decide_whether_a_solve_has_settled():
    codes = np.zeros((4, 3, 2), np.int16)
    codes[0, 2, 0] = UNSETTLED
    codes[1, 2, 1] = UNSETTLED + 1
    codes[2, 1, 1] = 1000
    codes[3, 0, 0], codes[3, 2, 0] = 32767, -32768
    assert digest_solves(codes)[2].tolist() == [False, True, False, True]
    assert not digest_solves(codes[:, :1])[2].any(), "one sample differs from nothing"


def test_a_reading_is_the_integer_mean_of_the_samples_that_the_world_gives():
    host = opened()
    host.done(Command.PULSE, pulse_section(*range(8), polarity=0))
    bench = host.board.bench
    start = bench.ticks + np.array([0, 0, 1]) * (200 + 6 * 160)
    reply = host.done(Command.READ, read_request(1, 3, 4, averages=2, sub_averages=3, spread_code=20))
    samples = bench.read_codes(np.array([1, 3, 4]), start, start + 200, 6, TiaRange.COARSE).tolist()
    assert np.frombuffer(reply, "<u2", 3, 4).tolist() == [half_up(of_cell) for of_cell in samples]
    steady = [all(abs(half_up(s[i : i + 2]) - half_up(s)) <= 20 for i in (0, 2, 4)) for s in samples]
    assert [bool(reply[10] >> i & 1) for i in range(3)] == steady


@pytest.mark.parametrize("averages", [1, 2, 3, 8])
def test_outputs_and_currents_are_the_integer_means_of_the_samples_that_the_world_gives(averages):
    host = opened()
    bench = host.board.bench
    for array in (0, 1):
        host.done(Command.PULSE, pulse_section(*range(8), array=array, polarity=0))
    host.done(Command.COMPENSATE, words(0, 0, 300, 1, 310))
    listed = (0, 1, 64000, 64900, 65000, 63000)
    rows, columns, inputs = np.array([0, 1]), np.array([0, 1]), np.array([[-1536, -636], [-536, -2536]])
    setting = SolveSetting(rows, columns, np.array([300, 310]), np.zeros(2, int), np.zeros(2, int), 0, 0)
    for kind in (Command.SOLVE, Command.MVM):
        load = 220 if kind == Command.SOLVE else 0      # two rows go on for the first one
        release = bench.ticks + load + 20 + np.array([0, 1]) * (20 + 60 + averages * 160)
        shape = {"columns": 3, "row_count": 2, "averages": averages, "settle_ticks": 60}
        if kind == Command.SOLVE:
            reply = host.done(kind, solve_section(*listed, solves=2, **shape))
            samples = bench.output_codes(setting, inputs, release, release + 60, averages)
        else:
            reply = host.done(kind, mvm_section(*listed, array=1, products=2, **shape))
            samples = bench.current_codes(1, rows, columns, inputs, release, release + 60, averages, TiaRange.COARSE)
        expected = [half_up(samples[solve, :, j].tolist()) for solve in (0, 1) for j in (0, 1)]
        assert np.frombuffer(reply, "<i2", 4, 8).tolist() == expected
        assert len(set(expected)) > 1
