"""The simulated board: commands carried out on its bench, and everything kept where the bench is durable."""

from __future__ import annotations

import numpy as np

from hwloop.errors import HwloopError
from hwloop.link import protocol as wire
from hwloop.link.frames import Frame
from hwloop.link.protocol import Command, Field, SafeReason, Status
from hwloop.mock.bench import Bench
from hwloop.mock.board_record import BoardRecord, SessionState, replayed
from hwloop.mock.commands import COMMANDS, centicelsius, describe
from hwloop.mock.panel import Panel
from hwloop.mock.refusal import RefusalError
from hwloop.mock.session import BoardSession, refusal_of, reply_to

FIRMWARE_VERSION = 1 << 16
ANALOG_REVISION = 1
COLDEST_CENTICELSIUS = -4000     # of the temperature sensor's range


class SimulatedBoard(BoardSession):
    """One board.

    On a durable bench everything is kept before the reply goes out; a bench that goes on brings the board back as it
    was, with its dead-man counting from the first look at the clock.
    """

    def __init__(self, bench: Bench):
        super().__init__(wire.WIRE_HASH)
        self.bench, self.panel = bench, Panel(bench)
        self._reset_values = self.panel.registers.values()
        state, values, self._cache = replayed(bench.board_records, self._reset_values)
        bench.board_records.clear()
        self.session, self.armed = state.session, bool(state.armed)
        self.safe_reason = SafeReason(state.safe_reason)
        self._open_tag, self._expected = state.open_tag, state.expected
        self.panel.take(values)
        self._kept_session, self._kept_values = state, values
        self._is_midway = False

    @property
    def ticks(self) -> int:
        """See BoardSession."""
        return self.bench.ticks

    @property
    def boot_counter(self) -> int:
        """See BoardSession."""
        return self.bench.boot_counter

    def identify(self) -> bytes:
        """See BoardSession."""
        bench = self.bench
        return wire.IdentifyReply(
            wire.WIRE_HASH, FIRMWARE_VERSION, bench.board_serial, bench.array_serial, ANALOG_REVISION,
            bench.geometry.name.encode(),
        ).pack()

    def describe_board(self) -> bytes:
        """See BoardSession."""
        return describe(self.panel)

    def last_command(self) -> tuple[int, int, int, bool]:
        """See BoardSession."""
        return self.bench.reset_cause, *self.bench.last_command, self.bench.last_completed

    def check_arming(self) -> None:
        """See BoardSession."""
        if self.bench.is_too_hot():
            found = centicelsius(self.bench.temperature_raw())
            limit = wire.LIMIT_TEMPERATURE_CENTICELSIUS
            raise RefusalError(Status.FAULT, Field.TEMPERATURE, 0, found, COLDEST_CENTICELSIUS, limit)

    def begin_session(self) -> None:
        """See BoardSession."""
        self.panel.ground()

    def check_dead_man(self, now_seconds: float) -> None:
        """See BoardSession."""
        was_armed = self.armed
        super().check_dead_man(now_seconds)
        if was_armed and not self.armed:
            self._keep_session()

    def ground(self, reason: SafeReason) -> None:
        """See BoardSession."""
        super().ground(reason)
        self.panel.ground()

    def end(self) -> None:
        """Keep the board as it stands, for one that goes on, then ground it; a command that something interrupted has
        not happened. Raises DeviceError where it cannot be kept."""
        try:
            if self._is_midway:
                self.bench.let_go()
            else:
                self.bench.end(lambda: self._record().pack())
        finally:
            self.ground(SafeReason.COMMAND)

    def carry_out(self, frame: Frame) -> Frame:
        """See BoardSession."""
        bench, self._is_midway = self.bench, True
        bench.last_command, bench.last_completed = (frame.kind, frame.sequence), False
        try:
            reply = reply_to(frame, COMMANDS[frame.kind](self.panel, frame.payload))
            bench.last_completed = True
        except RefusalError as error:
            bench.last_completed = True
            return refusal_of(frame, error)
        except HwloopError:
            # A model outside its range: the bench itself is broken.
            self.ground(SafeReason.FAULT)
            return refusal_of(frame, RefusalError(Status.FAULT))
        if bench.is_too_hot():
            self.ground(SafeReason.TEMPERATURE)
        return reply

    def after_command(self, frame: Frame, reply: Frame) -> Frame:
        """See BoardSession."""
        if not self._keep(reply):
            reply = self._cache[frame.sequence] = refusal_of(frame, RefusalError(Status.FAULT))
        self._is_midway = False
        return reply

    def after_word(self, frame: Frame, reply: Frame) -> Frame:
        """See BoardSession. What makes the board safe is not refused, even where it cannot be kept."""
        if not self._keep_session() and frame.kind == Command.OPEN:
            return refusal_of(frame, RefusalError(Status.FAULT))
        return reply

    def _keep_session(self) -> bool:
        """As `_keep`, after what is no command, where the session changed."""
        return self._session_state() == self._kept_session or self._keep(None)

    def _keep(self, reply: Frame | None) -> bool:
        """Commit what a command did, with its reply, or all there is; False, and grounded, where that fails."""
        if not self.bench.is_durable:
            return True
        values = self.panel.registers.values()
        record = self._record() if reply is None else self._change(values, reply)
        try:
            self.bench.commit(record.pack(), lambda: self._record().pack())
        except OSError:
            self.bench.last_completed = False
            self.ground(SafeReason.FAULT)
            return False
        self._kept_session, self._kept_values = record.session, values
        return True

    def _change(self, values: np.ndarray, reply: Frame) -> BoardRecord:
        """What a command made of the board since the last commit; `values` are the registers now."""
        changed = np.flatnonzero(values != self._kept_values)
        return BoardRecord(False, self._session_state(), changed, values[changed], (reply,))

    def _record(self) -> BoardRecord:
        """All there is."""
        values = self.panel.registers.values()
        changed = np.flatnonzero(values != self._reset_values)
        return BoardRecord(True, self._session_state(), changed, values[changed], tuple(self._cache.values()))

    def _session_state(self) -> SessionState:
        return SessionState(self.session, self.armed, self.safe_reason, self._open_tag, self._expected)
