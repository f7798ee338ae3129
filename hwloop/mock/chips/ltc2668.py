"""LTC2668: 16-channel, 16-bit DAC with SoftSpan outputs. Decodes the words of its serial port; no board knowledge.

Source: Analog Devices LTC2668 data sheet, tables "Command codes" and "Write span code". A word is 24 bits, C3…C0 A3…A0
D15…D0, and is executed when chip select rises; in a 32-bit frame the first byte is ignored, and SDO echoes the 32 bits
before. Codes and spans are double-buffered: an update (a command, or LDAC) takes both over and powers the channel up.
The monitor multiplexer, the toggle registers and the configuration are not wired here: their words do nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

CHANNELS = 16
WRITE_N, UPDATE_N, WRITE_N_UPDATE_ALL, WRITE_N_UPDATE_N = 0x0, 0x1, 0x2, 0x3
POWER_DOWN_N, POWER_DOWN_CHIP, SPAN_N = 0x4, 0x5, 0x6
CONFIG, WRITE_ALL, UPDATE_ALL, WRITE_ALL_UPDATE_ALL = 0x7, 0x8, 0x9, 0xA
MONITOR, TOGGLE_SELECT, GLOBAL_TOGGLE, SPAN_ALL, NO_OPERATION = 0xB, 0xC, 0xD, 0xE, 0xF
SPAN_5, SPAN_10, SPAN_BIPOLAR_5, SPAN_BIPOLAR_10, SPAN_BIPOLAR_2_5 = range(5)
# Lowest voltage and step of each span, in steps of 5 V / 2^16, which is 2.5 V / 2^15.
STEP = (1, 2, 2, 4, 1)
MIDDLE = (0, 0, 32768, 32768, 32768)


class Ltc2668s(NamedTuple):
    """Registers of n chips, int64; (n,) or (n, CHANNELS)."""

    shift: np.ndarray           # (n,) the last 32 bits, which SDO echoes
    input_code: np.ndarray
    input_span: np.ndarray
    code: np.ndarray            # what the channel gives
    span: np.ndarray
    powered: np.ndarray         # 0 or 1


def ltc2668s(count: int) -> Ltc2668s:
    """`count` chips after power-up, strapped for SoftSpan: 0…5 V, code 0."""
    registers = (np.zeros((count, CHANNELS), np.int64) for _ in range(4))
    return Ltc2668s(np.zeros(count, np.int64), *registers, np.ones((count, CHANNELS), np.int64))


def forget(chips: Ltc2668s, chip: int) -> None:
    """A supply that failed for a moment: one chip as after power-up."""
    for registers, fresh in zip(chips, ltc2668s(1), strict=True):
        registers[chip] = fresh[0]


@njit(cache=True)
def update(chips, chip, channel):
    """Take over the input registers of one channel, and power it up."""
    chips.code[chip, channel] = chips.input_code[chip, channel]
    chips.span[chip, channel] = chips.input_span[chip, channel]
    chips.powered[chip, channel] = 1


@njit(cache=True)
def update_all(chips, chip):
    """What the command does, and LDAC when it falls."""
    for channel in range(CHANNELS):
        update(chips, chip, channel)


@njit(cache=True)
def level(chips, chip, channel):
    """Output voltage of one channel in steps of 5 V / 2^16 (= 2.5 V / 2^15); 0 where it is powered down."""
    if not chips.powered[chip, channel]:
        return 0
    span = chips.span[chip, channel]
    return (chips.code[chip, channel] - MIDDLE[span]) * STEP[span]


@njit(cache=True)
def transfer(chips, chip, data, first, count, answer):
    """One chip select: `count` bytes of `data` from `first` on go in, as many into `answer`."""
    shift = chips.shift[chip]
    for i in range(count):
        answer[i] = shift >> 24
        shift = (shift << 8 | np.int64(data[first + i])) & 0xFFFFFFFF
    chips.shift[chip] = shift
    if count >= 3:
        _execute(chips, chip, shift >> 20 & 0xF, shift >> 16 & 0xF, shift & 0xFFFF)


@njit(cache=True)
def _execute(chips, chip, command, channel, data):
    if command in (WRITE_N, WRITE_N_UPDATE_ALL, WRITE_N_UPDATE_N):
        chips.input_code[chip, channel] = data
    elif command in (WRITE_ALL, WRITE_ALL_UPDATE_ALL):
        chips.input_code[chip, :] = data
    elif command == SPAN_N and data & 0x7 <= SPAN_BIPOLAR_2_5:
        chips.input_span[chip, channel] = data & 0x7
    elif command == SPAN_ALL and data & 0x7 <= SPAN_BIPOLAR_2_5:
        chips.input_span[chip, :] = data & 0x7
    elif command == POWER_DOWN_N:
        chips.powered[chip, channel] = 0
    elif command == POWER_DOWN_CHIP:
        chips.powered[chip, :] = 0
    if command in (UPDATE_N, WRITE_N_UPDATE_N):
        update(chips, chip, channel)
    elif command in (UPDATE_ALL, WRITE_N_UPDATE_ALL, WRITE_ALL_UPDATE_ALL):
        update_all(chips, chip)
