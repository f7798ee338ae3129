"""The durable state of a simulated bench: a snapshot, and a log of what happened since; together always whole.

At rest there is the snapshot alone. A command is committed by one record at the end of the log, before its reply goes
out; the log is not forced to the disk, so that it survives the process, not the power. The snapshot is renewed, and the
log begun anew, with the first command of a process, where the log has grown to LOG_BYTES, and when the process ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwloop.errors import CalibrationError
from hwloop.mock.bench_log import PulseList, StateLog, Step, bodies, log_path
from hwloop.mock.bench_snapshot import BenchState, read_snapshot, write_snapshot

LOG_BYTES = 1 << 24
# How long a process that is about to end is waited for; whoever goes on comes right after one that was killed.
PATIENCE_SECONDS, CONTINUES_PATIENCE_SECONDS = 2.0, 30.0


@dataclass(frozen=True)
class StoredBench:
    """A snapshot, and the bodies of what was logged after it."""

    path: Path
    snapshot: BenchState
    records: tuple[bytes, ...]

    def check_chip(self, array_serial: int, cells: int) -> None:
        """Raises CalibrationError where this is the state of another chip."""
        found_serial, found_cells = self.snapshot.array_serial, len(self.snapshot.cells["conductance_siemens"])
        if (found_serial, found_cells) != (array_serial, cells):
            raise CalibrationError(
                f"{self.path}: state of array {found_serial} with {found_cells} cells, this is array {array_serial} "
                f"with {cells}; choose another file"
            )

    def pulse_counts(self) -> np.ndarray:
        """Pulses that each cell ever got, (n,) int64."""
        counts = self.snapshot.cells["pulse_count"].copy()
        for _, lists in self.steps():
            for pulses in lists:
                np.add.at(counts, pulses.cell, 1)
        return counts

    def steps(self) -> Iterator[tuple[Step, list[PulseList]]]:
        """The records in order, with their pulses."""
        return map(Step.unpack, self.records)


def read_state(path: Path) -> StoredBench | None:
    """What is kept in `path` and its log now; None where there is nothing yet. Needs no lock.

    Raises CalibrationError where it is no state, damaged, or newer than this program.
    """
    found = read_snapshot(path)
    if found is None:
        return None
    snapshot, identity = found
    try:
        records = tuple(bodies(log_path(path).read_bytes(), identity))
    except FileNotFoundError:
        records = ()
    except (OSError, ValueError) as error:
        raise CalibrationError(f"{log_path(path)}: cannot be read ({error}); choose another file") from error
    return StoredBench(path, snapshot, records)


class DurableState:
    """The state in `path`, held by this process until `end`; `stored` is what was there. `is_logging`: the snapshot and
    the log of this process are all that has happened.

    Raises DeviceError where another process holds it, CalibrationError as `read_state`.
    """

    def __init__(self, path: Path, continues: bool = False):
        self.path = path
        self._log = StateLog(path, CONTINUES_PATIENCE_SECONDS if continues else PATIENCE_SECONDS)
        self.is_logging = self._has_written = False
        try:
            self.stored = read_state(path)
        except CalibrationError:
            self._log.close(remove=not self._log.read())
            raise

    def commit(self, step: Step, whole: Callable[[], BenchState]) -> None:
        """Keep what a command did; `whole` gives the state after it. Raises OSError where that fails, and what is kept
        is then the state before."""
        log_goes_on, self.is_logging = self.is_logging and self._log.size_bytes < LOG_BYTES, False
        if log_goes_on:
            self._log.append(step.pack())
        else:
            identity = write_snapshot(self.path, whole())
            self._has_written = True
            try:
                self._log.begin(identity)
            except OSError:
                return      # all is kept; the next command tries again
        self.is_logging = True

    def end(self, whole: Callable[[], BenchState]) -> None:
        """Leave a snapshot alone, of the state that `whole` gives. Raises OSError where something is not kept; a log
        that says it all stays."""
        is_whole = False
        try:
            write_snapshot(self.path, whole())
            is_whole = True
        except OSError:
            if not self.is_logging or self._log.was_removed:
                raise
        finally:
            self._log.close(remove=is_whole)

    def let_go(self) -> None:
        """Leave what the last commit left."""
        self._log.close(remove=not self._has_written and not (self.stored and self.stored.records))
