"""ADG1414: eight switches behind a shift register, in daisy chains. No board knowledge.

Source: Analog Devices ADG1414 data sheet, "Serial interface" and "Daisy-chaining". Bits are shifted in most significant
first, DB7…DB0 are S8…S1; a chip hands on at SDO what was shifted in eight clocks before, and the switches follow when
chip select rises. So the byte that is sent first ends up in the chip farthest from the microcontroller, whose SDO is
the end of the chain: what comes back is what was shifted in the time before.
"""

from __future__ import annotations

import numpy as np
from numba import njit

SWITCHES = 8


@njit(cache=True)
def transfer(switches, chain, length, data, first, count, answer):
    """One chip select for the chain of `length` chips whose bytes stand at `switches[chain:]`, chip 0 (nearest) first:
    `count` bytes of `data` from `first` on go in, as many into `answer`. Gives whether any switch has moved."""
    for i in range(count):
        answer[i] = switches[chain + length - 1 - i] if i < length else data[first + i - length]
    moved = False
    for chip in range(length - 1, -1, -1):
        byte = data[first + count - 1 - chip] if chip < count else switches[chain + chip - count]
        moved |= byte != switches[chain + chip]
        switches[chain + chip] = byte
    return moved


@njit(cache=True)
def bits(switches, chain, number, width):
    """`width` switches from switch `number` on of the chain at `switches[chain:]`, the first of them as bit 0."""
    value = 0
    for bit in range(width):
        switch = number + bit
        value |= (np.int64(switches[chain + switch // SWITCHES]) >> (switch % SWITCHES) & 1) << bit
    return value
