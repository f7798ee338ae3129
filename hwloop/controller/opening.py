"""An open board that is grounded at the end, whatever happened: for work that needs no chip, solver or run file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from hwloop import holders, rig, signals
from hwloop.array import settling
from hwloop.config import RunSettings
from hwloop.drivers.board import Board
from hwloop.errors import HwloopError


@contextlib.contextmanager
def open_board(board: Board, hold: holders.Hold) -> Iterator[None]:
    """The board's session, and every line grounded at its end, whatever happened."""
    with signals.shielded():
        board.open()
    try:
        yield
    finally:
        with signals.shielded():
            with contextlib.suppress(HwloopError):
                board.safe()
            hold.acknowledge_safe()


@contextlib.contextmanager
def held_board(settings: RunSettings) -> Iterator[Board]:
    """The rig's board, held and open. Raises DeviceError where the port is held or another board answers."""
    with signals.deferred(), holders.hold(*rig.holder_key(settings)) as hold:
        settling.warm_up()
        with rig.open_rig(settings, signals.check) as opened, open_board(opened.board, hold):
            yield opened.board
