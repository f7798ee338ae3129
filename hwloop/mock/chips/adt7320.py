"""ADT7320: temperature sensor, 16 bit. Decodes its command byte and registers; no board knowledge.

Source: Analog Devices ADT7320 data sheet, "Registers" and "Serial interface". The command byte is 0, read bit, address
(3 bits), continuous read, 00; one register a chip select, most significant byte first. 32 clocks with DIN high reset
the chip. The CT pin compares in all modes: on above T_CRIT, off below T_CRIT - T_HYST; on is low, or high where the
configuration says so. Faults are not queued, and continuous read (a chip select without command byte) is not offered.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

STATUS, CONFIGURATION, TEMPERATURE, IDENTITY, T_CRIT, T_HYST, T_HIGH, T_LOW = range(8)
READ = 0x40
MODE, ONE_SHOT, SHUTDOWN, SIXTEEN_BITS, CT_ACTIVE_HIGH = 0x60, 0x20, 0x60, 0x80, 0x04
IDENTITY_CODE = 0xC3
_DEFAULTS = (0x80, 0x00, 0x0000, IDENTITY_CODE, 0x4980, 0x05, 0x2000, 0x0500)
_BYTES = (1, 1, 2, 1, 2, 1, 2, 2)
_RESET_BYTES = 4


class Adt7320(NamedTuple):
    """One chip, int64."""

    registers: np.ndarray       # (8,) by address
    held_tick: np.ndarray       # (1,) when the chip measured last, -1: it measures all the time
    critical: np.ndarray        # (1,) whether the CT pin is on


def adt7320() -> Adt7320:
    """A chip after power-up."""
    return Adt7320(np.array(_DEFAULTS, np.int64), np.full(1, -1), np.zeros(1, np.int64))


@njit(cache=True)
def forget(chip):
    """As after power-up."""
    for address in range(8):
        chip.registers[address] = _DEFAULTS[address]
    chip.held_tick[0] = -1


@njit(cache=True)
def transfer(chip, data, first, count, answer, tick):
    """One chip select at `tick`: `count` bytes of `data` from `first` on go in, as many into `answer`. Gives the
    register whose content depends on the temperature and belongs into the answer from byte 1 on (see `word`), or -1."""
    answer[:count] = 0
    ones = 0
    for i in range(count):
        ones = ones + 1 if data[first + i] == 0xFF else 0
        if ones == _RESET_BYTES:
            forget(chip)
            return -1
    if count < 2 or data[first] & 0x83:
        return -1
    address = np.int64(data[first]) >> 3 & 7
    size = _BYTES[address]
    if data[first] & READ:
        value = chip.registers[address]
        for i in range(min(size, count - 1)):
            answer[1 + i] = value >> 8 * (size - 1 - i) & 0xFF
        return address if address == STATUS or address == TEMPERATURE else -1
    if count > size and address in (CONFIGURATION, T_CRIT, T_HYST, T_HIGH, T_LOW):
        value = 0
        for i in range(size):
            value = value << 8 | np.int64(data[first + 1 + i])
        chip.registers[address] = value
        if address == CONFIGURATION:
            mode = value & MODE
            if mode == ONE_SHOT or (mode == SHUTDOWN and chip.held_tick[0] < 0):
                chip.held_tick[0] = tick
            elif mode != SHUTDOWN:
                chip.held_tick[0] = -1
    return -1


def word(chip: Adt7320, register: int, raw: int) -> tuple[int, int]:
    """(content, bytes) of STATUS or TEMPERATURE where the chip measured `raw` (1/128 °C, 16 bit signed)."""
    high, low = _signed(chip.registers[T_HIGH]), _signed(chip.registers[T_LOW])
    flags = (raw > _signed(chip.registers[T_CRIT])) << 2 | (raw > high) << 1 | (raw < low)
    if register == STATUS:
        return flags << 4, 1
    value = raw if chip.registers[CONFIGURATION] & SIXTEEN_BITS else raw & ~7 | flags
    return value & 0xFFFF, 2


def ct_level(chip: Adt7320, raw: int) -> bool:
    """Level of the CT pin after a measurement of `raw` (1/128 °C)."""
    limit = _signed(chip.registers[T_CRIT])
    release = limit - (int(chip.registers[T_HYST]) & 0xF) * 128
    chip.critical[0] = raw > limit or (chip.critical[0] and raw >= release)
    return bool(chip.critical[0]) == bool(chip.registers[CONFIGURATION] & CT_ACTIVE_HIGH)


def _signed(value: int) -> int:
    return (int(value) + 0x8000 & 0xFFFF) - 0x8000
