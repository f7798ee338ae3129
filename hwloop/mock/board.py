"""The simulated board's session layer: exactly once, in order, one host at a time, safe by default."""

from __future__ import annotations

import numpy as np

from hwloop.errors import HwloopError
from hwloop.link import protocol as wire
from hwloop.link.frames import Frame
from hwloop.link.protocol import Command, Field, SafeReason, Status
from hwloop.mock.bench import Bench
from hwloop.mock.board_record import BoardRecord, SessionState, remember, replayed
from hwloop.mock.commands import COMMANDS, centicelsius, describe
from hwloop.mock.panel import Panel
from hwloop.mock.refusal import RefusalError
from hwloop.mock.sections import fixed_part

FIRMWARE_VERSION = 1 << 16
ANALOG_REVISION = 1
COLDEST_CENTICELSIUS = -4000     # of the temperature sensor's range
DEAD_MAN_SECONDS = wire.SESSION_DEAD_MAN_MILLISECONDS * 1e-3


class SimulatedBoard:
    """One board. `handle` takes a frame and gives the reply, or None where there is none.

    On a durable bench everything is kept before the reply goes out; a bench that goes on brings the board back as it
    was, with its dead-man counting from the first look at the clock.
    """

    def __init__(self, bench: Bench):
        self.bench, self.panel = bench, Panel(bench)
        self._heard_seconds: float | None = None
        self._reset_values = self.panel.registers.values()
        state, values, self._cache = replayed(bench.board_records, self._reset_values)
        bench.board_records.clear()
        self.session, self.armed = state.session, bool(state.armed)
        self.safe_reason = SafeReason(state.safe_reason)
        self._open_tag, self._expected = state.open_tag, state.expected
        self.panel.registers.take(values)
        self._kept_session, self._kept_values = state, values
        self._is_midway = False

    def handle(self, frame: Frame, now_seconds: float) -> Frame | None:
        """Answer one frame; `now_seconds` is the wall clock, used by the dead-man only."""
        if frame.kind & wire.REPLY_BIT or frame.status != Status.OK:
            return None  # not a request: a line that echoes must not make the board talk to itself
        if frame.session == self.session:
            self._heard_seconds = now_seconds
        if frame.kind == Command.HEARTBEAT:
            return None
        try:
            if frame.kind in wire.SEQUENCED:
                return self._sequenced(frame)
            reply = _answer(frame, self._unsequenced(frame, now_seconds))
        except RefusalError as error:
            reply = _refuse(frame, error)
        # What makes the board safe is not refused, even where it cannot be kept.
        if not self._keep_session() and frame.kind == Command.OPEN:
            return _refuse(frame, RefusalError(Status.FAULT))
        return reply

    def check_dead_man(self, now_seconds: float) -> None:
        """Ground every line when the host has been silent for too long. A board that goes on from where it was left
        stands still until its host speaks again."""
        silent_since_seconds = now_seconds if self._heard_seconds is None else self._heard_seconds
        if self.armed and now_seconds - silent_since_seconds > DEAD_MAN_SECONDS:
            self.ground(SafeReason.DEAD_MAN)
            self._keep_session()

    def ground(self, reason: SafeReason) -> None:
        """Every line to ground, every switch open; nothing moves before the next OPEN."""
        self.armed = False
        self.safe_reason = reason
        self.panel.registers.ground()

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

    def _sequenced(self, frame: Frame) -> Frame:
        if frame.session != self.session or not self.session:
            raise RefusalError(Status.BUSY if self.armed else Status.NOT_OPEN, value=self.session)
        ahead = (frame.sequence - self._expected) & 0xFFFF
        if ahead >= 0x8000:
            # Also where the board is safe: what it did before, it did.
            if frame.sequence in self._cache:
                return self._cache[frame.sequence]
            raise RefusalError(Status.SEQUENCE_STALE, value=self._expected)
        if not self.armed:
            raise RefusalError(Status.SAFE_LATCHED, value=self.safe_reason)
        if ahead:
            raise RefusalError(Status.SEQUENCE_GAP, value=self._expected)
        self._is_midway = True
        reply = self._carry_out(frame)
        if reply.status == Status.OK and self.bench.is_too_hot():
            self.ground(SafeReason.TEMPERATURE)
        self._expected = (self._expected + 1) & 0xFFFF
        remember(self._cache, reply)
        if not self._keep(reply):
            reply = self._cache[frame.sequence] = _refuse(frame, RefusalError(Status.FAULT))
        self._is_midway = False
        return reply

    def _carry_out(self, frame: Frame) -> Frame:
        bench = self.bench
        bench.last_command, bench.last_completed = (frame.kind, frame.sequence), False
        try:
            reply = _answer(frame, COMMANDS[frame.kind](self.panel, frame.payload))
            bench.last_completed = True
            return reply
        except RefusalError as error:
            bench.last_completed = True
            return _refuse(frame, error)
        except HwloopError:
            # A model outside its range: the bench itself is broken.
            bench.last_completed = False
            self.ground(SafeReason.FAULT)
            return _refuse(frame, RefusalError(Status.FAULT))

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

    def _unsequenced(self, frame: Frame, now_seconds: float) -> bytes:
        bench = self.bench
        match frame.kind:
            case Command.IDENTIFY:
                return wire.IdentifyReply(
                    wire.WIRE_HASH, FIRMWARE_VERSION, bench.board_serial, bench.array_serial, ANALOG_REVISION,
                    bench.geometry.name.encode(),
                ).pack()
            case Command.DESCRIBE:
                return describe(self.panel)
            case Command.OPEN:
                return self._open(frame, now_seconds)
            case Command.CLOSE:
                if frame.session == self.session:
                    self.ground(SafeReason.COMMAND)
                    self.session = 0
                return wire.CloseReply(bench.ticks).pack()
            case Command.SAFE:
                self.ground(SafeReason.COMMAND)
                return wire.SafeReply(bench.ticks).pack()
            case Command.STATUS:
                kind, sequence = bench.last_command
                return wire.StatusReply(
                    self.armed, self.safe_reason, bench.reset_cause, kind, sequence, bench.last_completed,
                    self.session, self._expected, bench.boot_counter, bench.ticks,
                ).pack()
        raise RefusalError(Status.UNKNOWN_COMMAND, value=frame.kind)

    def _open(self, frame: Frame, now_seconds: float) -> bytes:
        ours = frame.session == self.session
        if int.from_bytes(frame.payload[:4], "little") != wire.WIRE_HASH:
            if ours or not self.armed:
                self.ground(SafeReason.WIRE_MISMATCH)
            raise RefusalError(Status.WIRE_MISMATCH, value=wire.WIRE_HASH)
        request = fixed_part(frame.payload, wire.OpenRequest)
        if not frame.session:
            raise RefusalError(Status.OUT_OF_RANGE, 0, 0, 0, 1, 65535)
        if self.armed and not ours:
            raise RefusalError(Status.BUSY, value=self.session)
        if request.resume and not ours:
            raise RefusalError(Status.NOT_OPEN, value=self.session)
        newer = 0 < (frame.sequence - self._open_tag) & 0xFFFF < 0x8000
        if not ours or newer:
            self._refuse_heat()
            if not request.resume:
                self.session, self._expected = frame.session, 0
                self._cache.clear()
                self.panel.registers.ground()
            self.armed, self.safe_reason = True, SafeReason.NONE
            self._open_tag, self._heard_seconds = frame.sequence, now_seconds
        return wire.OpenReply(self._expected, self.bench.ticks, self.bench.boot_counter).pack()

    def _refuse_heat(self) -> None:
        if self.bench.is_too_hot():
            found = centicelsius(self.bench.temperature_raw())
            limit = wire.LIMIT_TEMPERATURE_CENTICELSIUS
            raise RefusalError(Status.FAULT, Field.TEMPERATURE, 0, found, COLDEST_CENTICELSIUS, limit)


def _answer(request: Frame, payload: bytes) -> Frame:
    return Frame(request.kind | wire.REPLY_BIT, Status.OK, request.session, request.sequence, payload)


def _refuse(request: Frame, error: RefusalError) -> Frame:
    kind = request.kind | wire.REPLY_BIT
    return Frame(kind, error.status, request.session, request.sequence, error.refusal.pack())
