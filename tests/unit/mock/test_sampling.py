"""Samples of READ, SOLVE and MVM as the world gives them: noise, settling, saturation, and no memory of batches."""

import numpy as np
import pytest

from hwloop.link import protocol as wire
from hwloop.link.protocol import Command, Constraint, Polarity, SolveFlag, TiaRange
from hwloop.mock.bench import Bench, SolveSetting
from hwloop.mock.bench_config import DEVICE_EFFECTS, BenchConfig
from tests.unit.mock.talking import opened, pulse_section, solve_section, words

SMALL = "hwloop-16x4"
MINUS_100_MILLIVOLTS = -1311
FULL_OUTPUT = round(wire.SCALE_OUTPUT_MAX_MICROVOLTS / wire.SCALE_OUTPUT_FULL_SCALE_MICROVOLTS * 8 * 32768)
NOISE_CODES = {TiaRange.COARSE: 20e-9 / 50e-6 * 65536, TiaRange.FINE: 4e-9 / 5e-6 * 65536}


def gate_code(microsiemens: float) -> int:
    """The gate at which a SET leaves an ideal cell there."""
    return round((0.6 + microsiemens / 98) / 5 * 65536)


def put(bench: Bench, conductances: dict[int, float]) -> Bench:
    """Pulse cells of the whole chip to so many µS."""
    cell = np.array(list(conductances), np.int64)
    gate = np.array([gate_code(value) for value in conductances.values()])
    every = np.ones_like(cell)
    bench.pulse(cell, Polarity.SET * every, 15729 * every, gate, 10 * every, 0 * every)
    return bench


def diagonal(**config) -> Bench:
    """100 µS on the diagonal of rows 0 and 1 in both arrays of an ideal chip."""
    config.setdefault("off", DEVICE_EFFECTS)
    return put(Bench(BenchConfig(SMALL, **config)), {0: 100, 5: 100, 64: 100, 69: 100})


def setting(constraint: int = Constraint.RAIL, compensation: int = 0) -> SolveSetting:
    two, zero = np.arange(2), np.zeros(2, np.int64)
    return SolveSetting(two, two, zero + compensation, zero, zero, 0, constraint)


def outputs(bench, release, samples=1, settle=2000, inputs=(MINUS_100_MILLIVOLTS,) * 2, **kind):
    """Codes (n, samples, 2) of the same two inputs, n times over."""
    release = np.atleast_1d(np.asarray(release, np.int64))
    return bench.output_codes(setting(**kind), np.tile(inputs, (len(release), 1)), release, release + settle, samples)


def never_settling() -> Bench:
    """B has the columns of A exchanged, so that each amplifier drives the other one's column: the loop runs away."""
    return put(
        Bench(BenchConfig(SMALL, preset="ideal")),
        {0: 20, 1: 200, 4: 200, 5: 20, 64: 200, 65: 20, 68: 20, 69: 200},
    )


@pytest.mark.parametrize("tia_range", TiaRange)
def test_every_sample_of_a_reading_has_white_noise_of_its_own(tia_range):
    bench = put(Bench(BenchConfig(SMALL, off=(*DEVICE_EFFECTS, "converter_errors"))), {5: 12})
    n = 5000
    start = np.arange(n) * 10_000
    codes = bench.read_codes(np.full(n, 5), start, start + 200, 4, tia_range).astype(float)
    sigma = NOISE_CODES[tia_range]
    ideal = 12e-6 * 0.2 / {TiaRange.COARSE: 50e-6, TiaRange.FINE: 5e-6}[tia_range] * 65536
    assert codes.mean() == pytest.approx(ideal, abs=10 if tia_range == TiaRange.COARSE else 100)
    assert codes.std(axis=0) == pytest.approx(sigma, rel=0.05)
    assert codes.mean(axis=1).std() == pytest.approx(sigma / 2, rel=0.05)
    correlation = np.corrcoef(codes.T)[np.triu_indices(4, 1)]
    assert np.abs(correlation).max() < 5 / np.sqrt(n)


def test_a_reading_stays_within_its_converter():
    bench = put(Bench(BenchConfig(SMALL, off=DEVICE_EFFECTS)), {0: 100})
    at = np.zeros(2, np.int64)
    # 100 µS is four times the fine range; a cell after RESET lies near the bottom of the coarse one.
    codes = bench.read_codes(np.array([0, 0]), at, at + 200, 3000, TiaRange.FINE)
    assert codes.dtype == np.uint16 and (codes == 65535).all()
    ideal = Bench(BenchConfig(SMALL, preset="ideal"))
    assert (ideal.read_codes(np.array([0, 0]), at, at + 200, 30, TiaRange.FINE) == 0).all()


@pytest.mark.parametrize("drift", [0.0, 20_000.0])
def test_how_samples_are_asked_for_changes_none(drift):
    """All at once, one reading at a time, one sample at a time, in any order: the same codes."""
    bench = Bench(BenchConfig(SMALL, temperature_drift_per_hour_celsius=drift, temperature_celsius=0.0))
    rng = np.random.default_rng(0)
    n, samples = 40, 5
    start = rng.integers(0, 3 * 10**7, n)
    cell, order = rng.integers(0, 128, n), rng.permutation(n)
    inputs = rng.integers(-3000, 3000, (n, 2))
    rows, columns = np.array([3, 9]), np.array([1, 2])
    network = SolveSetting(rows, columns, np.array([100, 90]), np.array([20, 0]), np.array([-7, 9]), 1, Constraint.NONE)
    asks = {
        "read": lambda part, late, count: bench.read_codes(
            cell[part], start[part], start[part] + 200 + late, count, TiaRange.COARSE
        ),
        "product": lambda part, late, count: bench.current_codes(
            1, rows, columns, inputs[part], start[part], start[part] + 90 + late, count, TiaRange.COARSE
        ),
        "solve": lambda part, late, count: bench.output_codes(
            network, inputs[part], start[part], start[part] + 90 + late, count
        ),
    }
    for kind, ask in asks.items():
        together = ask(slice(None), 0, samples)
        assert np.array_equal(ask(order, 0, samples), together[order]), kind
        for i in range(n):
            assert np.array_equal(ask(slice(i, i + 1), 0, samples)[0], together[i]), kind
    late = asks["read"](slice(None), 2 * wire.TICKS_SAMPLE, samples - 2)
    assert np.array_equal(late, asks["read"](slice(None), 0, samples)[:, 2:])


def test_an_output_settles_exponentially_from_its_release_on():
    """With 7.19 mS of compensation S = 7.49 mS, Q = G²/S and K = G − G²/S: the rate is 2π·10 MHz/74, or 1/1.18 µs."""
    bench = diagonal(preset="ideal")
    for settle in (0, 5, 12, 24, 48):
        code = outputs(bench, 70, settle=settle, compensation=1023)
        fraction = 1 - np.exp(-settle * 1e-7 * 2 * np.pi * 1e7 / 73.9)
        assert code == pytest.approx(fraction * 0.1 * 8 / 2.56 * 32768, abs=40)
    assert (outputs(bench, 70, settle=-50) == 0).all(), "before its release an output stands at 0 V"
    samples = outputs(bench, 70, samples=4, settle=50, compensation=1023)[0, :, 0]
    # The first sample lacks 1.4 % after 5 µs, the others nothing.
    assert samples[0] / samples[3] == pytest.approx(1 - 0.0144, abs=2e-3)
    assert samples[1:].std() <= 1


def test_a_solve_has_the_noise_of_its_converter_in_every_sample():
    bench = diagonal(off=(*DEVICE_EFFECTS, "amplifier_offset"))
    codes = outputs(bench, np.arange(2000) * 10_000, samples=3).astype(float)
    sigma = 60e-6 / (2.56 / 32768)
    # Rounding to a code adds a twelfth to the variance.
    assert codes.std(axis=0) == pytest.approx(np.sqrt(sigma**2 + 1 / 12), rel=0.06)
    assert np.abs(np.corrcoef(codes.reshape(2000, 6).T)[np.triu_indices(6, 1)]).max() < 0.12


def test_a_product_has_the_noise_of_the_transimpedance_chain():
    bench = diagonal(off=(*DEVICE_EFFECTS, "converter_errors"))
    start = np.arange(2000) * 10_000
    both, inputs = np.arange(2), np.full((2000, 2), 2621)      # 0.2 V on 100 µS
    codes = bench.current_codes(0, both, both, inputs, start, start + 90, 2, TiaRange.COARSE).astype(float)
    # The other cell of a column, after RESET, adds 3 µS.
    assert codes.mean() == pytest.approx(0.2 * 103e-6 / 50e-6 * 32768, rel=0.01)
    assert codes.std(axis=0) == pytest.approx(20e-9 / 50e-6 * 32768, rel=0.06)
    fine = bench.current_codes(0, both, both, np.stack([inputs[0], -inputs[0]]), start[:2], start[:2], 2, TiaRange.FINE)
    assert (fine[0] == 32767).all() and (fine[1] == -32768).all()


def test_solves_and_products_of_one_millisecond_share_their_cells():
    """The 1/f noise of the cells alone: it stands still within the millisecond of the first sample."""
    off = tuple(name for name in DEVICE_EFFECTS if name != "cell_noise")
    bench = put(Bench(BenchConfig(SMALL, off=(*off, "chain_noise"))), {0: 100, 5: 100, 64: 100, 69: 100})
    both = np.arange(2)
    within, beyond = np.array([20_000, 24_000, 27_999]), np.array([28_000])
    solved = outputs(bench, np.concatenate([within, beyond]))
    assert (solved[:3] == solved[0]).all() and (solved[3] != solved[0]).any()
    start = np.concatenate([within, beyond])
    product = bench.current_codes(
        0, both, both, np.full((4, 2), 3000), start, start + 2000, 2, TiaRange.COARSE
    )
    assert (product[:3] == product[0, 0]).all() and (product[3] != product[0]).any()


@pytest.mark.parametrize(("constraint", "lowest"), [(Constraint.NONE, -FULL_OUTPUT), (Constraint.RECTIFIER, 0)])
def test_a_loop_that_never_settles_is_caught_anywhere_between_its_rails(constraint, lowest):
    bench = never_settling()
    codes = outputs(bench, np.arange(1000) * 3000, samples=2, inputs=(-1536, -1036), constraint=constraint)
    place = (codes.reshape(-1, 4).astype(float) - lowest) / (FULL_OUTPUT - lowest)
    assert place.min() >= 0 and place.max() <= 1
    counts = np.stack([np.histogram(of_one, 10, (0, 1))[0] for of_one in place.T])
    assert (np.abs(counts - 100) < 45).all(), "evenly spread"
    assert np.abs(np.corrcoef(place.T)[np.triu_indices(4, 1)]).max() < 0.15, "sample by sample, output by output"


@pytest.mark.parametrize("averages", [1, 2, 4])
def test_a_loop_that_never_settles_is_flagged_from_two_samples_on(averages):
    host = opened(preset="ideal")
    microsiemens = {0: 20, 1: 200, 4: 200, 5: 20}
    for array, exchanged in ((0, 0), (1, 1)):
        for cell, value in microsiemens.items():
            host.done(Command.PULSE, pulse_section(
                cell ^ exchanged, array=array, polarity=Polarity.SET, amplitude_code=15729, gate_code=gate_code(value)
            ))
    section = solve_section(
        0, 1, *[64000, 64500] * 50, columns=0b11, row_count=2, settle_ticks=5000, averages=averages, solves=50,
        constraint=Constraint.NONE,
    )
    flagged = []
    for _ in range(20):
        flags = np.frombuffer(host.done(Command.SOLVE, section), np.uint8, -1, 8 + 200)
        flagged += np.unpackbits(flags, bitorder="little")[1:100:2].tolist()
    assert len(flagged) == 1000 and all(flagged) == any(flagged) == (averages > 1)


def programmed(**config):
    """A host whose board has 100 µS on the diagonal of rows 0 and 1 in both arrays, on an ideal chip."""
    host = opened(preset="ideal", **config)
    for array in (0, 1):
        for cell in (0, 5):
            host.done(Command.PULSE, pulse_section(
                cell, array=array, polarity=Polarity.SET, amplitude_code=15729, gate_code=gate_code(100)
            ))
    return host


def solve(host, settle_ticks, averages=1, code=MINUS_100_MILLIVOLTS):
    """(outputs in volts (2,), flags) for `code` on both rows."""
    section = solve_section(
        0, 1, code & 0xFFFF, code & 0xFFFF, columns=0b11, row_count=2, settle_ticks=settle_ticks, averages=averages
    )
    reply = host.done(Command.SOLVE, section)
    return np.frombuffer(reply, "<i2", 2, 8) * (2.56 / 32768 / 8), reply[12]


def test_a_solve_that_has_settled():
    volts, flags = solve(programmed(), 2000, averages=4)
    assert volts == pytest.approx(0.1, abs=5e-4) and not flags


def test_a_solve_that_is_sampled_too_early_is_flagged():
    host = programmed()
    host.done(Command.COMPENSATE, words(0, 0, 1023, 1, 1023))
    early, flags = solve(host, 50, averages=4)
    late, flags_later = solve(host, 5000, averages=4)
    assert late == pytest.approx(0.1, abs=5e-4)
    assert late - early == pytest.approx(0.0144 * 0.1 / 4, rel=0.15)
    assert flags == SolveFlag.UNSETTLED and not flags_later
    assert not solve(host, 50, averages=1)[1], "one sample differs from nothing"
    assert solve(host, 50, averages=2)[1] == SolveFlag.UNSETTLED


def test_an_output_at_its_rail_is_flagged_and_one_just_below_is_not():
    host = programmed()
    volts, flags = solve(host, 2000, code=-13107)
    assert volts == pytest.approx(wire.SCALE_OUTPUT_MAX_MICROVOLTS * 1e-6, abs=1e-4) and flags == SolveFlag.SATURATED
    threshold_volts = wire.SCALE_SATURATED_CODE / 32768 * 2.56 / 8
    for volts, flag in ((threshold_volts * 1.002, SolveFlag.SATURATED), (threshold_volts * 0.99, 0)):
        found, flags = solve(host, 2000, code=-round(volts / 2.5 * 32768))
        assert found == pytest.approx(volts, rel=2e-3) and flags == flag
