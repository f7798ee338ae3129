"""The passport of a chip: every pulse that a cell ever got, kept in a file, and the dose beyond which it gets none."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit

from hwloop.array.cellmap import SUFFIX as MAP_SUFFIX
from hwloop.drivers.cells import CellPulses, Polarity
from hwloop.errors import CalibrationError, LimitError, UsageError
from hwloop.link import protocol as wire

SUFFIX = ".passport.npz"
FORMAT = 1
KIND_NAMES = tuple(polarity.name for polarity in Polarity)
# Runs that were cut off and may still be gone on with: so many are remembered.
MOST_OPEN_RUNS = 32
_ARRAYS = ("pulses", "largest_volts", "largest_gate_volts", "longest_seconds", "cycles", "was_set")
_SET, _RESET, _FORM = (int(polarity) for polarity in Polarity)
_AMPLITUDE, _GATE, _ATTEMPTS, _CYCLES = 1, 2, 3, 4


@dataclass(frozen=True)
class DoseLimits:
    """What a cell is not given more than; `amplitude_volts` (3,) by polarity.

    Source of the defaults: [limits] of the wire table, which says where they come from.
    """

    amplitude_volts: tuple[float, float, float] = (2.5, 2.5, 3.3)
    gate_volts: float = 3.0
    forming_attempts: int = wire.LIMIT_FORMING_ATTEMPTS
    cycles: int = wire.LIMIT_CYCLES
    cycles_warning: int = wire.LIMIT_CYCLES_WARNING


class Passport:
    """What the cells of one chip with two arrays of `rows` × `columns` got, by polarity (3,) and flat cell (n,).

    `pulses` (3, n); `largest_volts`, `largest_gate_volts` and `longest_seconds` (3, n), 0 where there was no pulse;
    `cycles` (n,), a cycle being a RESET whose pulse before was a SET. Forming attempts are the pulses of polarity FORM.
    `open_runs`: how many exchanges with pulses of runs that were cut off are in here, by name.
    """

    def __init__(self, rows: int, columns: int, array_serial: int = 0, limits: DoseLimits | None = None):
        self.rows, self.columns, self.array_serial = rows, columns, array_serial
        self.limits = limits or DoseLimits()
        n = 2 * rows * columns
        self.pulses = np.zeros((len(KIND_NAMES), n), np.uint32)
        self.largest_volts, self.largest_gate_volts, self.longest_seconds = np.zeros((3, *self.pulses.shape), "f4")
        self.cycles, self.was_set = np.zeros(n, np.uint32), np.zeros(n, bool)
        self.open_runs: dict[str, int] = {}

    @property
    def forming_attempts(self) -> np.ndarray:
        """(n,) how often each cell was tried to be formed."""
        return self.pulses[_FORM]

    def check(self, pulses: CellPulses) -> None:
        """Raises LimitError naming the first cell that these pulses would over-stress; nothing is noted."""
        limits = self.limits
        place, which = _first_over(
            *_columns(pulses), self.pulses[_FORM], self.cycles, self.was_set,
            np.array(limits.amplitude_volts), limits.gate_volts, limits.forming_attempts, limits.cycles,
        )
        if which:
            self._refuse(pulses, place, which)

    def note(self, pulses: CellPulses) -> None:
        """These pulses were sent."""
        _note(
            *_columns(pulses), np.ascontiguousarray(pulses.width_seconds, np.float64), self.pulses,
            self.largest_volts, self.largest_gate_volts, self.longest_seconds, self.cycles, self.was_set,
        )

    def check_cycles(self, cells: np.ndarray, cycles: int) -> None:
        """Raises LimitError where `cycles` more of `cells` (n,) would be too many for one of them."""
        after = self.cycles[cells].astype(np.int64) + cycles
        if len(cells) and after.max() > self.limits.cycles:
            self._refuse_cycles(int(cells[after.argmax()]), int(after.max()))

    def worn_cells(self) -> np.ndarray:
        """Flat indices of the cells that are beyond the number of cycles from which on people are warned."""
        return np.flatnonzero(self.cycles >= self.limits.cycles_warning)

    def place_of(self, cell: int) -> str:
        """ "A[3,5]": array, row and column of a flat index, as people call it."""
        array_row, column = divmod(int(cell), self.columns)
        array, row = divmod(array_row, self.rows)
        return f"{'AB'[array]}[{row},{column}]"

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all. Raises UsageError where it cannot be written."""
        temporary = path.with_name(path.name + ".new")
        about = {
            "format": FORMAT, "rows": self.rows, "columns": self.columns, "array_serial": self.array_serial,
            "open_runs": dict(list(self.open_runs.items())[-MOST_OPEN_RUNS:]),
        }
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as file:
                np.savez_compressed(
                    file, about=np.array(json.dumps(about)), **{name: getattr(self, name) for name in _ARRAYS}
                )
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError as error:
            raise UsageError(
                f"the chip's passport {path} cannot be written ({error.strerror}), so that the pulses of this session "
                "are in no record; make room there before the chip is used again"
            ) from error

    @classmethod
    def load(cls, path: Path, limits: DoseLimits | None = None) -> Passport:
        """The passport in a file. Raises CalibrationError where it cannot be read."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                about = json.loads(str(stored["about"]))
                if about["format"] != FORMAT:
                    raise CalibrationError(
                        f"{path}: a passport of format {about['format']}, this hwloop knows {FORMAT}; use the hwloop "
                        "that it is of"
                    )
                found = cls(about["rows"], about["columns"], about["array_serial"], limits)
                found.open_runs = dict(about["open_runs"])
                for name in _ARRAYS:
                    getattr(found, name)[...] = stored[name]
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise CalibrationError(
                f"{path}: no passport that can be read ({error}); put back a copy, or remove it where the chip is new"
            ) from error
        return found

    def _refuse(self, pulses: CellPulses, place: int, which: int) -> None:
        cell, polarity = int(pulses.cells[place]), int(pulses.polarity[place])
        name, limits = self.place_of(cell), self.limits
        if which == _CYCLES:
            self._refuse_cycles(cell, int(self.cycles[cell]) + 1)
        if which == _ATTEMPTS:
            raise LimitError(
                f"number of forming attempts of cell {name}", int(self.pulses[_FORM, cell]) + 1,
                f"up to {limits.forming_attempts}", "pulses", "nothing was pulsed; mask the cell (`hwloop array mask`)",
            )
        what, value, bound = {
            _AMPLITUDE: (f"{KIND_NAMES[polarity]} amplitude", pulses.amplitude_volts, limits.amplitude_volts[polarity]),
            _GATE: ("gate voltage", pulses.gate_volts, limits.gate_volts),
        }[which]
        raise LimitError(
            f"{what} of cell {name}", float(value[place]), f"up to {bound:g}", "V", "nothing was pulsed; lower it"
        )

    def _refuse_cycles(self, cell: int, cycles: int) -> None:
        raise LimitError(
            f"number of cycles of cell {self.place_of(cell)}", cycles, f"up to {self.limits.cycles}", "cycles",
            f"it has had {self.cycles[cell]}; mask the cell (`hwloop array mask`), or ask for fewer",
        )


def passport_path(cell_map_path: Path) -> Path:
    """The passport lies beside the map of bad cells, under the same name."""
    return cell_map_path.with_name(cell_map_path.name.removesuffix(MAP_SUFFIX) + SUFFIX)


def warm_up() -> None:
    """Compile what this file needs. Do it before a board is open: compiling may outlast the board's dead-man."""
    passport, one = Passport(1, 1), np.ones(1)
    pulses = CellPulses(np.zeros(1, np.int64), np.zeros(1, np.int64), one, one, 1e-6 * one)
    passport.check(pulses)
    passport.note(pulses)


def _columns(pulses: CellPulses) -> tuple[np.ndarray, ...]:
    """Cells, polarities, amplitudes and gates as the kernels take them."""
    return (
        np.ascontiguousarray(pulses.cells, np.int64), np.ascontiguousarray(pulses.polarity, np.int64),
        np.ascontiguousarray(pulses.amplitude_volts, np.float64), np.ascontiguousarray(pulses.gate_volts, np.float64),
    )


@njit(cache=True)
def _first_over(
    cells, polarity, amplitude_volts, gate_volts, attempts, cycles, was_set, most_volts, most_gate_volts,
    most_attempts, most_cycles,
):
    """(place, which limit) of the first pulse that is too much; (0, 0) where none is."""
    for i in range(cells.size):
        cell, kind = cells[i], polarity[i]
        if amplitude_volts[i] > most_volts[kind]:
            return i, _AMPLITUDE
        if gate_volts[i] > most_gate_volts:
            return i, _GATE
        if kind == _FORM and attempts[cell] >= most_attempts:
            return i, _ATTEMPTS
        if kind == _RESET and was_set[cell] and cycles[cell] >= most_cycles:
            return i, _CYCLES
    return 0, 0


@njit(cache=True)
def _note(
    cells, polarity, amplitude_volts, gate_volts, width_seconds, pulses, largest_volts, largest_gate_volts,
    longest_seconds, cycles, was_set,
):
    """Take pulses into account, one after the other."""
    for i in range(cells.size):
        cell, kind = cells[i], polarity[i]
        pulses[kind, cell] += 1
        largest_volts[kind, cell] = max(largest_volts[kind, cell], np.float32(amplitude_volts[i]))
        largest_gate_volts[kind, cell] = max(largest_gate_volts[kind, cell], np.float32(gate_volts[i]))
        longest_seconds[kind, cell] = max(longest_seconds[kind, cell], np.float32(width_seconds[i]))
        if kind == _RESET and was_set[cell]:
            cycles[cell] += 1
        was_set[cell] = kind == _SET
