"""The hwloop board: identify, program, read and solve over the wire. Works the same on real and simulated boards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from hwloop.drivers.board.counters import BoardCounters
from hwloop.drivers.board.packing import FramePacker, pack_cells
from hwloop.drivers.board.scales import Scales
from hwloop.drivers.board.solving import SolveGroup, SolveOutputs, pack_products, pack_solves, unpack_answers
from hwloop.drivers.cells import CellPulses, CellReads, Polarity
from hwloop.errors import DeviceError, LinkError, WireVersionError
from hwloop.link import protocol as wire
from hwloop.link.link import Link, Request
from hwloop.link.protocol import Command, Target, TiaRange

SATURATED_CODE = 65535


class Board:
    """One board with its array chip, held by one session.

    `Board(link)` identifies the board passively; `open()` begins the session that lets lines move. Use it as a context
    manager: the board is grounded and the session closed on the way out, whatever happened.
    `between_exchanges` is called before every exchange; it may raise to stop a run at a clean place.
    """

    def __init__(self, link: Link, between_exchanges: Callable[[], None] = lambda: None):
        self.link = link
        self.between_exchanges = between_exchanges
        identity = link.request(Command.IDENTIFY)
        if len(identity) != wire.IdentifyReply.STRUCT.size:
            raise DeviceError(f"{link.transport.name}: something answers there, but not a hwloop board ({len(identity)} bytes)")
        self.identity = wire.IdentifyReply.unpack(identity)
        if self.identity.wire_hash != wire.WIRE_HASH:
            version = self.identity.firmware_version
            raise WireVersionError(wire.WIRE_HASH, self.identity.wire_hash, f"{version >> 16}.{version >> 8 & 255}.{version & 255}")
        describe = wire.DescribeReply.unpack(link.request(Command.DESCRIBE))
        link.max_in_flight, link.max_frame_bytes = describe.max_in_flight, describe.max_frame_bytes
        self.describe = describe
        self.scales = Scales(describe)
        self.rows, self.columns = describe.rows, describe.columns
        self.counters = BoardCounters()
        self._heartbeat: threading.Thread | None = None
        self._closed = threading.Event()

    @property
    def name(self) -> str:
        """The kind of board, such as "hwloop-128x16"."""
        return self.identity.board_name.rstrip(b"\0").decode("ascii", "replace")

    def open(self) -> None:
        """Begin the session; from here on commands move lines, and a heartbeat keeps the board awake."""
        self.link.request(Command.OPEN, wire.OpenRequest(wire.WIRE_HASH, 0).pack())
        self.link.sequence = 0
        self._heartbeat = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._heartbeat.start()

    def close(self) -> None:
        """Ground every line, end the session, give the port back. Never raises; may be called twice."""
        if self._closed.is_set():
            return
        self._closed.set()
        try:
            self.link.request(Command.CLOSE)
        except (LinkError, DeviceError):
            pass  # the board's own dead-man grounds it
        finally:
            self.link.close()

    def __enter__(self) -> Board:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def safe(self) -> None:
        """Ground every line at once. The session cannot move anything afterwards."""
        self.link.request(Command.SAFE)

    def status(self) -> wire.StatusReply:
        """What the board is doing and why."""
        return wire.StatusReply.unpack(self.link.request(Command.STATUS))

    def pulse_and_read(
        self, pulses: CellPulses | None, read_cells: np.ndarray | None, averages: int = 4, sub_averages: int = 3,
        spread_siemens: float = 1e-6, tia_range: int = TiaRange.COARSE,
    ) -> CellReads | None:
        """One PULSE and one READ exchange in one round trip: what a write-verify step is, however many cells it has.

        `read_cells` (n,) flat indices, no cell twice; the reading is the mean of `averages` × `sub_averages` samples.
        Raises LimitError before anything is sent where a voltage is out of range.
        """
        pulse_frames, payload_bytes = self._pulse_frames(pulses) if pulses is not None and len(pulses.cells) else ([], 0)
        read_frames, order = [], None
        if read_cells is not None and len(read_cells):
            spread_code = self.scales.spread_code(spread_siemens, tia_range)
            read_frames, order, read_bytes = self._read_frames(read_cells, averages, sub_averages, spread_code, tia_range)
            payload_bytes += read_bytes
        requests: list[Request] = [(Command.PULSE, payload) for payload in pulse_frames]
        requests += [(Command.READ, payload) for payload, _ in read_frames]
        replies = self._exchange(requests, (len(pulse_frames) > 0) + (len(read_frames) > 0), payload_bytes)
        if pulse_frames:
            self.counters.pulses += len(pulses.cells)
            given = (wire.PulseReply.unpack(reply).row_pulses for reply in replies[: len(pulse_frames)])
            self.counters.row_pulses += sum(given)
        if not read_frames:
            return None
        self.counters.reads += len(read_cells)
        return self._readings(replies[len(pulse_frames) :], [cells for _, cells in read_frames], order, tia_range)

    def solve(self, groups: list[SolveGroup]) -> list[SolveOutputs]:
        """Outputs of every group of regressions, in one exchange."""
        packed = pack_solves(self.scales, groups, self.describe.max_frame_bytes)
        replies = self._exchange([(Command.SOLVE, payload) for payload in packed.payloads], 1, packed.payload_bytes)
        answers = unpack_answers(packed, replies, wire.SolveReply.STRUCT.size)
        self.counters.solves += sum(len(group.input_volts) for group in groups)
        return [
            SolveOutputs(
                self.scales.volts_from_output_codes(np.concatenate([part.output_volts for part in parts])),
                np.concatenate([part.saturated for part in parts]), np.concatenate([part.unsettled for part in parts]),
            )
            for parts in answers
        ]

    def multiply(
        self, array: int, rows: np.ndarray, columns: np.ndarray, input_volts: np.ndarray, averages: int = 4,
        settle_seconds: float = 5e-6, tia_range: int = TiaRange.COARSE,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Column currents in amps (n, k) for row voltages (n, m), and which products went beyond the range (n,)."""
        packed = pack_products(
            self.scales, array, rows, columns, input_volts, tia_range, averages, settle_seconds, self.describe.max_frame_bytes
        )
        replies = self._exchange([(Command.MVM, payload) for payload in packed.payloads], 1, packed.payload_bytes)
        parts = unpack_answers(packed, replies, wire.MvmReply.STRUCT.size)[0]
        codes = np.concatenate([part.output_volts for part in parts])
        self.counters.solves += len(input_volts)
        return self.scales.amps_from_current_codes(codes, tia_range), np.concatenate([part.saturated for part in parts])

    def compensate(self, rows: np.ndarray, siemens: np.ndarray) -> None:
        """Set the compensation conductance (n,) of `rows` (n,)."""
        codes = self.scales.compensation_codes(siemens)
        pairs = np.stack([np.asarray(rows), codes], axis=1).astype("<u2")
        room = (self.describe.max_frame_bytes - 32) // 4
        chunks = [pairs[first : first + room] for first in range(0, len(pairs), room)]
        requests = [
            (Command.COMPENSATE, wire.CompensateRequest(int(i > 0)).pack() + chunk.tobytes()) for i, chunk in enumerate(chunks)
        ]
        self._exchange(requests, 1, pairs.nbytes)

    def temperature_celsius(self) -> float:
        """Temperature at the array."""
        reply = self._exchange([(Command.TEMPERATURE, b"")], 1, 2)[0]
        return wire.TemperatureReply.unpack(reply).centicelsius / 100

    def wait(self, seconds: float) -> None:
        """Let bench time pass with every line grounded."""
        ticks = round(seconds * wire.TICK_HERTZ)
        chunks = [min(2**31, ticks - done) for done in range(0, ticks, 2**31)]
        self._exchange([(Command.WAIT, wire.WaitRequest(chunk).pack()) for chunk in chunks], 1, 4)

    def _pulse_frames(self, pulses: CellPulses) -> tuple[list[bytes], int]:
        forming = pulses.polarity == Polarity.FORM
        amplitude = np.where(
            forming, self.scales.amplitude_codes(np.where(forming, pulses.amplitude_volts, 0.0), True),
            self.scales.amplitude_codes(np.where(forming, 0.0, pulses.amplitude_volts), False),
        )
        gate = self.scales.gate_codes(pulses.gate_volts)
        width_ticks = self.scales.width_ticks(pulses.width_seconds)
        array_row, column = np.divmod(pulses.cells, self.columns)
        array, row = np.divmod(array_row, self.rows)
        packer = FramePacker(self.describe.max_frame_bytes)
        payload_bytes = 0
        kinds = (width_ticks * 2 + array) * 4 + pulses.polarity
        for kind in np.unique(kinds):
            chosen = np.flatnonzero(kinds == kind)
            for part, target in _by_common_code(chosen, amplitude, gate):
                code = {Target.GATE: gate, Target.AMPLITUDE: amplitude, Target.COMMON: None}[target]
                keys = (column[part], gate[part], row[part]) if target == Target.GATE else (column[part], row[part])
                part = part[np.lexsort(keys)]
                section = pack_cells(row[part], column[part], self.columns, None if code is None else code[part], target)
                first = part[0]
                fixed = (
                    int(array[first]), int(pulses.polarity[first]), section.layout, int(target), int(width_ticks[first]),
                    int(amplitude[first]), int(gate[first]),
                )
                packer.add(section, lambda count, fixed=fixed: wire.PulseSection(*fixed, count).pack())
                payload_bytes += section.words.nbytes
        return [frame.payload for frame in packer.frames()], payload_bytes

    def _read_frames(
        self, cells: np.ndarray, averages: int, sub_averages: int, spread_code: int, tia_range: int
    ) -> tuple[list[tuple[bytes, int]], np.ndarray, int]:
        order = np.argsort(cells, kind="stable")
        array_row, column = np.divmod(np.asarray(cells)[order], self.columns)
        array, row = np.divmod(array_row, self.rows)
        prefix = wire.ReadRequest(int(tia_range), sub_averages, averages, spread_code).pack()
        packer = FramePacker(self.describe.max_frame_bytes, prefix, reply_bytes_a_cell=2.125)
        payload_bytes = 0
        for which in (0, 1):
            part = array == which
            if part.any():
                section = pack_cells(row[part], column[part], self.columns, None, Target.COMMON)
                fixed = (which, section.layout)
                packer.add(section, lambda count, fixed=fixed: wire.ReadSection(*fixed, count).pack())
                payload_bytes += section.words.nbytes
        return [(frame.payload, frame.cells) for frame in packer.frames()], order, payload_bytes + 2 * len(cells)

    def _readings(self, replies: list[bytes], counts: list[int], order: np.ndarray, tia_range: int) -> CellReads:
        codes, steady = np.empty(len(order), np.uint16), np.empty(len(order), bool)
        done, fixed = 0, wire.ReadReply.STRUCT.size
        for reply, count in zip(replies, counts, strict=True):
            where = order[done : done + count]
            codes[where] = np.frombuffer(reply, "<u2", count, fixed)
            steady[where] = np.unpackbits(np.frombuffer(reply, np.uint8, -1, fixed + 2 * count), bitorder="little")[:count]
            done += count
        return CellReads(self.scales.siemens_from_read_codes(codes, tia_range), steady, codes == SATURATED_CODE)

    def _exchange(self, requests: list[Request], messages: int, payload_bytes: int) -> list[bytes]:
        self.between_exchanges()
        before = self.link.counters.bytes_sent + self.link.counters.bytes_received
        replies = self.link.run(requests)
        link_bytes = self.link.counters.bytes_sent + self.link.counters.bytes_received - before
        ticks: dict[str, int] = {}
        for (kind, _), reply in zip(requests, replies, strict=True):
            step = _STEPS.get(kind, "load")
            ticks[step] = ticks.get(step, 0) + int.from_bytes(reply[:4], "little")
        self.counters.add_exchange(ticks, messages, len(requests), link_bytes)
        self.counters.payload_bytes += payload_bytes
        return replies

    def _beat(self) -> None:
        pause = wire.SESSION_HEARTBEAT_MILLISECONDS * 1e-3
        while not self._closed.wait(pause):
            if time.monotonic() - self.link.last_sent >= pause:
                try:
                    self.link.heartbeat()
                except LinkError:
                    return  # the exchange in progress meets the same error and reports it


_STEPS = {Command.PULSE: "pulse", Command.READ: "read", Command.SOLVE: "solve", Command.MVM: "solve"}


def _by_common_code(chosen: np.ndarray, amplitude: np.ndarray, gate: np.ndarray) -> list[tuple[np.ndarray, Target]]:
    """Parts of `chosen` that one section can carry: one amplitude, or one gate, for all of its cells."""
    same_amplitude = (amplitude[chosen] == amplitude[chosen[0]]).all()
    same_gate = (gate[chosen] == gate[chosen[0]]).all()
    if same_amplitude and same_gate:
        return [(chosen, Target.COMMON)]
    if same_amplitude:
        return [(chosen, Target.GATE)]
    if same_gate:
        return [(chosen, Target.AMPLITUDE)]
    return [(chosen[gate[chosen] == code], Target.AMPLITUDE) for code in np.unique(gate[chosen])]
