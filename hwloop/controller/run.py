"""A run that leaves a trace: its journal from the first event on, its run file at the end, and what stopped it between.

The same code of a job runs on a board, goes on where a run was cut off, or replays a recording: `Source` says which.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hwloop import config, rig
from hwloop.array.chip import RestoredCells
from hwloop.array.program.common import ProgramResult
from hwloop.calibration.usage import InUse, nothing_in_use
from hwloop.config import RunSettings
from hwloop.controller.journal_report import JournalReport
from hwloop.controller.outcome import JournalCost
from hwloop.controller.output_files import check_folder
from hwloop.controller.source import Source, boot_id, versions
from hwloop.errors import (
    BoardError,
    DataError,
    DeviceError,
    HwloopError,
    JournalError,
    LinkError,
    SafetyError,
    StoppedError,
    UsageError,
)
from hwloop.link.link import Link, LinkCounters
from hwloop.link.protocol import TICK_HERTZ
from hwloop.link.transport import Transport
from hwloop.report import Report
from hwloop.runlog.bodies import Event
from hwloop.runlog.digest import file_sha256
from hwloop.runlog.framing import RUN_FILE_SUFFIX, SUFFIX
from hwloop.runlog.journal import Journal, JournalWriter
from hwloop.runlog.record import RunRecord, utc_now
from hwloop.runlog.recorded import RecordedLink, Recording
from hwloop.runlog.recording import JournalRecorder
from hwloop.runlog.resuming import GoneLive, ResumingLink
from hwloop.runlog.run_file import write_run_file
from hwloop.runlog.sources import RUNS

# An input larger than this is named in the journal, with its hash, but not kept there.
MOST_EMBEDDED_BYTES = 64 << 20
FACTORS_SECONDS = 30.0
CALIBRATIONS = "calibrations"
READING = "instrument"
# A chip that was left alone for longer, in bench time on a simulated board, is verified before a run goes on.
RESTORE_AFTER_SECONDS = 10.0
# Events that say how a run went, the same each time it is gone through; the others depend on the time of day.
_TIMED = frozenset({"phase", "factors", "note"})
# What a run can be gone on from: the board or the wire failed, or somebody stopped it; an error of ours (which is no
# HwloopError) leaves everything where it is, too.
_RESUMABLE = (BoardError, DeviceError, JournalError, LinkError, StoppedError)


AnyLink = Link | ResumingLink | RecordedLink


class Run:
    """One run under way. `report` is told what the caller of the job is to know, and journals it."""

    def __init__(
        self, kind: str, options: object, settings: RunSettings, report: Report, source: Source,
        writer: JournalWriter | None, name: str, stack: contextlib.ExitStack,
    ):
        self.kind, self.settings, self.source, self.name = kind, settings, source, name
        self.options = config.describe(options) if source.options is None else dict(source.options)
        self.started = source.started or utc_now()
        self.report = JournalReport(report, self)
        self._writer, self._inner = writer, report
        self._recorded: Counter[str] = Counter()
        self._told: Counter[str] = Counter()
        self._recording: Recording | None = None
        self._link: ResumingLink | None = None
        self._counters = LinkCounters()
        self._recorder = JournalRecorder(writer, self.name_journal) if writer else None
        self._is_named = self._is_finished = False
        self._recorded_boot = ""
        self._rounds, self._had_state = 0, False
        self._factors_seconds = time.monotonic()
        if source.journal is not None:
            journal = stack.enter_context(Journal.open(source.journal))
            self._recording = Recording(journal)
            if writer:
                with Journal.open(source.journal) as again:
                    for _, event in again.events():
                        self._recorded[event.name] += 1
                        self._recorded_boot = event.fields.get("boot_id", self._recorded_boot)

    @property
    def is_live(self) -> bool:
        """Whether replies come from a board now."""
        return not self.source.is_replay and (self._link.is_live if self._link else not self.source.goes_on)

    @property
    def is_settled(self) -> bool:
        """Whether the board stands where the last exchange put it: live, and not ahead of a journal gone on with."""
        return self.is_live and (self._link is None or self._link.is_caught_up)

    @property
    def has_consent(self) -> bool:
        """Whether the next question was answered when the run was recorded."""
        return self.source.is_replay or self._told["consent"] < self._recorded["consent"]

    @property
    def is_over(self) -> bool:
        """Whether the recording holds the whole run already, so that no board is needed."""
        return self.source.is_replay or self._recorded["result"] > 0

    @property
    def stem(self) -> Path:
        """Pictures of this run begin with this path."""
        return self._writer.path.with_suffix("") if self._writer else self.source.folder / self.name

    @property
    def keep(self) -> rig.Keep | None:
        """Where a simulated board is kept while the run is unfinished; a rig with a state of its own keeps that one."""
        board = self.settings.rig.board
        if self._writer is None or not board.is_simulated:
            return None
        return rig.Keep(board.state or self._state_path, self.source.goes_on)

    @property
    def _state_path(self) -> Path:
        return self._writer.path.with_suffix(".state")

    def open_rig(
        self, between_exchanges: Callable[[], None], instruments: Collection[str] = ()
    ) -> contextlib.AbstractContextManager[rig.OpenRig]:
        """The rig of this run: its board, with what `instruments` a simulated bench is to have, or the recording."""
        if self.is_over:
            link = RecordedLink(self._recording, f"recording {self.name}")
            return rig.recorded_rig(link, between_exchanges)
        keep = self.keep
        self._had_state = keep is not None and keep.state.exists()
        return rig.open_rig(self.settings, between_exchanges, keep, self._connect, instruments)

    def journal_cost(self) -> JournalCost | None:
        """What keeping the journal took; None for a replay."""
        writer = self._writer
        return JournalCost(writer.path, writer.size_bytes, writer.spent_seconds) if writer else None

    def recorded_cells(self) -> dict[int, str] | None:
        """The map of bad cells that the recorded run began with; None where there is no recording."""
        if self.source.journal is None:
            return None
        with Journal.open(self.source.journal) as journal:
            event = journal.first_event("cells")
        return {int(cell): status for cell, status in event.fields["bad_cells"].items()} if event else None

    def recorded_calibrations(self) -> InUse | None:
        """What the recorded run converted by; None where there is no recording, or it ends before that."""
        if self.source.journal is None:
            return None
        with Journal.open(self.source.journal) as journal:
            event = journal.first_event(CALIBRATIONS)
            if event is None and journal.first_event("board") is not None:
                return nothing_in_use((), "recorded before there were calibrations")
        return InUse.recorded(event.fields, event.arrays) if event else None

    def recorded_readings(self) -> list[Event]:
        """What instruments read when the run was recorded, in order."""
        if self.source.journal is None:
            return []
        with Journal.open(self.source.journal) as journal:
            return [event for _, event in journal.events(READING)]

    def calibrated(self, calibrations: InUse) -> None:
        """What codes are converted by, files and all."""
        self.event(CALIBRATIONS, calibrations.told(), calibrations.texts())

    def opened(
        self, board: Mapping[str, Any], array: Mapping[str, Any], link: AnyLink, restore: Callable[[], RestoredCells]
    ) -> None:
        """The session has begun. `restore` brings cells back that drifted while nobody looked after them."""

        def restored() -> None:
            found = restore()
            self.event("restored", vars(found))

        self._counters = link.counters
        if isinstance(link, ResumingLink | RecordedLink):
            link.on_resumed = restored
        self.event("cells", {"array_serial": array["serial"], "bad_cells": array["bad_cells"]})
        self.event("board", {"board": board, "array": array})
        if self.source.goes_on:
            self.name_journal()

    def name_journal(self) -> None:
        """Say once where the journal is: before anything else is told, at the latest before the first pulse. A run that
        is refused before that leaves no journal and needs no word about it."""
        if self._writer and not self._is_named:
            self._is_named = True
            self._inner.note(f"journal {self._writer.path}")

    def event(
        self, name: str, fields: Mapping[str, Any] | None = None, arrays: Mapping[str, np.ndarray] | None = None
    ) -> None:
        """Into the journal, unless a run that is gone on with said so before."""
        if self._writer is None:
            return
        if name in _TIMED:
            if self.is_live:
                self._writer.event(name, fields, arrays)
            return
        self._told[name] += 1
        if self._told[name] > self._recorded[name]:
            self._writer.event(name, fields, arrays)

    def input(self, option: str, path: Path, name: str) -> None:
        """A file that the run read because of `option`."""
        size = path.stat().st_size
        embedded = size <= MOST_EMBEDDED_BYTES
        data = {"data": np.fromfile(path, np.uint8)} if embedded else {}
        fields = {"option": option, "name": name, "sha256": file_sha256(path), "bytes": size, "embedded": embedded}
        self.event("input", fields, data)

    def programmed(self, result: ProgramResult) -> None:
        """A programming round is done."""
        self._rounds += 1
        cells, accepted = len(result.cells), int(result.accepted.sum())
        self._inner.programmed(self._rounds, cells, accepted, cells - accepted, result.cell_pulses)
        self._inner.resent(self._counters.resent)
        self.event("programmed", {
            "round": self._rounds, "cells": cells, "accepted": accepted, "given_up": cells - accepted,
            "steps": result.steps, "cell_pulses": result.cell_pulses, "row_pulses": result.row_pulses,
        }, {
            "cells": result.cells.astype(np.uint32), "target_siemens": result.target_siemens.astype(np.float32),
            "outcome": result.outcome.astype(np.int8),
        })

    def factors(self, label: str, iteration: int, w: np.ndarray, h: np.ndarray) -> None:
        """Factors so far, kept now and then: what a killed run still has."""
        if time.monotonic() - self._factors_seconds > FACTORS_SECONDS:
            self._factors_seconds = time.monotonic()
            self.event("factors", {"label": label, "iteration": iteration}, {"w": w, "h": h})

    def finish(self, record: RunRecord) -> Path | None:
        """The run is done: the last record of its journal, and its run file from it, whose path is given. A replay
        writes none and gives that of the run."""
        if self._writer is None:
            return self.source.run_file
        self._recorder.flush()
        result = record.to_event()
        self.event("result", result.fields, result.arrays)
        if self._recorded["end"] <= self._recorded["stopped"]:
            self._writer.event("end")
        path = self._writer.path
        self._writer.close()
        target = path.with_suffix(RUN_FILE_SUFFIX)
        if not (self.source.goes_on and target.exists()):
            try:
                with Journal.open(path) as journal:
                    write_run_file(journal, target)
            except UsageError as error:
                raise UsageError(f"{error}; the run is whole in {path}: `hwloop logs recover`") from error
        self._forget_state()
        self._is_finished = True
        return target

    def fail(self, error: BaseException) -> None:
        """The run ends before its end. One that gave no pulse leaves nothing behind; one that is whole, and whose
        pictures failed, leaves all it has."""
        if self._writer is None or self._is_finished:
            return
        resumable = not isinstance(error, HwloopError) or isinstance(error, _RESUMABLE)
        # The board itself grounded its lines (its dead-man); limits and the like are classes of their own.
        resumable = resumable or type(error) is SafetyError
        if not self._recorder.has_pulsed and not self.source.goes_on:
            self._forget_state()
            self._writer.discard()
            return
        with contextlib.suppress(JournalError):
            self._recorder.flush()
            self._writer.event("stopped", {
                "reason": type(error).__name__, "exit_code": getattr(error, "exit_code", None),
                "message": " ".join(str(error).split()), "resumable": resumable,
            })
            self._writer.event("end")
            # Also finds out whether the journal is still at its place, and saves it where it is not.
            self._writer.sync()
        self._writer.close()
        if resumable:
            self._inner.note(f"the run is kept and can be gone on with: {self._resume_line()}")
        elif not self.source.goes_on:
            self._forget_state()

    def _resume_line(self) -> str:
        """What a person types to go on. The state of a simulated board lies beside the place of the journal."""
        path, saved_as = self._writer.path, self._writer.saved_as
        if saved_as is None:
            return f"hwloop logs resume {path}"
        return f"mv {saved_as} {path}; hwloop logs resume {path}" if self.keep else f"hwloop logs resume {saved_as}"

    def _connect(self, transport: Transport, timeout_seconds: float, retries: int) -> Link | ResumingLink:
        live = Link(transport, timeout_seconds, retries, recorder=self._recorder)
        if self._recording is None:
            return live
        recorded = RecordedLink(self._recording, transport.name)
        # What was written before the computer itself went down may not have reached its disk.
        is_end_certain = self._recorded_boot == boot_id()
        self._link = ResumingLink(recorded, live, self._recorder, self._gone_live, is_end_certain)
        return self._link

    def _gone_live(self, found: GoneLive) -> bool:
        """Journal where the run goes on; whether cells have to be looked after first."""
        self.name_journal()
        if self.keep and found.ticks and not self._had_state:
            raise DataError(
                f"the simulated board's state {self.keep.state} is gone, and the cells with it: nothing can go on from "
                "there; put it back, or resume in the folder where the run was started"
            )
        away_seconds = (time.time_ns() - found.last_time_ns) * 1e-9
        if self.settings.rig.board.is_simulated:
            away_seconds = (found.board_ticks - found.ticks) / TICK_HERTZ
        restore = away_seconds > RESTORE_AFTER_SECONDS
        settled = "read-back" if found.session_lost else "cache"
        self._writer.event("resumed", {
            "at": utc_now(), "settled": settled, "grounded": found.grounded, "session_lost": found.session_lost,
            "away_seconds": away_seconds, "restore": restore, "boot_id": boot_id(), **versions(),
        })
        how = "the board has lost the session; cells are read back" if found.session_lost else "nothing was lost"
        self._inner.note(f"goes on at record {self._recording.records:,} of the journal: {how}")
        return restore

    def _forget_state(self) -> None:
        if self.settings.rig.board.is_simulated and self.settings.rig.board.state is None:
            for suffix in ("", ".log", ".new", ".cells.csv"):
                with contextlib.suppress(OSError):
                    os.unlink(f"{self._state_path}{suffix}")


@contextlib.contextmanager
def begin_run(
    kind: str, options: Any, settings: RunSettings, report: Report, source: Source,
    inputs: Mapping[str, Sequence[Path]] | None = None,
) -> Iterator[Run]:
    """A run of `kind` with its `options` record. `inputs` are the files that were read, by option.

    Raises UsageError where its journal cannot be written, before anything is opened.
    """
    with contextlib.ExitStack() as stack:
        if source.is_replay:
            yield Run(kind, options, settings, report, source, None, source.name, stack)
            return
        if source.goes_on:
            writer = JournalWriter.go_on(source.journal)
            run = Run(kind, options, settings, report, source, writer, source.name, stack)
        else:
            writer = _new_journal(kind, getattr(options, "run_file", None))
            run = Run(kind, options, settings, report, source, writer, writer.path.stem, stack)
        stack.callback(writer.close)
        try:
            run.event("run", {
                "name": run.name, "kind": kind, "options": run.options, "rig": config.describe(settings.rig),
                "seed": settings.seed, "created": run.started, "boot_id": boot_id(), **versions(),
                "arguments": sys.argv[1:],
            })
            for option, paths in (inputs or {}).items():
                chosen = getattr(options, option)
                for path in paths:
                    folder = Path(chosen)
                    name = f"{folder.name}/{path.name}" if folder.is_dir() else path.name
                    run.input(option, path, name)
            yield run
        except BaseException as error:
            run.fail(error)
            raise


def _new_journal(kind: str, run_file: Path | None) -> JournalWriter:
    if run_file is not None:
        return JournalWriter.create(run_file.with_suffix(SUFFIX))
    check_folder(RUNS)
    stem = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{kind}"
    number = 1
    while True:
        path = RUNS / f"{stem}-{number}{SUFFIX}"
        if not (os.path.lexists(path) or os.path.lexists(path.with_suffix(RUN_FILE_SUFFIX))):
            try:
                return JournalWriter.create(path)
            except UsageError:
                if not os.path.lexists(path):
                    raise
        number += 1


