"""The hwloop board: identify, program, read and solve over the wire. Works the same on real and simulated boards."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import numpy as np

from hwloop.calibration.constants import BoardConstants
from hwloop.drivers.board.cell_frames import pack_pulses, pack_reads, unpack_reads
from hwloop.drivers.board.counters import BoardCounters
from hwloop.drivers.board.ports import Ports
from hwloop.drivers.board.scales import Scales
from hwloop.drivers.board.solving import (
    AS_READ,
    OutputCalibration,
    SolveGroup,
    SolveOutputs,
    pack_products,
    pack_solves,
    unpack_answers,
)
from hwloop.drivers.cells import CellPulses, CellReads
from hwloop.errors import DeviceError, HwloopError, LimitError, LinkError, SafetyError, UsageError, WireVersionError
from hwloop.link import protocol as wire
from hwloop.link.frames import OVERHEAD_BYTES
from hwloop.link.link import Link, Request
from hwloop.link.protocol import Command, TiaRange

# Tries for what should come back at once, or not at all: a stranger at the port, and the way out.
FEW_TRIES = 3
_LONGEST_WAIT_TICKS = 2**31
_STEPS = {Command.PULSE: "pulse", Command.READ: "read", Command.SOLVE: "solve", Command.MVM: "solve"}


class Board:
    """One board with its array chip, held by one session.

    `Board(link)` identifies the board passively; `open()` begins the session that lets lines move, once: a session that
    was grounded has lost its compensation, so it cannot be gone on with. Use it as a context manager: the board is
    grounded and the session closed on the way out, whatever happened.
    `between_exchanges` is called before every exchange; it may raise to stop a run at a clean place. `ports` is what
    stands at the instrument ports.
    """

    def __init__(self, link: Link, between_exchanges: Callable[[], None] = lambda: None):
        self.link = link
        self.between_exchanges = between_exchanges
        identity = link.request(Command.IDENTIFY, tries=FEW_TRIES)
        if len(identity) != wire.IdentifyReply.STRUCT.size:
            raise DeviceError(
                f"{link.transport.name}: something answers there, but not a hwloop board ({len(identity)} bytes)"
            )
        self.identity = wire.IdentifyReply.unpack(identity)
        if self.identity.wire_hash != wire.WIRE_HASH:
            version = self.identity.firmware_version
            dotted = f"{version >> 16}.{version >> 8 & 255}.{version & 255}"
            raise WireVersionError(wire.WIRE_HASH, self.identity.wire_hash, dotted)
        self.describe = wire.DescribeReply.unpack(link.request(Command.DESCRIBE))
        link.max_in_flight = self.describe.max_in_flight
        self.scales = Scales.nominal(self.describe)
        self.rows, self.columns = self.describe.rows, self.describe.columns
        self.counters = BoardCounters()
        self.opened_ticks = 0       # bench time when the session began
        self.ports = Ports(self.scales, self._exchange)
        self._heartbeat: threading.Thread | None = None
        self._closed = threading.Event()

    @property
    def name(self) -> str:
        """The kind of board, such as "hwloop-128x16"."""
        return self.identity.board_name.rstrip(b"\0").decode("ascii", "replace")

    def use(self, constants: BoardConstants) -> None:
        """Convert by these constants from here on; without them a board is taken to be without errors."""
        self.scales = Scales(self.describe, constants)
        self.ports = Ports(self.scales, self._exchange)

    def open(self) -> None:
        """Begin the session; from here on commands move lines, and a heartbeat keeps the board awake.

        Raises DeviceError where another host has a session, SafetyError where this one was opened before.
        """
        if self._heartbeat is not None or self._closed.is_set():
            raise SafetyError("this session was opened before and may have been grounded since; connect anew")
        self.opened_ticks = self.link.open().ticks
        self._heartbeat = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._heartbeat.start()

    def close(self) -> None:
        """Ground every line, end the session, give the port back; may be called twice. Raises no error of the board:
        where it does not answer any more, or this is interrupted, its dead-man grounds it."""
        if self._closed.is_set():
            return
        self._closed.set()
        try:
            self.link.request(Command.CLOSE, tries=FEW_TRIES)
        except HwloopError:
            pass
        finally:
            self.link.close()

    def __enter__(self) -> Board:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def safe(self) -> None:
        """Ground every line at once. The session cannot move anything afterwards."""
        self.link.request(Command.SAFE, tries=FEW_TRIES)

    def status(self) -> wire.StatusReply:
        """What the board is doing and why."""
        return wire.StatusReply.unpack(self.link.request(Command.STATUS))

    def pulse_and_read(
        self, pulses: CellPulses | None, read_cells: np.ndarray | None, averages: int = 4, sub_averages: int = 3,
        spread_siemens: float = 1e-6, tia_range: int = TiaRange.COARSE,
    ) -> CellReads | None:
        """One PULSE and one READ exchange in one round trip: what a write-verify step is, however many cells it has.

        `read_cells` (n,) flat indices; the reading is the mean of `averages` × `sub_averages` samples. No cell twice in
        either list. Raises LimitError (a voltage, width, energy or number of samples out of range) and UsageError (a
        cell that does not exist, or twice) before anything is sent.
        """
        pulsed = pack_pulses(self.scales, pulses) if pulses is not None and len(pulses.cells) else None
        reading = None
        if read_cells is not None and len(read_cells):
            reading = pack_reads(self.scales, read_cells, averages, sub_averages, spread_siemens, tia_range)
        both = [packed for packed in (pulsed, reading) if packed is not None]
        pulse_payloads = pulsed.payloads if pulsed else []
        requests: list[Request] = [(Command.PULSE, payload) for payload in pulse_payloads]
        requests += [(Command.READ, payload) for payload in (reading.payloads if reading else [])]
        replies = self._exchange(
            requests, len(both), sum(packed.payload_bytes for packed in both), sum(packed.seconds for packed in both)
        )
        if pulses is not None:
            given = [wire.PulseReply.unpack(reply) for reply in replies[: len(pulse_payloads)] if reply is not None]
            self.counters.row_pulses += sum(reply.row_pulses for reply in given)
            # A run that was gone on with may have a step of which nobody knows; its cells are read, and it goes on.
            is_known = len(given) == len(pulse_payloads)
            self.counters.pulses += len(pulses.cells) if is_known else 0
            self.counters.unknown_pulses += 0 if is_known else len(pulses.cells)
        if reading is None:
            return None
        self.counters.reads += len(reading.order)
        return unpack_reads(self.scales, reading, replies[len(pulse_payloads) :], tia_range)

    def solve(self, groups: list[SolveGroup], calibration: OutputCalibration = AS_READ) -> list[SolveOutputs]:
        """Outputs of every group of regressions, in one exchange, as read or by `calibration`.

        Raises LimitError and UsageError before anything is sent.
        """
        packed = pack_solves(self.scales, groups)
        replies = self._exchange(
            [(Command.SOLVE, payload) for payload in packed.payloads], 1, packed.payload_bytes, packed.seconds
        )
        answers = unpack_answers(packed, replies, wire.SolveReply.STRUCT.size)
        self.counters.solves += sum(len(group.input_volts) for group in groups)
        outputs = []
        for group, answer, answered in zip(groups, answers, packed.answered, strict=True):
            volts = self.scales.volts_from_output_codes(answer.codes, group.columns_of_solves())
            volts = volts if calibration == AS_READ else calibration.volts(volts)
            outputs.append(SolveOutputs(np.where(answered, volts, 0.0), answer.saturated, answer.unsettled))
        return outputs

    def multiply(
        self, array: int, rows: np.ndarray, columns: np.ndarray, input_volts: np.ndarray, averages: int = 4,
        settle_seconds: float = 5e-6, tia_range: int = TiaRange.COARSE,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Column currents in amps (n, k) for row voltages (n, m), and which products went beyond the range (n,)."""
        packed = pack_products(self.scales, array, rows, columns, input_volts, tia_range, averages, settle_seconds)
        replies = self._exchange(
            [(Command.MVM, payload) for payload in packed.payloads], 1, packed.payload_bytes, packed.seconds
        )
        answer = unpack_answers(packed, replies, wire.MvmReply.STRUCT.size)[0]
        self.counters.solves += len(input_volts)
        return self.scales.amps_from_current_codes(answer.codes, tia_range, np.asarray(columns)), answer.saturated

    def compensate(self, rows: np.ndarray, siemens: np.ndarray) -> None:
        """Set the compensation conductance (n,) of `rows` (n,)."""
        rows = np.asarray(rows, np.int64)
        if rows.min(initial=0) < 0 or rows.max(initial=0) >= self.rows:
            asked = f"compensation of rows {rows.min()} to {rows.max()}"
            raise UsageError(f"{asked}: this board has rows 0 to {self.rows - 1}")
        codes = self.scales.compensation_codes(siemens, rows)
        pairs = np.stack([rows, codes], axis=1).astype("<u2")
        room = (self.describe.max_frame_bytes - OVERHEAD_BYTES - wire.CompensateRequest.STRUCT.size) // 4
        requests = [
            (Command.COMPENSATE, wire.CompensateRequest(int(first > 0)).pack() + pairs[first : first + room].tobytes())
            for first in range(0, len(pairs), room)
        ]
        self._exchange(requests, 1, pairs.nbytes, 0.0)

    def temperature_celsius(self) -> float:
        """Temperature at the array."""
        reply = self._exchange([(Command.TEMPERATURE, b"")], 1, 2, 0.0)[0]
        return wire.TemperatureReply.unpack(reply).centicelsius / 100

    def wait(self, seconds: float) -> None:
        """Let bench time pass with every line grounded; a real board takes that long."""
        if not 0 <= seconds < math.inf:
            raise LimitError("wait", seconds, "0 or more", "s", "give a time that can pass")
        ticks = round(seconds * wire.TICK_HERTZ)
        chunks = [min(_LONGEST_WAIT_TICKS, ticks - done) for done in range(0, ticks, _LONGEST_WAIT_TICKS)]
        requests = [(Command.WAIT, wire.WaitRequest(chunk).pack()) for chunk in chunks]
        self._exchange(requests, 1, 4 * len(chunks), max(chunks, default=0) / wire.TICK_HERTZ)

    def _exchange(
        self, requests: list[Request], messages: int, payload_bytes: int, expected_seconds: float
    ) -> list[bytes | None]:
        if not requests:
            return []
        self.between_exchanges()
        before = self.link.counters.bytes_sent + self.link.counters.bytes_received
        replies = self.link.run(requests, expected_seconds)
        link_bytes = self.link.counters.bytes_sent + self.link.counters.bytes_received - before
        ticks: dict[str, int] = {}
        for (kind, _), reply in zip(requests, replies, strict=True):
            if reply is None:
                continue
            step = _STEPS.get(kind, "load")
            elapsed = int.from_bytes(reply[:4], "little")
            # Replies to SOLVE and MVM go on with the part of it that loaded masks.
            loading = int.from_bytes(reply[4:8], "little") if step == "solve" else 0
            ticks[step] = ticks.get(step, 0) + elapsed - loading
            ticks["load"] = ticks.get("load", 0) + loading
        self.counters.add_exchange(ticks, messages, len(requests), link_bytes)
        self.counters.payload_bytes += payload_bytes
        return replies

    def _beat(self) -> None:
        pause = wire.SESSION_HEARTBEAT_MILLISECONDS * 1e-3
        while not self._closed.wait(pause):
            if time.monotonic() - self.link.last_sent_seconds >= pause:
                try:
                    self.link.heartbeat()
                except LinkError:
                    return  # the exchange in progress meets the same error and reports it
