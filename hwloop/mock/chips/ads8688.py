"""ADS8688: 8-channel, 16-bit ADC. Decodes its command words and program registers; no board knowledge.

Source: Texas Instruments ADS8688 data sheet (SBAS582), "Device modes", tables "Command register map" and "Program
register map". A command is 16 bits, first in the frame, and is executed when chip select rises; what it selects is
sampled when chip select falls for the next frame, and comes out in that frame, behind its first 16 bits. In automatic
mode each further frame with NO_OP samples the next enabled channel, from the last one round to the first; in manual
mode, and of the auxiliary input (0…4.096 V, as AUXILIARY_CHANNEL here), the same channel again. A program
register is written or read by 24 bits (address, write bit, data), its content is the third byte that comes out; after
that the chip is idle until a command selects channels again. Bits behind a result (the SDO formats) stay low here, and
alarm registers are plain ones.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

CHANNELS = 8
AUXILIARY_CHANNEL = 8       # samples of it are no channel's
NO_OP, STANDBY, POWER_DOWN, RESET, AUTO_RST, MANUAL, AUXILIARY = 0x00, 0x82, 0x83, 0x85, 0xA0, 0xC0, 0xE0
AUTO_SEQ_EN, CHANNEL_POWER_DOWN, FEATURE_SELECT, FIRST_RANGE, COMMAND_READ_BACK = 0x01, 0x02, 0x03, 0x05, 0x3F
# Ranges with the internal reference of 4.096 V.
BIPOLAR_10, BIPOLAR_5, BIPOLAR_2_5, UNIPOLAR_10, UNIPOLAR_5 = 0, 1, 2, 5, 6
_REGISTERS = 64
_IDLE, _AUTO, _MANUAL = 0, 1, 2


class Ads8688s(NamedTuple):
    """Registers of n chips, int64."""

    registers: np.ndarray       # (n, 64) program registers by address
    mode: np.ndarray            # (n,) idle (also standby and power-down), automatic or manual
    channel: np.ndarray         # (n,) what is sampled when chip select falls next; -1: nothing
    command: np.ndarray         # (n,) upper byte of the command before


def ads8688s(count: int) -> Ads8688s:
    """`count` chips after power-up."""
    zeros = np.zeros(count, np.int64)
    chips = Ads8688s(np.zeros((count, _REGISTERS), np.int64), zeros, np.full(count, -1), zeros.copy())
    chips.registers[:, AUTO_SEQ_EN] = 0xFF
    return chips


def forget(chips: Ads8688s, chip: int) -> None:
    """A supply that failed for a moment: one chip as after power-up."""
    for registers, fresh in zip(chips, ads8688s(1), strict=True):
        registers[chip] = fresh[0]


@njit(cache=True)
def transfer(chips, chip, data, first, count, answer):
    """One chip select: `count` bytes of `data` from `first` on go in, as many into `answer`. Gives the channel whose
    result belongs into bytes 2 and 3 of the answer (see `code`), or -1."""
    answer[:count] = 0
    sampled = chips.channel[chip]
    if count < 2:
        return sampled      # an aborted frame changes nothing
    high = np.int64(data[first])
    if 0 < high < 0x80:
        if count >= 3:
            answer[2] = _register(chips, chip, high >> 1, high & 1, np.int64(data[first + 1]))
        chips.mode[chip], chips.channel[chip] = _IDLE, -1
        sampled = -1
    else:
        _execute(chips, chip, high)
    chips.command[chip] = high
    return sampled


@njit(cache=True)
def _register(chips, chip, address, write, data):
    if address == COMMAND_READ_BACK:
        return chips.command[chip]
    if write:
        chips.registers[chip, address] = data
    return chips.registers[chip, address]


@njit(cache=True)
def _execute(chips, chip, command):
    mode = chips.mode[chip]
    if command == NO_OP:
        if mode == _AUTO:
            chips.channel[chip] = _next_enabled(chips, chip, chips.channel[chip] + 1)
    elif command == AUTO_RST:
        chips.mode[chip], chips.channel[chip] = _AUTO, _next_enabled(chips, chip, 0)
    elif MANUAL <= command < AUXILIARY and not command & 0x3:
        channel = command >> 2 & 0x7
        off = chips.registers[chip, CHANNEL_POWER_DOWN] >> channel & 1
        chips.mode[chip], chips.channel[chip] = _MANUAL, -1 if off else channel
    elif command == AUXILIARY:
        chips.mode[chip], chips.channel[chip] = _MANUAL, AUXILIARY_CHANNEL
    else:
        if command == RESET:
            chips.registers[chip, :] = 0
            chips.registers[chip, AUTO_SEQ_EN] = 0xFF
        # Standby, power-down: no channel is sampled.
        chips.mode[chip], chips.channel[chip] = _IDLE, -1


@njit(cache=True)
def _next_enabled(chips, chip, first):
    """The first enabled channel from `first` on, round the end; -1 where none is."""
    enabled = chips.registers[chip, AUTO_SEQ_EN] & ~chips.registers[chip, CHANNEL_POWER_DOWN]
    for step in range(CHANNELS):
        channel = (first + step) % CHANNELS
        if enabled >> channel & 1:
            return channel
    return -1


@njit(cache=True)
def range_of(chips, chip, channel):
    """Range code of a channel."""
    return chips.registers[chip, FIRST_RANGE + channel] & 0xF


@njit(cache=True)
def code(range_code, level):
    """Straight binary result of an input `level` in steps of 5.12 V / 2^16; it stops at the ends of the range."""
    step, middle = 4, 32768
    if range_code == BIPOLAR_5 or range_code == UNIPOLAR_10:
        step = 2
    elif range_code == BIPOLAR_2_5 or range_code == UNIPOLAR_5:
        step = 1
    if range_code == UNIPOLAR_10 or range_code == UNIPOLAR_5:
        middle = 0
    return min(max((level + step // 2) // step + middle, 0), 65535)
