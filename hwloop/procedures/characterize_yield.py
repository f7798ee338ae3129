"""A short test that tells which cells are good: a cycle and readings find unformed, stuck, slow and noisy ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwloop.array.cellmap import NOISY, SLOW
from hwloop.array.chip import Chip
from hwloop.array.forming import PRISTINE_SIEMENS, UNFORMED
from hwloop.procedures.array_cells import RESET_ROUNDS, exchange_seconds_of, reset_low, set_from_low
from hwloop.procedures.characterize_noise import two_levels
from hwloop.procedures.characterize_study import LIMITS_TEXT, Study, cells_field, spread_text
from hwloop.procedures.tools import Plan, Tools
from hwloop.runlog.record import Field, Quantity

GOOD, STUCK_LOW, STUCK_HIGH, NO_RESPONSE = "good", "stuck low", "stuck high", "no response"
STATUSES = (GOOD, UNFORMED, STUCK_LOW, STUCK_HIGH, NO_RESPONSE, SLOW, NOISY)
# Of what a SET should give: below the first a cell does not respond, below the second it is slow.
_STILL_SHARE, _SLOW_SHARE = 0.1, 0.65
# More is left after all RESETs by cells that do not go down at all.
_HIGH_SHARE = 0.8
_NOISY_SIGMA = 0.008        # of the conductance, twice what the 1/f floor and the reading have


@dataclass(frozen=True)
class YieldTest:
    """RESETs until low, a SET to about 100 µS, `reads` readings, and RESETs again."""

    gate_volts: float = 1.6
    reads: int = 48
    averages: int = 4

    name: ClassVar[str] = "yield"
    cycles: ClassVar[int] = 2

    def plan(self, cells: int, columns: int) -> Plan:
        """Four RESETs at most, twice, and a SET."""
        pulses = 1 + 2 * RESET_ROUNDS
        seconds = pulses * exchange_seconds_of(cells, columns, 12)
        return Plan(
            (
                f"RESET {cells:,} cells, SET them at 1.2 V with the gate at {self.gate_volts:g} V, read them "
                f"{self.reads} times and RESET them again; what they held is lost",
                LIMITS_TEXT,
            ),
            ("chip",), seconds + self.reads * exchange_seconds_of(cells, columns, self.averages), cells * pulses,
        )

    def run(self, tools: Tools, cells: np.ndarray) -> Study:
        """The status of each cell; nothing is marked on the chip's map here."""
        chip = tools.need_chip()
        low = reset_low(chip, cells)
        tools.on_step("yield", 1, self.reads + 3)
        set_from_low(chip, cells, self.gate_volts)
        high = chip.conductance_siemens[cells].copy()
        siemens = np.empty((self.reads, len(cells)))
        for read in range(self.reads):
            reads = chip.read(cells, self.averages)
            siemens[read] = reads.conductance_siemens
            tools.on_step("yield", read + 3, self.reads + 3)
        after, small = reset_low(chip, cells), chip.read_small(cells)
        is_pristine = ~small.saturated & (small.conductance_siemens < PRISTINE_SIEMENS)
        tools.on_step("yield", self.reads + 3, self.reads + 3)
        mean = np.maximum(siemens.mean(axis=0), np.finfo(float).tiny)
        sigma = siemens.std(axis=0) / mean
        status = _status(
            is_pristine, high, after, (sigma > _NOISY_SIGMA) | two_levels(siemens), reads.saturated,
            _expected_siemens(chip, cells, self.gate_volts),
        )
        counts = {name: int((status == number).sum()) for number, name in enumerate(STATUSES)}
        bad = sum(counts[name] for name in (UNFORMED, STUCK_LOW, STUCK_HIGH, NO_RESPONSE))
        return Study(
            (
                cells_field(cells), Field("status", status, "1", ", ".join(
                    f"{number} {name}" for number, name in enumerate(STATUSES)
                )),
                Field("low_siemens", low, "S", "conductance after the first RESETs"),
                Field("high_siemens", high, "S", "conductance after SET"),
                Field("after_siemens", after, "S", "conductance after the last RESETs"),
                Field("relative_sigma", sigma, "1", "standard deviation of the readings after SET over their mean"),
            ),
            (
                Quantity("formed", len(cells) - counts[UNFORMED]),
                *(Quantity(name.replace(" ", "_"), counts[name]) for name in STATUSES[1:]),
                Quantity("usable_share", 1.0 - bad / len(cells)),
            ),
            (
                f"formed     {len(cells) - counts[UNFORMED]:,} of {len(cells):,} cells",
                "bad        " + ", ".join(f"{counts[name]:,} {name}" for name in STATUSES[1:5]),
                f"usable     {len(cells) - bad:,} cells ({100 * (1 - bad / len(cells)):.2f} %), of which "
                f"{counts[SLOW]:,} slow and {counts[NOISY]:,} noisy",
                f"after SET  {spread_text(high)}",
            ),
        )


def _expected_siemens(chip: Chip, cells: np.ndarray, gate_volts: float) -> np.ndarray:
    return chip.settings.gate_curve.of(cells).base(gate_volts)


def _status(
    is_pristine: np.ndarray, high: np.ndarray, after: np.ndarray, is_noisy: np.ndarray, is_saturated: np.ndarray,
    expected: np.ndarray,
) -> np.ndarray:
    """Numbers in STATUSES (n,): the worst that is true of each cell."""
    stays = after > _HIGH_SHARE * high
    conditions = (
        is_pristine & (high < _STILL_SHARE * expected),
        is_saturated & stays,
        high < _STILL_SHARE * expected,
        stays,
        high < _SLOW_SHARE * expected,
        is_noisy,
    )
    names = (UNFORMED, STUCK_HIGH, STUCK_LOW, NO_RESPONSE, SLOW, NOISY)
    return np.select(conditions, [STATUSES.index(name) for name in names], STATUSES.index(GOOD)).astype(np.uint8)
