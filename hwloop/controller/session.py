"""One session with a rig: held, opened, and left grounded, whatever happens in between."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwloop import config, holders, plugins, rig, signals
from hwloop.anls import HalfStep
from hwloop.array import passport, settling
from hwloop.array.cellmap import CellMap
from hwloop.array.chip import Chip, ProgramSettings
from hwloop.array.ginv import GinvSolver, SolverSettings
from hwloop.array.mapping import ConductanceRange
from hwloop.array.placement import check_fit
from hwloop.array.program.curves import GateCurve
from hwloop.calibration.usage import InUse
from hwloop.config import RunSettings
from hwloop.controller.calibrations import choose_calibrations
from hwloop.controller.counters import Counters, HostClock
from hwloop.controller.half_step import AnalogHalfStep
from hwloop.controller.outcome import RunOutcome
from hwloop.controller.passports import KeptPassport, is_new_chip, keep_passport
from hwloop.controller.run import Run
from hwloop.drivers.board import Board, OutputCalibration
from hwloop.errors import HwloopError
from hwloop.link.protocol import Constraint
from hwloop.report import Report
from hwloop.runlog.record import ConductanceMaps, Convergence, FactorPair, Field, InputFile, Quantity, RunRecord

# Correction solves that a regression may take where the shadow's policy is to refine; 4 to 7 reach 1e-6 (design notes,
# section 2, "Refinement").
REFINEMENT_PASSES = 8
NO_INSTRUMENTS = rig.Instruments(None, None)


@dataclass
class Session:
    """An open board with its chip and solver. `counters()` is complete once the session has ended."""

    settings: RunSettings
    board: Board
    chip: Chip
    solver: GinvSolver
    clock: HostClock
    report: Report
    _mock: rig.MockProcess | None
    _map_path: Path | None
    calibrations: InUse
    run: Run | None = None
    kept: KeptPassport | None = None
    instruments: rig.Instruments = NO_INSTRUMENTS

    def counters(self) -> Counters:
        """What the run cost so far."""
        mock_seconds = self._mock.cpu_seconds if self._mock else None
        return Counters.of(self.board, self.chip, self.clock, mock_seconds)

    def check_fit(self, m: int, rank: int) -> None:
        """Raises UsageError where the board cannot take a matrix of m rows and `rank` columns, even in row tiles."""
        check_fit(m, rank, self.board.rows, self.board.columns)

    def half_step(self) -> HalfStep:
        """The rig's half-step solver: the GINV circuit, its progress reported, or a plug-in."""
        if self.settings.rig.solver.method != "ginv":
            return plugins.load(plugins.SOLVERS, self.settings.rig.solver.method)(self)
        self.solver.on_round = lambda done, total: self.report.step("matrices of this half-step", done, total)
        return AnalogHalfStep(self.solver, self.settings.rig.solver, self.clock, self.report)

    def record(
        self, kind: str, options: object, inputs: tuple[InputFile, ...] = (), factors: tuple[FactorPair, ...] = (),
        convergence: tuple[Convergence, ...] = (), metrics: tuple[Quantity, ...] = (), fields: tuple[Field, ...] = (),
    ) -> RunRecord:
        """The run file's record: the job's own parts, and all that the session knows."""
        own = {"created": self.run.started} if self.run else {}
        chosen = self.run.options if self.run else config.describe(options)
        return RunRecord(
            **own, kind=kind, seed=self.settings.seed,
            configuration={"options": chosen, "rig": config.describe(self.settings.rig)},
            inputs=inputs, board=self.describe_board(), array=self.describe_array(), factors=factors,
            convergence=convergence, metrics=metrics, counters=self.counters().quantities(),
            conductance=self.conductance_maps(), fields=fields,
        )

    def outcome(self, run_file: Path | None, pictures: tuple[Path, ...]) -> RunOutcome:
        """What the run leaves behind, once the session has ended."""
        journal = self.run.journal_cost() if self.run else None
        return RunOutcome(
            self.counters(), vars(self.solver.totals).copy(), run_file, pictures, self.settings.seed, journal
        )

    def describe_board(self) -> dict[str, Any]:
        """The board for a run file."""
        identity = self.board.identity
        return {
            "name": self.board.name, "serial": identity.board_serial, "firmware_version": identity.firmware_version,
            "wire_hash": identity.wire_hash, "analog_revision": identity.analog_revision,
            "backend": self.settings.rig.board.backend, "port": self.board.link.transport.name,
            "scales": dataclasses.asdict(self.board.describe),
        }

    def describe_array(self) -> dict[str, Any]:
        """The chip for a run file: size, serial number and the cells that are not used."""
        return {
            "serial": self.array_serial, "rows": self.chip.rows, "columns": self.chip.columns,
            "bad_cells": {str(cell): status for cell, status in sorted(self.chip.map.status.items())},
        }

    @property
    def array_serial(self) -> int:
        """Serial number of the chip: what the board says, else what the rig says; 0 where neither knows."""
        return self.board.identity.array_serial or self.settings.rig.array.serial or 0

    def conductance_maps(self) -> ConductanceMaps:
        """Both arrays as last read."""
        a_siemens, b_siemens = self.chip.conductance_siemens.reshape(2, self.chip.rows, self.chip.columns).copy()
        return ConductanceMaps(a_siemens, b_siemens)

    def save_map(self) -> None:
        """Keep the list of bad cells, where this rig keeps anything."""
        if self._map_path is not None and (self.chip.map.status or self._map_path.exists()):
            self.chip.map.save(self._map_path)

    def check_dose(self, cells: np.ndarray, cycles: int) -> None:
        """Raises LimitError, naming the cell, where `cycles` more are too many for one of `cells` (n,)."""
        if self.kept is not None:
            self.kept.passport.check_cycles(cells, cycles)

    def save_passport(self, is_finished: bool) -> None:
        """Keep what the cells got, where this rig keeps anything."""
        if self.kept is not None:
            self.kept.save(is_finished, self.report)


@contextlib.contextmanager
def open_session(
    settings: RunSettings, report: Report, run: Run | None = None, instruments: Collection[str] = ()
) -> Iterator[Session]:
    """The rig's board, opened, so that lines may move; grounded, closed and given back on the way out.

    With a `run` every exchange goes into its journal; a replayed run has a recording in place of the board. Stop
    requests are taken between exchanges. `instruments` are the roles that are wanted beside it, "smu" and "daq"; once
    the board is grounded, their outputs go off. A run that is over has none.
    Raises DeviceError where the port is held or another board answers, UsageError for an instrument that the rig lacks.
    """
    roles = () if run and run.is_over else tuple(instruments)
    rig.require_instruments(settings, roles)
    with signals.deferred(), _held(settings, run) as hold:
        # Compiling can hold back the heartbeat for longer than the board waits: done before the board listens for one.
        settling.warm_up()
        passport.warm_up()
        is_new = is_new_chip(settings)
        opening = run.open_rig(signals.check, roles) if run else rig.open_rig(
            settings, signals.check, instruments=roles
        )
        with opening as opened, rig.open_instruments(settings, opened, roles, signals.check) as found:
            session, is_finished = None, False
            try:
                with signals.shielded():
                    opened.board.open()
                session = _session(settings, opened, report, run, is_new, found)
                yield session
                is_finished = True
            finally:
                with signals.shielded():
                    # A board that does not answer any more grounds itself: its dead-man.
                    with contextlib.suppress(HwloopError):
                        opened.board.safe()
                    if hold is not None:
                        hold.acknowledge_safe()
                    if session is not None:
                        session.save_map()
                        session.save_passport(is_finished)
    if rig.is_forgotten(settings) and not (run and run.is_over):
        # Said at the end: a refusal is one line, and nothing else.
        start = "unformed" if settings.rig.board.pristine else "formed"
        report.note(
            f"the board was simulated: {settings.rig.board.name}, {start} from its serial numbers and seed "
            f"{settings.seed}, and is forgotten now (--state PATH keeps one)"
        )


def _held(settings: RunSettings, run: Run | None) -> contextlib.AbstractContextManager[holders.Hold | None]:
    """The port, held by this process; a replay holds none."""
    if run and run.is_over:
        return contextlib.nullcontext()
    return holders.hold(*rig.holder_key(settings))


def _session(
    settings: RunSettings, opened: rig.OpenRig, report: Report, run: Run | None, is_new: bool,
    instruments: rig.Instruments,
) -> Session:
    board = opened.board
    serial = board.identity.array_serial or settings.rig.array.serial or 0
    calibrations = _calibrations(settings, board, serial, report, run)
    board.use(calibrations.constants(board.describe))
    cell_map, map_path = CellMap(board.rows, board.columns), rig.cell_map_path(settings, serial)
    known = run.recorded_cells() if run else None
    if known is not None:
        cell_map.status.update(known)
        map_path = None if run.source.is_replay else map_path
    elif map_path is not None and map_path.exists():
        cell_map.import_list(map_path)
    curve = gate_curve(calibrations.values(), 2 * board.rows * board.columns)
    programming = dataclasses.replace(program_settings(settings.rig.program), gate_curve=curve)
    kept = keep_passport(settings, board, serial, map_path, is_new, run)
    chip = Chip(kept.port if kept else board, cell_map, programming)
    solver = GinvSolver(board, chip, solver_settings(settings.rig.solver))
    clock = HostClock(time.process_time, time.monotonic)
    session = Session(
        settings, board, chip, solver, clock, report, opened.mock, map_path, calibrations, run, kept, instruments
    )
    if run:
        known = {role: one for role, one in vars(instruments).items() if one is not None}
        if known:
            run.event("instruments", {role: str(one.identity) for role, one in known.items()})
        run.calibrated(calibrations)
        chip.on_programmed = run.programmed
        run.opened(session.describe_board(), session.describe_array(), board.link, chip.restore)
    return session


def _calibrations(
    settings: RunSettings, board: Board, array_serial: int, report: Report, run: Run | None
) -> InUse:
    """Those of the recording, so that a run that is gone through again converts as it did; else the newest."""
    recorded = run.recorded_calibrations() if run else None
    if recorded is None:
        chosen = choose_calibrations(settings, board, array_serial)
        for warning in chosen.warnings():
            report.note(warning)
        return chosen
    if recorded.used:
        board.temperature_celsius()     # as the recorded run asked before it chose
    return recorded


def gate_curve(values: Mapping[str, np.ndarray], size: int) -> GateCurve:
    """The calibrated curve of a chip of `size` cells, by parameter `values`; the nominal one where there is none."""
    if "gate_threshold_volts" not in values:
        return GateCurve()
    return GateCurve.of_arrays(values["gate_siemens_per_volt"], values["gate_threshold_volts"], size)


def program_settings(program: config.ProgramConfig) -> ProgramSettings:
    """[program] of a rig as the array layer takes it."""
    return ProgramSettings(
        strategy=program.strategy, tolerance=program.tolerance, averages=program.averages,
        max_steps=program.max_steps,
        range=ConductanceRange(program.conductance_min_siemens, program.conductance_max_siemens),
        hrs_accept_siemens=program.hrs_limit_siemens,
    )


def solver_settings(solver: config.SolverConfig) -> SolverSettings:
    """[solver] of a rig as the array layer takes it."""
    return SolverSettings(
        constraint=Constraint[solver.constraint.upper()], averages=solver.averages,
        output_fraction=solver.output_fraction, repeats=solver.repeats, auto_zero=solver.auto_zero,
        refinement_passes=REFINEMENT_PASSES if solver.shadow == "refine" else 0,
        calibration=OutputCalibration(solver.output_gain, solver.output_offset_volts),
    )
