"""Programming rounds of a run: how each went step by step, where each cell ended, and maps of the conductances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from hwloop.runlog.bodies import Event
from hwloop.runlog.layout import NOTHING, Column, Table, new_group, plot, write_axis, write_numbers
from hwloop.runlog.tables import CellReadings

MOST_MAPS = 64
# Readings of one round that are held for its history; a round of more of them has none.
MOST_HELD_READINGS = 1 << 23

_ROUND = Column("round", "u4", NOTHING, "programming round, from 1")
_ROUND_COLUMNS = [
    _ROUND,
    Column("ended_seconds", "f8", "s", "wall time since the run began"),
    Column("cells", "u4", NOTHING, "cells to be programmed"),
    Column("accepted", "u4", NOTHING, "cells that were verified"),
    Column("given_up", "u4", NOTHING, "cells that were not"),
    Column("accepted_share", "f4", NOTHING, "accepted of all cells"),
    Column("steps", "u4", NOTHING, "exchanges with pulses"),
    Column("cell_pulses", "u4", NOTHING, "pulses of cells"),
    Column("row_pulses", "u4", NOTHING, "pulses of rows"),
]
_STEP_COLUMNS = [
    Column("count", "u4", NOTHING, "steps of the run, from 1"),
    _ROUND,
    Column("step", "u4", NOTHING, "exchanges with pulses so far in this round; 0: read before the first of them"),
    Column("cells_read", "u4", NOTHING, "cells read in this step"),
    Column("cell_pulses", "u4", NOTHING, "pulses of cells in this step"),
    Column("within_share", "f4", NOTHING, "share of cells whose last reading is within tolerance; nan: unknown"),
    Column("error_median_siemens", "f4", "S", "median of |last reading - target| over the cells of the round"),
    Column("error_90_percent_siemens", "f4", "S", "what 90 % of the cells of the round are below"),
    Column("error_max_siemens", "f4", "S", "largest |last reading - target|"),
]
_CELL_COLUMNS = [
    _ROUND,
    Column("cell", "u4", NOTHING, "flat cell index"),
    Column("target_siemens", "f4", "S", "target"),
    Column("conductance_siemens", "f4", "S", "last reading; nan: never read"),
    Column("outcome", "i1", NOTHING,
           "-1 open, 0 accepted, 1 no response, 2 not converged, 3 stuck high, 4 saturated, 5 unformed"),
]


@dataclass(frozen=True)
class Window:
    """When a cell counts as within: |error| up to `tolerance_siemens`, or, for a target up to `hrs_target_siemens`,
    anything up to `hrs_accept_siemens`. All nan where the run does not say."""

    tolerance_siemens: float = np.nan
    hrs_target_siemens: float = np.nan
    hrs_accept_siemens: float = np.nan

    @classmethod
    def of(cls, rig: Mapping[str, Any]) -> Window:
        """From [program] of the run's rig."""
        program = rig.get("program") or {}
        try:
            low = float(program["conductance_min_siemens"])
            span = float(program["conductance_max_siemens"]) - low
            return cls(float(program["tolerance"]) * span, low, float(program["hrs_limit_siemens"]))
        except (KeyError, TypeError, ValueError):
            return cls()


class Programming:
    """Follows the exchanges of a run, round by round. `siemens` (2, rows, columns) is every cell's last reading."""

    def __init__(self, entry: h5py.Group, rows: int, columns: int, window: Window):
        self.siemens = np.full((2, rows, columns), np.nan)
        self.round, self.step = 1, 0
        self._entry, self._window = entry, window
        self._last = self.siemens.reshape(-1)
        self._before = self._last.copy()                # when the round began
        self._place = np.full(self._last.size, -1)      # of a cell among those of the round
        self._held: list[tuple[int, CellReadings]] = []
        self._held_readings = 0
        self._group: h5py.Group | None = None
        self._rounds = Table(_ROUND_COLUMNS, lambda: self._new_table("rounds", "accepted_share", "round"))
        self._steps = Table(_STEP_COLUMNS, lambda: self._new_table("steps", "error_median_siemens", "count"))
        self._cells = Table(_CELL_COLUMNS, lambda: self._new_table("cells", "conductance_siemens", "round"))
        self._maps: list[tuple[int, np.ndarray]] = []
        self._every = 1

    def begin_exchange(self, has_pulses: bool) -> None:
        """Before an exchange's rows are numbered."""
        self.step += has_pulses

    def take(self, readings: CellReadings) -> None:
        """What an exchange did to cells."""
        is_known = readings.cells < self._last.size
        if not is_known.all():
            readings = CellReadings(readings.pulses, readings.cells[is_known], readings.siemens[is_known])
        self._last[readings.cells] = readings.siemens
        if len(readings.cells) or readings.pulses:
            self._held_readings += len(readings.cells)
            if self._held_readings <= MOST_HELD_READINGS:
                self._held.append((self.step, readings))
            else:
                self._held.clear()

    def end_round(self, event: Event, ended_seconds: float) -> None:
        """The event "programmed"."""
        fields, cells = event.fields, event.arrays["cells"].astype(np.int64)
        target, outcome = event.arrays["target_siemens"], event.arrays["outcome"]
        is_known = cells < self._last.size
        cells, target, outcome = cells[is_known], target[is_known], outcome[is_known]
        if self._held_readings <= MOST_HELD_READINGS:
            self._append_steps(cells, target.astype(float))
        count, accepted = int(fields["cells"]), int(fields["accepted"])
        self._rounds.append(
            1, round=self.round, ended_seconds=ended_seconds, cells=count, accepted=accepted,
            given_up=fields["given_up"], accepted_share=accepted / count if count else np.nan, steps=fields["steps"],
            cell_pulses=fields["cell_pulses"], row_pulses=fields["row_pulses"],
        )
        self._cells.append(
            len(cells), round=self.round, cell=cells, target_siemens=target, conductance_siemens=self._last[cells],
            outcome=outcome,
        )
        self._keep_map()
        self._held.clear()
        self._held_readings = 0
        self._before[:] = self._last
        self.round, self.step = self.round + 1, 0

    def close(self) -> None:
        """Write what is left, and the maps."""
        for table in (self._rounds, self._steps, self._cells):
            table.close()
        if self._maps:
            last_round = self.round - 1
            if self._maps[-1][0] != last_round:
                self._maps.append((last_round, self._before.astype(np.float32).reshape(self.siemens.shape)))
            for index, name in enumerate("ab"):
                self._write_maps(name, index)

    def _append_steps(self, cells: np.ndarray, target: np.ndarray) -> None:
        window, count = self._window, len(cells)
        self._place[cells] = np.arange(count)
        value = self._before[cells]
        is_hrs = target <= window.hrs_target_siemens
        steps = [step for step, _ in self._held]
        for index, (step, readings) in enumerate(self._held):
            place = self._place[readings.cells]
            value[place[place >= 0]] = readings.siemens[place >= 0]
            if index + 1 < len(steps) and steps[index + 1] == step:
                continue
            same = [held for number, held in self._held if number == step]
            error = np.abs(value - target)
            within = (error <= window.tolerance_siemens) | (is_hrs & (value <= window.hrs_accept_siemens))
            error = error[~np.isnan(error)]
            known = len(error)
            median, most = known // 2, int(0.9 * (known - 1))
            ordered = np.partition(error, [median, most]) if known else np.full(1, np.nan)
            self._steps.append(
                1, count=self._steps.rows + 1, round=self.round, step=step,
                cells_read=sum(len(held.cells) for held in same),
                cell_pulses=sum(held.pulses for held in same),
                within_share=np.nan if np.isnan(window.tolerance_siemens) or not count else within.mean(),
                error_median_siemens=ordered[median], error_90_percent_siemens=ordered[most],
                error_max_siemens=ordered[most:].max(),
            )
        self._place[cells] = -1

    def _keep_map(self) -> None:
        """Every k-th round, where k doubles so that there are never more than MOST_MAPS."""
        if (self.round - 1) % self._every:
            return
        if len(self._maps) == MOST_MAPS - 1:
            self._every *= 2
            self._maps = self._maps[::2]
            if (self.round - 1) % self._every:
                return
        self._maps.append((self.round, self.siemens.astype(np.float32)))

    def _write_maps(self, name: str, index: int) -> None:
        group = new_group(
            self._entry, f"conductance_maps_{name}", "NXdata",
            f"conductances of array {name.upper()} at the end of programming rounds, as last read; nan: never read",
        )
        group.attrs["every_rounds"] = self._every
        plot(group, "conductance", ["round", "row", "column"], f"conductance at 0.2 V, array {name.upper()}, by round")
        stack = np.stack([siemens[index] for _, siemens in self._maps])
        what = f"every {self._every} rounds, and the last" if self._every > 1 else "every round"
        write_numbers(group, "conductance", stack, "S", f"(round, row, column); stored for {what}", "conductance")
        write_numbers(group, "round", np.array([number for number, _ in self._maps], np.uint32), NOTHING, "round")
        for axis, length in zip(("row", "column"), stack.shape[1:], strict=True):
            write_axis(group, axis, length)

    def _new_table(self, name: str, signal: str, axis: str) -> h5py.Group:
        if self._group is None:
            self._group = new_group(self._entry, "programming", "NXcollection", "write-verify histories of the rounds")
            self._group.attrs["default"] = name
        titles = {
            "rounds": ("cells accepted, by round", "one row a programming round"),
            "steps": ("distance from the targets, by step", "one row a step of a programming round"),
            "cells": ("conductances reached", "one row a cell of a programming round"),
        }
        title, description = titles[name]
        group = new_group(self._group, name, "NXdata", description)
        auxiliary = {"steps": ["error_90_percent_siemens"], "cells": ["target_siemens"]}.get(name, ())
        plot(group, signal, [axis], title, auxiliary)
        return group
