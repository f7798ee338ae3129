"""All chips of a board as arrays for compiled code: how they are wired, what they hold, and what they have caused."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hwloop.link.protocol import BoardGeometry
from hwloop.mock.chips import wiring
from hwloop.mock.chips.adg1414 import SWITCHES
from hwloop.mock.chips.ads8688 import CHANNELS, Ads8688s, ads8688s
from hwloop.mock.chips.adt7320 import Adt7320, adt7320
from hwloop.mock.chips.ltc2668 import Ltc2668s, ltc2668s

# Which DAC is which in `dacs`; input DAC n is FIRST_INPUT_DAC + n.
COLUMN_DAC, GATE_DAC, BIAS_DAC, FIRST_INPUT_DAC = range(4)
NOTHING, DAC, ADC, SENSOR, CHAIN = range(5)
MODE_BITS = 32
INTACT = 2      # of a data line; 0 or 1: stuck there

# Columns of `devices`, one row a select.
KIND, INDEX, LENGTH, MISO, MOSI = range(5)

# Kinds of events, and the columns of `events`.
PULSE, READING, SOLVE, PRODUCT, SAMPLING = range(5)
(
    EVENT_KIND, START_TICK, FIRST_TICK, SAMPLES, ROW, COLUMNS, ARRAY, RANGE, SETTING, WORDS, WIDTH, GATE, POLARITY,
    SAMPLED, EVENT_FIELDS,
) = range(15)  # fmt: skip

# Columns of `patches`: bytes of the results that wait for the world.
AT, KEPT, EVENT, SAMPLE, COLUMN, ADC_RANGE, PATCH_FIELDS = range(7)

# Columns of `sensed`: results that wait for the temperature.
SENSED_AT, SENSED_SKIP, SENSED_KEPT, SENSED_REGISTER, SENSED_TICK, SENSED_FIELDS = range(6)

# Columns of `setting_numbers`.
ROW_COUNT, COLUMN_MASK, CONSTRAINT, DIVIDER, SETTING_FIELDS = range(5)

EVENT_ROOM, PATCH_ROOM, SENSED_ROOM, VIOLATION_ROOM = 4096, 1 << 16, 64, 64


# Entries of `now`: pins, clock, the drive that is on, and how far the buffers are filled.
(
    TICK,
    ENABLE,
    DRIVE,
    LDAC,
    SOURCE,             # kind of event that a sample belongs to while DRIVE is high; -1: nothing is connected
    DRIVE_TICK,
    RUN_FIRST,          # tick of the first sample since DRIVE went high, -1: none yet
    RUN_SAMPLES,
    RUN_EVENT,          # its event, -1: none yet in this batch
    PULSE_END,
    FRESH_SETTING,      # whether the setting recorded last is still what the switches say
    EVENTS,
    PATCHES,
    SENSED,
    SETTINGS,
    INPUT_WORDS,
    RESULTS,
    VIOLATIONS,
    NOW_FIELDS,
) = range(19)


class Chips(NamedTuple):
    """Everything that the compiled decoder works on."""

    rows: int
    columns: int
    devices: np.ndarray         # (selects, 5) int64
    dacs: Ltc2668s
    adcs: Ads8688s
    sensor: Adt7320
    switches: np.ndarray        # (chips,) uint8, the bytes of all chains
    selected: np.ndarray        # (row chains, 2) int64: switches on in ROW_SELECT, and the first of them
    now: np.ndarray             # (NOW_FIELDS,) int64
    answer: np.ndarray          # (255,) uint8, what a chip says
    events: np.ndarray          # (EVENT_ROOM, EVENT_FIELDS) int64
    amplitudes: np.ndarray      # (EVENT_ROOM, columns) int64, of PULSE
    input_words: np.ndarray     # (n,) int64, of SOLVE and PRODUCT
    patches: np.ndarray         # (PATCH_ROOM, PATCH_FIELDS) int64
    sensed: np.ndarray          # (SENSED_ROOM, SENSED_FIELDS) int64
    setting_rows: np.ndarray            # (settings, rows) int64
    setting_compensation: np.ndarray    # (settings, rows) int64
    setting_feedback: np.ndarray        # (settings, columns) int64
    setting_bias: np.ndarray            # (settings, columns) int64
    setting_numbers: np.ndarray         # (settings, SETTING_FIELDS) int64
    results: np.ndarray         # (n,) uint8, what READ has kept since the last FINISH
    violations: np.ndarray      # (VIOLATION_ROOM, 3) int64: what, value, bound


def chips_of(geometry: BoardGeometry) -> Chips:
    """The chips of a board after power-up: pins low but LDAC, all switches open."""
    rows, columns = geometry.rows, geometry.columns
    devices, chain_chips = _wire(rows, columns)
    settings = max(16, (1 << 16) // rows)
    now = np.zeros(NOW_FIELDS, np.int64)
    now[[SOURCE, RUN_FIRST, RUN_EVENT]] = -1
    now[LDAC] = 1
    return Chips(
        rows, columns, devices, ltc2668s(FIRST_INPUT_DAC + -(-rows // wiring.ROWS_AN_INPUT_DAC)),
        ads8688s(-(-columns // CHANNELS)), adt7320(), np.zeros(chain_chips, np.uint8),
        np.zeros((-(-rows // wiring.ROWS_A_ROW_CHAIN), 2), np.int64), now, np.zeros(255, np.uint8),
        np.zeros((EVENT_ROOM, EVENT_FIELDS), np.int64),
        np.zeros((EVENT_ROOM, columns), np.int64), np.zeros(max(1 << 17, 2 * rows), np.int64),
        np.zeros((PATCH_ROOM, PATCH_FIELDS), np.int64), np.zeros((SENSED_ROOM, SENSED_FIELDS), np.int64),
        np.zeros((settings, rows), np.int64), np.zeros((settings, rows), np.int64),
        np.zeros((settings, columns), np.int64), np.zeros((settings, columns), np.int64),
        np.zeros((settings, SETTING_FIELDS), np.int64), np.zeros(1 << 16, np.uint8),
        np.zeros((VIOLATION_ROOM, 3), np.int64),
    )


def _wire(rows: int, columns: int) -> tuple[np.ndarray, int]:
    """The table of selects, and how many switch chips there are."""
    input_dacs = -(-rows // wiring.ROWS_AN_INPUT_DAC)
    devices = np.zeros((wiring.SELECT_INPUT_DAC + input_dacs, 5), np.int64)
    devices[:, [MISO, MOSI]] = INTACT

    def put(select: int, kind: int, index: int, length: int = 0) -> None:
        devices[select, [KIND, INDEX, LENGTH]] = kind, index, length

    put(wiring.SELECT_COLUMN_DAC, DAC, COLUMN_DAC)
    put(wiring.SELECT_GATE_DAC, DAC, GATE_DAC)
    put(wiring.SELECT_BIAS_DAC, DAC, BIAS_DAC)
    for number in range(input_dacs):
        put(wiring.SELECT_INPUT_DAC + number, DAC, FIRST_INPUT_DAC + number)
    put(wiring.SELECT_ADC_LOW, ADC, 0)
    if columns > CHANNELS:
        put(wiring.SELECT_ADC_HIGH, ADC, 1)
    put(wiring.SELECT_TEMPERATURE, SENSOR, 0)

    chains = {wiring.SELECT_MODE_SWITCHES: MODE_BITS}
    chains |= dict.fromkeys((wiring.SELECT_COLUMN_SELECT, wiring.SELECT_COLUMN_MASK), columns)
    chains[wiring.SELECT_FEEDBACK] = columns * wiring.FEEDBACK_BITS
    for first in range(0, rows, wiring.ROWS_A_ROW_CHAIN):
        number = first // wiring.ROWS_A_ROW_CHAIN
        in_chain = min(rows - first, wiring.ROWS_A_ROW_CHAIN)
        chains[wiring.SELECT_ROW_SELECT + number] = chains[wiring.SELECT_ROW_MASK + number] = in_chain
    for first in range(0, rows, wiring.ROWS_A_COMPENSATION_CHAIN):
        number = first // wiring.ROWS_A_COMPENSATION_CHAIN
        in_chain = min(rows - first, wiring.ROWS_A_COMPENSATION_CHAIN)
        chains[wiring.SELECT_COMPENSATION + number] = in_chain * wiring.COMPENSATION_BITS
    used = 0
    for select, switches in chains.items():
        length = -(-switches // SWITCHES)
        put(select, CHAIN, used, length)
        used += length
    return devices, used
