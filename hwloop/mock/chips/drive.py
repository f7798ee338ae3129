"""What DRIVE connects: compiled code that makes pulses, readings and solves of switches and DAC codes."""

from __future__ import annotations

import numpy as np
from numba import njit

from hwloop.link import protocol as wire
from hwloop.mock.chips import adg1414, ltc2668, safety, wiring
from hwloop.mock.chips import state as at

_ROW_BITS = wiring.ROWS_A_ROW_CHAIN
_CONNECT = 1 << wiring.MODE_CONNECT_A | 1 << wiring.MODE_CONNECT_B
_BIT_LINES, _SOURCE_LINES = 1 << wiring.MODE_DRIVE_BIT_LINES, 1 << wiring.MODE_DRIVE_SOURCE_LINES
_READ, _SOLVE, _MULTIPLY = 1 << wiring.MODE_READ, 1 << wiring.MODE_SOLVE, 1 << wiring.MODE_MULTIPLY
_SAMPLE, _ROUTE_CELL = 1 << wiring.MODE_SAMPLE, 1 << wiring.MODE_ROUTE_CELL_TO_SMU
_OUTPUTS = 1 << wiring.MODE_ADC_FROM_OUTPUTS
_RECTIFIER, _DUAL_SUPPLY = 1 << wiring.MODE_RECTIFIER, 1 << wiring.MODE_DUAL_SUPPLY
_BY_16, _BY_256 = 1 << wiring.MODE_BIAS_BY_16, 1 << wiring.MODE_BIAS_BY_256
_BIAS_SHIFT = 4         # 12-bit codes in the upper bits


@njit(cache=True)
def chain_bits(chips, select, number, width):
    """`width` switches from switch `number` on of a chain, the first of them as bit 0."""
    return adg1414.bits(chips.switches, chips.devices[select, at.INDEX], number, width)


@njit(cache=True)
def mode_bits(chips):
    """The mode switches."""
    return chain_bits(chips, wiring.SELECT_MODE_SWITCHES, 0, at.MODE_BITS)


@njit(cache=True)
def count_selected(chips, chain):
    """After a change of one ROW_SELECT chain: how many of its switches are on, and the first of them."""
    device = chips.devices[wiring.SELECT_ROW_SELECT + chain]
    count, first = 0, -1
    for chip in range(device[at.LENGTH]):
        byte = np.int64(chips.switches[device[at.INDEX] + chip])
        for bit in range(adg1414.SWITCHES):
            if byte >> bit & 1:
                if count == 0:
                    first = chip * adg1414.SWITCHES + bit
                count += 1
    chips.selected[chain, 0], chips.selected[chain, 1] = count, first


@njit(cache=True)
def selected_row(chips):
    """(how many rows ROW_SELECT selects, the first of them)."""
    count, row = 0, -1
    for chain in range(chips.selected.shape[0]):
        if chips.selected[chain, 0]:
            if count == 0:
                row = chain * _ROW_BITS + chips.selected[chain, 1]
            count += chips.selected[chain, 0]
    return count, row


@njit(cache=True)
def one_array(chips, mode):
    """0 A, 1 B; -1, and a violation, unless just one of them is connected."""
    connected = mode & _CONNECT
    if connected == 1 << wiring.MODE_CONNECT_A:
        return 0
    if connected == 1 << wiring.MODE_CONNECT_B:
        return 1
    safety.violate(chips, safety.ARRAYS, 2 if connected else 0, 1)
    return -1


@njit(cache=True)
def source(chips):
    """DRIVE is high: the kind of event that samples of the ADCs now belong to, -1 where they see 0 V."""
    mode = mode_bits(chips)
    chosen = 0
    for way in (_BIT_LINES, _SOURCE_LINES, _READ, _SOLVE, _MULTIPLY, _SAMPLE):
        chosen += mode & way != 0
    if chosen == 0:
        return -1
    if not chips.now[at.ENABLE]:
        safety.violate(chips, safety.NO_ENABLE, 0, 0)
        return -1
    if chosen > 1:
        safety.violate(chips, safety.MODES, chosen, 1)
        return -1
    if mode & (_BIT_LINES | _SOURCE_LINES):
        safety.violate(chips, safety.NO_TIMER, 0, 0)
        return -1
    if mode & _SAMPLE:
        # A cell may stand at the SMU port meanwhile; the board itself leaves the arrays alone.
        if mode & _CONNECT and not mode & _ROUTE_CELL:
            safety.violate(chips, safety.ARRAYS, 1, 0)
            return -1
        return at.SAMPLING
    if mode & _SOLVE:
        if mode & _CONNECT != _CONNECT:
            safety.violate(chips, safety.ARRAYS, 1 if mode & _CONNECT else 0, 2)
            return -1
        return at.SOLVE if mode & _OUTPUTS and _one_way(chips, mode) else -1
    if one_array(chips, mode) < 0:
        return -1
    if mode & _READ:
        count, _ = selected_row(chips)
        if count != 1:
            safety.violate(chips, safety.ROWS_READ, count, 1)
            return -1
    if mode & _OUTPUTS:
        return -1
    return at.READING if mode & _READ else at.PRODUCT


@njit(cache=True)
def _one_way(chips, mode):
    if mode & _RECTIFIER and mode & _DUAL_SUPPLY:
        safety.violate(chips, safety.SUPPLIES, 0, 0)
        return False
    if mode & _BY_16 and mode & _BY_256:
        safety.violate(chips, safety.DIVIDERS, 0, 0)
        return False
    return True


@njit(cache=True)
def pulse(chips, width):
    """A timed DRIVE in a pulse mode: an event where it is within the limits, else a violation."""
    now, mode = chips.now, mode_bits(chips)
    sides = (mode & _BIT_LINES != 0) + (mode & _SOURCE_LINES != 0)
    if not now[at.ENABLE]:
        safety.violate(chips, safety.NO_ENABLE, 0, 0)
        return
    if sides != 1:
        safety.violate(chips, safety.BOTH_SIDES, sides, 1)
        return
    if mode & (_READ | _SOLVE | _MULTIPLY | _SAMPLE):
        safety.violate(chips, safety.MODES, 2, 1)
        return
    array = one_array(chips, mode)
    if array < 0:
        return
    rows, row = selected_row(chips)
    if rows != 1:
        safety.violate(chips, safety.ROWS_PULSED, rows, 1)
        return
    if not 1 <= width <= wire.LIMIT_WIDTH_TICKS:
        safety.violate(chips, safety.WIDTH, width, wire.LIMIT_WIDTH_TICKS)
        return
    gate = ltc2668.level(chips.dacs, at.GATE_DAC, 0)
    if not 0 <= gate <= wire.LIMIT_GATE_CODE:
        safety.violate(chips, safety.GATE, gate, wire.LIMIT_GATE_CODE)
        return
    highest = wire.LIMIT_FORM_CODE if mode & _BIT_LINES else wire.LIMIT_AMPLITUDE_CODE
    columns = chain_bits(chips, wiring.SELECT_COLUMN_SELECT, 0, chips.columns)
    number = now[at.EVENTS]
    for column in range(chips.columns):
        if columns >> column & 1:
            amplitude = ltc2668.level(chips.dacs, at.COLUMN_DAC, column)
            if not 0 <= amplitude <= highest:
                safety.violate(chips, safety.AMPLITUDE, amplitude, highest)
                return
            energy = amplitude * amplitude * width >> 20
            if energy > wire.LIMIT_PULSE_ENERGY:
                safety.violate(chips, safety.ENERGY, energy, wire.LIMIT_PULSE_ENERGY)
                return
            chips.amplitudes[number, column] = amplitude
    event = chips.events[number]
    event[at.EVENT_KIND], event[at.START_TICK], event[at.WIDTH] = at.PULSE, now[at.TICK], width
    event[at.ARRAY], event[at.ROW], event[at.COLUMNS], event[at.GATE] = array, row, columns, gate
    # Forming drives the cells as SET does, only harder; the cells make no difference either.
    event[at.POLARITY] = wire.Polarity.SET if mode & _BIT_LINES else wire.Polarity.RESET
    now[at.EVENTS], now[at.PULSE_END] = number + 1, now[at.TICK] + width


@njit(cache=True)
def sampled_event(chips):
    """The event that a sample at this tick belongs to, made where it is the first; -1 where nothing is driven. Samples
    of one run are wire.TICKS_SAMPLE apart; any other begins a new run."""
    now = chips.now
    if now[at.SOURCE] < 0:
        return -1, 0
    tick = now[at.TICK]
    sample = 0
    if now[at.RUN_FIRST] >= 0:
        since = tick - now[at.RUN_FIRST]
        sample = since // wire.TICKS_SAMPLE
        if since % wire.TICKS_SAMPLE or not now[at.RUN_SAMPLES] - 1 <= sample <= now[at.RUN_SAMPLES]:
            now[at.RUN_FIRST], sample = -1, 0
    if now[at.RUN_FIRST] < 0:
        now[at.RUN_FIRST], now[at.RUN_SAMPLES], now[at.RUN_EVENT] = tick, 0, -1
    now[at.RUN_SAMPLES] = max(now[at.RUN_SAMPLES], sample + 1)
    if now[at.RUN_EVENT] < 0:
        now[at.RUN_EVENT] = _begin(chips)
        if now[at.RUN_EVENT] < 0:
            now[at.SOURCE] = -1
            return -1, 0
    chips.events[now[at.RUN_EVENT], at.SAMPLES] = now[at.RUN_SAMPLES]
    return now[at.RUN_EVENT], sample


@njit(cache=True)
def _begin(chips):
    """A new event of the kind that DRIVE has connected; -1 where no row or no column takes part."""
    now, mode = chips.now, mode_bits(chips)
    number = now[at.EVENTS]
    event = chips.events[number]
    event[at.EVENT_KIND] = now[at.SOURCE]
    event[at.START_TICK], event[at.FIRST_TICK], event[at.COLUMNS] = now[at.DRIVE_TICK], now[at.RUN_FIRST], 0
    event[at.ARRAY] = 1 if mode & _CONNECT == 1 << wiring.MODE_CONNECT_B else 0
    event[at.RANGE] = mode >> wiring.MODE_TIA_COARSE & 1
    if now[at.SOURCE] == at.SAMPLING:
        event[at.SAMPLED] = wire.SampleSource.OUTPUTS if mode & _OUTPUTS else wire.SampleSource.CURRENTS
    elif now[at.SOURCE] == at.READING:
        _, event[at.ROW] = selected_row(chips)
    else:
        setting = _setting(chips, mode)
        numbers = chips.setting_numbers[setting]
        if numbers[at.ROW_COUNT] == 0 or numbers[at.COLUMN_MASK] == 0:
            return -1
        event[at.SETTING], event[at.WORDS] = setting, now[at.INPUT_WORDS]
        if not _take_inputs(chips, setting):
            return -1
    now[at.EVENTS] = number + 1
    return number


@njit(cache=True)
def _take_inputs(chips, setting):
    """Input levels of the active rows to the end of `input_words`."""
    words = chips.now[at.INPUT_WORDS]
    count = chips.setting_numbers[setting, at.ROW_COUNT]
    rows, input_words, dacs = chips.setting_rows, chips.input_words, chips.dacs
    for i in range(count):
        row = rows[setting, i]
        dac = at.FIRST_INPUT_DAC + row // wiring.ROWS_AN_INPUT_DAC
        level = ltc2668.level(dacs, dac, row % wiring.ROWS_AN_INPUT_DAC)
        if not -32768 <= level <= 32767:
            safety.violate(chips, safety.INPUT_LEVEL, level, 32767)
            return False
        input_words[words + i] = level
    chips.now[at.INPUT_WORDS] = words + count
    return True


@njit(cache=True)
def _setting(chips, mode):
    """The setting of SOLVE and MULTIPLY as the switches have it now, recorded where it is a new one."""
    now = chips.now
    if now[at.FRESH_SETTING]:
        return now[at.SETTINGS] - 1
    setting, count = now[at.SETTINGS], 0
    devices, switches = chips.devices, chips.switches
    for row in range(chips.rows):
        mask = devices[wiring.SELECT_ROW_MASK + row // _ROW_BITS, at.INDEX]
        if adg1414.bits(switches, mask, row % _ROW_BITS, 1):
            chain = devices[wiring.SELECT_COMPENSATION + row // wiring.ROWS_A_COMPENSATION_CHAIN, at.INDEX]
            switch = row % wiring.ROWS_A_COMPENSATION_CHAIN * wiring.COMPENSATION_BITS
            chips.setting_rows[setting, count] = row
            chips.setting_compensation[setting, count] = adg1414.bits(switches, chain, switch, wiring.COMPENSATION_BITS)
            count += 1
    chain = devices[wiring.SELECT_FEEDBACK, at.INDEX]
    for column in range(chips.columns):
        switch = column * wiring.FEEDBACK_BITS
        chips.setting_feedback[setting, column] = adg1414.bits(switches, chain, switch, wiring.FEEDBACK_BITS)
        chips.setting_bias[setting, column] = ltc2668.level(chips.dacs, at.BIAS_DAC, column) >> _BIAS_SHIFT
    numbers = chips.setting_numbers[setting]
    numbers[at.ROW_COUNT] = count
    numbers[at.COLUMN_MASK] = chain_bits(chips, wiring.SELECT_COLUMN_MASK, 0, chips.columns)
    numbers[at.CONSTRAINT] = wire.Constraint.RAIL
    if mode & _RECTIFIER:
        numbers[at.CONSTRAINT] = wire.Constraint.RECTIFIER
    elif mode & _DUAL_SUPPLY:
        numbers[at.CONSTRAINT] = wire.Constraint.NONE
    numbers[at.DIVIDER] = (mode & _BY_16 != 0) + 2 * (mode & _BY_256 != 0)
    now[at.SETTINGS], now[at.FRESH_SETTING] = setting + 1, 1
    return setting
