"""The chips of one board on a bench: the far end of the firmware's stream. Bytes in, answers out."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from hwloop.errors import DeviceError, HwloopError
from hwloop.link import protocol as wire
from hwloop.link.protocol import ResetCause, Route
from hwloop.mock.bench import Bench
from hwloop.mock.chips import ads8688, adt7320, drive, ltc2668, safety, stream, wiring
from hwloop.mock.chips import state as at
from hwloop.mock.chips.events import carry_out, clear, compile_kernels
from hwloop.mock.chips.ports import connection_of, outputs_at_daq

_STORE = struct.Struct("<IIBBH")
_HELLO = struct.Struct("<BBIIBQ")
_FINISH = struct.Struct("<BBI")
_MOST_RESULTS = 1 << 24


class ChipPanel:
    """Simulated chips, wired as wiring.toml says, acting on a `Bench`.

    `violations` are sentences about what the firmware tried beyond the limits: it never reached the cells. `deaf`
    chips answer nothing any more. Where the world's models do not hold, or its state cannot be kept, FINISH is
    answered with FAILED once: to the firmware, a bench that is broken. `failure` says what it was.
    """

    def __init__(self, bench: Bench):
        self.bench = bench
        self.violations: list[str] = []
        self.deaf = False
        self.failure: Exception | None = None
        self._broken = self._running = False
        self._reset_cause = ResetCause.POWER
        self._chips = at.chips_of(bench.geometry)
        self._rest = b""
        # The firmware counts its start itself, and the first start of a bench is in its counter already.
        self._store = self._store_of(bench.boot_counter - 1)
        self._chips.now[at.TICK] = bench.ticks

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the stream, in any cuts; gives the answers to it.

        Raises DeviceError where this is no such stream.
        """
        self._rest += data
        words, here, answers = np.array(np.frombuffer(self._rest, np.uint8)), 0, b""
        outcome = None
        while here < len(words) and outcome != stream.MORE:
            here, outcome = stream.decode(self._chips, words, here)
            if outcome == stream.BROKEN:
                raise DeviceError(
                    f"firmware sends byte {self._rest[here]} where an entry of its stream begins; is it this version's?"
                )
            answers += self._act(outcome, self._rest[:here])
        self._rest = self._rest[here:]
        self._note_violations()
        return answers

    def cut(self, reset_cause: ResetCause = ResetCause.WATCHDOG) -> None:
        """The microcontroller is gone: its pins fall and ground every line. Chips keep what they hold; whatever stream
        comes next is that of a microcontroller that has just started, for the cause given."""
        self._fall(reset_cause)
        self._rest, self._running = b"", False

    def compile_kernels(self) -> None:
        """Compile what a first stream would have to wait for."""
        compile_kernels(self._chips)
        self.feed(bytes([wiring.STREAM_FINISH]))

    @property
    def is_running(self) -> bool:
        """Whether the firmware has said HELLO since its last reset."""
        return self._running

    @property
    def lines_driven(self) -> bool:
        """Whether any line of the arrays is away from ground now."""
        now = self._chips.now
        ways = (
            wiring.MODE_DRIVE_BIT_LINES, wiring.MODE_DRIVE_SOURCE_LINES, wiring.MODE_READ, wiring.MODE_SOLVE,
            wiring.MODE_MULTIPLY,
        )
        chosen = any(drive.mode_bits(self._chips) >> way & 1 for way in ways)
        return bool(now[at.ENABLE] and now[at.DRIVE] and chosen)

    @property
    def routed_cell(self) -> tuple[int, int, int] | None:
        """Array, row and column of the cell at the SMU port."""
        found = connection_of(self._chips)
        return (found.array, found.row, found.column) if found.route == Route.CELL_TO_SMU else None

    @property
    def outputs_routed(self) -> bool:
        """Whether the outputs are at the DAQ port."""
        return outputs_at_daq(self._chips)

    def stick(self, select: int, line: str, level: int) -> None:
        """A fault: the data line "miso" or "mosi" of one chip select is stuck at 0 or 1."""
        self._chips.devices[select, at.MISO if line == "miso" else at.MOSI] = level

    def mend(self) -> None:
        """Take every stuck line away, and let the chips answer again."""
        self._chips.devices[:, [at.MISO, at.MOSI]] = at.INTACT
        self.deaf = False

    def forget(self, select: int) -> None:
        """A fault: the supply of the chips behind one chip select failed for a moment."""
        kind, index, length = self._chips.devices[select, : at.LENGTH + 1].tolist()
        if kind == at.DAC:
            ltc2668.forget(self._chips.dacs, index)
        elif kind == at.ADC:
            ads8688.forget(self._chips.adcs, index)
        elif kind == at.SENSOR:
            adt7320.forget(self._chips.sensor)
        elif kind == at.CHAIN:
            self._chips.switches[index : index + length] = 0
            if wiring.SELECT_ROW_SELECT <= select < wiring.SELECT_ROW_MASK:
                drive.count_selected(self._chips, select - wiring.SELECT_ROW_SELECT)
        self._chips.now[at.FRESH_SETTING] = 0

    def _fall(self, reset_cause: ResetCause) -> None:
        self._carry_out()
        for pin in (wiring.PIN_DRIVE, wiring.PIN_ENABLE):
            stream.set_pin(self._chips, pin, 0)
        stream.set_pin(self._chips, wiring.PIN_LDAC, 1)
        self._look_at_ports()
        now = self._chips.now
        now[at.PULSE_END] = now[at.TICK]
        now[at.RESULTS] = 0
        self._reset_cause = reset_cause
        self._note_violations()

    def _act(self, outcome: int, consumed: bytes) -> bytes:
        match outcome:
            case stream.FULL:
                self._make_room()
            case stream.HELLO:
                if self._running:       # the microcontroller was reset, and nobody saw it end
                    self._fall(ResetCause.WATCHDOG)
                self._running = True
                return _HELLO.pack(
                    wiring.STREAM_HELLO, wiring.STREAM_VERSION, self.bench.board_serial, self.bench.array_serial,
                    self._reset_cause, int(self._chips.now[at.TICK]),
                ) + self._store
            case stream.STORE:
                self._keep(consumed[-wiring.STREAM_STORE_BYTES :])
            case stream.FINISH:
                answer = self._finish()
                return b"" if self.deaf else answer
        return b""

    def _finish(self) -> bytes:
        chips = self._chips
        self._carry_out()
        try:
            self.bench.save_if_changed()
        except OSError as error:
            self.failure, self._broken = error, True
        count, chips.now[at.RESULTS] = int(chips.now[at.RESULTS]), 0
        if self._broken:
            self._broken = False
            return _FINISH.pack(wiring.STREAM_FINISH, 0, wiring.STREAM_FAILED)
        high = adt7320.ct_level(chips.sensor, self.bench.temperature_raw())
        head = _FINISH.pack(wiring.STREAM_FINISH, high << wiring.INPUT_OVERTEMPERATURE, count)
        return head + chips.results[:count].tobytes()

    def _carry_out(self) -> None:
        chips, bench = self._chips, self.bench
        self._look_at_ports()
        try:
            carry_out(chips, bench)
        except HwloopError as error:
            self.failure, self._broken = error, True
        clear(chips)
        for where, skip, kept, register, tick in chips.sensed[: chips.now[at.SENSED]].tolist():
            bench.ticks = tick
            content, size = adt7320.word(chips.sensor, register, bench.temperature_raw())
            answer = (b"\0" + content.to_bytes(size, "big"))[skip : skip + kept]
            chips.results[where : where + len(answer)] = np.frombuffer(answer, np.uint8)
        chips.now[at.SENSED] = 0
        bench.ticks = int(chips.now[at.TICK])

    def _look_at_ports(self) -> None:
        """Instruments see what stands now, and nothing beyond the limits stands."""
        chips, bench = self._chips, self.bench
        bench.connection, bench.outputs_routed = connection_of(chips), outputs_at_daq(chips)
        for what, code, limit in (
            (safety.HELD_AMPLITUDE, bench.connection.amplitude_code.max(), wire.LIMIT_FORM_CODE),
            (safety.HELD_GATE, bench.connection.gate_code, wire.LIMIT_GATE_CODE),
        ):  # fmt: skip
            if code > limit:
                safety.violate(chips, what, code, limit)

    def _make_room(self) -> None:
        """Buffers are full: carry out what was noted; where that does not help, keep more results."""
        if self._chips.now[at.EVENTS] or self._chips.now[at.PATCHES]:
            self._carry_out()
            return
        results = self._chips.results
        if len(results) >= _MOST_RESULTS:
            raise DeviceError(f"firmware reads more than {_MOST_RESULTS} bytes without asking for them")
        self._chips = self._chips._replace(results=np.concatenate([results, np.zeros_like(results)]))

    def _store_of(self, boot_counter: int) -> bytes:
        kind, sequence = self.bench.last_command
        body = _STORE.pack(wiring.STREAM_STORE_MAGIC, boot_counter, kind, self.bench.last_completed, sequence)
        return body + zlib.crc32(body).to_bytes(4, "little")

    def _keep(self, stored: bytes) -> None:
        self._store = stored
        magic, boot_counter, kind, completed, sequence = _STORE.unpack_from(stored)
        if magic == wiring.STREAM_STORE_MAGIC:
            self.bench.boot_counter, self.bench.last_command = boot_counter, (kind, sequence)
            self.bench.last_completed = bool(completed)

    def _note_violations(self) -> None:
        chips = self._chips
        room = at.VIOLATION_ROOM - len(self.violations)
        noted = min(int(chips.now[at.VIOLATIONS]), at.VIOLATION_ROOM, room)
        self.violations += [safety.sentence(*violation) for violation in chips.violations[:noted].tolist()]
        chips.now[at.VIOLATIONS] = 0
