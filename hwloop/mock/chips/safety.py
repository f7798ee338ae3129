"""What the simulated chips refuse to do to an array: sentences for people, numbers for compiled code."""

from __future__ import annotations

from numba import njit

from hwloop.mock.chips.state import VIOLATION_ROOM, VIOLATIONS

(
    AMPLITUDE, GATE, WIDTH, ENERGY, ROWS_PULSED, ROWS_READ, ARRAYS, MODES, BOTH_SIDES, NO_TIMER, NO_ENABLE, CUT_SHORT,
    MOVED, BACKWARDS, UNKNOWN_SELECT, SUPPLIES, DIVIDERS, INPUT_LEVEL, HELD_AMPLITUDE, HELD_GATE,
) = range(20)  # fmt: skip

_SENTENCES = (
    "a pulse of amplitude code {value}, allowed {bound}",
    "a pulse with gate code {value}, allowed {bound}",
    "a pulse of {value} ticks, allowed 1 to {bound}",
    "a pulse of energy {value}, allowed {bound}",
    "a pulse with {value} rows selected, allowed {bound}",
    "a reading with {value} rows selected, allowed {bound}",
    "lines driven with {value} arrays connected, allowed {bound}",
    "lines driven with {value} modes chosen, allowed {bound}",
    "a pulse with {value} sides of the cells driven, allowed {bound}",
    "DRIVE held high in a pulse mode instead of timed",
    "DRIVE high while ENABLE is low",
    "tick {value} begins while a pulse lasts until {bound}",
    "switches of select {value:#x} moved while lines were driven",
    "tick {value} comes after tick {bound}",
    "select {value:#x} has no chip",
    "dual supply and rectifier at once",
    "both bias dividers at once",
    "an input of {value} steps of 2.5 V / 32768, allowed -32768 to {bound}",
    "amplitude code {value} held at an instrument port, allowed {bound}",
    "gate code {value} held at an instrument port, allowed {bound}",
)


@njit(cache=True)
def violate(chips, what, value, bound):
    """Record one violation; those beyond the room are counted only."""
    count = chips.now[VIOLATIONS]
    if count < VIOLATION_ROOM:
        chips.violations[count, 0], chips.violations[count, 1], chips.violations[count, 2] = what, value, bound
    chips.now[VIOLATIONS] = count + 1


def sentence(what: int, value: int, bound: int) -> str:
    """One violation in words."""
    return _SENTENCES[what].format(value=int(value), bound=int(bound))
