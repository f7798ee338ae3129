"""The simulated board's session layer: exactly once, in order, one host at a time, safe by default."""

from __future__ import annotations

import struct
from collections import OrderedDict

from hwloop.link import protocol as wire
from hwloop.link.frames import Frame
from hwloop.link.protocol import Command, SafeReason, Status
from hwloop.mock.bench import Bench
from hwloop.mock.commands import COMMANDS, describe
from hwloop.mock.refusal import Refused

FIRMWARE_VERSION = 1 << 16
ANALOG_REVISION = 1
DEAD_MAN_SECONDS = wire.SESSION_DEAD_MAN_MILLISECONDS * 1e-3


class SimulatedBoard:
    """One board. `handle` takes a frame and gives the reply, or None where there is none."""

    def __init__(self, bench: Bench):
        self.bench = bench
        self.session = 0
        self.armed = False
        self.safe_reason = SafeReason.RESET
        self._expected = 0
        self._cache: OrderedDict[int, Frame] = OrderedDict()
        self._last_begun = (0, 0)
        self._last_completed = True
        self._heard_seconds = 0.0

    def handle(self, frame: Frame, now_seconds: float) -> Frame | None:
        """Answer one frame; `now_seconds` is the wall clock, used by the dead-man only."""
        if frame.session == self.session:
            self._heard_seconds = now_seconds
        if frame.kind == Command.HEARTBEAT:
            return None
        try:
            if frame.kind in wire.SEQUENCED:
                return self._sequenced(frame)
            return self._reply(frame, self._unsequenced(frame, now_seconds))
        except Refused as refused:
            return Frame(frame.kind | wire.REPLY_BIT, refused.status, frame.session, frame.sequence, refused.refusal.pack())

    def check_dead_man(self, now_seconds: float) -> None:
        """Ground every line when the host has been silent for too long."""
        if self.armed and now_seconds - self._heard_seconds > DEAD_MAN_SECONDS:
            self.ground(SafeReason.DEAD_MAN)

    def ground(self, reason: SafeReason) -> None:
        """Every line to ground, every switch open; nothing moves before the next OPEN."""
        self.armed = False
        self.safe_reason = reason
        self.bench.ground()

    def _sequenced(self, frame: Frame) -> Frame:
        if frame.session != self.session or not self.session:
            raise Refused(Status.BUSY if self.armed else Status.NOT_OPEN, value=self.session)
        ahead = (frame.sequence - self._expected) & 0xFFFF
        if ahead >= 0x8000:
            if frame.sequence in self._cache:
                return self._cache[frame.sequence]
            raise Refused(Status.SEQUENCE_STALE, value=self._expected)
        if not self.armed:
            raise Refused(Status.SAFE_LATCHED, value=self.safe_reason)
        if ahead:
            raise Refused(Status.SEQUENCE_GAP, value=self._expected)
        self._last_begun, self._last_completed = (frame.kind, frame.sequence), False
        try:
            reply = self._reply(frame, COMMANDS[frame.kind](self.bench, frame.payload))
        except Refused as refused:
            reply = Frame(frame.kind | wire.REPLY_BIT, refused.status, frame.session, frame.sequence, refused.refusal.pack())
        except struct.error:
            refusal = Refused(Status.BAD_LENGTH, value=len(frame.payload)).refusal
            reply = Frame(frame.kind | wire.REPLY_BIT, Status.BAD_LENGTH, frame.session, frame.sequence, refusal.pack())
        self.bench.save_if_changed()
        self._last_completed = True
        self._expected = (self._expected + 1) & 0xFFFF
        self._cache[frame.sequence] = reply
        if len(self._cache) > wire.SESSION_REPLY_CACHE:
            self._cache.popitem(last=False)
        return reply

    def _unsequenced(self, frame: Frame, now_seconds: float) -> bytes:
        match frame.kind:
            case Command.IDENTIFY:
                bench = self.bench
                return wire.IdentifyReply(
                    wire.WIRE_HASH, FIRMWARE_VERSION, bench.board_serial, bench.array_serial, ANALOG_REVISION,
                    bench.geometry.name.encode(),
                ).pack()
            case Command.DESCRIBE:
                return describe(self.bench)
            case Command.OPEN:
                return self._open(frame, now_seconds)
            case Command.CLOSE:
                if frame.session == self.session:
                    self.ground(SafeReason.COMMAND)
                    self.session = 0
                return wire.CloseReply(self.bench.ticks).pack()
            case Command.SAFE:
                self.ground(SafeReason.COMMAND)
                return wire.SafeReply(self.bench.ticks).pack()
            case Command.STATUS:
                kind, sequence = self._last_begun
                return wire.StatusReply(
                    self.armed, self.safe_reason, self.bench.reset_cause, kind, sequence, self._last_completed,
                    self.session, self._expected, self.bench.boot_counter, self.bench.ticks,
                ).pack()
        raise Refused(Status.UNKNOWN_COMMAND, value=frame.kind)

    def _open(self, frame: Frame, now_seconds: float) -> bytes:
        if len(frame.payload) != wire.OpenRequest.STRUCT.size or not frame.session:
            raise Refused(Status.BAD_LENGTH, value=len(frame.payload))
        request = wire.OpenRequest.unpack(frame.payload)
        if request.wire_hash != wire.WIRE_HASH:
            if frame.session == self.session or not self.armed:
                self.ground(SafeReason.WIRE_MISMATCH)
            raise Refused(Status.WIRE_MISMATCH, value=wire.WIRE_HASH)
        if self.armed and frame.session != self.session:
            raise Refused(Status.BUSY, value=self.session)
        if request.resume and frame.session != self.session:
            raise Refused(Status.NOT_OPEN, value=self.session)
        if not request.resume:
            self.session, self._expected = frame.session, 0
            self._cache.clear()
            self.bench.ground()
        self.armed, self.safe_reason, self._heard_seconds = True, SafeReason.NONE, now_seconds
        return wire.OpenReply(self._expected, self.bench.ticks, self.bench.boot_counter).pack()

    @staticmethod
    def _reply(frame: Frame, payload: bytes) -> Frame:
        return Frame(frame.kind | wire.REPLY_BIT, Status.OK, frame.session, frame.sequence, payload)
