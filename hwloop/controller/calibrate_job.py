"""`calibrate KIND|all`: plan, a stable temperature, measure, fit, check, write; one kind after the other."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from hwloop import __version__, holders, rig, signals
from hwloop.array import passport, settling
from hwloop.array.cellmap import CellMap
from hwloop.array.chip import BoardPort, Chip
from hwloop.calibration.constants import BoardConstants
from hwloop.calibration.kinds import BOARD, KINDS
from hwloop.calibration.record import Calibration, Instrument, Parameter, Versions
from hwloop.calibration.usage import choose
from hwloop.config import RunSettings
from hwloop.controller.calibrations import array_subject, board_subject, conditions_now, store_of
from hwloop.controller.opening import open_board
from hwloop.controller.output_files import check_folder
from hwloop.controller.passports import is_new_chip, passport_in_use
from hwloop.controller.session import gate_curve, program_settings
from hwloop.drivers.board import Board
from hwloop.errors import CalibrationError, GoalNotReachedError
from hwloop.link.protocol import TICK_HERTZ
from hwloop.procedures.catalogue import PROCEDURES
from hwloop.procedures.tools import DAQ_PINS, Findings, Plan, Tools
from hwloop.report import Report
from hwloop.runlog.sources import RUNS

ROLES = ("smu", "daq")
# Temperature counts as stable where so many readings, so far apart in bench time, lie within this.
STABLE_KELVIN, STABLE_READINGS, READING_SECONDS, LONGEST_WAIT_SECONDS = 0.2, 3, 5.0, 300.0


@dataclass(frozen=True)
class DoneKind:
    """One kind that was calibrated: its new file and picture, and how long it took on the wall."""

    calibration: Calibration
    file: Path
    picture: Path
    seconds: float

    def document(self) -> dict[str, Any]:
        """Its part of the JSON document."""
        done = self.calibration
        return {
            "kind": done.kind, "file": self.file, "picture": self.picture, "seconds": self.seconds,
            "residual": done.residual.value, "limit": done.residual.limit, "unit": done.residual.unit,
            "parameters": [
                {"name": name, "value": value, "unit": parameter.unit, "uncertainty_95": uncertainty}
                for parameter in done.parameters for name, value, uncertainty in parameter.entries()
            ],
        }

    def lines(self) -> list[str]:
        """Its part of what people read."""
        done, residual = self.calibration, self.calibration.residual
        lines = [f"{done.kind:<16} {self.file}  ({self.seconds:.1f} s, largest residual {residual.value:.3g} of "
                 f"{residual.limit:.3g} {residual.unit})"]
        for parameter in done.parameters:
            value, spread = parameter.value, parameter.uncertainty_95
            shown = f"{value.mean():.6g}" if value.size == 1 else f"{value.min():.6g} to {value.max():.6g}"
            lines.append(f"    {parameter.name:<28} {shown} {parameter.unit}, +-{spread.max():.2g} (95 %)")
        return lines


@dataclass(frozen=True)
class CalibrateResult:
    """The kinds that were calibrated, in order; and those that no run needs and that could not be, with the reason."""

    kinds: tuple[DoneKind, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    goal_missed: None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "kinds": [kind.document() for kind in self.kinds],
            "skipped": [{"kind": kind, "reason": reason} for kind, reason in self.skipped],
        }

    def text(self) -> str:
        """For people."""
        lines = [line for kind in self.kinds for line in kind.lines()]
        return "\n".join([*lines, *(f"{kind:<16} not calibrated: {reason}" for kind, reason in self.skipped)])


@dataclass(frozen=True)
class CalibratePlan:
    """What would be done, kind by kind."""

    plans: tuple[tuple[str, Plan], ...]
    goal_missed: None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {"dry_run": True, "kinds": [{"kind": kind, **vars(plan)} for kind, plan in self.plans]}

    def text(self) -> str:
        """For people."""
        return "\n".join([*(plan_line for kind, plan in self.plans for plan_line in plan_lines(kind, plan)),
                          "dry run: the board was identified, nothing was driven"])


def plan_lines(kind: str, plan: Plan) -> list[str]:
    """A plan for people."""
    pulses = f", {plan.pulses:,} pulses" if plan.pulses else ""
    head = f"{kind:<16} about {plan.seconds:.0f} s{pulses}; needs {', '.join(plan.needs) or 'nothing but the board'}"
    return [head, *(f"    {line}" for line in plan.lines)]


def calibrate(kinds: Sequence[str], settings: RunSettings, report: Report) -> CalibrateResult | CalibratePlan:
    """Calibrate these kinds, each by what is known and what those before it found; new files, and pictures in `runs`.

    Of several kinds one that no run needs is passed over where the bench as it stands does not allow it. Raises
    CalibrationError where a temperature does not settle or what a kind goes by is missing, GoalNotReachedError where a
    fit does not describe what was measured (then nothing of that kind is written), and as the instruments do.
    """
    roles = [role for role in ROLES if settings.rig.board.is_simulated or getattr(settings.rig, role).resource]
    with signals.deferred(), holders.hold(*rig.holder_key(settings)) as hold:
        settling.warm_up()
        passport.warm_up()
        is_new = is_new_chip(settings)
        with rig.open_rig(settings, signals.check, instruments=roles) as opened:
            board = opened.board
            if settings.dry_run:
                return CalibratePlan(tuple((kind, PROCEDURES[kind].plan(Tools(board))) for kind in kinds))
            check_folder(RUNS)
            store_of(settings.rig.calibration).prepare()
            serial = board.identity.array_serial or settings.rig.array.serial or 0
            with (
                rig.open_instruments(settings, opened, roles, signals.check) as instruments, open_board(board, hold),
                passport_in_use(settings, board, serial, is_new, report) as port,
            ):
                bench = _Calibrating(settings, report, board, port, serial, instruments)
                bench.wait_for_temperature()
                done, skipped = [], []
                for kind in kinds:
                    try:
                        done.append(bench.take(kind))
                    except CalibrationError as error:
                        if len(kinds) == 1 or KINDS[kind].needed:
                            raise
                        skipped.append((kind, str(error)))
                return CalibrateResult(tuple(done), tuple(skipped))


class _Calibrating:
    """A bench at work: what is known so far, and what is measured with."""

    def __init__(
        self, settings: RunSettings, report: Report, board: Board, port: BoardPort, array_serial: int,
        instruments: rig.Instruments,
    ):
        self._settings, self._report, self._board, self._instruments = settings, report, board, instruments
        self._port, self._map_path = port, rig.cell_map_path(settings, array_serial)
        self._subjects = {BOARD: board_subject(board), "array": array_subject(board, array_serial)}
        self._store = store_of(settings.rig.calibration)
        self._celsius = board.temperature_celsius()
        # What was calibrated before and still holds; kinds that are taken now take its place one after the other.
        known = choose(self._store, list(self._subjects.values()), conditions_now(settings, board), allow_stale=True)
        held = [each.calibration for each in known.used if not each.stale]
        self._known: dict[str, Parameter] = {
            parameter.name: parameter for calibration in held for parameter in calibration.parameters
        }

    def wait_for_temperature(self) -> None:
        """Wait, in bench time, until readings agree. Raises CalibrationError where they do not."""
        readings = [self._celsius]
        waited_seconds = 0.0
        while len(readings) < STABLE_READINGS or np.ptp(readings[-STABLE_READINGS:]) > STABLE_KELVIN:
            if waited_seconds >= LONGEST_WAIT_SECONDS:
                raise CalibrationError(
                    f"the temperature still moves by {np.ptp(readings[-STABLE_READINGS:]):.2f} C in "
                    f"{READING_SECONDS * (STABLE_READINGS - 1):g} s after {waited_seconds:g} s; calibrate where it is "
                    f"stable within {STABLE_KELVIN:g} C"
                )
            self._report.step("waiting for a stable temperature", min(len(readings), STABLE_READINGS), STABLE_READINGS)
            self._board.wait(READING_SECONDS)
            waited_seconds += READING_SECONDS
            readings.append(self._board.temperature_celsius())
        self._celsius = readings[-1]
        self._report.note(f"temperature stable at {self._celsius:.2f} C")

    def take(self, kind: str) -> DoneKind:
        """Calibrate one kind and write its file."""
        started_seconds, tools = time.monotonic(), self._tools(kind)
        procedure = PROCEDURES[kind]
        plan = procedure.plan(tools)
        for line in plan_lines(kind, plan):
            self._report.note(line)
        findings = procedure.run(tools)
        if not findings.residual.holds:
            residual = findings.residual
            raise GoalNotReachedError(
                f"calibration {kind}: a measured point lies {residual.value:.3g} {residual.unit} from the fit, allowed "
                f"{residual.limit:.3g}; nothing was written; check leads and contacts, and calibrate again"
            )
        seconds = time.monotonic() - started_seconds
        calibration = self._record(kind, plan, findings, seconds)
        file = self._store.save(calibration)
        self._known |= {parameter.name: parameter for parameter in findings.parameters}
        return DoneKind(calibration, file, _draw(calibration, findings), seconds)

    def _tools(self, kind: str) -> Tools:
        board, values = self._board, {name: parameter.value for name, parameter in self._known.items()}
        board.use(BoardConstants.nominal(board.describe).calibrated(values))
        size = 2 * board.rows * board.columns
        programming = dataclasses.replace(
            program_settings(self._settings.rig.program), gate_curve=gate_curve(values, size)
        )
        cell_map = CellMap(board.rows, board.columns)
        if self._map_path is not None and self._map_path.exists():
            cell_map.import_list(self._map_path)
        return Tools(
            board=board, chip=Chip(self._port, cell_map, programming), smu=self._instruments.smu,
            daq=self._instruments.daq, on_step=lambda phase, done, total: self._report.step(phase, done, total),
            known=self._known, daq_channels=self._settings.rig.daq.channel + np.arange(DAQ_PINS),
        )

    def _record(self, kind: str, plan: Plan, findings: Findings, seconds: float) -> Calibration:
        board, about = self._board, KINDS[kind]
        identity, celsius = board.identity, board.temperature_celsius()
        instruments = [
            Instrument(role, one.identity.model, one.identity.serial)
            for role in ROLES if role in plan.needs and (one := getattr(self._instruments, role)) is not None
        ]
        return Calibration(
            kind=kind, subject=self._subjects[about.subject], taken=datetime.now(UTC).isoformat(timespec="seconds"),
            bench_seconds=board.status().ticks / TICK_HERTZ, method=findings.method, instruments=tuple(instruments),
            temperature_celsius=celsius, valid_days=about.valid_days,
            valid_celsius=(celsius - about.valid_kelvin, celsius + about.valid_kelvin),
            versions=Versions(
                identity.firmware_version, identity.wire_hash, identity.analog_revision, __version__
            ),
            parameters=findings.parameters, residual=findings.residual, seconds=round(seconds, 1),
        )


def _draw(calibration: Calibration, findings: Findings) -> Path:
    """The picture of one kind, in the folder of runs."""
    from hwloop.apps.pictures import save_figure
    from hwloop.apps.pictures.calibration import draw_calibration

    stem = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-calibrate-{calibration.kind}"
    number = 1
    while (path := RUNS / f"{stem}-{number}.png").exists():
        number += 1
    save_figure(draw_calibration(f"{KINDS[calibration.kind].title} of {calibration.subject}", findings.traces), path)
    return path


