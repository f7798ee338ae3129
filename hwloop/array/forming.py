"""Forming: the first filament of pristine cells, by rising voltage, with a RESET directly afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwloop.array.chip import Chip
from hwloop.drivers.cells import CellPulses, Polarity
from hwloop.errors import LimitError
from hwloop.link.protocol import LIMIT_FORMING_ATTEMPTS

# Pristine cells lie below 0.1 µS (design notes, section 4); the rest is room for what is not known of the fine range's
# offsets. A cell that was RESET deeply stays above, and is not formed once more.
PRISTINE_SIEMENS = 0.5e-6
# A cell conducts this much and more right after the pulse that forms it; compliance alone gives far more.
FORMED_SIEMENS = 10e-6
UNFORMED = "unformed"


@dataclass(frozen=True)
class FormingSettings:
    """Voltages of the attempts, 1 µs each (design notes, section 4: 2.2–3.1 V at 1 µs), the gate that limits the
    current (compliance about 98 µS/V above 0.6 V), and the RESET that follows."""

    amplitudes_volts: tuple[float, ...] = (2.4, 2.65, 2.85, 3.05, 3.2)
    gate_volts: float = 1.6
    width_seconds: float = 1e-6
    reset_volts: float = 2.0
    reset_gate_volts: float = 2.7
    resets: int = 2

    def __post_init__(self):
        attempts = len(self.amplitudes_volts)
        if not 1 <= attempts <= LIMIT_FORMING_ATTEMPTS:
            raise LimitError("number of forming attempts", attempts, f"1 to {LIMIT_FORMING_ATTEMPTS}", "pulses a cell",
                             "choose fewer amplitudes")


@dataclass(frozen=True)
class FormingResult:
    """Flat indices of cells by what became of them, and the pulses that were given.

    `formed_volts` (n,): at which amplitude each of the formed ones did. Cells `not_formed` now or by an earlier try.
    """

    formed: np.ndarray
    formed_volts: np.ndarray
    already_formed: np.ndarray
    not_formed: np.ndarray
    stuck_high: np.ndarray
    pulses: int


def unformed_cells(chip: Chip, cells: np.ndarray) -> np.ndarray:
    """Those of `cells` (n,) that read as pristine, flat indices."""
    reads = chip.read_small(cells)
    return cells[~reads.saturated & (reads.conductance_siemens < PRISTINE_SIEMENS)]


def form(
    chip: Chip, cells: np.ndarray, settings: FormingSettings,
    on_attempt: Callable[[int, int], None] = lambda done, total: None,
) -> FormingResult:
    """Form the pristine ones of `cells` (n,), and mark on the chip's map those that no attempt forms or that end stuck.

    Those that the map has as unformed have used up their attempts, and are left alone. Cells that formed are RESET in
    the very next exchange. `on_attempt(done, total)` is told of progress.
    """
    pristine = unformed_cells(chip, cells)
    is_spent = np.array([chip.map.status.get(cell) == UNFORMED for cell in pristine.tolist()], bool)
    waiting, resets_due, pulses = pristine[~is_spent], np.zeros(0, np.int64), 0
    formed_volts = np.full(chip.size, np.nan)
    total = len(settings.amplitudes_volts) + settings.resets
    for attempt in range(total):
        forming = waiting if attempt < len(settings.amplitudes_volts) else waiting[:0]
        if not len(forming) and not len(resets_due):
            break
        volts = settings.amplitudes_volts[min(attempt, len(settings.amplitudes_volts) - 1)]
        given = _pulses(forming, resets_due, volts, settings)
        pulses += len(given.cells)
        reads = chip.board.pulse_and_read(given, given.cells, 4, 1, 1e-6)
        chip.conductance_siemens[given.cells] = reads.conductance_siemens
        conductance = chip.conductance_siemens
        newly = forming[conductance[forming] >= FORMED_SIEMENS]
        formed_volts[newly] = volts
        waiting = waiting[conductance[waiting] < FORMED_SIEMENS]
        # A RESET may fail; what still conducts gets another one.
        resets_due = np.concatenate([newly, resets_due[conductance[resets_due] > chip.settings.hrs_accept_siemens]])
        on_attempt(attempt + 1, total)
    not_formed = np.union1d(waiting, pristine[is_spent])
    formed = np.setdiff1d(pristine, not_formed)
    reads = chip.read(cells)
    stuck_high = cells[reads.saturated]
    chip.map.mark(not_formed, UNFORMED)
    chip.map.mark(stuck_high, "stuck high")
    return FormingResult(
        formed, formed_volts[formed], np.setdiff1d(cells, pristine), not_formed, stuck_high, pulses
    )


def _pulses(forming: np.ndarray, resetting: np.ndarray, forming_volts: float, settings: FormingSettings) -> CellPulses:
    cells = np.concatenate([forming, resetting])
    is_forming = np.arange(len(cells)) < len(forming)
    return CellPulses(
        cells, np.where(is_forming, Polarity.FORM, Polarity.RESET),
        np.where(is_forming, forming_volts, settings.reset_volts),
        np.where(is_forming, settings.gate_volts, settings.reset_gate_volts),
        np.full(len(cells), settings.width_seconds),
    )
