"""A run that is gone on with: recorded replies until they end, then the board itself, once what was open is settled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hwloop.errors import AmbiguousError, DeviceError, SafetyError
from hwloop.link.link import Link, LinkCounters, Request
from hwloop.link.protocol import (
    SEQUENCED,
    SESSION_REPLY_CACHE,
    WIRE_HASH,
    Command,
    IdentifyReply,
    OpenReply,
    OpenRequest,
)
from hwloop.runlog.exchanges import WAY_OUT, Exchange
from hwloop.runlog.recorded import RecordedLink
from hwloop.runlog.recording import JournalRecorder


@dataclass(frozen=True)
class GoneLive:
    """How the board was found when the recording ended.

    `grounded`: it had been grounded, and is set up again. `session_lost`: it does not know the run any more (a reset,
    another host); replies that were missing are lost, and what they had pulsed is read back. `last_time_ns`: when the
    journal ended, Unix ns; `ticks`, `board_ticks`: bench time there, and on the board.
    """

    grounded: bool
    session_lost: bool
    last_time_ns: int
    ticks: int
    board_ticks: int


class ResumingLink:
    """Looks like a link. Replies come from `recorded` as long as there are any; then `live` goes on with the session.

    Before anything is sent to go on, the exchange that was under way is settled: by the board's reply cache, or, where
    the board has lost the session, by sending what only reads; pulses without a reply are never sent again, their
    replies are None. Where the journal may lack its end (`is_end_certain` is not set: the computer lost its power too),
    the exchange that follows it may have been under way. `on_live` is told how the board was found, and says whether
    `on_resumed` is to be called before the next exchange.
    """

    def __init__(
        self, recorded: RecordedLink, live: Link, recorder: JournalRecorder, on_live: Callable[[GoneLive], bool],
        is_end_certain: bool = True,
    ):
        self._recorded, self._live, self._recorder = recorded, live, recorder
        self._on_live, self._is_end_certain = on_live, is_end_certain
        self._is_live = self._is_due = self._is_grounded = False
        self._expected_sequence: int | None = None
        self._identity: IdentifyReply | None = None
        self.on_resumed: Callable[[], None] = lambda: None
        self.counters: LinkCounters = recorded.counters
        recorded.on_resumed = lambda: self.on_resumed()

    @property
    def is_live(self) -> bool:
        """Whether the recording has ended."""
        return self._is_live

    @property
    def is_caught_up(self) -> bool:
        """Whether the board has done nothing that is not in the journal."""
        return self._is_live and self._expected_sequence is None

    @property
    def transport(self):
        """The port."""
        return self._recorded.transport

    @property
    def last_sent_seconds(self) -> float:
        """See Link."""
        return self._live.last_sent_seconds

    @property
    def timeout_seconds(self) -> float:
        """See Link."""
        return self._live.timeout_seconds

    @timeout_seconds.setter
    def timeout_seconds(self, seconds: float) -> None:
        self._live.timeout_seconds = seconds

    @property
    def max_in_flight(self) -> int:
        """See Link."""
        return self._live.max_in_flight

    @max_in_flight.setter
    def max_in_flight(self, frames: int) -> None:
        self._live.max_in_flight = frames

    def request(self, kind: Command, payload: bytes = b"", tries: int | None = None) -> bytes:
        """See Link."""
        if self._is_live:
            return self._live.request(kind, payload, tries)
        if kind in WAY_OUT:
            # The way out, before the recording has ended: an error or a stop. The board itself is not open here.
            return self._recorded.request(kind, payload)
        return self._go_on([(kind, payload)], 0.0)[0]

    def open(self) -> OpenReply:
        """See Link. The live link is opened where the recording ends before the session began."""
        return OpenReply.unpack(self.request(Command.OPEN, OpenRequest(WIRE_HASH, 0).pack()))

    def run(self, requests: list[Request], expected_seconds: float = 0.0) -> list[bytes | None]:
        """See Link."""
        if not requests:
            return []
        if not self._is_live:
            return self._go_on(requests, expected_seconds)
        if self._expected_sequence is not None:
            return self._catch_up(requests, expected_seconds)
        self._announce()
        return self._live.run(requests, expected_seconds)

    def heartbeat(self) -> None:
        """See Link."""
        if self._is_live:
            self._live.heartbeat()

    def close(self) -> None:
        """See Link."""
        self._live.close()

    def _announce(self) -> None:
        if self._is_due:
            self._is_due = False
            self.on_resumed()

    def _go_on(self, requests: list[Request], expected_seconds: float) -> list[bytes | None]:
        exchange = self._recorded.take(requests)
        if exchange is not None and exchange.is_refused and self._recorded.recording.is_at_end:
            exchange.forget_refused()
        if exchange is None or not exchange.is_complete:
            return self._go_live(exchange, requests, expected_seconds)
        if requests[0][0] == Command.IDENTIFY:
            self._identity = IdentifyReply.unpack(exchange.replies[0].payload)
        return exchange.payloads()

    def _go_live(
        self, exchange: Exchange | None, requests: list[Request], expected_seconds: float
    ) -> list[bytes | None]:
        live, tail = self._live, self._recorded.recording.tail
        self._is_live = True
        live.counters = self.counters
        self._recorder.begin(tail.exchange, tail.ticks, self.counters)
        is_sequenced = requests[0][0] in SEQUENCED
        first = exchange.sequence if exchange and is_sequenced else tail.sequence
        known = {index: exchange.reply_frame(index) for index in exchange.replies} if exchange else {}
        is_open = is_sequenced and exchange is not None
        live.adopt(tail.session or live.session, tail.tag, first, requests if is_open else [], known)
        if requests[0][0] != Command.IDENTIFY:
            self._check_identity()
        if not is_sequenced:
            # Killed before the session began: nothing is set on the board that is worth keeping.
            if exchange is not None:
                self._recorder.go_on_with(exchange.number, [requests[0][0]], 0)
            return [live.request(*requests[0])]
        expected_sequence, grounded = self._reopen(first, len(known), len(requests))
        if expected_sequence is None:
            self._found(grounded=True, session_lost=True)
            return self._settle_without_session(exchange, requests, expected_seconds)
        self._expected_sequence, self._is_grounded = expected_sequence, grounded
        if exchange is None:
            return self._catch_up(requests, expected_seconds)
        number, kinds = exchange.number, [kind for kind, _ in requests]
        ahead = (expected_sequence - first) & 0xFFFF
        self._recorder.attend(number, kinds, 0)
        if ahead > len(requests):
            return live.settle((first + len(requests)) & 0xFFFF)
        replies = live.settle(expected_sequence)
        self._caught_up()
        if len(replies) < len(requests):
            self._recorder.go_on_with(number, kinds, len(replies))
            replies += live.run(requests[len(replies) :], expected_seconds)
        return replies

    def _catch_up(self, requests: list[Request], expected_seconds: float) -> list[bytes | None]:
        """An exchange where the board may be ahead of the journal, whose end was lost with the power: what the board
        has done already it answers from its cache, and only behind that anything else may be sent."""
        live = self._live
        done = (self._expected_sequence - live.sequence) & 0xFFFF
        if done == 0:
            self._caught_up()
            return self.run(requests, expected_seconds)
        if done >= len(requests):
            return live.run(requests, expected_seconds)
        kinds = [kind for kind, _ in requests]
        self._recorder.sending(live.session, live.sequence, requests)
        number = self._recorder.current
        self._recorder.go_on_with(number, kinds, 0)
        replies = live.run(requests[:done], expected_seconds)
        self._caught_up()
        self._recorder.go_on_with(number, kinds, done)
        return replies + live.run(requests[done:], expected_seconds)

    def _caught_up(self) -> None:
        """Journal and board are at the same place: the run goes on from here."""
        self._expected_sequence = None
        self._found(self._is_grounded, session_lost=False)
        self._set_up_again(self._is_grounded)

    def _found(self, grounded: bool, session_lost: bool) -> None:
        tail = self._recorded.recording.tail
        self._is_due = self._on_live(GoneLive(grounded, session_lost, tail.time_ns, tail.ticks, self._recorder.ticks))

    def _reopen(self, first: int, least: int, most: int) -> tuple[int | None, bool]:
        """The sequence number that the board expects and whether it was grounded; None where the session is gone."""
        try:
            with self._recorder.recovering():
                expected_sequence, grounded = self._live.reopen()
        except (AmbiguousError, SafetyError, DeviceError) as error:
            reason = error.__cause__ if isinstance(error, AmbiguousError) else error
            if isinstance(reason, DeviceError):
                raise reason from error     # another host has the board
            return None, True
        # Where the journal's end was lost with the power, the board is ahead; it still has the replies to what it did
        # last. A board that is further ahead, or behind, is not where this run left it.
        is_ours = least <= (expected_sequence - first) & 0xFFFF <= max(most, SESSION_REPLY_CACHE)
        self._is_end_certain = self._is_end_certain and is_ours
        return (expected_sequence if is_ours else None), grounded

    def _settle_without_session(
        self, exchange: Exchange | None, requests: list[Request], expected_seconds: float
    ) -> list[bytes | None]:
        """A new session. Of an open exchange, pulses without a reply stay unknown; what reads is sent again."""
        live = self._live
        with self._recorder.recovering():
            live.open()
        self._set_up_again(True)
        kinds, replies = [kind for kind, _ in requests], []
        if exchange is not None:
            number = exchange.number
            replies = [exchange.replies[index].payload for index in range(len(exchange.replies))]
        elif self._is_end_certain or Command.PULSE not in kinds:
            return self.run(requests, expected_seconds)
        else:
            self._recorder.sending(live.session, live.sequence, requests)
            number = self._recorder.current
        self._recorder.attend(number, kinds, len(replies))
        while len(replies) < len(requests) and kinds[len(replies)] == Command.PULSE:
            self._recorder.skip(len(replies))
            replies.append(None)
        rest = requests[len(replies) :]
        if any(kind == Command.PULSE for kind, _ in rest) or (replies and replies[-1] is None and not rest):
            raise AmbiguousError(("PULSE",), "the board has lost its session, and nothing in this step reads them back")
        if rest:
            self._recorder.go_on_with(number, kinds, len(replies))
            replies += live.run(rest, expected_seconds)
        return replies

    def _set_up_again(self, is_needed: bool) -> None:
        """Compensation, routes and limits as the run had them."""
        recording = self._recorded.recording
        if not is_needed or recording.scales is None:
            return
        if requests := recording.tail.standing.requests(recording.scales.describe.max_frame_bytes):
            with self._recorder.recovering():
                self._live.run(requests)

    def _check_identity(self) -> None:
        with self._recorder.recovering():
            now = IdentifyReply.unpack(self._live.request(Command.IDENTIFY))
        was = self._identity
        if was is not None and now != was:
            raise DeviceError(
                f"{self.transport.name}: board {now.board_serial} with chip {now.array_serial} answers, the run was on "
                f"board {was.board_serial} with chip {was.array_serial} and the same firmware; connect that one"
            )
