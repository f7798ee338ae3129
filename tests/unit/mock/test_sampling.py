"""Converter noise and averaging of READ and SOLVE: size, independence of batching, settling and its flag."""

import numpy as np
import pytest

from hwloop.link import protocol as wire
from hwloop.link.protocol import Command, Constraint, Polarity, SolveFlag
from hwloop.mock.sampling import ReadChain, sample_reads
from tests.unit.mock.talking import opened, pulse_section, read_request, solve_section, words

KEY = np.uint64(12345)


def read_codes(ideal, noise_codes, averages, sub_averages=1, spread_code=65535, n=20_000):
    """(codes, steady) of n readings of a conductance that stands at the code `ideal`, far apart in time."""
    chain = ReadChain(KEY, 1.0, noise_codes, sub_averages, averages, spread_code)
    codes, steady = np.empty(n, np.uint16), np.empty(n, bool)
    column = np.zeros(n, np.int64)
    sample_reads(chain, np.full(n, float(ideal)), column, np.arange(n) * 10**6, codes, steady)
    return codes.astype(float), steady


@pytest.mark.parametrize(("averages", "sub_averages"), [(1, 1), (4, 1), (4, 3), (16, 1)])
def test_white_noise_averages_down(averages, sub_averages):
    codes, _ = read_codes(30_000, 26.2, averages, sub_averages)
    assert codes.mean() == pytest.approx(30_000, abs=1)
    assert codes.std() == pytest.approx(26.2 / np.sqrt(averages * sub_averages), rel=0.05)


def test_a_reading_stays_within_its_converter():
    assert set(read_codes(70_000, 0.0, 1)[0]) == {65535.0}
    assert read_codes(0, 26.2, 1)[0].min() == 0


def test_steady_means_that_every_part_stays_near_the_mean():
    _, steady = read_codes(30_000, 26.2, 4, 3, spread_code=30)
    # Deviations of a part from the mean of three: 13.1·√(2/3) = 10.7 codes, so 30 codes are 2.8 σ.
    assert 0.96 < steady.mean() < 0.995
    assert read_codes(30_000, 0.0, 4, 3, spread_code=1)[1].all()
    assert read_codes(30_000, 26.2, 4, 3, spread_code=0)[1].mean() < 0.05


def programmed(**config):
    """An ideal chip with 100 µS on the diagonal of rows 0 and 1 in both arrays."""
    host = opened(preset="ideal", **config)
    gate_code = round((0.6 + 100 / 98) / 5 * 65536)
    for array in (0, 1):
        for cell in (0, 5):
            host.done(Command.PULSE, pulse_section(
                cell, array=array, polarity=Polarity.SET, amplitude_code=15729, gate_code=gate_code
            ))
    return host


def solve(host, settle_ticks, averages=1):
    """(outputs in volts (2,), saturated, unsettled) for -0.1 V on both rows: w = 0.1 V."""
    minus = (65536 - 1311) & 0xFFFF
    reply = host.done(Command.SOLVE, solve_section(
        0, 1, minus, minus, columns=0b11, row_count=2, settle_ticks=settle_ticks, averages=averages
    ))
    flags = int.from_bytes(reply[12:], "little")
    return np.frombuffer(reply, "<i2", 2, 8) * (2.56 / 32768 / 8), bool(flags & 1), bool(flags & 2)


def test_a_solve_that_has_settled():
    volts, saturated, unsettled = solve(programmed(), 2000, averages=4)
    assert volts == pytest.approx(0.1, abs=5e-4) and not saturated and not unsettled


def test_a_solve_that_is_sampled_too_early_is_flagged():
    """Compensation of 7.19 mS makes it slow: with S = 7.49 mS, Q = G²/S and K = G - G²/S the rate is 2π·10 MHz/74, or
    1/1.18 µs, so the first sample, after 5 µs, lacks 1.4 % of 0.1 V, and the last one nothing."""
    host = programmed()
    host.done(Command.COMPENSATE, words(0, 0, 1023, 1, 1023))
    early, _, unsettled = solve(host, 50, averages=4)
    late, _, unsettled_later = solve(host, 5000, averages=4)
    assert late == pytest.approx(0.1, abs=5e-4)
    assert late - early == pytest.approx(0.0144 * 0.1 / 4, rel=0.15)
    assert unsettled and not unsettled_later
    assert not solve(host, 50, averages=1)[2], "one sample differs from nothing"
    assert solve(host, 50, averages=2)[2]


def test_a_loop_that_never_settles_is_flagged_from_two_samples_on():
    """B has the columns of A exchanged, so that each amplifier drives the other one's column: the loop runs away."""
    host = opened(preset="ideal")
    microsiemens = {0: 20, 1: 200, 4: 200, 5: 20}
    for array, exchanged in ((0, 0), (1, 1)):
        for cell, value in microsiemens.items():
            gate_code = round((0.6 + value / 98) / 5 * 65536)
            host.done(Command.PULSE, pulse_section(
                cell ^ exchanged, array=array, polarity=Polarity.SET, amplitude_code=15729, gate_code=gate_code
            ))
    flags = []
    for averages in (1, 2, 4):
        section = solve_section(
            0, 1, 64000, 64500, columns=0b11, row_count=2, settle_ticks=5000, averages=averages,
            constraint=Constraint.NONE,
        )
        flags.append(host.done(Command.SOLVE, section)[12] & SolveFlag.UNSETTLED)
    assert flags == [0, SolveFlag.UNSETTLED, SolveFlag.UNSETTLED]


def test_an_output_at_its_rail_is_flagged():
    host = programmed()
    minus = (65536 - 13107) & 0xFFFF
    reply = host.done(Command.SOLVE, solve_section(0, 1, minus, 0, columns=0b11, row_count=2, settle_ticks=2000))
    volts = np.frombuffer(reply, "<i2", 2, 8) * (2.56 / 32768 / 8)
    assert volts[0] == pytest.approx(wire.SCALE_OUTPUT_MAX_MICROVOLTS * 1e-6, abs=1e-4)
    assert int.from_bytes(reply[12:], "little") & 1


def test_read_noise_has_the_size_of_the_chain():
    """20 nA a sample on the 50 µA range: 26.2 codes, and nothing else moves with the devices' effects off."""
    effects = ("stochastic", "relaxation", "cell_noise", "rtn", "temperature", "stuck", "slow")
    host = opened(off=effects)
    codes = []
    for _ in range(400):
        codes.append(int.from_bytes(host.done(Command.READ, read_request(5))[4:6], "little"))
    assert np.std(codes) == pytest.approx(26.2, rel=0.15)
