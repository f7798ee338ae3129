"""The calibrations of one session: those that its recording went by, or the newest that hold for board and chip."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

from hwloop.calibration.kinds import ARRAY, BOARD
from hwloop.calibration.record import Subject
from hwloop.calibration.store import Store
from hwloop.calibration.usage import Conditions, InUse, choose, nothing_in_use
from hwloop.config import CalibrationConfig, RunSettings
from hwloop.drivers.board import Board
from hwloop.link.protocol import TICK_HERTZ

# Files that come with hwloop: of the simulated boards that its rigs name.
OWN_FOLDER = Path(__file__).resolve().parents[2] / "calibration"


def store_of(config: CalibrationConfig) -> Store:
    """The folder that the rig names, then the one that comes with hwloop."""
    return Store((config.folder, OWN_FOLDER))


def board_subject(board: Board) -> Subject:
    """The board as calibrations name it."""
    return Subject(BOARD, board.name, board.identity.board_serial)


def array_subject(board: Board, serial: int) -> Subject:
    """The chip in its socket as calibrations name it."""
    return Subject(ARRAY, f"{board.rows}x{board.columns}", serial)


def conditions_now(settings: RunSettings, board: Board) -> Conditions:
    """What a calibration has to hold for. Asks the board how warm it is."""
    seconds = board.opened_ticks / TICK_HERTZ if settings.rig.board.ages_by_bench else None
    return Conditions(
        datetime.now(UTC), seconds, board.temperature_celsius(), board.identity.wire_hash,
        board.identity.analog_revision,
    )


def choose_calibrations(settings: RunSettings, board: Board, array_serial: int) -> InUse:
    """What a new session goes by. Raises CalibrationError where something is needed and does not hold."""
    rig = settings.rig
    if rig.calibration.use == "nominal":
        return nothing_in_use((BOARD, ARRAY), "[calibration] use is nominal")
    subjects, at_their_word = [], []
    for subject, differs in (
        (board_subject(board), rig.has_converter_errors), (array_subject(board, array_serial), rig.has_chip_spread),
    ):
        (subjects if differs else at_their_word).append(subject)
    if not subjects:
        # Simulated without such errors: nothing that anybody would have to know.
        return nothing_in_use([subject.kind for subject in at_their_word], "")
    return choose(
        store_of(rig.calibration), subjects, conditions_now(settings, board), rig.calibration.allow_stale
    )


def choose_whatever_there_is(settings: RunSettings, board: Board) -> InUse:
    """As `choose_calibrations`, but what does not hold is among it and says why, and what is missing is no refusal:
    for what looks at calibrations. Raises CalibrationError where a file is damaged."""
    calibration = dataclasses.replace(settings.rig.calibration, allow_stale=True)
    rig = dataclasses.replace(settings.rig, calibration=calibration)
    serial = board.identity.array_serial or rig.array.serial or 0
    return choose_calibrations(dataclasses.replace(settings, rig=rig), board, serial)
