"""The link: requests out, replies back; a sequenced command is carried out once, in order, or reported as ambiguous."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from hwloop.errors import AmbiguousError, DeviceError, LinkError, SafetyError
from hwloop.link.frames import NOT_TAKEN, Frame, FrameReader
from hwloop.link.protocol import REPLY_BIT, SEQUENCED, WIRE_HASH, Command, OpenReply, OpenRequest, Status, StatusReply
from hwloop.link.refusals import expected_sequence, refusal_error
from hwloop.link.transport import Transport

Request = tuple[Command, bytes]
# A board that has lost its session (reset, or taken over) cannot tell any more what it did before.
_FORGOTTEN = frozenset({Status.NOT_OPEN, Status.BUSY})


@dataclass
class LinkCounters:
    """What crossed the link since it was opened; heartbeats, which belong to no exchange, do not count."""

    frames_sent: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    resent: int = 0
    damaged: int = 0


class Recorder(Protocol):
    """Who is told of every exchange. What it raises ends the exchange, as an error of the wire would."""

    def sending(self, session: int, sequence: int, requests: list[Request]) -> None:
        """These are about to be sent, for the first time, with `sequence` and the numbers that follow it."""

    def received(self, replies: list[tuple[int, Frame]], counters: LinkCounters) -> None:
        """These have arrived, each with its place in the exchange; `counters` are the link's own."""


class _NoRecorder:
    """Nobody."""

    def sending(self, session: int, sequence: int, requests: list[Request]) -> None:
        """See Recorder."""

    def received(self, replies: list[tuple[int, Frame]], counters: LinkCounters) -> None:
        """See Recorder."""


@dataclass(frozen=True)
class Resumed:
    """What became of an interrupted exchange: `replies` of the requests that the board has carried out, in order; the
    rest were not. `grounded`: the board went safe meanwhile, so compensation and routing are gone."""

    replies: list[bytes]
    grounded: bool


@dataclass
class _Pending:
    """A sequenced request and what is known of it."""

    kind: Command
    sequence: int
    wire: bytes
    sent: int = 0
    reply: Frame | None = None

    def __str__(self) -> str:
        return f"{self.kind.name} {self.sequence}"


@dataclass
class _Window:
    """One batch of sequenced requests on its way: those before `base` are answered, those before `sent` were sent, and
    those from `stop` on will not be."""

    requests: list[_Pending]
    expected_seconds: float
    stop: int
    base: int = 0
    sent: int = 0
    asked_again: int | None = None

    def index(self, sequence: int) -> int:
        """Where a sequence number belongs, as seen from the oldest unanswered request; numbers wrap."""
        return self.base + ((sequence - self.requests[0].sequence - self.base) & 0xFFFF)

    def unanswered(self) -> list[_Pending]:
        return [pending for pending in self.requests[self.base : self.sent] if pending.reply is None]


class Link:
    """One host's conversation with one board.

    Sequenced requests are pipelined, `max_in_flight` at a time. The board carries them out in order and answers a
    repeated one from its cache, so sending again is always safe; what is still unanswered after `retries` silent
    time-outs raises AmbiguousError if it could have moved a line, LinkError otherwise. An exchange that ended that way,
    or was interrupted, is settled by `resume`; until then no other begins.
    """

    def __init__(
        self, transport: Transport, timeout_seconds: float = 1.0, retries: int = 6, session: int | None = None,
        recorder: Recorder | None = None,
    ):
        self.transport = transport
        self._recorder: Recorder = recorder or _NoRecorder()
        self.timeout_seconds = timeout_seconds
        self.retries = retries
        self.session = session or (int.from_bytes(os.urandom(2), "little") % 65535 + 1)
        self.max_in_flight = 1
        self.counters = LinkCounters()
        self.sequence = 0
        self.last_sent_seconds = time.monotonic()
        self._tag = 0
        self._reader = FrameReader()
        self._sending = threading.Lock()
        self._interrupted: _Window | None = None

    def request(self, kind: Command, payload: bytes = b"", tries: int | None = None) -> bytes:
        """The reply's payload to one unsequenced request (IDENTIFY, SAFE, STATUS, …), which may be repeated at will.

        Replies to sequenced requests that still arrive are dropped. Raises LinkError where nothing comes back, and the
        board's refusal as its error.
        """
        self._tag = (self._tag + 1) & 0xFFFF
        frame = Frame(kind, 0, self.session, self._tag, payload)
        self._recorder.sending(self.session, self._tag, [(kind, payload)])
        tries = tries or self.retries + 1
        for attempt in range(tries):
            self._send(_afresh(frame.encode()), again=attempt > 0)
            deadline = time.monotonic() + self.timeout_seconds
            while (left := deadline - time.monotonic()) > 0:
                for reply in self._receive(left):
                    if (reply.kind, reply.session, reply.sequence) == (kind | REPLY_BIT, self.session, self._tag):
                        self._recorder.received([(0, reply)], self.counters)
                        if reply.status != Status.OK:
                            raise refusal_error(kind, reply)
                        return reply.payload
        raise LinkError(
            f"{self.transport.name}: no answer to {kind.name} in {tries} tries of {self.timeout_seconds:g} s; "
            "check that it is a hwloop board, and its cable, power and baud rate"
        )

    def open(self) -> OpenReply:
        """Begin the session at sequence 0; from here on commands may move lines."""
        opened = OpenReply.unpack(self.request(Command.OPEN, OpenRequest(WIRE_HASH, 0).pack()))
        self.sequence, self._interrupted = 0, None
        return opened

    def run(self, requests: list[Request], expected_seconds: float = 0.0) -> list[bytes]:
        """Replies' payloads to sequenced requests, pipelined, in the order given.

        `expected_seconds` is what the board may take for one of them, beyond the usual. A refusal is raised as its
        error once everything that is on its way has been answered; what follows it is carried out as far as it was on
        its way. Raises AmbiguousError or LinkError as in the class's description.
        """
        if self._interrupted is not None:
            raise LinkError(f"{self.transport.name}: the exchange before was interrupted; resume the link to settle it")
        if not requests:
            return []
        pending = []
        for offset, (kind, payload) in enumerate(requests):
            assert kind in SEQUENCED, f"{kind.name} is not a sequenced command"
            sequence = (self.sequence + offset) & 0xFFFF
            pending.append(_Pending(kind, sequence, Frame(kind, 0, self.session, sequence, payload).encode()))
        self._recorder.sending(self.session, self.sequence, requests)
        self._interrupted = _Window(pending, expected_seconds, len(pending))
        return self._finish(self._interrupted)

    def adopt(
        self, session: int, tag: int, sequence: int, requests: list[Request], known: Mapping[int, Frame]
    ) -> None:
        """Take over what another process left: its session and last tag, the sequence number of the exchange that it
        was in, that exchange's requests (none: it was between two) and the replies that it had. `resume` then settles
        it."""
        self.session, self._tag, self.sequence = session, tag, sequence
        if not requests:
            self._interrupted = None
            return
        pending = []
        for offset, (kind, payload) in enumerate(requests):
            number = (sequence + offset) & 0xFFFF
            wire = Frame(kind, 0, session, number, payload).encode()
            pending.append(_Pending(kind, number, wire, 1, known.get(offset)))
        answered = next((place for place, one in enumerate(pending) if one.reply is None), len(pending))
        self._interrupted = _Window(pending, 0.0, len(pending), base=answered, sent=len(pending))

    def resume(self, transport: Transport | None = None) -> Resumed:
        """Go on with the session after a cut (over a new `transport`) or an interrupt, and settle what is open.

        The board says how far it got; replies of what it has done are asked for again and nothing else is sent, so no
        line moves. The link then goes on with the next sequence number. Where the board has lost the session: raises
        AmbiguousError if pulses are open, else SafetyError or, where another host has a session, DeviceError.
        """
        if transport is not None:
            with self._sending:
                self.transport.close()
                self.transport, self._reader = transport, FrameReader()
        expected_sequence, grounded = self.reopen()
        return Resumed(self.settle(expected_sequence), grounded)

    def reopen(self) -> tuple[int, bool]:
        """First half of `resume`: the session goes on. Gives the sequence number that the board expects, and whether it
        was grounded meanwhile. Raises as `resume`."""
        grounded = not StatusReply.unpack(self.request(Command.STATUS)).armed
        try:
            opened = OpenReply.unpack(self.request(Command.OPEN, OpenRequest(WIRE_HASH, 1).pack()))
        except (SafetyError, DeviceError) as error:
            pulses = _pulses(self._interrupted.unanswered()) if self._interrupted else ()
            if pulses:
                raise AmbiguousError(pulses, str(error)) from error
            raise
        return opened.expected_sequence, grounded

    def settle(self, expected_sequence: int) -> list[bytes]:
        """Second half of `resume`: replies of what the board has carried out, asked for again where they are missing;
        nothing else is sent."""
        window = self._interrupted
        if window is None:
            self.sequence = expected_sequence
            return []
        done = window.index(expected_sequence)
        if done > window.sent:
            raise LinkError(f"{self.transport.name}: the board expects sequence {expected_sequence}, never sent")
        window.stop = window.sent = done
        self._resend(window.unanswered())
        return self._finish(window)

    def heartbeat(self) -> None:
        """Feed the board's dead-man; nothing comes back. Safe to call from another thread."""
        data = _afresh(Frame(Command.HEARTBEAT, 0, self.session, 0, b"").encode())
        with self._sending:
            self.transport.send(data)
        self.last_sent_seconds = time.monotonic()

    def close(self) -> None:
        """Give the port back."""
        self.transport.close()

    def _finish(self, window: _Window) -> list[bytes]:
        """Bring a window to its end. It stays `_interrupted` where that fails."""
        try:
            self._exchange(window)
        except LinkError as error:
            if pulses := _pulses(window.unanswered()):
                raise AmbiguousError(pulses, str(error)) from error
            raise
        self._interrupted = None
        done = window.requests[: window.stop]
        not_taken = [pending for pending in done if pending.reply.status in NOT_TAKEN]
        after = window.requests[0].sequence + (window.requests.index(not_taken[0]) if not_taken else window.stop)
        self.sequence = after & 0xFFFF
        refused = [pending for pending in done if pending.reply.status != Status.OK]
        if refused:
            error = refusal_error(refused[0].kind, refused[0].reply)
            forgotten = [pending for pending in not_taken if pending.reply.status in _FORGOTTEN and pending.sent > 1]
            if _pulses(forgotten):
                raise AmbiguousError(_pulses(forgotten), str(error)) from error
            raise error
        return [pending.reply.payload for pending in done]

    def _exchange(self, window: _Window) -> None:
        timeout_seconds = self.timeout_seconds + window.expected_seconds
        silent, quiet_since = 0, time.monotonic()
        while window.base < window.stop:
            self._fill(window)
            frames = self._receive(max(quiet_since + timeout_seconds - time.monotonic(), 0.0))
            taken: list[tuple[int, Frame]] = []
            for frame in frames:
                index = self._accept(window, frame)
                if index is not None:
                    taken.append((index, frame))
            if taken:
                self._recorder.received(taken, self.counters)
                silent, quiet_since = 0, time.monotonic()
            elif time.monotonic() - quiet_since >= timeout_seconds:
                silent, quiet_since = silent + 1, time.monotonic()
                if silent > self.retries:
                    raise LinkError(f"{self.transport.name}: no reply in {silent} tries of {timeout_seconds:g} s")
                window.asked_again = None
                self._resend(window.unanswered())

    def _fill(self, window: _Window) -> None:
        stop = min(window.stop, window.base + self.max_in_flight)
        if window.sent < stop:
            new, window.sent = window.requests[window.sent : stop], stop
            for pending in new:
                pending.sent = 1
            self._send(b"".join(pending.wire for pending in new), frames=len(new))

    def _accept(self, window: _Window, frame: Frame) -> int | None:
        """Take one frame in; gives its place where it brought the window forward."""
        if frame.session != self.session or window.base >= window.stop:
            return None
        index = window.index(frame.sequence)
        if index >= window.sent:
            return None
        pending = window.requests[index]
        if frame.kind != pending.kind | REPLY_BIT or pending.reply is not None:
            return None
        if frame.status == Status.SEQUENCE_GAP:
            self._ask_again(window, window.index(expected_sequence(frame)), window.sent)
            return None
        pending.reply = frame
        if frame.status != Status.OK:
            window.stop = window.sent  # what is on its way is waited for, nothing more is sent
        if index > window.base:
            # Replies come in order, so those before this one got lost.
            self._ask_again(window, window.base, index)
        while window.base < window.sent and window.requests[window.base].reply is not None:
            window.base += 1
            window.asked_again = None
        return index

    def _ask_again(self, window: _Window, first: int, stop: int) -> None:
        """Send the unanswered ones of first…stop again, once until the window moves or a time-out passes."""
        if first != window.asked_again:
            window.asked_again = first
            self._resend([pending for pending in window.requests[first:stop] if pending.reply is None])

    def _resend(self, requests: list[_Pending]) -> None:
        for pending in requests:
            pending.sent += 1
        if requests:
            self._send(_afresh(b"".join(pending.wire for pending in requests)), again=True, frames=len(requests))

    def _send(self, data: bytes, again: bool = False, frames: int = 1) -> None:
        with self._sending:
            self.transport.send(data)
        self.last_sent_seconds = time.monotonic()
        self.counters.bytes_sent += len(data)
        self.counters.frames_sent += frames
        self.counters.resent += frames if again else 0

    def _receive(self, timeout_seconds: float) -> list[Frame]:
        data = self.transport.receive(timeout_seconds)
        self.counters.bytes_received += len(data)
        damaged = self._reader.damaged
        frames = self._reader.feed(data)
        self.counters.damaged += self._reader.damaged - damaged
        return frames


def _afresh(data: bytes) -> bytes:
    """Frames behind a delimiter, which ends whatever an interrupted sender left half-written."""
    return b"\0" + data


def _pulses(requests: list[_Pending]) -> tuple[str, ...]:
    return tuple(str(pending) for pending in requests if pending.kind is Command.PULSE)
