"""Events of the chips carried out on the bench, batch by batch, and what comes of them put into the results."""

from __future__ import annotations

import numpy as np
from numba import njit

from hwloop.mock.bench import Bench, SolveSetting
from hwloop.mock.chips import ads8688
from hwloop.mock.chips import state as at


def carry_out(chips: at.Chips, bench: Bench) -> None:
    """All events noted so far, in order. Consecutive ones of one kind and setting go to the world in one call.

    Raises what the world raises, with the events before carried out.
    """
    count, first, patch = int(chips.now[at.EVENTS]), 0, 0
    while first < count:
        stop = _group_end(chips, first, count)
        kind = chips.events[first, at.EVENT_KIND]
        if kind == at.PULSE:
            bench.pulse(*_pulses(chips, first, stop))
        elif kind == at.READING:
            patch = _carry_out_readings(chips, bench, first, stop, patch)
        elif kind == at.SAMPLING:
            patch = _carry_out_sampling(chips, bench, first, patch)
        else:
            patch = _carry_out_solves(chips, bench, first, stop, patch)
        first = stop


def clear(chips: at.Chips) -> None:
    """Forget the events. A run that goes on (DRIVE is still high) is noted anew with its next sample."""
    chips.now[[at.EVENTS, at.PATCHES, at.SETTINGS, at.INPUT_WORDS, at.FRESH_SETTING]] = 0
    chips.now[at.RUN_EVENT] = -1


def compile_kernels(chips: at.Chips) -> None:
    """Compile what carrying out events needs; there must be none."""
    _group_end(chips, 0, 0)
    _pulses(chips, 0, 0)
    _place_readings(chips, np.zeros((0, 0), np.uint16), 0, 0, 0)
    _place_outputs(chips, np.zeros((0, 0, 0), np.int16), 0, 1, 0, 0, 0)
    _place_samples(chips, np.zeros((0, 0), np.int64), -1, 0)


def _carry_out_readings(chips: at.Chips, bench: Bench, first: int, stop: int, patch: int) -> int:
    event = chips.events[first]
    cell, which = _cells(chips, first, stop)
    codes = bench.read_codes(
        cell, chips.events[which, at.START_TICK], chips.events[which, at.FIRST_TICK], int(event[at.SAMPLES]),
        int(event[at.RANGE]),
    )
    return _place_readings(chips, codes, first, stop, patch)


def _carry_out_sampling(chips: at.Chips, bench: Bench, number: int, patch: int) -> int:
    event = chips.events[number]
    codes = bench.sample_codes(
        int(event[at.SAMPLED]), int(event[at.RANGE]), int(event[at.FIRST_TICK]), int(event[at.SAMPLES])
    )
    return _place_samples(chips, codes, number, patch)


def _carry_out_solves(chips: at.Chips, bench: Bench, first: int, stop: int, patch: int) -> int:
    events = chips.events[first:stop]
    number, samples, words = int(events[0, at.SETTING]), int(events[0, at.SAMPLES]), int(events[0, at.WORDS])
    m, mask, constraint, divider = chips.setting_numbers[number].tolist()
    rows = chips.setting_rows[number, :m].copy()
    columns = np.flatnonzero(mask >> np.arange(chips.columns) & 1)
    # Solves follow one another in `input_words` without a gap.
    input_code = chips.input_words[words : words + len(events) * m].reshape(len(events), m).copy()
    release_tick, first_tick = events[:, at.START_TICK].copy(), events[:, at.FIRST_TICK].copy()
    if events[0, at.EVENT_KIND] == at.PRODUCT:
        array, tia_range = int(events[0, at.ARRAY]), int(events[0, at.RANGE])
        codes = bench.current_codes(
            array, rows, columns, input_code, release_tick, first_tick, samples, tia_range
        )
        return _place_outputs(chips, codes, mask, 2, first, stop, patch)
    setting = SolveSetting(
        rows, columns, chips.setting_compensation[number, :m].copy(), chips.setting_feedback[number, columns],
        chips.setting_bias[number, columns], divider, constraint,
    )
    codes = bench.output_codes(setting, input_code, release_tick, first_tick, samples)
    return _place_outputs(chips, codes, mask, 1, first, stop, patch)


@njit(cache=True)
def _group_end(chips, first, count):
    """One past the last event that goes into one call with event `first`."""
    head, stop = chips.events[first], first + 1
    kind = head[at.EVENT_KIND]
    if kind == at.SAMPLING:
        return stop
    while stop < count:
        event = chips.events[stop]
        if event[at.EVENT_KIND] != kind:
            break
        if kind != at.PULSE and (event[at.SAMPLES] != head[at.SAMPLES] or event[at.RANGE] != head[at.RANGE]):
            break
        if (kind == at.SOLVE or kind == at.PRODUCT) and (
            event[at.SETTING] != head[at.SETTING] or event[at.ARRAY] != head[at.ARRAY]
        ):
            break
        stop += 1
    return stop


@njit(cache=True)
def _cells(chips, first, stop):
    """Flat cells (n,) of the events' columns, in order, and the event of each."""
    cell, which = np.empty((stop - first) * chips.columns, np.int64), np.empty((stop - first) * chips.columns, np.int64)
    n = 0
    for number in range(first, stop):
        event = chips.events[number]
        row = (event[at.ARRAY] * chips.rows + event[at.ROW]) * chips.columns
        for column in range(chips.columns):
            if event[at.COLUMNS] >> column & 1:
                cell[n], which[n] = row + column, number
                n += 1
    return cell[:n], which[:n]


@njit(cache=True)
def _pulses(chips, first, stop):
    """Arguments of Bench.pulse, all (n,): cell, polarity, amplitude code, gate code, width, start tick."""
    cell, which = _cells(chips, first, stop)
    amplitude = np.empty(cell.size, np.int64)
    for i in range(cell.size):
        amplitude[i] = chips.amplitudes[which[i], cell[i] % chips.columns]
    events = chips.events[which]
    return (
        cell, events[:, at.POLARITY].copy(), amplitude, events[:, at.GATE].copy(), events[:, at.WIDTH].copy(),
        events[:, at.START_TICK].copy(),
    )


@njit(cache=True)
def _below(mask, column):
    """How many columns of `mask` come before `column`."""
    count = 0
    for other in range(column):
        count += mask >> other & 1
    return count


@njit(cache=True)
def _put(chips, patch, code):
    here, kept = patch[at.AT], patch[at.KEPT]
    if kept & 1:
        chips.results[here] = code >> 8
    chips.results[here + 1 if kept & 2 else here] = code & 0xFF


@njit(cache=True)
def _place_readings(chips, codes, first, stop, number):
    """Codes (n, samples) of the events' cells into the results; gives the first patch of the next event."""
    base, cell = first, 0
    while number < chips.now[at.PATCHES] and chips.patches[number, at.EVENT] < stop:
        patch = chips.patches[number]
        while base < patch[at.EVENT]:
            cell += _below(chips.events[base, at.COLUMNS], chips.columns)
            base += 1
        code = np.int64(codes[cell + _below(chips.events[base, at.COLUMNS], patch[at.COLUMN]), patch[at.SAMPLE]])
        _put(chips, patch, ads8688.code(patch[at.ADC_RANGE], code))
        number += 1
    return number


@njit(cache=True)
def _place_outputs(chips, codes, mask, step, first, stop, number):
    """Signed codes (n, samples, k) into the results; a code is `step` steps of 5.12 V / 2^16."""
    while number < chips.now[at.PATCHES] and chips.patches[number, at.EVENT] < stop:
        patch = chips.patches[number]
        code = np.int64(codes[patch[at.EVENT] - first, patch[at.SAMPLE], _below(mask, patch[at.COLUMN])])
        _put(chips, patch, ads8688.code(patch[at.ADC_RANGE], code * step))
        number += 1
    return number


@njit(cache=True)
def _place_samples(chips, codes, event, number):
    """Codes (samples, columns) of one SAMPLING into the results; the ADCs are in the ranges of READ and SOLVE."""
    while number < chips.now[at.PATCHES] and chips.patches[number, at.EVENT] <= event:
        patch = chips.patches[number]
        _put(chips, patch, ads8688.code(patch[at.ADC_RANGE], codes[patch[at.SAMPLE], patch[at.COLUMN]]))
        number += 1
    return number
