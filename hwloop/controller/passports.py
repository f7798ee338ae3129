"""The chip's passport in a session: found beside the chip's map, kept up to date, written at the end in any case."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hwloop import rig, signals
from hwloop.array.passport import DoseLimits, Passport, passport_path
from hwloop.array.passport_port import PassportPort
from hwloop.config import RunSettings
from hwloop.controller.run import Run
from hwloop.drivers.board import Board
from hwloop.errors import CalibrationError
from hwloop.report import Report


@dataclass
class KeptPassport:
    """A passport in use, through `port`; `path` is None where the chip is forgotten at the end, and it with it."""

    port: PassportPort
    path: Path | None
    run_name: str | None
    worn_before: int = 0

    @property
    def passport(self) -> Passport:
        """What the chip's cells got."""
        return self.port.passport

    def save(self, is_finished: bool, report: Report) -> None:
        """Write it, where pulses were given. A run that is not finished may be gone on with: what it gave is known."""
        worn = len(self.passport.worn_cells())
        if worn > self.worn_before:
            report.note(
                f"{worn:,} cells of the chip have had {self.passport.limits.cycles_warning:,} cycles and more; they "
                f"get no more than {self.passport.limits.cycles:,}: `hwloop array passport`"
            )
        if self.path is None:
            return
        was_open = self.run_name is not None and self.passport.open_runs.pop(self.run_name, None) is not None
        if self.run_name is not None and not is_finished and self.port.batches:
            self.passport.open_runs[self.run_name] = self.port.batches
        if self.port.noted_batches or was_open:
            self.passport.save(self.path)


def keep_passport(
    settings: RunSettings, board: Board, array_serial: int, map_path: Path | None, is_new: bool, run: Run | None
) -> KeptPassport | None:
    """The passport of the chip in the socket, a new one where there is none; None where a recording is replayed.

    `is_new`: a simulated chip that began with this session, so that an older passport is another one's.
    Raises CalibrationError where the file cannot be read or is another chip's.
    """
    if run is not None and run.source.is_replay:
        return None
    path = passport_path(map_path) if map_path is not None else None
    limits = _limits(board)
    passport = Passport(board.rows, board.columns, array_serial, limits)
    if path is not None and path.exists() and not is_new:
        passport = Passport.load(path, limits)
        if (passport.rows, passport.columns, passport.array_serial) != (board.rows, board.columns, array_serial):
            raise CalibrationError(
                f"{path} is the passport of chip {passport.array_serial} ({passport.rows}x{passport.columns}), and "
                f"chip {array_serial} ({board.rows}x{board.columns}) is in the socket; move it away, or change chips"
            )
    run_name = run.name if run else None
    # Without a file nothing is known of what a run gave before it was cut off, so all of it is noted again.
    known = passport.open_runs.get(run_name, 0) if run_name else 0
    return KeptPassport(PassportPort(board, passport, known), path, run_name, len(passport.worn_cells()))


@contextlib.contextmanager
def passport_in_use(
    settings: RunSettings, board: Board, array_serial: int, is_new: bool, report: Report
) -> Iterator[PassportPort]:
    """The way to the chip for work that is no run, such as a calibration: what its cells get is kept in any case."""
    kept = keep_passport(settings, board, array_serial, rig.cell_map_path(settings, array_serial), is_new, None)
    try:
        yield kept.port
    finally:
        with signals.shielded():
            kept.save(True, report)


def is_new_chip(settings: RunSettings) -> bool:
    """Whether the chip begins with this session: a simulated one of which nothing was kept. To be asked before the rig
    is opened."""
    board = settings.rig.board
    return board.is_simulated and (board.state is None or not board.state.exists())


def _limits(board: Board) -> DoseLimits:
    """The board's own limits of voltages, which may have been tightened."""
    describe = board.describe
    amplitude_step = describe.amplitude_full_scale_microvolts * 1e-6 / 65536
    gate_step = describe.gate_full_scale_microvolts * 1e-6 / 65536
    # Half a step more: what rounds to the largest code is allowed.
    amplitude_volts = (describe.amplitude_code_limit + 0.5) * amplitude_step
    return DoseLimits(
        (amplitude_volts, amplitude_volts, (describe.form_code_limit + 0.5) * amplitude_step),
        (describe.gate_code_limit + 0.5) * gate_step,
    )
