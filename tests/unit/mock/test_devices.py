"""The simulated cells against the device table of the design notes, effect by effect."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.errors import LimitError, UsageError
from hwloop.mock.devices import ARRAYS, FORM, SET, CellArray
from hwloop.mock.kinetics import RESET
from hwloop.mock.presets import DEFAULT, IDEAL, PRESETS, Effects, effects_of_preset

ROWS, COLUMNS = 128, 16
SIZE = ARRAYS * ROWS * COLUMNS
CELLS = np.arange(SIZE)
SECOND = 10_000_000
MICROSIEMENS = 1e-6
PULSES = st.tuples(st.integers(0, 31), st.integers(0, 1), st.integers(5, 20))     # cell, polarity, amplitude in 0.1 V


def gate_volts(siemens):
    return 0.6 + siemens / 98e-6


def only(**switches) -> Effects:
    """The ideal device with HRS at 3 µS and the named effects on."""
    return replace(IDEAL, hrs_siemens=3e-6, **switches)


def chip(effects: Effects = DEFAULT, serial: int = 1, seed: int = 0, **kw) -> CellArray:
    return CellArray(serial, seed, ROWS, COLUMNS, effects, **kw)


def set_to(array: CellArray, siemens: float) -> None:
    array.pulse(CELLS, SET, 1.2, gate_volts(siemens), 1e-6, 0)


# ---- SET and RESET


def test_an_ideal_set_lands_at_the_gates_compliance_and_a_second_one_does_nothing():
    array = chip(IDEAL)
    set_to(array, 100e-6)
    np.testing.assert_allclose(array.true_conductance(CELLS, 10), 100e-6, rtol=1e-9)
    set_to(array, 60e-6)
    np.testing.assert_allclose(array.true_conductance(CELLS, 20), 100e-6, rtol=1e-9)


def test_an_ideal_reset_is_gradual_in_the_amplitude_down_to_hrs():
    array = chip(only())
    set_to(array, 225e-6)
    levels = []
    for amplitude_volts in np.arange(0.5, 2.05, 0.1):
        array.pulse(CELLS[:1], RESET, amplitude_volts, 2.7, 1e-6, 0)
        levels.append(array.true_conductance(CELLS[:1], 10)[0])
    assert np.all(np.diff(levels) <= 0) and len(set(levels)) > 10
    assert levels[0] == pytest.approx(225e-6) and levels[-1] == pytest.approx(3e-6)


def test_the_overshoot_of_a_set_has_the_published_write_error():
    for siemens in (50e-6, 120e-6, 220e-6):
        array = chip(only(stochastic=True))
        set_to(array, siemens)
        overshoot = array.true_conductance(CELLS, 10) - siemens
        assert overshoot.min() >= 0
        assert overshoot.std() == pytest.approx(4.782e-6 - 0.009107 * siemens, rel=0.06)


def test_one_fixed_reset_fails_on_a_tenth_of_the_cells():
    array = chip(only(stochastic=True))
    set_to(array, 150e-6)
    before = array.true_conductance(CELLS, 10)
    array.pulse(CELLS, RESET, 1.3, 2.7, 1e-6, 10)
    assert np.mean(array.true_conductance(CELLS, 20) == before) == pytest.approx(0.10, abs=0.02)


def test_a_closed_gate_and_a_low_amplitude_do_nothing():
    array = chip(IDEAL)
    array.pulse(CELLS, SET, 1.2, 0.5, 1e-6, 0)
    array.pulse(CELLS, SET, 0.4, 2.0, 1e-6, 0)
    assert array.true_conductance(CELLS, 10).max() == 0
    set_to(array, 200e-6)
    array.pulse(CELLS, RESET, 2.0, 0.5, 1e-6, 0)
    np.testing.assert_allclose(array.true_conductance(CELLS, 10), 200e-6)


def test_a_wider_pulse_acts_like_a_higher_one():
    narrow, wide = chip(only()), chip(only())
    for array, amplitude_volts, width_seconds in ((narrow, 1.26, 1e-6), (wide, 1.20, 1e-5)):
        set_to(array, 225e-6)
        array.pulse(CELLS, RESET, amplitude_volts, 2.7, width_seconds, 0)
    np.testing.assert_allclose(narrow.true_conductance(CELLS, 0), wide.true_conductance(CELLS, 0))


# ---- forming and faults


def test_a_pristine_chip_needs_its_forming_voltage():
    array = chip(replace(DEFAULT, stuck=False), pristine=True)
    assert array.true_conductance(CELLS, 0).max() < 0.1e-6
    array.pulse(CELLS, SET, 2.1, 2.0, 1e-6, 0)
    assert array.true_conductance(CELLS, 10).max() < 0.1e-6
    array.pulse(CELLS, FORM, 2.65, 1.6, 1e-6, 10)
    formed = array.true_conductance(CELLS, 20) > 50e-6
    assert 0.3 < formed.mean() < 0.7
    array.pulse(CELLS, FORM, 2.65, 1.6, 1e-4, 20)
    assert np.all(array.true_conductance(CELLS, 30)[formed] > 50e-6)
    assert np.mean(array.true_conductance(CELLS, 30) > 20e-6) > formed.mean() + 0.05
    array.pulse(CELLS, FORM, 3.2, 1.6, 1e-6, 30)
    assert np.mean(array.true_conductance(CELLS, 40) > 20e-6) > 0.999


def test_a_chip_starts_as_after_forming_and_reset():
    array = chip()
    siemens = array.true_conductance(CELLS, 0)[~array.faults.stuck & ~array.faults.slow]
    assert np.median(siemens) == pytest.approx(3e-6, rel=0.15)
    assert np.mean(siemens <= 5e-6) > 0.95


def test_faults_have_the_tables_rates_and_stuck_cells_never_move():
    counts = np.zeros(4)
    for serial in range(1, 9):
        faults = chip(serial=serial).faults
        counts += [mask.sum() for mask in (faults.stuck_low, faults.stuck_high, faults.slow, faults.rtn)]
    np.testing.assert_allclose(counts / (8 * SIZE), [0.01, 0.005, 0.05, 0.10], rtol=0.15)
    array = chip()
    before = array.true_conductance(CELLS, 0)
    set_to(array, 150e-6)
    moved = array.true_conductance(CELLS, 10) != before
    assert not moved[array.faults.stuck].any() and moved[~array.faults.stuck].all()
    assert before[array.faults.stuck_low].max() <= 1e-6
    assert before[array.faults.stuck_high].min() >= 300e-6 and before[array.faults.stuck_high].max() <= 500e-6


def test_a_slow_cell_moves_a_third_of_the_way():
    array = chip(only(slow=True))
    set_to(array, 150e-6)
    siemens = array.true_conductance(CELLS, 10)
    np.testing.assert_allclose(siemens[array.faults.slow], 3e-6 + 147e-6 / 3)
    np.testing.assert_allclose(siemens[~array.faults.slow], 150e-6)


# ---- time, noise, temperature


@pytest.mark.parametrize("seconds, sigma", [(1, 0.4), (1000, 0.4 + 0.04 * np.log(1000)), (1e-5, 0.0)])
def test_relaxation_grows_with_the_logarithm_of_time(seconds, sigma):
    array = chip(only(relaxation=True))
    set_to(array, 100e-6)
    drift = array.true_conductance(CELLS, 10 + int(seconds * SECOND)) - 100e-6
    bulk = np.percentile(np.abs(drift), 68.27) / MICROSIEMENS
    assert bulk == pytest.approx(sigma, rel=0.06, abs=1e-9)
    if sigma:
        assert 0.005 < np.mean(np.abs(drift) > 4 * sigma * MICROSIEMENS) < 0.012     # the cells with the heavy tail


def test_cell_noise_is_a_floor_that_averaging_over_a_second_does_not_remove():
    array = chip(only(cell_noise=True))
    set_to(array, 100e-6)
    reads = np.stack([array.conductance(CELLS, 10_000 * k) for k in range(1, 1000, 10)]) / 100e-6 - 1
    assert reads.std() == pytest.approx(0.004, rel=0.05)
    assert reads[:1].std() / 3 < reads.mean(axis=0).std()
    same_millisecond = array.conductance(CELLS, 10_005)
    assert np.array_equal(same_millisecond, array.conductance(CELLS, 10_000))


def test_telegraph_noise_has_two_levels_about_the_truth():
    array = chip(only(rtn=True))
    set_to(array, 100e-6)
    cells = CELLS[array.faults.rtn]
    reads = np.stack([array.conductance(cells, 40_000_000 * k) for k in range(1, 60)])
    levels = [np.unique(np.round(reads[:, cell] / MICROSIEMENS, 9)) for cell in range(cells.size)]
    assert all(level.size == 2 for level in levels)
    gaps = np.array([np.diff(level)[0] for level in levels])
    assert gaps.min() > 1 and gaps.max() < 5
    np.testing.assert_allclose([level.mean() for level in levels], 100, atol=1e-6)


def test_temperature_coefficients_have_both_signs():
    array = chip(only(temperature=True))
    set_to(array, 100e-6)
    array.temperature_celsius = 35.0
    change = array.true_conductance(CELLS, 10) / 100e-6 - 1
    assert change.std() == pytest.approx(0.008, rel=0.05) and abs(change.mean()) < 0.001
    with pytest.raises(LimitError):
        array.temperature_celsius = 200.0


# ---- randomness, batches, state


@settings(max_examples=20, deadline=None)
@given(st.lists(PULSES, min_size=1, max_size=40), st.data())
def test_batching_changes_nothing_even_when_cells_repeat(pulses, data):
    cells, polarity, decivolts = (np.array(column) for column in zip(*pulses, strict=True))
    gate = np.where(polarity == RESET, 2.7, 1.5)
    ticks = np.arange(cells.size) * 300
    cut = data.draw(st.integers(0, cells.size))
    whole, parts = CellArray(3, 5, 1, 16), CellArray(3, 5, 1, 16)
    whole.pulse(cells, polarity, decivolts / 10, gate, 1e-6, ticks)
    for part in (slice(0, cut), slice(cut, None)):
        parts.pulse(cells[part], polarity[part], decivolts[part] / 10, gate[part], 1e-6, ticks[part])
    read = np.arange(32)
    assert np.array_equal(whole.conductance(read, SECOND), parts.conductance(read, SECOND))
    assert np.array_equal(whole.conductance(read, SECOND), [parts.conductance([cell], SECOND)[0] for cell in read])


def test_the_serial_makes_the_hardware_and_the_seed_what_happens_to_it():
    first, same_chip, other_chip = chip(seed=0), chip(seed=1), chip(serial=2, seed=0)
    for name, values in first.hardware._asdict().items():
        if name not in ("pulse_key", "noise_key"):
            assert np.array_equal(values, getattr(same_chip.hardware, name)), name
    assert not np.array_equal(first.faults.slow, other_chip.faults.slow)
    for array in (first, same_chip):
        set_to(array, 100e-6)
    assert not np.array_equal(first.true_conductance(CELLS, 10), same_chip.true_conductance(CELLS, 10))


def test_whole_rows_read_as_their_cells_do():
    array = chip()
    set_to(array, 80e-6)
    rows = np.array([5, 0, 127])
    by_row = array.conductance_rows(1, rows, 3 * SECOND)
    cells = (128 + rows[:, None]) * COLUMNS + np.arange(COLUMNS)
    assert np.array_equal(by_row.ravel(), array.conductance(cells.ravel(), 3 * SECOND))


def test_state_goes_into_another_process_and_comes_back():
    array = chip(seed=4)
    set_to(array, 80e-6)
    array.temperature_celsius = 30.0
    copy = chip(seed=4, pristine=True)
    copy.restore(array.state())
    for each in (array, copy):
        each.pulse(CELLS, RESET, 1.2, 2.7, 1e-6, 500)
    assert np.array_equal(array.conductance(CELLS, SECOND), copy.conductance(CELLS, SECOND))
    with pytest.raises(UsageError, match="another chip"):
        CellArray(1, 4, 4, 4).restore(array.state())


# ---- refusals


@pytest.mark.parametrize(
    "cells, polarity, amplitude_volts, gate, width_seconds",
    [([SIZE], 0, 1, 1, 1e-6), ([-1], 0, 1, 1, 1e-6), ([0], 3, 1, 1, 1e-6), ([0], 0, 4, 1, 1e-6), ([0], 0, -1, 1, 1e-6),
     ([0], 0, 1, 9, 1e-6), ([0], 0, 1, 1, 2e-3), ([0], 0, np.nan, 1, 1e-6)],
)  # fmt: skip
def test_a_pulse_outside_the_valid_range_is_refused_whole(cells, polarity, amplitude_volts, gate, width_seconds):
    array = chip()
    before = array.state()
    with pytest.raises(LimitError):
        array.pulse(cells, polarity, amplitude_volts, gate, width_seconds, 0)
    assert all(np.array_equal(before[name], values) for name, values in array.state().items())


def test_presets_are_named_and_checked():
    assert effects_of_preset("ideal") is IDEAL and set(PRESETS) >= {"default", "ideal", "neurram"}
    with pytest.raises(UsageError, match="neurram"):
        effects_of_preset("perfect")
    with pytest.raises(UsageError, match="slow_fraction"):
        Effects(slow_fraction=0.9)
