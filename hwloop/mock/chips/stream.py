"""The stream from the firmware, decoded by compiled code: chip selects, pins, ticks and pulses (wiring.toml [stream]).

What is decoded acts on the chips at once; what reaches the arrays is noted as events, in order, for the world to carry
out later; results that depend on it are noted as patches.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from hwloop.link import protocol as wire
from hwloop.mock.chips import adg1414, ads8688, adt7320, drive, ltc2668, safety, wiring
from hwloop.mock.chips import state as at

# How a call of `decode` ends.
MORE, HELLO, STORE, FINISH, FULL, BROKEN = range(6)


@njit(cache=True)
def decode(chips, data, first):
    """Decode `data` (uint8) from `first` on; gives (where to go on, one of the outcomes above). HELLO, STORE and FINISH
    are consumed and left to the caller; on FULL the events have to be carried out before it goes on."""
    here, stop = first, len(data)
    while here < stop:
        kind = data[here]
        if kind == wiring.STREAM_WRITE or kind == wiring.STREAM_READ:
            head = 7 if kind == wiring.STREAM_READ else 6
            if here + head > stop:
                return here, MORE
            select, size, frames = _u16(data, here + 1), np.int64(data[here + 3]), _u16(data, here + 4)
            skip = np.int64(data[here + 6]) if kind == wiring.STREAM_READ else size
            if here + head + size * frames > stop:
                return here, MORE
            if not _has_room(chips, frames, max(size - skip, 0)):
                return here, FULL
            _transfer(chips, select, data, here + head, size, frames, skip)
            here += head + size * frames
        elif kind == wiring.STREAM_AT:
            if here + 9 > stop:
                return here, MORE
            _set_clock(chips, data, here + 1)
            here += 9
        elif kind == wiring.STREAM_PIN:
            if here + 3 > stop:
                return here, MORE
            if data[here + 1] > wiring.PIN_LDAC:
                return here, BROKEN
            set_pin(chips, np.int64(data[here + 1]), np.int64(data[here + 2] != 0))
            here += 3
        elif kind == wiring.STREAM_PULSE:
            if here + 3 > stop:
                return here, MORE
            if not _has_room(chips, 1, 0):
                return here, FULL
            drive.pulse(chips, _u16(data, here + 1))
            here += 3
        elif kind == wiring.STREAM_STORE:
            size = 1 + wiring.STREAM_STORE_BYTES
            return (here + size, STORE) if here + size <= stop else (here, MORE)
        elif kind == wiring.STREAM_HELLO:
            return (here + 2, HELLO) if here + 2 <= stop else (here, MORE)
        elif kind == wiring.STREAM_FINISH:
            return here + 1, FINISH
        else:
            return here, BROKEN
    return here, MORE


@njit(cache=True)
def set_pin(chips, pin, level):
    """One pin of the microcontroller, 0 or 1."""
    now = chips.now
    if pin == wiring.PIN_LDAC:
        if now[at.LDAC] and not level:
            for dac in range(at.FIRST_INPUT_DAC, chips.dacs.shift.size):
                ltc2668.update_all(chips.dacs, dac)
        now[at.LDAC] = level
        return
    before = now[at.DRIVE]
    now[at.ENABLE if pin == wiring.PIN_ENABLE else at.DRIVE] = level
    if pin == wiring.PIN_DRIVE and level and not before:
        now[at.DRIVE_TICK] = now[at.TICK]
    _connect(chips)


@njit(cache=True)
def _connect(chips):
    """Pins or mode switches have moved: whatever was sampled before, a new run begins."""
    chips.now[at.SOURCE] = drive.source(chips) if chips.now[at.DRIVE] else -1
    chips.now[at.RUN_FIRST] = chips.now[at.RUN_EVENT] = -1


@njit(cache=True)
def _u16(data, here):
    return np.int64(data[here]) | np.int64(data[here + 1]) << 8


@njit(cache=True)
def _has_room(chips, frames, kept_bytes):
    """Whether the buffers hold what so many more frames can bring: one event, one setting, a patch a frame."""
    now = chips.now
    return (
        now[at.EVENTS] < at.EVENT_ROOM
        and now[at.PATCHES] + frames <= at.PATCH_ROOM
        and now[at.RESULTS] + frames * kept_bytes <= chips.results.size
        and now[at.SETTINGS] < chips.setting_numbers.shape[0]
        and now[at.INPUT_WORDS] + chips.rows <= chips.input_words.size
    )


@njit(cache=True)
def _set_clock(chips, data, here):
    now, tick = chips.now, np.int64(0)
    for i in range(8):
        tick |= np.int64(data[here + i]) << 8 * i
    if tick < now[at.TICK]:
        safety.violate(chips, safety.BACKWARDS, tick, now[at.TICK])
        return
    if tick < now[at.PULSE_END]:
        safety.violate(chips, safety.CUT_SHORT, tick, now[at.PULSE_END])
    now[at.TICK] = tick


@njit(cache=True)
def _transfer(chips, select, data, first, size, frames, skip):
    """`frames` chip selects of `size` bytes each, from `first` on; of what comes back `skip` bytes are dropped.

    The loops stand here and hand the chips their own registers only: `chips` as a whole is too much to be handed on for
    every frame.
    """
    if select >= chips.devices.shape[0] or chips.devices[select, at.KIND] == at.NOTHING:
        safety.violate(chips, safety.UNKNOWN_SELECT, select, 0)
        chips.answer[:] = 0
        for _ in range(frames):
            _keep(chips.answer, chips.results, chips.now, skip, size)
        return
    kind, index, length = chips.devices[select, 0], chips.devices[select, 1], chips.devices[select, 2]
    stuck, intact = chips.devices[select, at.MOSI], chips.devices[select, at.MISO] == at.INTACT
    if stuck != at.INTACT:
        data, first = np.full(size * frames, 255 * stuck, np.uint8), 0
    answer, moved = chips.answer, False
    for number in range(frames):
        here = first + number * size
        if kind == at.DAC:
            ltc2668.transfer(chips.dacs, index, data, here, size, answer)
        elif kind == at.CHAIN:
            moved |= adg1414.transfer(chips.switches, index, length, data, here, size, answer)
        elif kind == at.ADC:
            channel = ads8688.transfer(chips.adcs, index, data, here, size, answer)
            if channel >= 0 and size >= 4 and skip < 4:
                _convert(chips, index, channel, skip, intact)
        else:
            register = adt7320.transfer(chips.sensor, data, here, size, answer, chips.now[at.TICK])
            if register >= 0 and skip < size and intact:
                _note_sensed(chips, register, size, skip)
        if skip < size:
            if not intact:
                answer[:size] = 255 * chips.devices[select, at.MISO]
            _keep(answer, chips.results, chips.now, skip, size)
    if kind == at.DAC and index == at.BIAS_DAC:
        chips.now[at.FRESH_SETTING] = 0
    elif kind == at.DAC and index >= at.FIRST_INPUT_DAC and not chips.now[at.LDAC]:
        ltc2668.update_all(chips.dacs, index)
    if moved:
        _switches_moved(chips, select)


@njit(cache=True)
def _keep(answer, results, now, skip, size):
    kept = now[at.RESULTS]
    for i in range(skip, size):
        results[kept + i - skip] = answer[i]
    now[at.RESULTS] = kept + max(size - skip, 0)


@njit(cache=True)
def _switches_moved(chips, select):
    """What depends on the switches of a chain is worked out anew where it is needed next."""
    now = chips.now
    driven = now[at.DRIVE] and now[at.SOURCE] >= 0 or now[at.TICK] < now[at.PULSE_END]
    if driven and now[at.ENABLE]:
        safety.violate(chips, safety.MOVED, select, 0)
    if wiring.SELECT_ROW_SELECT <= select < wiring.SELECT_ROW_MASK:
        drive.count_selected(chips, select - wiring.SELECT_ROW_SELECT)
    elif select != wiring.SELECT_COLUMN_SELECT:
        now[at.FRESH_SETTING] = 0
    if now[at.DRIVE]:
        _connect(chips)


@njit(cache=True)
def _convert(chips, adc, channel, skip, intact):
    """A result of an ADC: 0 V, unless the world has something to say about it later."""
    now = chips.now
    is_auxiliary = channel == ads8688.AUXILIARY_CHANNEL
    adc_range = ads8688.UNIPOLAR_5 if is_auxiliary else ads8688.range_of(chips.adcs, adc, channel)
    code = ads8688.code(adc_range, 0)
    chips.answer[2], chips.answer[3] = code >> 8, code & 0xFF
    column = adc * ads8688.CHANNELS + channel
    if is_auxiliary:
        # The supply is at that of the first ADC; its codes are told in the first column's place, straight binary too.
        column = 0 if adc == 0 else chips.columns
    if column >= chips.columns or not intact:
        return
    event, sample = drive.sampled_event(chips)
    if event < 0:
        return
    kind = chips.events[event, at.EVENT_KIND]
    if is_auxiliary:
        if kind != at.SAMPLING:
            return
        chips.events[event, at.SAMPLED] = wire.SampleSource.SUPPLY
    if kind == at.SOLVE or kind == at.PRODUCT:
        mask = chips.setting_numbers[chips.events[event, at.SETTING], at.COLUMN_MASK]
        if not mask >> column & 1:
            return
    chips.events[event, at.COLUMNS] |= 1 << column
    patch = chips.patches[now[at.PATCHES]]
    patch[at.AT], patch[at.KEPT] = now[at.RESULTS] + 2 - skip, 3 if skip <= 2 else 2
    patch[at.EVENT], patch[at.SAMPLE] = event, sample
    patch[at.COLUMN], patch[at.ADC_RANGE] = column, adc_range
    now[at.PATCHES] += 1


@njit(cache=True)
def _note_sensed(chips, register, count, skip):
    now = chips.now
    if now[at.SENSED] == at.SENSED_ROOM:
        return
    held = chips.sensor.held_tick[0]
    sensed = chips.sensed[now[at.SENSED]]
    sensed[at.SENSED_AT], sensed[at.SENSED_SKIP], sensed[at.SENSED_KEPT] = now[at.RESULTS], skip, count - skip
    sensed[at.SENSED_REGISTER], sensed[at.SENSED_TICK] = register, now[at.TICK] if held < 0 else held
    now[at.SENSED] += 1
